"""Virtual time, real packets and the kernel's own routers tell the same story, observation by observation.

Every scenario is compared in one fidelity here, in turn, and a few that together use everything (features.py) in both;
`make fidelities` compares every one in both and prints a table.
"""

import pytest

from netprobe.lab.score import run_real
from netprobe.sim import library
from netprobe.sim.world import Fidelity
from tests.scenarios import load
from tests.sim.features import features_of, representatives
from tests.sim.fidelities import EXPLAINED, claimed_alone, differences, drawn, in_virtual_time, one_by_one, told_late

DRAWN = frozenset(name for name in library.names() if drawn(load(name)))
TOLD_LATE = frozenset(name for name in library.names() if told_late(load(name)))
COMPARED = representatives()
ROWS = [
    (name, fidelity)
    for number, name in enumerate(library.names())
    for fidelity in (list(Fidelity) if name in COMPARED else [list(Fidelity)[number % 2]])
]
BY_THE_COMMAND = (
    "healthy",
    "home-clock-wrong",
    "home-ipv6-broken",
    "isp-ipv6-hole",
    "maintenance",
    "mobile-sni-reset",
    "routing-loop",
)


def test_representatives_use_everything() -> None:
    """What any scenario asks of a simulator, one of those that are compared asks too."""
    compared = frozenset[tuple[str, ...]]().union(*map(features_of, COMPARED))
    for name in library.names():
        assert features_of(name) <= compared, name
    assert len(COMPARED) < len(library.names()) // 2


def test_what_is_explained_is_there() -> None:
    """Each row of the table is about some scenarios and says why; most scenarios have none."""
    for row in EXPLAINED:
        about = [name for name in library.names() if row.applies(load(name))]
        assert 0 < len(about) < len(library.names()) // 5
        assert all(row.begins)
        assert len(row.why) > 40


def test_a_difference_is_found() -> None:
    """The comparison is not blind: another answer, another question and another hop each give a line."""
    healthy, reset = (in_virtual_time(load(name)) for name in ("healthy", "sni-reset"))
    assert not one_by_one(healthy, healthy)
    assert [line.partition(":")[0] for line in one_by_one(healthy, reset)] == ["other questions"]
    slow = in_virtual_time(load("healthy"), seed=2)
    assert not one_by_one(healthy, slow)
    lossy, elsewhere = (in_virtual_time(load(name)) for name in ("healthy-lossy", "mobile-healthy"))
    assert not claimed_alone(load("healthy-lossy"), [healthy, lossy], lossy)
    assert any(": hop " in line for line in claimed_alone(load("healthy"), [healthy], elsewhere))


@pytest.mark.packets
@pytest.mark.patient
@pytest.mark.timeout(240)  # two diagnoses of a minute where something differs at first, beside seven others
@pytest.mark.parametrize(("name", "fidelity"), ROWS)
def test_all_see_the_same(name: str, fidelity: Fidelity) -> None:
    """The same questions in the same order, to each the same kind of answer, and the same verdict on them."""
    assert not differences(name, fidelity)


@pytest.mark.packets
@pytest.mark.patient
@pytest.mark.parametrize("name", BY_THE_COMMAND)
@pytest.mark.parametrize("fidelity", list(Fidelity), ids=str)
def test_the_command_comes_to_the_same_answer(name: str, fidelity: Fidelity) -> None:
    """`netprobe diagnose` itself, in its own processes, says what is expected."""
    scenario = load(name)
    verdict = run_real(scenario, 1, fidelity).verdict
    assert (verdict.component, verdict.cause) == (scenario.expect.component, scenario.expect.cause)
