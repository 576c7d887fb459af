"""What tables and a calibration make of samples: `netprobe lab score` without measuring anything again."""

from collections.abc import Iterable

from netprobe.diagnosis.calibration import Calibration, covered, told
from netprobe.diagnosis.causes import Tables
from netprobe.diagnosis.weigh import answer
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
    _, sure = told(first, means if known else None)
    return Run(
        one.name,
        1,
        Component(one.truth.component),
        one.truth.cause,
        first.component,
        first.node or _NOT_NAMED,
        round(sure, 4),
        0.0,
        0,
        one.truth.also,
        one.truth.never,
        (second.node,) if second else (),
        one.truth.open,
        first.component if first.determined else table.causes[first.leaf].component,
    )
