"""The network: who answers, from where, with which TTL, and when."""

import itertools
from collections.abc import Iterable

import msgspec
import pytest

from netprobe.sim import library
from netprobe.sim import packet as ip
from netprobe.sim.network import Delivery, Network
from netprobe.sim.packet import Packet
from netprobe.sim.records import Link, RateLimit, Router, Scenario, Server
from tests.scenarios import load
from tests.sim.small import CLIENT, RESOLVER, ROUTERS, SERVER, datagram, echo, fault, line, segment


def outcome(network: Network, packet: Packet, now: float = 0.0, at: str = "client") -> list[Delivery]:
    """What comes of one packet."""
    network.inject(packet, at, now)
    return network.advance(now + 60)


def only(network: Network, packet: Packet, now: float = 0.0, at: str = "client") -> Packet:
    """The one packet that comes of one packet."""
    (delivery,) = outcome(network, packet, now, at)
    return delivery.packet


def test_each_ttl_is_answered_by_its_router() -> None:
    """A traceroute shows the routers of the file, in order; the next TTL gets to the server."""
    network = Network(line())
    for ttl, address in enumerate(ROUTERS, 1):
        error = only(network, echo(ttl=ttl))
        assert (error.source, error.icmp_type, error.quoted().ttl) == (address, ip.TIME_EXCEEDED, 1)
    (arrived,) = outcome(network, echo(ttl=5))
    assert (arrived.node, arrived.packet.ttl) == ("servers", 1)


@pytest.mark.parametrize("name", library.names())
def test_the_hops_of_every_scenario_are_those_of_its_file(name: str) -> None:
    """Without its faults, probes to every server of a built-in scenario meet its routers in order of distance."""
    scenario = msgspec.structs.replace(load(name), faults=())
    quiet = tuple(msgspec.structs.replace(r, silent=False, rate_limit=None, balance="") for r in scenario.routers)
    sound = tuple(msgspec.structs.replace(link, loss=0.0) for link in scenario.links)
    scenario = msgspec.structs.replace(scenario, routers=quiet, links=sound)
    network = Network(scenario)
    later = itertools.count(0, 100)
    for server in scenario.servers:
        address = server.addresses[0]
        truth = network.hops(address)
        assert truth[0].name == scenario.client.gateway
        assert truth[-1].name == server.at
        for ttl, router in enumerate(truth, 1):
            probe = Packet(scenario.client_address, address, ttl=ttl, icmp_type=ip.ECHO, icmp_code=0)
            assert only(network, probe, next(later)).source == (router.icmp_source or router.address)
        probe = Packet(scenario.client_address, address, ttl=len(truth) + 1, icmp_type=ip.ECHO, icmp_code=0)
        assert outcome(network, probe, next(later))[0].node == "servers"


def test_replies_lose_a_ttl_at_each_router_on_the_way_back() -> None:
    """The TTL of an answer tells the length of the way back."""
    network = Network(line())
    assert [only(network, echo(ttl=ttl)).ttl for ttl in (1, 2, 3, 4)] == [255, 254, 253, 252]
    back = Packet(SERVER, CLIENT, ttl=64, icmp_type=ip.ECHO_REPLY, icmp_code=0)
    assert only(network, back, at="servers").ttl == 60


def test_a_reply_that_starts_too_low_dies_on_the_way_back() -> None:
    """The servers hear of TTLs that run out on their way, like anybody else."""
    network = Network(line())
    (heard,) = outcome(network, Packet(SERVER, CLIENT, ttl=2, icmp_type=ip.ECHO_REPLY, icmp_code=0), at="servers")
    assert (heard.node, heard.packet.source, heard.packet.icmp_type) == ("servers", ROUTERS[2], ip.TIME_EXCEEDED)


def test_delays_add_up_link_by_link() -> None:
    """A round trip is twice the links' delays as the seed has drawn them, within a fifth of the file's."""
    network = Network(line(), seed=3)
    times = [outcome(network, echo(ttl=ttl))[0].at_s for ttl in (1, 2, 3, 4)]
    assert times == sorted(times)
    for at_s, delay_ms in zip(times, (1, 3, 6, 10), strict=True):
        assert abs(at_s * 1e3 - 0.2 - 2 * delay_ms) <= 0.2 * 2 * delay_ms


def test_a_router_answers_an_echo_request_and_refuses_the_rest() -> None:
    """A router's own address answers pings, has no open port, and is as far away as it is."""
    network = Network(line())
    reply = only(network, echo(ROUTERS[2]))
    assert (reply.source, reply.icmp_type, reply.ttl) == (ROUTERS[2], ip.ECHO_REPLY, 253)
    reset = only(network, segment(ROUTERS[2], flags=ip.SYN, seq=9))
    assert (reset.flags, reset.ack) == (ip.RST | ip.ACK, 10)
    error = only(network, datagram(ROUTERS[2], port=33434))
    assert (error.icmp_type, error.icmp_code) == (ip.UNREACHABLE, ip.PORT_UNREACHABLE)


def test_dns_at_the_routers_own_address_comes_out_at_the_servers() -> None:
    """The home router's resolver is a service of the router: only port 53 leads to it."""
    network = Network(line())
    assert outcome(network, datagram(ROUTERS[0], port=53))[0].node == "servers"
    assert outcome(network, echo(ROUTERS[0]))[0].node == "client"


def test_addresses_that_nobody_owns() -> None:
    """A route says where they end: with host unreachable, or in silence; the neighbours of a server are silent."""
    network = Network(line())
    error = only(network, echo("203.0.113.7"))
    assert (error.source, error.icmp_type, error.icmp_code) == (ROUTERS[2], ip.UNREACHABLE, ip.HOST_UNREACHABLE)
    assert outcome(network, echo("198.51.100.7")) == []
    assert outcome(network, echo("23.50.131.99")) == []
    assert only(network, echo("23.50.131.99", ttl=4)).source == ROUTERS[3]
    error = only(network, echo("240.0.0.1"))
    assert (error.source, error.icmp_code) == (ROUTERS[0], ip.NET_UNREACHABLE)


def test_errors_draw_no_errors() -> None:
    """RFC 1122, 3.2.2: an ICMP error that cannot be delivered dies in silence, and so does a later fragment."""
    network = Network(line())
    error = echo().error(CLIENT, ip.TIME_EXCEEDED, 0, ttl=1, arrived_ttl=1)
    error.source, error.destination = CLIENT, SERVER
    assert outcome(network, error) == []
    fragment = echo(ttl=1)
    fragment.fragment = True
    assert outcome(network, fragment) == []


def test_a_link_with_a_smaller_mtu_says_so() -> None:
    """RFC 1191: the router before it names its MTU; without DF the packet goes on."""
    links = [*line().links]
    links[2] = Link(("r2", "r3"), 3.0, mtu=1400)
    network = Network(line(links=tuple(links)))
    error = only(network, echo(size=1400))
    assert (error.source, error.icmp_code, error.icmp_seq) == (ROUTERS[1], ip.FRAGMENTATION_NEEDED, 1400)
    assert outcome(network, echo(size=1300))[0].node == "servers"
    whole = echo(size=1400)
    whole.dont_fragment = False
    assert outcome(network, whole)[0].node == "servers"


def test_silent_routers_only_hide_themselves() -> None:
    """Behind a router that never answers, the others do."""
    routers = [*line().routers]
    routers[1] = Router("r2", ROUTERS[1], silent=True)
    network = Network(line(routers=tuple(routers)))
    answers = [bool(outcome(network, echo(ttl=ttl))) for ttl in (1, 2, 3, 4, 5)]
    assert answers == [True, False, True, True, True]


def test_a_rate_limit_is_a_token_bucket() -> None:
    """A burst, then so many a second; what passes through is not limited."""
    routers = [*line().routers]
    routers[0] = Router("r1", ROUTERS[0], rate_limit=RateLimit(rate=2.0, burst=3))
    network = Network(line(routers=tuple(routers)))
    assert [bool(outcome(network, echo(ttl=1), 0.0)) for _ in range(6)] == [True] * 3 + [False] * 3
    assert [bool(outcome(network, echo(ttl=1), 1.0)) for _ in range(4)] == [True] * 2 + [False] * 2
    assert all(outcome(network, echo(ttl=2), 1.0) for _ in range(9))


def test_packets_between_two_ends_do_not_overtake_each_other() -> None:
    """Jitter delays; it does not reorder."""
    links = tuple(Link(link.ends, link.delay_ms, jitter_ms=5.0) for link in line().links)
    network = Network(line(links=links), seed=1)
    for number in range(50):
        network.inject(echo(number=number), "client", number * 1e-4)
    arrived = [delivery.packet.icmp_seq for delivery in network.advance(9.0)]
    assert arrived == sorted(arrived)
    assert len(arrived) == 50


def test_loss_is_the_fraction_that_the_links_say() -> None:
    """Two links that lose 10 % each deliver about 81 %, and a probe that ends before them is not affected."""
    links = (*line().links[:2], Link(("r2", "r3"), 3.0, loss=0.1), Link(("r3", "r4"), 4.0, loss=0.1))
    network = Network(line(links=links), seed=5)
    assert 760 <= sum(bool(outcome(network, echo())) for _ in range(1000)) <= 860
    assert all(outcome(network, echo(ttl=2)) for _ in range(100))


def test_the_same_seed_gives_the_same_bytes_at_the_same_times() -> None:
    """Determinism, byte for byte; another seed is another network."""

    def run(seed: int) -> list[tuple[float, bytes]]:
        network = Network(load("healthy-lossy"), seed)
        for number in range(300):
            probe = Packet("192.168.1.23", "8.8.8.8", number % 12 + 1, icmp_type=ip.ECHO, icmp_code=0, icmp_seq=number)
            network.inject(probe, "client", number * 0.01)
        return [(delivery.at_s, delivery.packet.to_bytes()) for delivery in network.advance(60.0)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_events_come_out_when_they_are_due() -> None:
    """`next_at` is when `advance` has something to give, and not before."""
    network = Network(line())
    assert network.next_at() is None
    network.inject(echo(ttl=1), "client", 10.0)
    due = network.next_at()
    assert due is not None
    assert due > 10.0
    assert network.advance(due - 1e-9) == []
    assert len(network.advance(due)) == 1
    assert network.next_at() is None


def test_unknown_senders_at_the_servers_side_are_nobody() -> None:
    """What a stray process sends there with an address of its own goes nowhere."""
    network = Network(line())
    assert outcome(network, Packet("203.0.113.5", CLIENT, icmp_type=ip.ECHO_REPLY, icmp_code=0), at="servers") == []


def test_servers_reach_each_other() -> None:
    """A forwarder asks its upstream through the network."""
    network = Network(line())
    question = Packet(ROUTERS[0], RESOLVER, protocol=ip.UDP, source_port=53, destination_port=53)
    (arrived,) = outcome(network, question, at="servers")
    assert (arrived.node, arrived.packet.destination) == ("servers", RESOLVER)
    assert network.reaches("r1", RESOLVER, 0.0) is not None


def test_the_shortest_way_is_taken_whatever_the_seed() -> None:
    """A seed moves delays, not routes: the truth about the hops is the file's."""
    detour = (*line().routers, Router("r5", "10.0.0.5"))
    links = (*line().links, Link(("r1", "r5"), 4.4), Link(("r5", "r4"), 4.7))
    scenario = line(routers=detour, links=links)
    assert {Network(scenario, seed).hops(SERVER) for seed in range(20)} == {line().routers}


def test_a_dead_router_may_be_routed_around() -> None:
    """`reroute`: the network has noticed and takes the longer way; without it packets die there."""
    detour = (*line().routers, Router("r5", "10.0.0.5"))
    links = (*line().links, Link(("r1", "r5"), 4.4), Link(("r5", "r4"), 4.7))
    dead = Network(line(fault("down", "r3"), routers=detour, links=links))
    assert outcome(dead, echo()) == []
    around = Network(line(fault("down", "r3", reroute=True), routers=detour, links=links))
    assert outcome(around, echo())[0].node == "servers"
    assert only(around, echo(ttl=2)).source == "10.0.0.5"


def test_servers_without_their_kernel_refuse_in_the_network() -> None:
    """`refuse` at a server: RST to a SYN, ping still answered by the server's own kernel."""
    network = Network(line(fault("refuse", "edge")))
    assert only(network, segment(flags=ip.SYN)).flags & ip.RST
    assert outcome(network, echo())[0].node == "servers"
    other = Server("edge", (SERVER,), "r4")
    assert outcome(Network(line(servers=(other,))), segment(flags=ip.SYN))[0].node == "servers"


def balanced(kind: str) -> Scenario:
    """The line with a second way around r3."""
    routers = [msgspec.structs.replace(r, balance=kind if r.name == "r2" else "") for r in line().routers]
    beside = Router("r3b", "10.0.1.3", icmp_delay_ms=0.2, icmp_jitter_ms=0.0)
    links = (*line().links, Link(("r2", "r3b"), 3.0), Link(("r3b", "r4"), 4.0))
    return line(routers=(*routers, beside), links=links)


def third_hops(kind: str, ports: Iterable[int]) -> list[str]:
    """Which router answers at the third hop, by source port."""
    network = Network(balanced(kind))
    found = []
    for port in ports:
        packet = segment(ttl=3, flags=ip.SYN)
        packet.source_port = port
        found.append(only(network, packet).source)
    return found


def test_flows_are_kept_on_one_of_equal_ways() -> None:
    """A router that balances by flow spreads flows evenly, and each of them always goes the same way."""
    once = third_hops("flow", range(5000, 5200))
    assert once == third_hops("flow", range(5000, 5200))
    assert 70 < once.count(ROUTERS[2]) < 130
    assert set(once) == {ROUTERS[2], "10.0.1.3"}


def test_packets_of_one_flow_are_spread_where_balancing_is_by_packet() -> None:
    """Then one flow sees both ways."""
    assert set(third_hops("packet", [5000] * 40)) == {ROUTERS[2], "10.0.1.3"}


def test_without_balancing_all_take_one_way() -> None:
    """The first name wins."""
    assert set(third_hops("", range(5000, 5020))) == {ROUTERS[2]}
