"""What a second look adds, and that it adds nothing where nothing is wrong."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from netprobe.model.probes import Flow, FlowTally, FlowTest, Path, Protocol, RateTest, Train
from netprobe.model.report import Observation
from netprobe.probing.flows import is_split
from netprobe.probing.losses import BESIDE, COUNT, HOP_COUNT, HOPS, MORE_COUNT, SYNS_AGAIN
from netprobe.probing.run import run
from netprobe.probing.survey import survey
from netprobe.sim.scenario import load
from netprobe.sim.virtual import VirtualVantage
from netprobe.topology.platform import load_platform

CLOSER = (".loss", ".loss.path", ".rate", ".mtu", ".fetch.small", ".flows", ".branch")


def look(name: str, seed: int = 1, *, symptom: str = "") -> tuple[tuple[Observation, ...], int]:
    """The observations of a survey in a scenario, and how many packets it sent."""
    platform = load_platform()
    vantage = VirtualVantage(load(name), seed)
    targets = [target for target in platform.targets if target.essential]
    return run(survey(platform, targets, symptom=symptom), vantage), vantage.usage().packets_sent


@pytest.mark.parametrize(
    "name", ["healthy", "mobile-healthy", "healthy-narrow-line", "healthy-balanced", "healthy-silent-and-rate-limited"]
)
def test_nothing_is_added_where_nothing_is_wrong(name: str) -> None:
    """Counting, sizes and flows are for symptoms: a healthy survey is what it was."""
    found, packets = look(name)
    assert not [o.purpose for o in found if o.purpose.endswith(CLOSER)]
    over_v6 = any(o.purpose.startswith("v6.") for o in found)
    assert packets < (650 if over_v6 else 550)  # more where there is IPv6 too, with two dozen SYNs a network


def test_loss_is_counted_calmly() -> None:
    """170 SYNs at most to a place, ten a second, and of one way as many hops as a person would look at."""
    found, _ = look("transit-lossy")
    syns: Counter[str] = Counter()
    hops: list[int] = []
    for o in found:
        if o.purpose in {"edge.loss", "control.loss"} and isinstance(o.fact, Train):
            assert o.fact.protocol is Protocol.TCP
            syns[o.fact.destination] += len(o.fact.exchanges)
            times = [x.sent_s for x in o.fact.exchanges]
            assert min(later - earlier for earlier, later in pairwise(times)) > 0.09
        elif o.purpose.endswith(".loss.path") and isinstance(o.fact, Path):
            hops += [len(hop.exchanges) for hop in o.fact.hops if len(hop.exchanges) > HOP_COUNT]
    assert len(syns) >= 8
    assert max(syns.values()) <= COUNT + SYNS_AGAIN
    assert 1 <= len(hops) <= HOPS


def test_hops_are_counted_from_where_the_clean_ways_part() -> None:
    """What a clean way leads through needs no count of its own."""
    found, _ = look("cdn-lossy")
    (path,) = [o.fact for o in found if o.purpose.endswith(".loss.path") and isinstance(o.fact, Path)]
    assert path.reached
    counted = {hop.ttl for hop in path.hops if len(hop.exchanges) > HOP_COUNT}
    lossless = {o.fact.destination for o in found if o.purpose.endswith(".loss") and isinstance(o.fact, Train)}
    lossless -= {path.flow.destination}
    ways = [o.fact for o in found if isinstance(o.fact, Path) and o.fact.flow.destination in lossless]
    clean = {
        router
        for way in ways
        if not way.flow.destination.startswith("23.50.131.")
        for hop in way.hops
        for router in hop.addresses
    }
    assert counted
    assert counted == {
        hop.ttl for hop in path.hops if hop.addresses and not (clean | {path.flow.destination}) & set(hop.addresses)
    }


def test_who_loses_while_others_do_not_is_asked_more_and_some_of_the_others_beside() -> None:
    """Where everything loses there is nothing to tell apart but the home router, which is asked at another rate."""
    trains = {
        name: Counter(
            o.fact.destination
            for o in look(name)[0]
            if o.purpose in {"edge.loss", "control.loss"} and isinstance(o.fact, Train)
        )
        for name in ("isp-line-lossy", "cdn-lossy")
    }
    tests = [o.fact for o in look("isp-line-lossy")[0] if isinstance(o.fact, RateTest)]
    assert [(t.flow.destination, t.probes_sent) for t in tests] == [("192.168.1.1", 150)]
    assert set(trains["isp-line-lossy"].values()) == {1}
    again = {address.rpartition(".")[0] for address, count in trains["cdn-lossy"].items() if count == 2}
    assert "23.50.131" in again
    assert len(again) == 1 + BESIDE


def test_one_lossy_network_among_many_is_noticed() -> None:
    """Three SYNs to each place do not show that one of them loses a packet in seven; two dozen do."""
    lossy = [seed for seed in range(1, 9) if any(o.purpose == "edge.loss" for o in look("cdn-lossy", seed)[0])]
    assert len(lossy) == 8


def test_a_dead_control_does_not_keep_loss_from_being_looked_for() -> None:
    """One unrelated service that is silent by itself says nothing of the platform."""
    found, _ = look("control-dead")
    assert any(
        o.purpose == "edge.train" and isinstance(o.fact, Train) and len(o.fact.exchanges) == MORE_COUNT for o in found
    )


def test_sizes_are_asked_where_an_upload_fails() -> None:
    """What only dies on the way there shows in nothing that is fetched."""
    assert not [o for o in look("isp-mtu-black-hole-upload")[0] if o.purpose.endswith(".mtu")]
    asked = [o for o in look("isp-mtu-black-hole-upload", symptom="upload")[0] if o.purpose.endswith(".mtu")]
    assert {o.purpose for o in asked} == {"edge.mtu", "control.mtu"}


def tallies(*answered: int, sent: int = 5) -> FlowTest:
    return FlowTest(Flow(Protocol.TCP, "192.0.2.1", 443), tuple(FlowTally(n, sent, a) for n, a in enumerate(answered)))


@pytest.mark.parametrize(
    ("test", "split"),
    [
        (tallies(*[0, 5] * 6), True),
        (tallies(*[0, 4, 5] * 4), True),
        (tallies(*[0] * 9, 5, 5, 5), True),
        (tallies(*[5] * 10, 0, 0), True),
        (tallies(*[5] * 12), False),
        (tallies(*[0] * 12), False),
        (tallies(*[5] * 11, 0), False),
        (tallies(*[4, 3, 5, 4] * 3), False),
        (tallies(*[1, 2, 0, 3, 2, 1, 4, 2, 0, 3, 2, 1]), False),
    ],
)
def test_flows_split_where_loss_would_not(test: FlowTest, split: bool) -> None:  # noqa: FBT001 - a table
    """All or nothing is a branch; now and then is loss."""
    assert is_split(test) is split


def test_heavy_loss_is_hardly_ever_a_branch() -> None:
    """Of a thousand tests that lose two fifths of their probes at random, at most one is called split."""
    draw = random.Random(1)
    split = [is_split(tallies(*(sum(draw.random() < 0.6 for _ in range(5)) for _ in range(12)))) for _ in range(1000)]
    assert sum(split) <= 1


def test_a_dead_branch_is_not_counted_as_loss() -> None:
    """Once some flows always work and others never, nothing else is asked about loss."""
    found, _ = look("isp-dead-branch")
    assert [o for o in found if o.purpose.endswith(".branch")]
    assert not [o for o in found if o.purpose.endswith(".loss")]
