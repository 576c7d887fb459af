"""Routes between networks by bird: the same ways as in virtual time, hop by hop, and nothing of it stays."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from netprobe.sim import folders, library, prefixes
from netprobe.sim.kernel import bird
from netprobe.sim.kernel.layout import NO_ROUTE_EXIT, Layout
from netprobe.sim.namespaces import LabError, own_environment
from netprobe.sim.records import Fault
from netprobe.sim.world import Fidelity, World
from tests.scenarios import load
from tests.sim.internets import (
    OTHER,
    OTHER_V6,
    OWNER,
    OWNER_V6,
    PREFIX,
    PREFIX_V6,
    answers,
    drawn,
    internet,
    traceroute,
)
from tests.sim.kernel.test_lab import PROGRAM, kill_all, labelled, left, name_of, nothing_left, place

__all__ = ["place"]  # a fixture

PATIENCE_S = 20.0
CASES = {
    "announced": internet(Fault("withdraw", ("o1",), begin_s=3000.0, prefix=(PREFIX,))),
    "withdrawn": internet(Fault("withdraw", ("o1",), prefix=(PREFIX,))),
    "withdrawn, a default": internet(Fault("withdraw", ("o1",), prefix=(PREFIX,)), default="b1"),
    "hijacked": internet(Fault("hijack", ("b1",), prefix=(PREFIX,))),
    "hijacked by a longer prefix": internet(Fault("hijack", ("c1",), prefix=("203.0.113.0/25",))),
    "leaked": internet(Fault("leak", ("c1",), prefix=(PREFIX,))),
    "withdrawn, IPv6": internet(Fault("withdraw", ("o1",), prefix=(PREFIX_V6,))),
    "withdrawn, IPv6, a default": internet(Fault("withdraw", ("o1",), prefix=(PREFIX_V6,)), default="b1"),
    "hijacked, both": internet(Fault("hijack", ("b1",), prefix=(PREFIX, PREFIX_V6))),
    "leaked, both": internet(Fault("leak", ("c1",), prefix=(PREFIX, PREFIX_V6))),
    "a dead router on the way": internet(Fault("withdraw", ("o1",), prefix=(PREFIX,)), Fault("down", ("a1",))),
    "rerouted": internet(
        Fault("hijack", ("c1",), prefix=("203.0.113.0/25",)), Fault("down", ("a1",), reroute=True), default="i1"
    ),
}


def seen(world: World, address: str) -> list[object]:
    """What a traceroute in it says, hop by hop."""
    said = world.run(["traceroute", "-n", "-I", "-q", "1", "-w", "1", "-m", "16", address]).stdout
    return list(traceroute(said, address))


@pytest.mark.packets
@pytest.mark.patient
@pytest.mark.parametrize("fidelity", list(Fidelity), ids=str)
@pytest.mark.parametrize("case", CASES)
def test_all_fidelities_lead_packets_the_same_way(case: str, fidelity: Fidelity, place: Path) -> None:
    """Every hop, how it ends, and what is no part of the fault."""
    scenario = CASES[case]
    with World(scenario, 1, fidelity) as world:
        for address in (OWNER, OTHER, OWNER_V6, OTHER_V6):
            assert seen(world, address) == answers(scenario, address), address
    assert nothing_left(place)


@pytest.mark.packets
@pytest.mark.patient
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_bird_chooses_as_virtual_time_does(seed: int) -> None:
    """In networks that nobody has drawn by hand: the lab waits until every router's table is what it should be."""
    scenario = drawn(seed)
    with World(scenario, 1, Fidelity.KERNEL) as world:
        for address in scenario.servers[0].addresses:
            assert seen(world, address) == answers(scenario, address)


@pytest.mark.packets
def test_a_route_comes_back_in_stages() -> None:
    """Withdrawn, then announced by somebody else, then as it was: each change is heard everywhere."""
    scenario = internet(
        Fault("withdraw", ("o1",), end_s=2.0, prefix=(PREFIX,)),
        Fault("hijack", ("c1",), begin_s=2.0, end_s=5.0, prefix=("203.0.113.0/25",)),
    )
    stages = [answers(scenario, OWNER, now, most=6) for now in (1.0, 3.0, 6.0)]
    assert len({str(stage) for stage in stages}) == len(stages)
    with World(scenario, 1, Fidelity.KERNEL) as world:
        found: list[list[object]] = []
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and (not found or found[-1] != stages[-1]):
            now = seen(world, OWNER)[:6]
            if now in stages and now not in found:  # in between some routers know already
                found.append(now)
    assert found[-1] == stages[-1]
    assert found == [stage for stage in stages if stage in found]


def test_only_what_has_to_be_announced_is_left_to_bird() -> None:
    """In its own network, at home and for everybody else routes are as they always are."""
    usual, layout, within = Layout(internet()), Layout(CASES["withdrawn"]), (prefixes.mask(PREFIX),)
    assert not usual.domains.used
    for router in ("home", "o1", "o2"):
        assert layout.routes(router) == usual.routes(router)
    for router in ("i1", "i2", "b1", "c1"):
        inside = [hop for hop in layout.routes(router) if prefixes.within(hop.prefix.partition("/")[0], within)]
        assert [(hop.prefix, hop.device) for hop in inside] == [(PREFIX, NO_ROUTE_EXIT)]
    assert not any(hop.device == NO_ROUTE_EXIT for hop in Layout(CASES["withdrawn, a default"]).routes("i1"))


def test_what_bird_is_told() -> None:
    """A session a link; who owns a prefix hears nothing of it, who leaks it does not use what it says."""
    layout = Layout(CASES["leaked"])
    said = layout.domains.announcements(CASES["leaked"].faults)
    text = bird.config(layout, "c1", said)
    assert "local 10.4.0.1 as 64503; multihop 64;\nneighbor 10.2.0.1 as 64501;" in text
    assert "ipv6" not in text
    assert (
        "route 203.0.113.128/25 blackhole { bgp_med = 0; bgp_path = prepend(prepend(+empty+, 64510), 64501); };" in text
    )
    assert "if net ~ [ 203.0.113.0/25, 203.0.113.128/25 ] then reject;\nif source" in text
    assert "rr client" not in text
    inside = bird.config(layout, "o1", said)
    assert "rr client" in inside
    assert inside.count("203.0.113.0/24") == 2  # it has a way of its own, and a1 is not believed about it
    assert "10.2.0.1" not in bird.config(layout, "c1", said, frozenset({"a1"}))


def test_sessions_of_ipv6_are_between_neighbours_on_a_wire() -> None:
    """By their link-local addresses, which need no route."""
    layout = Layout(CASES["withdrawn, IPv6"])
    text = bird.config(layout, "a1", layout.domains_v6.announcements(()))
    wire = layout.wire("a1", "o1")
    assert f'neighbor {layout.link_local(wire, "o1")} as 64510; interface "to-o1";' in text
    assert "ipv4" not in text


def test_a_machine_without_bird_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with what to install; nothing stays."""
    layout = Layout(CASES["hijacked"])
    monkeypatch.setattr(bird, "_PROGRAM", "no-such-bird")
    with bird.birds(layout, str(tmp_path), {}, {}) as birds:
        assert birds is not None
        with pytest.raises(LabError, match="install bird2"):
            birds.change(CASES["hijacked"].faults, frozenset())


@pytest.mark.packets
def test_a_kill_leaves_no_bird(place: Path) -> None:
    """The processes that hold a lab are killed, its birds are nobody's: they go, and the next start removes the rest."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(library.folder() / "route-hijacked.toml")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=own_environment(),
    ) as lab:
        assert lab.stdout is not None
        assert [lab.stdout.readline() for _ in range(2)] == ["start\n", "alive\n"]
        assert sum(name_of(pid) == "bird" for pid in labelled(place)) == len(
            Layout(load("route-hijacked")).domains.numbers
        )
        kill_all(place, frozenset({"bird", "sleep"}))
    assert left(place), "a kill leaves what there is to remove"
    folders.sweep()
    assert nothing_left(place), left(place)
