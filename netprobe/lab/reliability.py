"""How far stated probabilities are what they say: Brier score, expected calibration error, a reliability diagram.

Pure figures over forecasts. Bins hold equally many forecasts each, since most answers are nearly sure and bins of equal
width would be empty but for the last (Guo et al. 2017; Nixon et al. 2019 for equal mass).
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from netprobe.model.record import Record

BINS = 10
_Z = 1.96  # standard normal deviations: 95 % of chance
_WIDE = 40  # characters of a diagram's bar


class Forecast(NamedTuple):
    """A stated probability, and whether it came true."""

    probability: float
    came_true: bool


class Bin(Record, frozen=True):
    """Forecasts of about the same probability: how many, what they said on average, and which share came true.

    `low` and `high` bound that share: the 95 % interval of Wilson (1927).
    """

    count: int
    stated: float
    right: float
    low: float
    high: float


def equal_mass(forecasts: Sequence[Forecast], bins: int = BINS) -> tuple[Bin, ...]:
    """At most `bins` bins in rising order, whose counts differ by one at most; none is empty."""
    return tuple(_bin(chunk) for chunk in _chunks(forecasts, bins))


def _chunks(forecasts: Sequence[Forecast], bins: int) -> list[list[Forecast]]:
    ranked = sorted(forecasts, key=lambda one: one.probability)  # never by what came true: ties stay as they came
    edges = [len(ranked) * n // bins for n in range(bins + 1)]
    return [ranked[a:b] for a, b in itertools.pairwise(edges) if b > a]


def _bin(chunk: Sequence[Forecast]) -> Bin:
    right = sum(one.came_true for one in chunk)
    low, high = wilson(right, len(chunk))
    stated = sum(one.probability for one in chunk) / len(chunk)
    return Bin(len(chunk), round(stated, 4), round(right / len(chunk), 4), round(low, 4), round(high, 4))


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `right` out of `count`; (0, 1) where nothing was counted."""
    if not count:
        return 0.0, 1.0
    share, square = right / count, _Z * _Z
    middle = (share + square / (2 * count)) / (1 + square / count)
    reach = _Z / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count * count))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def calibration_error(forecasts: Sequence[Forecast], bins: int = BINS) -> float:
    """Expected calibration error: the mean distance of what was said from what came true, over equal-mass bins."""
    gaps = (abs(sum(p - true for p, true in chunk)) for chunk in _chunks(forecasts, bins))
    return sum(gaps) / len(forecasts) if forecasts else 0.0


def brier(forecasts: Sequence[Forecast]) -> float:
    """Mean squared distance of what was said from what came true (Brier 1950): 0 is best, 0.25 is a coin's."""
    return sum((p - true) ** 2 for p, true in forecasts) / len(forecasts) if forecasts else 0.0


def diagram(bins: Sequence[Bin]) -> list[str]:
    """A reliability diagram as text: a row a bin, whose bar is the share that came true; `|` is what was said."""
    lines = [f"{'answers':>7}  {'said':>6}  {'right':>6}  {'95 % of chance':<15}"]
    for one in bins:
        filled, mark = round(one.right * _WIDE), min(_WIDE - 1, int(one.stated * _WIDE))
        bar = "".join("|" if n == mark else "█" if n < filled else "·" for n in range(_WIDE))
        chance = f"{one.low:.3f}–{one.high:.3f}"
        lines.append(f"{one.count:>7}  {one.stated:>6.3f}  {one.right:>6.3f}  {chance:<15} {bar}")
    return lines
