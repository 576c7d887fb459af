"""Many targets in one pass, in virtual time."""

import msgspec

from netprobe.model.probes import Exchange, Flow, Hop, Path, Protocol, Reply, ReplyKind
from netprobe.probing.run import run
from netprobe.sim.virtual import VirtualVantage
from netprobe.tracing import Pass, Progress, Stage, Traced, Wanted, trace
from tests.scenarios import load


def test_names_are_found_by_the_machine_s_own_resolver() -> None:
    """A name and an address lead to paths, in the order in which they were given; to a name's IPv6 first (RFC 6724)."""
    vantage = VirtualVantage(load("healthy"), 1)
    first, second = trace(vantage, ["www.tiktok.com", "9.9.9.9"], Protocol.ICMP)
    assert (first.target, first.address) == ("www.tiktok.com", "2a02:26f0:3500:1b::10")
    assert first.path is not None
    assert [hop.addresses[0] for hop in first.path.hops][:2] == ["2003:de:37ff::1", "2003:0:8b00:e800::1"]
    assert (second.target, second.address) == ("9.9.9.9", "9.9.9.9")
    assert second.path is not None
    assert second.path.reached


def test_a_target_that_is_named_twice_is_traced_once() -> None:
    """Two names of one address share its probes: the flows would be the same."""
    once, twice = VirtualVantage(load("healthy"), 1), VirtualVantage(load("healthy"), 1)
    trace(once, ["2620:fe::fe"], Protocol.TCP, port=443)
    both = trace(twice, ["2620:fe::fe", "dns.quad9.net", "2620:fe::fe"], Protocol.TCP, port=443)
    assert [one.path for one in both] == [both[0].path] * 3
    assert twice.usage().packets_sent - once.usage().packets_sent <= 4  # the lookup


def test_the_next_resolver_is_asked_when_the_first_one_fails() -> None:
    """And what the last one said is what is told when all of them fail."""
    scenario = load("isp-resolver-failing")
    (only,) = trace(VirtualVantage(scenario, 1), ["www.tiktok.com"], Protocol.ICMP)
    assert only == Traced(
        "www.tiktok.com", error=f"the resolver {scenario.client.resolvers[0]} gave no address (SERVFAIL)"
    )
    client = msgspec.structs.replace(scenario.client, resolvers=(*scenario.client.resolvers, "9.9.9.9"))
    (found,) = trace(
        VirtualVantage(msgspec.structs.replace(scenario, client=client), 1), ["www.tiktok.com"], Protocol.ICMP
    )
    assert found.path is not None


def test_a_name_without_any_resolver_says_why() -> None:
    """No resolv.conf is not the name's fault."""
    scenario = load("healthy")
    client = msgspec.structs.replace(scenario.client, resolvers=())
    (one,) = trace(
        VirtualVantage(msgspec.structs.replace(scenario, client=client), 1), ["www.tiktok.com"], Protocol.ICMP
    )
    assert one.error == "no resolver is configured in /etc/resolv.conf"


def test_what_is_known_can_be_asked_for_at_any_time() -> None:
    """Targets are handed out in their order as soon as they are over; before, each has the hops that it has so far."""
    vantage = VirtualVantage(load("healthy"), 1)
    ready: list[Traced] = []
    work = Pass(["1.1.1.1", "8.8.8.8"], Wanted(Protocol.ICMP), ready=ready.append)
    assert [(one.path, one.over) for one in work.known()] == [(None, False)] * 2
    run(work.plan(), vantage)
    assert [one.target for one in ready] == ["1.1.1.1", "8.8.8.8"]
    assert work.known() == ready
    assert all(one.over and one.path and one.path.reached for one in ready)
    assert work.progress(vantage.now()) == Progress(Stage.OVER, 2, 2)


def test_rounds_follow_the_paths() -> None:
    """Each hop has the exchanges of the rounds too, and there is a verdict on loss."""
    work = Pass(["1.1.1.1", "8.8.8.8"], Wanted(Protocol.ICMP, rounds=5))
    run(work.plan(), VirtualVantage(load("healthy"), 1))
    for one in work.known():
        assert one.path is not None
        assert one.loss is not None
        assert one.loss.loss is None
        assert all(len(hop.exchanges) >= 6 for hop in one.path.hops if hop.addresses)


def test_all_ways_follow_the_paths() -> None:
    """One target after the other; the graph of each leads to it."""
    work = Pass(["1.1.1.1", "8.8.8.8"], Wanted(Protocol.TCP, 443, ways=True))
    run(work.plan(), VirtualVantage(load("healthy"), 1))
    for one in work.known():
        assert one.path is not None
        assert one.ways is not None
        assert one.ways.complete
        assert one.ways.at(len(one.path.hops)) == (one.address,)


def test_a_probe_that_never_left_is_not_a_lost_one() -> None:
    """Only when nothing at all could be sent is there no way; the errno is kept."""
    failed = Reply(ReplyKind.SEND_FAILED, "", 0.0, error="ENETUNREACH")
    flow = Flow(Protocol.ICMP, "192.0.2.1")
    hops = (Hop(1, (Exchange(1, 1, 0.0, failed),)), Hop(2, (Exchange(2, 2, 0.0),)))
    assert Traced("t", "192.0.2.1", Path(flow, hops, reached=False)).never_left == "ENETUNREACH"
    heard = Hop(2, (Exchange(2, 2, 0.0, Reply(ReplyKind.TIME_EXCEEDED, "192.168.1.1", 0.001)),))
    assert Traced("t", "192.0.2.1", Path(flow, (hops[0], heard), reached=False)).never_left == ""
    assert Traced("t").never_left == ""


def test_shared_paths_are_the_same_paths() -> None:
    """With `share` each target has the hops that it has alone, under its own name, for fewer probes."""
    scenario = load("healthy")
    targets = [address for server in scenario.servers for address in server.addresses]
    alone, together = VirtualVantage(scenario, 1), VirtualVantage(scenario, 1)
    ways = {
        one.target: [hop.addresses for hop in one.path.hops] for one in trace(alone, targets, Protocol.ICMP) if one.path
    }
    shared = trace(together, targets, Protocol.ICMP, share=True)
    assert {one.target: [hop.addresses for hop in one.path.hops] for one in shared if one.path} == ways
    assert [one.target for one in shared] == targets
    assert together.usage().packets_sent < alone.usage().packets_sent
