"""What links do to packets: bursts of loss, rates with queues, load by others, figures that differ by direction."""

import itertools
import statistics

import msgspec
import pytest

from netprobe.sim.links import Gate
from netprobe.sim.network import Network
from netprobe.sim.packet import ECHO_REPLY, Packet
from netprobe.sim.records import Back, Link, Router, Scenario
from netprobe.sim.routing import Wire, moved
from tests.sim.small import CLIENT, ROUTERS, SERVER, echo, fault, line

RATE_MBIT, QUEUE_MS = 10.0, 100.0


def wire(**fields: float) -> Wire:
    """A wire without delay."""
    given = {"loss": 0.0, "loss_burst": 1.0, "rate_mbit": 0.0, "queue_s": QUEUE_MS / 1e3} | fields
    return Wire(delay_s=0.0, jitter_s=0.0, mtu=1500, **given)


def with_link(number: int, **fields: object) -> Scenario:
    """The line whose link `number` has other fields."""
    links = [*line().links]
    links[number] = Link(links[number].ends, links[number].delay_ms, **fields)  # type: ignore[arg-type]
    return line(links=tuple(links))


def arrivals(network: Network, count: int, pause_s: float, size: int = 1472) -> list[tuple[int, float]]:
    """The numbers of those of `count` echo requests that get to the server, and when."""
    for number in range(count):
        network.inject(echo(number=number, size=size), "client", number * pause_s)
    return [(delivery.packet.icmp_seq, delivery.at_s) for delivery in network.advance(count * pause_s + 60.0)]


@pytest.mark.parametrize(("loss", "burst"), [(0.01, 4.0), (0.05, 10.0), (0.3, 2.0)])
def test_bursts_have_the_length_and_the_share_that_the_file_says(loss: float, burst: float) -> None:
    """Gilbert's model: `loss` stays the fraction, `loss_burst` is the mean number of packets lost in a row."""
    gate = Gate(("a", "b"), wire(loss=loss, loss_burst=burst), 1)
    lost = [gate.cross(100, float(n)) is None for n in range(400_000)]
    runs = [len(list(run)) for gone, run in itertools.groupby(lost) if gone]
    assert sum(lost) / len(lost) == pytest.approx(loss, rel=0.08)
    assert statistics.mean(runs) == pytest.approx(burst, rel=0.08)


def test_bursts_in_the_network() -> None:
    """A lossy link in the middle loses in runs, and a probe that ends before it is not affected."""
    network = Network(with_link(2, loss=0.2, loss_burst=8.0), seed=2)
    got = {number for number, _ in arrivals(network, 4000, 0.01)}
    runs = [len(list(run)) for gone, run in itertools.groupby(n not in got for n in range(4000)) if gone]
    assert 1 - len(got) / 4000 == pytest.approx(0.2, abs=0.05)
    assert 6 < statistics.mean(runs) < 10
    for number in range(200):
        network.inject(echo(ttl=2, number=number), "client", 100.0)
    assert len(network.advance(101.0)) == 200


def test_a_packet_alone_takes_its_serialisation() -> None:
    """1,500 bytes at 10 Mbit/s are on the wire for 1.2 ms."""
    (_, before), *_ = arrivals(Network(line()), 1, 1.0)
    (_, after), *_ = arrivals(Network(with_link(1, rate_mbit=RATE_MBIT)), 1, 1.0)
    assert after - before == pytest.approx(1500 * 8 / 10e6)


def test_own_load_fills_the_queue_and_no_more() -> None:
    """Twice the rate: the queue grows to what the file says, half is lost at its tail, what arrives comes at the rate."""
    scenario = with_link(1, rate_mbit=RATE_MBIT, queue_ms=QUEUE_MS)
    unloaded = Network(scenario).reaches("client", SERVER, 0.0)
    assert unloaded is not None
    got = arrivals(Network(scenario), 2000, 0.0006)
    delays_ms = [(at - number * 0.0006 - unloaded) * 1e3 for number, at in got]
    assert delays_ms[0] == pytest.approx(1.2, abs=0.3)
    assert max(delays_ms) == pytest.approx(QUEUE_MS + 1.2, abs=1.5)
    steady = got[len(got) // 2 :]
    rate = (len(steady) - 1) * 1500 * 8 / (steady[-1][1] - steady[0][1])
    assert rate == pytest.approx(10e6, rel=0.01)
    assert 1 - len(got) / 2000 == pytest.approx(0.5, abs=0.06)


def test_the_queue_is_of_one_direction() -> None:
    """What comes back does not wait behind what goes there; a `back` has its own rate."""
    slow_back = with_link(1, rate_mbit=100.0, back=Back(rate_mbit=1.0))
    there = arrivals(Network(slow_back), 1, 1.0)[0][1] - arrivals(Network(line()), 1, 1.0)[0][1]
    assert there == pytest.approx(1500 * 8 / 100e6)
    network = Network(slow_back)
    reply = echo(size=1472)
    reply.source, reply.destination = SERVER, CLIENT
    network.inject(reply, "servers", 0.0)
    (back,) = network.advance(60.0)
    whole = Network(line()).reaches("client", SERVER, 0.0)
    assert whole is not None
    assert back.at_s - whole == pytest.approx(1500 * 8 / 1e6, abs=1e-4)


def test_the_ttl_runs_out_where_it_did() -> None:
    """Links that remember change nothing about who answers, and with which TTL."""
    links = tuple(Link(link.ends, link.delay_ms, rate_mbit=50.0) for link in line().links)
    network = Network(line(links=links))
    for ttl, address in enumerate(ROUTERS, 1):
        network.inject(echo(ttl=ttl), "client", ttl)
        (error,) = network.advance(ttl + 0.9)
        assert (error.packet.source, error.packet.ttl, error.packet.quoted().ttl) == (address, 256 - ttl, 1)
    network.inject(echo(ttl=5), "client", 9.0)
    (arrived,) = network.advance(10.0)
    assert (arrived.node, arrived.packet.ttl) == ("servers", 1)


def test_a_busy_evening() -> None:
    """While others offer 5 % more than fits, the queue is full and a twentieth is lost; before and after it is not."""
    scenario = with_link(2, rate_mbit=1000.0, queue_ms=40.0)
    evening = fault("congestion", "r2", "r3", load=1.05, towards="r3", begin_s=20.0, end_s=40.0)
    scenario = line(evening, links=scenario.links)
    network = Network(scenario, seed=4)
    sent = {number: number * 0.01 for number in range(6000)}
    got = dict(arrivals(network, 6000, 0.01, size=0))
    quiet = [at - sent[n] for n, at in got.items() if not 19 <= sent[n] <= 41]
    busy = {n: at - sent[n] for n, at in got.items() if 20.1 <= sent[n] <= 39.9}
    assert max(quiet) - min(quiet) < 5e-4  # the jitter of the server's own wire
    assert len(busy) / 1980 == pytest.approx(1 / 1.05, abs=0.015)
    assert 0.7 * 40 <= (min(busy.values()) - min(quiet)) * 1e3 <= (max(busy.values()) - min(quiet)) * 1e3 <= 40.5
    lost = set(sent) - set(got)
    assert all(19.9 <= sent[n] <= 40 for n in lost)


def test_a_full_queue_has_no_room_for_many_at_once() -> None:
    """Of a burst only so much gets in as others have just left room for; all that does keeps its order."""
    scenario = with_link(2, rate_mbit=1.0, queue_ms=300.0)
    network = Network(line(fault("congestion", "r2", "r3", load=1.0), links=scenario.links), seed=4)
    got = []
    for burst in range(300):
        for number in range(8):
            network.inject(echo(number=number, size=1472), "client", burst * 2.03)
        got.append([delivery.packet.icmp_seq for delivery in network.advance(burst * 2.03 + 2.0)])
    # 300 ms are 25 packets of 1,500 bytes: others leave room for 0 to 30 % of them, and a last one is let in.
    assert {len(numbers) for numbers in got} == set(range(1, 9))
    assert statistics.mean(map(len, got)) == pytest.approx(4.3, abs=0.3)
    assert all(numbers == list(range(len(numbers))) for numbers in got)


def test_what_was_full_empties_in_its_time() -> None:
    """Others who have gone leave behind what waits: who comes after a short jam waits for the rest of it, and no more."""
    scenario = with_link(2, rate_mbit=1000.0, queue_ms=400.0)
    short = fault("congestion", "r2", "r3", load=1.0, towards="r3", begin_s=10.0, end_s=10.1)
    network = Network(line(short, links=scenario.links), seed=4)
    network.inject(echo(), "client", 0.0)
    usual = network.advance(1.0)[0].at_s
    for after_s in (0.0, 0.05, 0.2):
        network.inject(echo(), "client", 10.1 + after_s)
    came = [delivery.at_s - usual for delivery in network.advance(11.0)]
    assert came == pytest.approx([came[0]] * 3, abs=1e-3)  # all when the queue is empty, in the order of coming
    assert 10.1 + 0.7 * 0.4 - 0.01 <= came[0] <= 10.1 + 0.4
    network.inject(echo(), "client", 11.0)
    assert network.advance(12.0)[0].at_s - 11.0 == pytest.approx(usual, abs=1e-3)


def test_a_link_that_is_not_full_only_holds_up() -> None:
    """Others at 80 %: nothing is lost, and what is left of the rate is ours."""
    scenario = with_link(2, rate_mbit=RATE_MBIT)
    network = Network(line(fault("congestion", "r2", "r3", load=0.8), links=scenario.links), seed=4)
    got = arrivals(network, 500, 0.05)
    assert len(got) == 500
    waits_ms = [(at - number * 0.05) * 1e3 - 10.0 for number, at in got]
    assert statistics.mean(waits_ms) > 1500 * 8 / 2e6 * 1e3


def test_the_way_back_may_be_another_one() -> None:
    """A cost that differs by direction: packets go over r3, answers come over two other routers and are older."""
    routers = (*line().routers, Router("x", "10.0.9.1"), Router("y", "10.0.9.2"))
    links = (
        *line().links,
        Link(("r4", "x"), 30.0, cost=0.1, back=Back(cost=90.0)),
        Link(("x", "y"), 0.5, cost=0.1, back=Back(cost=90.0)),
        Link(("y", "r2"), 0.5, cost=0.1, back=Back(cost=90.0)),
    )
    network = Network(line(routers=routers, links=links))
    assert [router.name for router in network.hops(SERVER)] == ["r1", "r2", "r3", "r4"]
    assert [router.name for router in network.hops(CLIENT, "edge")] == ["r4", "x", "y", "r2", "r1"]
    network.inject(echo(ttl=4), "client", 0.0)
    (error,) = network.advance(9.0)
    assert (error.packet.source, error.packet.ttl) == (ROUTERS[3], 251)
    network.inject(echo(ttl=3), "client", 10.0)
    (error,) = network.advance(19.0)
    assert error.packet.ttl == 253


def test_balancing_over_sixteen_ways_and_again_behind_them() -> None:
    """A diamond of sixteen, each with one of two inside: all 32 ways are taken, each flow by one."""
    wide = [Router(f"w{n:02}", f"10.1.0.{n + 1}", icmp_jitter_ms=0, balance="flow") for n in range(16)]
    inner = [Router(f"i{n:02}{s}", f"10.2.{n}.{i}") for n in range(16) for i, s in enumerate("ab", 1)]
    first, *middle, last = line().routers
    routers = (first, Router("r2", ROUTERS[1], balance="flow"), *middle[1:], last, *wide, *inner)
    links = [*line().links[:2], Link(("r3", "r4"), 4.0)]
    for n, router in enumerate(wide):
        links.append(Link(("r2", router.name), 1.0))
        links += [Link((router.name, f"i{n:02}{s}"), 1.0) for s in "ab"]
        links += [Link((f"i{n:02}{s}", "r3"), 1.0) for s in "ab"]
    network = Network(line(routers=routers, links=tuple(links)))
    third: dict[str, set[str]] = {}
    for label in range(600):
        seen = []
        for ttl in (3, 4, 5):
            probe = echo(ttl=ttl)
            probe.icmp_ident = label
            network.inject(probe, "client", 0.0)
            seen.append(network.advance(9.0)[0].packet.source)
        third.setdefault(seen[0], set()).add(seen[1])
        assert seen[2] == ROUTERS[2]
    assert set(third) == {router.address for router in wide}
    assert all(len(behind) == 2 for behind in third.values())
    assert len(set.union(*third.values())) == 32


CHANGED = fault("link", "r1", "r2", begin_s=10.0, end_s=20.0, loss=1.0)


def test_a_link_changes_in_time() -> None:
    """A cable that is cut for ten seconds, in one direction or both, and is what it was afterwards."""
    for towards, there, back in (("", 0, 0), ("r2", 0, 1), ("r1", 1, 0)):
        network = Network(line(msgspec.structs.replace(CHANGED, towards=towards)))
        got = {}
        for now in (0.0, 9.0, 10.0, 19.0, 20.0, 30.0):
            network.inject(echo(), "client", now)
            network.inject(Packet(SERVER, CLIENT, icmp_type=ECHO_REPLY, icmp_code=0), "servers", now)
            got[now] = [delivery.node for delivery in network.advance(now + 1.0)]
        assert [sorted(got[now]) for now in (0.0, 9.0, 20.0, 30.0)] == [["client", "servers"]] * 4
        assert [got[now].count("servers") for now in (10.0, 19.0)] == [there] * 2
        assert [got[now].count("client") for now in (10.0, 19.0)] == [back] * 2


def test_a_link_is_slower_for_a_while() -> None:
    """Delay and rate are the fault's while it is on, and the link's own again afterwards."""
    slow = fault("link", "r1", "r2", begin_s=100.0, end_s=200.0, delay_ms=52.0, rate_mbit=1.0, queue_ms=200.0)
    network = Network(line(slow))
    usual = network.reaches("client", SERVER, 0.0)
    assert usual is not None

    def taken(at: float) -> float:
        network.inject(echo(size=972), "client", at)
        return network.advance(at + 5.0)[0].at_s - at

    assert taken(0.0) == pytest.approx(usual, abs=5e-4)
    factor = moved(0, "r1", "r2")
    assert taken(150.0) == pytest.approx(usual + 0.050 * factor + 0.008, abs=5e-4)
    assert taken(200.0) == pytest.approx(usual, abs=5e-4)


def test_bursts_begin_and_end() -> None:
    """A link that loses in bursts for a while is the only one that remembers, and only then."""
    bursts = fault("link", "r2", "r3", begin_s=20.0, end_s=60.0, loss=0.3, loss_burst=6.0)
    network = Network(line(bursts), seed=3)
    got = {number for number, _ in arrivals(network, 8000, 0.01)}
    assert {*range(2000), *range(6000, 8000)} <= got
    during = [number in got for number in range(2000, 6000)]
    assert 1 - sum(during) / len(during) == pytest.approx(0.3, abs=0.08)
    runs = [len(list(run)) for here, run in itertools.groupby(during) if not here]
    assert 4 < statistics.mean(runs) < 9
