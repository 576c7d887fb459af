"""A tree of routers in virtual time, probed once where paths share it."""

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

    def _probe(self, probe: Probe) -> tuple[float, Reply] | None:
        destination = probe.flow.destination
        way = [*self.ways[destination], destination]
        away = min(probe.ttl, len(way))
        address, rtt = way[away - 1], 2 * away * self.hop_s
        if address in self.mute:
            return None
        if address == destination:
            kind = ReplyKind.ECHO_REPLY if probe.flow.protocol is Protocol.ICMP else ReplyKind.SYN_ACK
            return rtt, Reply(kind, address, rtt, ttl=65 - away)
        return rtt, Reply(ReplyKind.TIME_EXCEEDED, address, rtt, 256 - away, 11, 0)


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
    """So is one that is farther away than the others; nothing is taken over then."""
    ways = grown()
    ways["edge1.1"] = [*ways["edge1.1"], "more", "and more"]
    paths = shared(WaysVantage(ways=ways, mute=frozenset({"edge2.3"})))
    assert shown(paths["edge1.1"]) == [*ways["edge1.1"], "edge1.1"]
    assert not paths["edge2.3"].reached
    assert shown(paths["edge2.3"])[:10] == ways["edge2.3"]
    assert not any(hop.shared_from for to in ("edge1.1", "edge2.3") for hop in paths[to].hops)


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
