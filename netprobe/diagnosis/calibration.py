"""What a score is worth: from the posterior of an answer to the share of such answers that were right.

The weighing ranks well and is unsure out of modesty: of the answers that it calls 0.8 sure far more than 80 % are
right. A monotone map of the log-odds, fitted on simulated worlds and kept in data/calibration.toml, says what answers
with this posterior were worth there (Platt 1999; Zadrozny and Elkan 2002). It decides nothing: who is named, and
whether anybody is, rests on the posterior itself.
"""

import math
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from netprobe.diagnosis.causes import DATA, TableError
from netprobe.diagnosis.weigh import Decision, mass, under
from netprobe.model.record import Record
from netprobe.model.verdict import Component

CALIBRATION = DATA / "calibration.toml"
ENOUGH = 20  # answers in a family from which the map covers it: with fewer, nobody has seen how it fares there

_SMALLEST = 1e-12  # of a probability, and of what it lacks to 1: log-odds stay finite


class Calibration(Record, frozen=True):
    """The map `1 / (1 + exp(-(offset + slope * log-odds)))`, kept between `lowest` and `highest`.

    `nobody` is added to the offset where the answer is that nobody is at fault: a claim of another kind, which every
    fault that was missed belies.

    `answers` counts the answers that it was fitted on, by the family of the cause that was named (`home.dns`).
    `made_by` is the command that wrote it, `made_on` the day, `worlds` how many simulated networks it has seen.
    """

    made_by: str
    made_on: str
    worlds: int
    slope: float
    offset: float
    nobody: float
    lowest: float
    highest: float
    answers: dict[str, int]

    def worth(self, score: float, component: Component) -> float:
        """The probability of an answer whose posterior is `score`: rises with it, never 0 or 1."""
        odds = self.offset + self.slope * log_odds(score) + (self.nobody if component is Component.NONE else 0.0)
        return min(self.highest, max(self.lowest, sigmoid(odds)))

    def covers(self, cause: str) -> bool:
        """Whether enough answers of the family of `cause` have been seen."""
        return self.answers.get(family(cause), 0) >= ENOUGH


def family(cause: str) -> str:
    """The first two places of a cause's id: `home.dns`."""
    return ".".join(cause.split(".")[:2])


def log_odds(probability: float) -> float:
    """Natural logarithm of the odds, finite for 0 and 1 too."""
    kept = min(1.0 - _SMALLEST, max(_SMALLEST, probability))
    return math.log(kept / (1.0 - kept))


def sigmoid(odds: float) -> float:
    """The probability with these log-odds, without overflow."""
    return 1.0 / (1.0 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1.0 + math.exp(odds))


@cache
def calibration() -> Calibration:
    """The map that comes with netprobe."""
    return load(CALIBRATION)


def load(path: Path) -> Calibration:
    """Read and check a map. Raises `TableError` with one line of text."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Calibration)
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read: {error}") from None
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise TableError(f"{path.name}: is no calibration: {error}") from None
    if not 0 < found.lowest < found.highest < 1:
        raise TableError(f"{path.name}: 0 < lowest < highest < 1 must hold, not {found.lowest} and {found.highest}")
    if not (0 < found.slope < math.inf and math.isfinite(found.offset) and math.isfinite(found.nobody)):
        raise TableError(f"{path.name}: the slope must be above 0, not {found.slope}: likelier stays likelier")
    return found


def covered(first: Decision, second: Decision | None, means: Calibration) -> bool:
    """Whether the map says what an answer is worth: to one trouble alone, of a family that it has seen."""
    return first.determined and second is None and means.covers(first.leaf)


def recalibrated(decision: Decision, means: Calibration) -> dict[str, float]:
    """The posterior of a determined answer, in which the answer has its calibrated probability.

    What lies at or under the answer's node shares that, in the proportions that it had; the rest shares what is left,
    but no other cause gets more than the answer.
    """
    inside = mass(decision.node, decision.posterior)
    outside = sum(share for cause, share in decision.posterior.items() if not under(cause, decision.node))
    worth = means.worth(inside, decision.component)
    within, beside = worth / inside, (1.0 - worth) / outside if outside else 0.0
    return {
        cause: share * within if under(cause, decision.node) else min(share * beside, worth)
        for cause, share in decision.posterior.items()
    }


def told(decision: Decision, means: Calibration | None) -> tuple[Mapping[str, float], float]:
    """What is said of each cause, and of the answer; without `means` that is the posterior itself."""
    shares = recalibrated(decision, means) if means else decision.posterior
    return shares, mass(decision.node, shares) if decision.determined else shares[decision.leaf]
