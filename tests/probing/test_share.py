"""A tree of routers in virtual time, probed once where paths share it."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.model.probes import Flow, Path, Probe, Protocol, Reply, ReplyKind
from netprobe.probing.run import gather, run
from netprobe.probing.share import trace_shared
from netprobe.probing.traceroute import Traceroute
from tests.probing.line import LineVantage

Ways = dict[str, list[str]]


@dataclass
class WaysVantage(LineVantage):
    """Each destination behind routers of its own choice; who is in `mute` says nothing."""

    hops: int = 0
    ways: Ways = field(default_factory=dict)
    mute: frozenset[str] = frozenset()
    burst: int = 0  # so many errors a router sends at once, and then one a second (0: all)
    credit: dict[str, tuple[float, float]] = field(default_factory=dict)

    def _probe(self, probe: Probe) -> tuple[float, Reply] | None:
        destination = probe.flow.destination
        way = [*self.ways[destination], destination]
        away = min(probe.ttl, len(way))
        address, rtt = way[away - 1], 2 * away * self.hop_s
        if address in self.mute or (address != destination and not self._may_answer(address)):
            return None
        if address == destination:
            kind = ReplyKind.ECHO_REPLY if probe.flow.protocol is Protocol.ICMP else ReplyKind.SYN_ACK
            return rtt, Reply(kind, address, rtt, ttl=65 - away)
        return rtt, Reply(ReplyKind.TIME_EXCEEDED, address, rtt, 256 - away, 11, 0)

    def _may_answer(self, router: str) -> bool:
        left, at = self.credit.get(router, (float(self.burst), self.clock))
        left = min(float(self.burst), left + self.clock - at)
        self.credit[router] = (max(0.0, left - 1), self.clock) if left >= 1 else (left, self.clock)
        return not self.burst or left >= 1


def grown(sites: int = 6, edges: int = 10) -> Ways:
    """Four routers for all, two branches of three, sites of three, edges behind each."""
    trunk = [f"trunk{n}" for n in range(4)]
    return {
        f"edge{site}.{edge}": [
            *trunk,
            *(f"branch{site % 2}.{n}" for n in range(3)),
            *(f"site{site}.{n}" for n in range(3)),
        ]
        for site in range(sites)
        for edge in range(edges)
    }


def shared(vantage: WaysVantage, protocol: Protocol = Protocol.ICMP) -> dict[str, Path]:
    paths = run(trace_shared([Flow(protocol, to) for to in vantage.ways]), vantage, rate=5000.0)
    return {path.flow.destination: path for path in paths}


def shown(path: Path) -> list[str]:
    return [", ".join(hop.addresses) for hop in path.hops]


@pytest.mark.parametrize("protocol", [Protocol.ICMP, Protocol.TCP])
def test_all_hops_are_known_for_a_third_of_the_probes(protocol: Protocol) -> None:
    """What is known of a tree is what tracing each target tells, and what was probed is counted where it was."""
    vantage = WaysVantage(ways=grown())
    paths = shared(vantage, protocol)
    assert {to: shown(path) for to, path in paths.items()} == {to: [*way, to] for to, way in vantage.ways.items()}
    assert all(path.reached and path.rtt_s == pytest.approx(0.044) for path in paths.values())
    assert sum(path.probes_sent for path in paths.values()) == len(vantage.probes)
    alone = WaysVantage(ways=vantage.ways)
    run(gather([Traceroute(Flow(protocol, to)) for to in alone.ways]), alone, rate=5000.0)
    assert len(vantage.probes) < 0.4 * len(alone.probes)


def test_a_hop_that_is_taken_over_says_from_where() -> None:
    """It stands with the target that it was asked for, on whose own path the same exchange is found unmarked."""
    paths = shared(WaysVantage(ways=grown()))
    taken = [(hop, path) for path in paths.values() for hop in path.hops if hop.shared_from]
    assert len(taken) > 300
    for hop, path in taken:
        assert hop.shared_from != path.flow.destination
        own = paths[hop.shared_from].hops[hop.ttl - 1]
        assert (own.exchanges, own.shared_from) == (hop.exchanges, "")


def test_balancing_is_asked_and_never_taken_over() -> None:
    """Where the flows of a trunk choose between two routers, each target shows the one that it crosses."""
    ways = grown()
    for number, way in enumerate(ways.values()):
        way[2] = f"trunk2.{number % 2}"
    paths = shared(WaysVantage(ways=ways))
    assert {to: shown(path) for to, path in paths.items()} == {to: [*way, to] for to, way in ways.items()}


def test_silence_is_no_place_to_join() -> None:
    """Behind a silent router the way back goes on; the silence stays in the path as asked."""
    vantage = WaysVantage(ways=grown(), mute=frozenset({"site1.2", "trunk1"}))
    for to, path in shared(vantage).items():
        expected = ["" if name in vantage.mute else name for name in vantage.ways[to]]
        assert shown(path) == [*expected, to]
        assert all(hop.exchanges for hop in path.hops)


def test_a_target_that_does_not_answer_is_traced_by_itself() -> None:
    """Nothing is taken over then. One that is farther away than the others is asked on until it answers."""
    ways = grown()
    ways["edge1.1"] = [*ways["edge1.1"], "more", "and more"]
    paths = shared(WaysVantage(ways=ways, mute=frozenset({"edge2.3"})))
    assert shown(paths["edge1.1"]) == [*ways["edge1.1"], "edge1.1"]
    assert not paths["edge2.3"].reached
    assert shown(paths["edge2.3"])[:10] == ways["edge2.3"]
    assert not any(hop.shared_from for hop in paths["edge2.3"].hops)
    assert sum(len(hop.exchanges) for hop in paths["edge1.1"].hops if not hop.shared_from) == 4


def test_few_targets_are_traced_whole() -> None:
    """There is nothing to learn from for one target, and none is no error."""
    assert run(trace_shared([]), WaysVantage()) == []
    (path,) = shared(WaysVantage(ways={"edge": ["a", "b"]})).values()
    assert shown(path) == ["a", "b", "edge"]
    assert not any(hop.shared_from for hop in path.hops)


@given(
    ways=st.lists(st.lists(st.sampled_from("abcd"), min_size=0, max_size=12), min_size=1, max_size=14),
    mute=st.frozensets(st.sampled_from("abcd"), max_size=2),
)
def test_always_ends_and_shows_only_who_answered_there(ways: list[list[str]], mute: frozenset[str]) -> None:
    """However wild the network: hops in order, own ones true, taken ones true for whom they were asked; bounded."""
    vantage = WaysVantage(
        ways={f"edge{n}": [f"{x}{ttl}" for ttl, x in enumerate(way, 1)] for n, way in enumerate(ways)}
    )
    vantage.mute = frozenset(f"{x}{ttl}" for x in mute for ttl in range(1, 13))
    for to, path in shared(vantage).items():
        assert [hop.ttl for hop in path.hops] == list(range(1, len(path.hops) + 1))
        for hop in path.hops:
            way = vantage.ways[hop.shared_from or to]
            assert hop.addresses in {(), ([*way, to][hop.ttl - 1],)}
        assert path.reached
    assert len(vantage.probes) <= 60 * len(ways)


def many() -> Ways:
    """250 edges of 25 sites behind five branches, 13 hops away: what `make bench` measures."""
    return {
        f"198.18.{5 * branch + site}.{edge}": [
            *(f"trunk{n}" for n in range(4)),
            *(f"branch{branch}.{n}" for n in range(4)),
            *(f"site{branch}.{site}.{n}" for n in range(4)),
        ]
        for branch in range(5)
        for site in range(5)
        for edge in range(1, 11)
    }


def test_250_edges_take_four_round_trips_at_5000_a_second() -> None:
    """All hops are known for 0.3 of the probes, in the time that it takes to send them and one round trip of 52 ms."""
    vantage = WaysVantage(ways=many())
    began = vantage.clock
    paths = shared(vantage)
    assert {to: shown(path) for to, path in paths.items()} == {to: [*way, to] for to, way in vantage.ways.items()}
    assert len(vantage.probes) <= 0.3 * 3250
    assert vantage.clock - began <= 0.052 + len(vantage.probes) / 5000.0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("first", "routers", "length"), [(1, 2, 1), (1, 2, 3), (5, 2, 1), (5, 2, 3), (5, 4, 2), (8, 4, 2), (9, 2, 1)]
)
def test_where_flows_are_balanced_each_shows_its_own_way(first: int, routers: int, length: int, seed: int) -> None:
    """Between the trunk, a branch or a site and what follows: next to no hop is claimed that a flow does not cross."""
    draw = random.Random(seed)
    ways = many()
    for way in ways.values():
        side = draw.randrange(routers)
        way[first : first + length] = [f"{name}/{side}" for name in way[first : first + length]]
    vantage = WaysVantage(ways=ways)
    wrong = 0
    for to, path in shared(vantage).items():
        assert len(path.hops) == 13
        for hop in path.hops:
            true = ([*ways[to], to][hop.ttl - 1],)
            assert hop.addresses == true or hop.shared_from
            wrong += hop.addresses != true
    assert wrong <= 0.003 * 3250
    assert len(vantage.probes) < 0.75 * 3250


@st.composite
def trees(draw: st.DrawFn) -> Ways:
    """Edges behind routers that have one way to each of them, of unequal lengths."""
    chain = st.integers(1, 4)
    trunk = [f"trunk{n}" for n in range(draw(chain))]
    ways: Ways = {}
    for branch in range(draw(st.integers(1, 3))):
        to_branch = [*trunk, *(f"branch{branch}.{n}" for n in range(draw(chain)))]
        for site in range(draw(st.integers(1, 4))):
            to_site = [*to_branch, *(f"site{branch}.{site}.{n}" for n in range(draw(chain)))]
            for edge in range(draw(st.integers(1, 6))):
                last = [f"last{branch}.{site}.{edge}.{n}" for n in range(draw(st.integers(0, 2)))]
                ways[f"10.{branch}.{site}.{edge}"] = [*to_site, *last]
    return ways


@given(
    data=st.data(), ways=trees(), burst=st.sampled_from([0, 0, 2, 6]), rate=st.sampled_from([50.0, 1000.0, 20_000.0])
)
def test_in_a_tree_no_hop_is_wrong(data: st.DataObject, ways: Ways, burst: int, rate: float) -> None:
    """Whoever is silent, limited or dead: what is shown is on the way of that very target, and all probes are counted."""
    names = sorted({name for way in ways.values() for name in way} | set(ways))
    mute = frozenset(data.draw(st.lists(st.sampled_from(names), max_size=6)))
    vantage = WaysVantage(ways=ways, mute=mute, burst=burst)
    paths = run(trace_shared([Flow(Protocol.ICMP, to) for to in ways]), vantage, rate=rate)
    for path in paths:
        to = path.flow.destination
        assert path.reached == (to not in mute)
        assert [hop.ttl for hop in path.hops] == list(range(1, len(path.hops) + 1))
        assert not path.reached or len(path.hops) == len(ways[to]) + 1
        for hop in path.hops:
            way = [*ways[to], to]
            assert hop.addresses in {(), (way[min(hop.ttl, len(way)) - 1],)}
            assert hop.exchanges
            if not burst and path.reached:
                assert bool(hop.addresses) == (way[hop.ttl - 1] not in mute)
    assert sum(path.probes_sent for path in paths) == len(vantage.probes)
