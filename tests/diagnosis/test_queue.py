"""What is said of round trips that change: a queue in front of the line, one at a crossing, and what only looks alike."""

from dataclasses import replace

import pytest

from netprobe.diagnosis.facts import Facts
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.queue import queue
from netprobe.model.report import Observation
from tests.diagnosis.picture import BEHIND_A, Picture, origin
from tests.diagnosis.waiting import delays


def said(closer: tuple[Observation, ...], latency_s: float = 0.01) -> str:
    """The signal's state."""
    picture = replace(Picture(), closer=closer, latency_s=latency_s)
    finding = queue(View(Facts(picture.observations(), picture.platform, origin)))
    return finding.state if finding else ""


@pytest.mark.parametrize(
    ("closer", "latency_s", "state"),
    [
        ((), 0.01, "none"),
        (delays(0.3), 0.3, "line"),
        (delays(0.15, lost=4), 0.15, "line_lossy"),
        (delays(0.6, 0.001), 0.6, "far"),  # a satellite: far away, and always as far
        (delays(0.3), 0.02, "none"),  # a router beyond the home is near: nothing waits in front of it
        (delays(0.08, 0.06, *BEHIND_A, lost=8), 0.01, "some"),
        (delays(0.02, 0.0, *BEHIND_A, lost=8), 0.01, "alike"),  # lost, and not late
    ],
)
def test_each_queue_where_it_is(closer: tuple[Observation, ...], latency_s: float, state: str) -> None:
    """Who waits, and for how long, says where."""
    assert said(closer, latency_s) == state
