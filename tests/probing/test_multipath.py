import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netprobe.model.probes import Branch, Flow, Multipath, Protocol
from netprobe.model.record import from_json, to_json
from netprobe.probing.multipath import MultipathSession, stopping_point
from netprobe.probing.run import one, run
from tests.probing.routers import CLIENT, DESTINATION, Bucket, Early, RouterVantage, Wire, chain, line

FLOW = Flow(Protocol.TCP, DESTINATION, 443)


def explore(vantage: RouterVantage, **options: Any) -> Multipath:
    return run(one(MultipathSession(FLOW, **options)), vantage)


def ways(count: int) -> tuple[str, ...]:
    return tuple(f"198.51.100.{number}" for number in range(1, count + 1))


def diamond(count: int) -> dict[str, tuple[str, ...]]:
    return chain(("192.0.2.11",), ways(count), ("192.0.2.13",))


def linux(next_hops: dict[str, tuple[str, ...]]) -> dict[str, Bucket | Early]:
    return {node: Bucket(1.0) for node in next_hops if node != CLIENT}


def test_stopping_points_of_the_literature() -> None:
    """The closed form at 95 %: 6 flows rule out a second branch, 11 a third, 16 a fourth."""
    assert [stopping_point(branches) for branches in range(1, 8)] == [6, 11, 16, 21, 27, 33, 39]
    assert stopping_point(1, 0.99) == 8


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_all_branches_of_a_diamond_of_linux_routers(count: int) -> None:
    """Every way through routers with Linux's limits is found, and no limiter ever had to keep an error back."""
    found = 0
    for seed in range(20):
        vantage = RouterVantage(diamond(count), limiters=linux(diamond(count)), seed=seed)
        graph = explore(vantage)
        assert (vantage.limited, graph.unanswered, graph.per_packet) == (0, 0, ())
        assert graph.complete
        assert graph.reached
        found += graph.at(2) == ways(count) and len(graph.branches) == 2 * count + 1
    assert found >= 19


def test_single_path_costs_six_probes_a_hop() -> None:
    """Where nothing is balanced, six flows a hop are enough, and they are quick."""
    vantage = RouterVantage(line(10), limiters=linux(line(10)))
    graph = explore(vantage)
    assert [graph.at(ttl) for ttl in range(1, 12)] == [*((way,) for way in ways(10)), (DESTINATION,)]
    assert graph.probes_sent == 6 * 11
    assert vantage.limited == 0
    assert vantage.clock - 100.0 < 3.0


def test_flows_differ_in_their_labels_only() -> None:
    """What a balancer sees as the destination stays the same, and labels stay clear of traceroutes and trains."""
    vantage = RouterVantage(diamond(4))
    explore(vantage)
    flows = {probe.flow for _, probe in vantage.sent}
    assert {(f.protocol, f.destination, f.port) for f in flows} == {(FLOW.protocol, FLOW.destination, FLOW.port)}
    assert min(f.label for f in flows) >= 1000


def test_no_hop_is_asked_more_than_five_times_a_second() -> None:
    """Whatever is behind it, a hop gets a probe every fifth of a second at most."""
    vantage = RouterVantage(diamond(8))
    explore(vantage)
    for ttl in range(1, 5):
        times = [at for at, probe in vantage.sent if probe.ttl == ttl]
        assert all(later - earlier > 0.199 for earlier, later in pairwise(times))


def test_per_packet_balancing_is_told() -> None:
    """Where the same flow draws different addresses, there are vertices but no branches."""
    layers = diamond(3)
    told = 0
    for seed in range(20):
        graph = explore(RouterVantage(layers, per_packet=frozenset({"192.0.2.11"}), seed=seed))
        told += graph.per_packet == (2,) and graph.at(2) == ways(3)
        assert not [branch for branch in graph.branches if graph.per_packet and branch.ttl in {2, 3}]
    assert told >= 19


def test_per_flow_balancing_is_never_taken_for_per_packet() -> None:
    """A flow that stays on its way never draws two addresses."""
    assert all(explore(RouterVantage(diamond(4), seed=seed)).per_packet == () for seed in range(10))


def test_branch_that_is_shorter() -> None:
    """A destination that is nearer on one way is a vertex there, and the longer way goes on."""
    vantage = RouterVantage({CLIENT: ("a",), "a": ("b", DESTINATION), "b": ("c",), "c": (DESTINATION,)})
    graph = explore(vantage)
    assert [graph.at(ttl) for ttl in (1, 2, 3, 4)] == [("a",), (DESTINATION, "b"), ("c",), (DESTINATION,)]
    assert Branch(2, "a", DESTINATION) in graph.branches
    assert graph.complete


def test_silent_router_is_passed() -> None:
    """A router that never answers leaves a TTL without a vertex, and what is behind it is found."""
    vantage = RouterVantage(chain(("a",), ("silent",), ("b", "c"), ("d",)), silent=frozenset({"silent"}))
    graph = explore(vantage)
    assert [graph.at(ttl) for ttl in (1, 2, 3, 4, 5)] == [("a",), (), ("b", "c"), ("d",), (DESTINATION,)]
    assert {branch.ttl for branch in graph.branches} == {4, 5}


def test_silent_branch_ends_in_time() -> None:
    """A way that leads nowhere is asked in vain only so often; the other ways are unharmed."""
    next_hops = {
        CLIENT: ("a",),
        "a": ("b", "c"),
        "b": ("d",),
        "c": ("hole",),
        "d": (DESTINATION,),
        "hole": (DESTINATION,),
    }
    vantage = RouterVantage(next_hops, silent=frozenset({"hole"}), wires={("c", "hole"): Wire(loss=1.0)})
    graph = explore(vantage)
    assert graph.at(2) == ("b", "c")
    assert Branch(3, "b", "d") in graph.branches
    assert graph.reached
    assert graph.probes_sent < 150


def test_black_hole_ends() -> None:
    """Behind the last router that answers, a few TTLs are tried and no more."""
    graph = explore(RouterVantage(line(12), wires={("198.51.100.4", "198.51.100.5"): Wire(loss=1.0)}))
    assert not graph.reached
    assert max(vertex.ttl for vertex in graph.vertices) == 4
    assert graph.probes_sent <= 4 * 6 + 5 * 6


@pytest.mark.parametrize("count", [2, 4])
def test_loss_is_never_charged_to_a_branch(count: int) -> None:
    """With a tenth of all probes lost, the branches are the same: what times out is sent again."""
    found = 0
    for seed in range(20):
        wires = {("192.0.2.11", way): Wire(loss=0.1) for way in ways(count)}
        graph = explore(RouterVantage(diamond(count), wires=wires, limiters=linux(diamond(count)), seed=seed))
        found += graph.at(2) == ways(count) and len(graph.branches) == 2 * count + 1
    assert found >= 19


def test_limiter_that_is_worse_than_linux() -> None:
    """A router that answers every other second at best slows the measurement; it changes nothing in the graph."""
    limiters = {**linux(diamond(2)), "192.0.2.11": Bucket(0.5, burst=1.0)}
    graph = explore(RouterVantage(diamond(2), limiters=limiters))
    assert len(graph.branches) == 5
    assert graph.complete
    assert graph.unanswered > 0


def test_late_answers_count() -> None:
    """Replies that come after their time-out make the same graph, if with more probes."""
    vantage = RouterVantage(diamond(2), hop_s=0.3)  # the second hop answers after 1.2 s
    graph = explore(vantage)
    assert len(graph.branches) == 5
    assert graph.unanswered == 0


def test_time_is_bounded() -> None:
    """However many ways there are, it ends when it was told to, and says that it is not complete."""
    vantage = RouterVantage(diamond(16), limiters=linux(diamond(16)))
    graph = run(one(MultipathSession(FLOW, longest_s=20.0)), vantage)
    assert vantage.clock - 100.0 < 22.0
    assert not graph.complete
    assert graph.vertices


def test_probe_that_cannot_leave_ends_it() -> None:
    """When the own kernel refuses, nothing more is sent, and the graph is not called complete."""
    session = MultipathSession(FLOW)
    vantage = RouterVantage(line(3), local_mtu=-1)
    graph = run(one(session), vantage)
    assert (graph.vertices, graph.complete, len(vantage.sent)) == ((), False, 1)


def test_more_branches_than_flows() -> None:
    """When the flows run out, the graph says that it is not complete."""
    assert not explore(RouterVantage(diamond(16)), flows=20).complete


def test_graph_survives_json() -> None:
    """A graph is the same after a round trip through JSON, and carries its kind."""
    graph = explore(RouterVantage(diamond(2)))
    assert from_json(to_json(graph), Multipath) == graph
    assert b'"kind":"multipath"' in to_json(graph)


widths = st.lists(st.integers(1, 3), min_size=1, max_size=5)


@settings(max_examples=25, deadline=None)
@given(widths, st.integers(0, 1 << 32), st.floats(0.0, 0.1), st.booleans())
def test_never_invents_and_always_ends(widths: list[int], seed: int, loss: float, limited: bool) -> None:  # noqa: FBT001
    """In any network, with any loss: each vertex and each branch that is shown exists, and probes are bounded."""
    draw = random.Random(seed)
    nodes = [tuple(f"r{ttl}.{n}" for n in range(width)) for ttl, width in enumerate(widths, start=1)]
    whole = [(CLIENT,), *nodes, (DESTINATION,)]
    next_hops = {
        node: tuple(draw.sample(after, draw.randint(1, len(after))))
        for before, after in pairwise(whole)
        for node in before
    }
    wires = {(near, far): Wire(loss=loss) for near, after in next_hops.items() for far in after}
    limiters = linux(next_hops) if limited else {}
    graph = explore(RouterVantage(next_hops, wires=wires, limiters=limiters, seed=seed))
    for vertex in graph.vertices:
        beyond = (DESTINATION,)  # which answers at any TTL that gets there
        assert vertex.address in (whole[vertex.ttl] if vertex.ttl < len(whole) else beyond)
    for branch in graph.branches:
        assert branch.far in next_hops[branch.near]
    assert graph.per_packet == ()
    assert graph.probes_sent < 2000
