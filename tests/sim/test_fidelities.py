"""Virtual time, real packets and the kernel's own routers tell the same story, observation by observation.

A few scenarios that together use everything stand for all (features.py); `make fidelities` compares every one.
"""

import pytest

from netprobe.sim import library
from netprobe.sim.scenario import load
from netprobe.sim.world import Fidelity
from tests.sim.features import features, representatives
from tests.sim.fidelities import TOLERATED, differences, drawn, other_answer, told_late

DRAWN = frozenset(name for name in library.names() if drawn(load(name)))
TOLD_LATE = frozenset(name for name in library.names() if told_late(load(name)))
COMPARED = representatives(DRAWN | TOLD_LATE)

BEHIND_DEVICES = (
    "healthy",
    "sni-reset",
    "dns-tampering",
    "home-blocklist",
    "local-resolver-down",
    "routing-loop",
    "maintenance",
    "certificate-expired",
    "home-clock-wrong",
    "mobile-healthy",
    "mobile-sni-reset",
    "home-ipv6-broken",
    "isp-ipv6-hole",
    "cdn-edge-down-ipv6",
)


def test_representatives_use_everything() -> None:
    """What any scenario asks of a simulator that can be compared, one of those that are compared asks too."""
    compared = frozenset[tuple[str, ...]]().union(*(features(load(name)) for name in COMPARED))
    for name in library.names():
        if name not in DRAWN | TOLD_LATE:
            assert features(load(name)) <= compared, name
    assert len(COMPARED) < len(library.names()) // 2


@pytest.mark.packets
@pytest.mark.patient
@pytest.mark.parametrize(
    ("name", "fidelity"),
    [(name, Fidelity.TUN) for name in BEHIND_DEVICES] + [(name, Fidelity.KERNEL) for name in COMPARED],
)
def test_all_see_the_same(name: str, fidelity: Fidelity) -> None:
    """The same questions in the same order, and to each the same kind of answer."""
    different = differences(load(name), fidelity)
    assert len(different) <= TOLERATED, different


@pytest.mark.packets
@pytest.mark.patient
@pytest.mark.parametrize("name", representatives(frozenset(library.names()) - TOLD_LATE))
@pytest.mark.parametrize("fidelity", list(Fidelity), ids=str)
def test_all_come_to_the_same_answer(name: str, fidelity: Fidelity) -> None:
    """Where the questions differ, what is expected is said all the same."""
    assert not other_answer(load(name), fidelity)
