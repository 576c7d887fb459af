"""What tables and a calibration make of samples: `netprobe lab score` without measuring anything again."""

from collections.abc import Iterable
from typing import NamedTuple

from netprobe.diagnosis.calibration import Calibration, covered, recalibrated
from netprobe.diagnosis.causes import Tables
from netprobe.diagnosis.weigh import answer, mass
from netprobe.lab.score import Run
from netprobe.lab.sweep import Sample
from netprobe.model.verdict import Component

_NOT_NAMED = "undetermined"


def appraise(samples: Iterable[Sample], table: Tables, means: Calibration | None) -> list[Run]:
    """A run for each sample as `table` answers it; without `means` its probability is the posterior itself."""
    return [_run(one, table, means) for one in samples]


def _run(one: Sample, table: Tables, means: Calibration | None) -> Run:
    first, second = answer(one.evidence(), table)
    known = means is not None and covered(first, second, means)
    shares = recalibrated(first, means) if means is not None and known else first.posterior
    return Run(
        one.name,
        1,
        Component(one.truth.component),
        one.truth.cause,
        first.component,
        first.node or _NOT_NAMED,
        round(mass(first.node, shares) if first.determined else shares[first.leaf], 4),
        0.0,
        0,
        one.truth.also,
        one.truth.never,
        (second.node,) if second else (),
        one.truth.open,
        first.component if first.determined else table.causes[first.leaf].component,
    )


class Change(NamedTuple):
    """A situation of which another table says something else: what was said, what is said, and what is true."""

    name: str
    before: str
    after: str
    truth: str

    @property
    def told(self) -> str:
        """On one line."""
        return f"{self.name}: {self.before} -> {self.after} (true: {self.truth})"


def churn(before: Iterable[Run], after: Iterable[Run]) -> list[Change]:
    """The situations whose answer changed, the second trouble included, in order."""
    return [
        Change(old.scenario, said(old), said(new), " + ".join((old.expected_cause, *old.expected_also)))
        for old, new in zip(before, after, strict=True)
        if said(old) != said(new)
    ]


def said(run: Run) -> str:
    """The answer as a text: the cause, and the other one at the same time."""
    return " + ".join((run.cause, *run.also))
