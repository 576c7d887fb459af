"""Fits the map from scores to probabilities: logistic regression on the log-odds of answers whose truth is known.

Platt (1999) with his smoothed targets, three numbers: a slope, an offset, and what is added where the answer is that
nobody is at fault. A weak prior holds them at "the score means what it says", so that a sweep without mistakes does not
end in certainty. Pure and deterministic; a few thousand answers take a second.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from netprobe.diagnosis.calibration import Calibration, family, log_odds, sigmoid
from netprobe.diagnosis.causes import Tables
from netprobe.diagnosis.weigh import answer, under
from netprobe.lab.reliability import BINS, Forecast
from netprobe.lab.sweep import Sample
from netprobe.model.verdict import Component

SLOPE_LEAST = 0.02  # a map must rise, however flat the sweep says that it is
PRIOR = (1.0, 0.0, 0.0)  # slope, offset, nobody: the score as it is
PRECISION = (1.0, 0.1, 0.1)  # of the prior: as much as a handful of answers say
RULE_OF_THREE = 3.0  # nothing seen in n tries: below 3 / n with 95 % (Hanley and Lippman-Hand 1983)
_STEPS = 60
_SETTLED = 1e-10


class Answered(NamedTuple):
    """An answer that named somebody, or nobody, in a world with a known truth.

    `right`: the truth lies at or under the place that was named; of a truth that the tables do not tell yet, so that no
    answer can be it, that its component was named. `truth` is the true family, `said` the likeliest cause.
    """

    score: float
    component: Component
    right: bool
    right_component: bool
    truth: str
    said: str

    def forecast(self, means: Calibration) -> Forecast:
        """What the map makes of it."""
        return Forecast(means.worth(self.score, self.component), self.right)


def answered(samples: Iterable[Sample], tables: Tables) -> list[Answered]:
    """The answers that the tables give to what was measured, without abstentions.

    Those that name two troubles are left out too: there are too few to say what they are worth.
    """
    found = []
    for one in samples:
        first, second = answer(one.evidence(), tables)
        if first.determined and second is None:
            named = first.component.value == one.truth.component
            right = under(one.truth.cause, first.node) if one.truth.cause in tables.prior else named
            found.append(Answered(first.probability, first.component, right, named, one.family, first.leaf))
    return found


def fit(answers: Sequence[Answered], made_by: str, made_on: str, worlds: int) -> Calibration:
    """The map that fits `answers` best. Raises `ValueError` where there are too few to say anything."""
    if len(answers) < 2 * RULE_OF_THREE * BINS:
        msg = f"{len(answers)} answers are too few for a calibration: sweep more worlds"
        raise ValueError(msg)
    slope, offset, nobody = _maximise(answers)
    lacking = RULE_OF_THREE * BINS / len(answers)  # a bin holds a tenth: no more than it can show is ever claimed
    counts = Counter(family(one.said) for one in answers)
    return Calibration(
        made_by=made_by,
        made_on=made_on,
        worlds=worlds,
        slope=round(slope, 4),
        offset=round(offset, 4),
        nobody=round(nobody, 4),
        lowest=round(lacking, 4),
        highest=round(1.0 - lacking, 4),
        answers=dict(sorted(counts.items())),
    )


def _maximise(answers: Sequence[Answered]) -> tuple[float, float, float]:
    """The most probable slope, offset and addition, by Newton's method with halved steps."""
    rows = [(log_odds(a.score), 1.0, float(a.component is Component.NONE)) for a in answers]
    rights = sum(a.right for a in answers)
    high, low = (rights + 1.0) / (rights + 2.0), 1.0 / (len(answers) - rights + 2.0)
    targets = [high if a.right else low for a in answers]
    at = list(PRIOR)
    for _ in range(_STEPS):
        slopes, bends = _derivatives(rows, targets, at)
        step = _solve(bends, slopes)
        before, size = _loss(rows, targets, at), 1.0
        while size > _SETTLED:
            there = [a - size * s for a, s in zip(at, step, strict=True)]
            there[0] = max(SLOPE_LEAST, there[0])
            if _loss(rows, targets, there) <= before:
                break
            size /= 2
        moved = max(abs(a - b) for a, b in zip(at, there, strict=True))
        at = there
        if moved < _SETTLED:
            break
    return at[0], at[1], at[2]


_Rows = Sequence[tuple[float, float, float]]


def _loss(rows: _Rows, targets: Sequence[float], at: Sequence[float]) -> float:
    total = 0.5 * sum(k * (a - p) ** 2 for k, a, p in zip(PRECISION, at, PRIOR, strict=True))
    for row, target in zip(rows, targets, strict=True):
        odds = sum(a * x for a, x in zip(at, row, strict=True))
        total += max(odds, 0.0) + math.log1p(math.exp(-abs(odds))) - target * odds
    return total


def _derivatives(rows: _Rows, targets: Sequence[float], at: Sequence[float]) -> tuple[list[float], list[list[float]]]:
    """The gradient and the Hessian of the loss."""
    slopes = [k * (a - p) for k, a, p in zip(PRECISION, at, PRIOR, strict=True)]
    bends = [[PRECISION[n] if n == m else 0.0 for m in range(3)] for n in range(3)]
    for row, target in zip(rows, targets, strict=True):
        p = sigmoid(sum(a * x for a, x in zip(at, row, strict=True)))
        for n in range(3):
            slopes[n] += (p - target) * row[n]
            for m in range(3):
                bends[n][m] += p * (1 - p) * row[n] * row[m]
    return slopes, bends


def _solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """The solution of a small positive definite system, by Gauss."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for n in range(size):
        rows[n] = [value / rows[n][n] for value in rows[n]]
        for m in range(size):
            if m != n:
                rows[m] = [a - rows[m][n] * b for a, b in zip(rows[m], rows[n], strict=True)]
    return [row[size] for row in rows]


def families_left_out(
    answers: Sequence[Answered], fitted: Callable[[Sequence[Answered]], Calibration]
) -> list[Forecast]:
    """Forecasts of each answer by a map that has seen no world of its true family, nor an answer that named it.

    Leave one family out: the honest measure of what the map is worth where a situation is new.
    """
    forecasts: list[Forecast] = []
    for left_out in sorted({one.truth for one in answers}):
        seen = [one for one in answers if left_out not in {one.truth, family(one.said)}]
        means = fitted(seen)
        forecasts += [one.forecast(means) for one in answers if one.truth == left_out]
    return forecasts
