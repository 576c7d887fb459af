"""Faults: what they do, to whom, and from when to when."""

import pytest

from netprobe.sim import packet as ip
from netprobe.sim.network import Network
from netprobe.sim.packet import Packet
from netprobe.sim.servers.answers import Records
from netprobe.sim.wirebytes import client_hello, dns_answer, dns_query, parse_dns_answer
from tests.sim.small import CLIENT, RESOLVER, ROUTERS, SERVER, datagram, echo, fault, line, segment
from tests.sim.test_network import only, outcome

HELLO = client_hello("www.tiktok.com", bytes(32))
BY_NAME = {"protocol": "tcp", "port": 443, "server_name": ["*.tiktok.com"]}


def alive(network: Network, now: float) -> list[bool]:
    """Who answers at `now`, by TTL; the last one is the server."""
    return [bool(outcome(network, echo(ttl=ttl), now)) for ttl in range(1, 6)]


def test_a_fault_holds_from_its_beginning_to_its_end() -> None:
    """Before and after it the network is whole, and the last moment is not part of it."""
    network = Network(line(fault("down", "r3", begin_s=100.0, end_s=200.0)))
    whole, broken = [True] * 5, [True, True, False, False, False]
    assert [alive(network, at) for at in (0.0, 99.0, 100.0, 150.0)] == [whole, whole, broken, broken]
    assert [alive(network, at) for at in (200.0, 300.0)] == [whole, whole]


def test_a_black_hole_answers_itself_and_swallows_the_rest() -> None:
    """`drop`: a TTL that runs out at the router still draws an error; nothing passes, in either direction."""
    network = Network(line(fault("drop", "r3")))
    assert alive(network, 0.0) == [True, True, True, False, False]
    assert outcome(network, Packet(SERVER, CLIENT, icmp_type=ip.ECHO_REPLY, icmp_code=0), at="servers") == []
    assert outcome(network, datagram(RESOLVER))[0].node == "servers"


@pytest.mark.parametrize(
    ("match", "dropped"),
    [
        ({"protocol": "icmp"}, (True, False, False)),
        ({"protocol": "tcp"}, (False, True, False)),
        ({"port": 53}, (False, False, True)),
        ({"destination": ["23.50.131.0/24"]}, (True, True, False)),
        ({"source": ["10.0.0.0/8"]}, (False, False, False)),
        ({"destination": ["23.50.131.10/32"], "port": 443}, (False, True, False)),
        ({"query_name": ["*.tiktok.com"]}, (False, False, True)),
        ({"query_name": ["*.example.com"]}, (False, False, False)),
    ],
)
def test_all_conditions_of_a_match_must_hold(match: dict[str, object], dropped: tuple[bool, ...]) -> None:
    """A match narrows a fault to some packets."""
    network = Network(line(fault("drop", "r1", match=match)))
    sent = (echo(), segment(flags=ip.SYN), datagram(RESOLVER, payload=dns_query(1, "www.tiktok.com")))
    assert tuple(not outcome(network, packet) for packet in sent) == dropped


def test_a_fraction_is_a_fraction() -> None:
    """Half of the packets get through a fault that takes half of them."""
    network = Network(line(fault("drop", "r1", fraction=0.5)), seed=2)
    assert 430 <= sum(bool(outcome(network, echo())) for _ in range(1000)) <= 570


def test_a_reset_goes_to_both_sides() -> None:
    """The client hears a RST in the server's name, the server one in the client's, both in sequence."""
    network = Network(line(fault("reset", "r2", match=BY_NAME)))
    hello = segment(flags=ip.PSH | ip.ACK, seq=100, ack=500, payload=HELLO)
    to_client, to_server = outcome(network, hello)
    assert (to_client.node, to_client.packet.source, to_client.packet.seq) == ("client", SERVER, 500)
    assert to_client.packet.ack == 100 + len(HELLO)
    assert (to_server.node, to_server.packet.source, to_server.packet.seq) == ("servers", CLIENT, 100)
    assert to_client.packet.flags & to_server.packet.flags & ip.RST


def test_a_reset_needs_the_name() -> None:
    """SYNs pass, other names pass, and so does what is not TCP."""
    network = Network(line(fault("reset", "r2", match=BY_NAME)))
    other = client_hello("www.example.com", bytes(32))
    for packet in (segment(flags=ip.SYN), segment(flags=ip.ACK, payload=other), echo()):
        (delivery,) = outcome(network, packet)
        assert (delivery.node, delivery.packet.flags & ip.RST) == ("servers", 0)


def test_a_flow_that_was_hit_stays_hit() -> None:
    """What follows a dropped ClientHello is dropped too, though it carries no name; other flows are not."""
    network = Network(line(fault("drop", "r2", match=BY_NAME)))
    assert outcome(network, segment(flags=ip.ACK, seq=1, payload=HELLO)) == []
    assert outcome(network, segment(flags=ip.ACK, seq=1 + len(HELLO), payload=b"more")) == []
    innocent = segment(flags=ip.ACK, payload=b"more")
    innocent.source_port = 4001
    assert outcome(network, innocent)[0].node == "servers"


@pytest.mark.parametrize("cut", [3, 20, 60, 100, 150])
def test_a_name_in_two_segments_is_read_all_the_same(cut: int) -> None:
    """A ClientHello that does not fit into one segment is put together: at the latest the second one is dropped."""
    network = Network(line(fault("drop", "r2", match=BY_NAME)))
    outcome(network, segment(flags=ip.ACK, seq=1, payload=HELLO[:cut]))
    assert outcome(network, segment(flags=ip.ACK, seq=1 + cut, payload=HELLO[cut:])) == []


def test_a_plain_http_host_counts_as_a_name() -> None:
    """Without TLS the Host header gives the name away."""
    network = Network(line(fault("drop", "r2", match={"server_name": ["*.tiktok.com"]})))
    request = b"GET / HTTP/1.1\r\nHost: www.tiktok.com\r\n\r\n"
    assert outcome(network, segment(port=80, flags=ip.ACK, payload=request)) == []


def test_a_loop_repeats_its_two_routers() -> None:
    """A traceroute shows a, b, a, b, ...; what does not cross both is not in the loop."""
    network = Network(line(fault("loop", "r2", "r3")))
    seen = [only(network, echo(ttl=ttl)).source for ttl in range(1, 9)]
    assert seen == [ROUTERS[0], *(ROUTERS[1], ROUTERS[2]) * 3, ROUTERS[1]]
    assert only(network, echo()).icmp_type == ip.TIME_EXCEEDED
    assert outcome(network, datagram(RESOLVER))[0].node == "servers"
    times = [outcome(network, echo(ttl=ttl))[0].at_s for ttl in (3, 5, 7)]
    assert times == sorted(times)


def test_a_loop_spares_the_way_back_to_the_client() -> None:
    """The members of a loop can still tell the client that a TTL ran out."""
    network = Network(line(fault("loop", "r3", "r2")))
    back = Packet(SERVER, CLIENT, icmp_type=ip.ECHO_REPLY, icmp_code=0)
    assert outcome(network, back, at="servers")[0].node == "client"


def test_a_delay_delays_what_passes() -> None:
    """Beyond the router everything takes longer; the router itself answers as before."""
    slow, normal = Network(line(fault("delay", "r2", delay_ms=500.0))), Network(line())
    for ttl, extra in ((2, 0.0), (3, 1.0), (5, 0.5)):
        took = outcome(slow, echo(ttl=ttl))[0].at_s - outcome(normal, echo(ttl=ttl))[0].at_s
        assert took == pytest.approx(extra)


def test_silence_and_limits_come_and_go() -> None:
    """`silent` and `rate_limit` are faults with times too."""
    limit = fault("rate_limit", "r2", rate=0.001, burst=1, begin_s=10.0, end_s=20.0)
    network = Network(line(limit, fault("silent", "r3", end_s=5.0)))
    assert alive(network, 0.0) == [True, True, False, True, True]
    assert [bool(outcome(network, echo(ttl=2), 10.0)) for _ in range(3)] == [True, False, False]
    assert [bool(outcome(network, echo(ttl=2), 20.0)) for _ in range(3)] == [True] * 3


def test_a_dead_gateway_answers_no_arp() -> None:
    """The device side asks whether the gateway is there."""
    network = Network(line(fault("down", "r1", begin_s=5.0)))
    assert [network.gateway_alive(at) for at in (0.0, 5.0)] == [True, False]
    assert [network.link_up(at) for at in (0.0, 5.0)] == [True, True]
    assert outcome(network, echo(ttl=1), 6.0) == []


def test_a_link_that_is_down_carries_nothing() -> None:
    """`down` at the client is its own link."""
    network = Network(line(fault("down", "client")))
    assert not network.link_up(0.0)
    assert outcome(network, echo(ttl=1)) == []
    assert outcome(network, Packet(SERVER, CLIENT, icmp_type=ip.ECHO_REPLY, icmp_code=0), at="servers") == []


def test_a_dead_resolver_takes_only_its_service_with_it() -> None:
    """The router that it runs on lives; `refuse` instead of `down` is a closed port."""
    network = Network(line(fault("down", "forwarder")))
    assert outcome(network, datagram(ROUTERS[0])) == []
    assert only(network, echo(ROUTERS[0])).icmp_type == ip.ECHO_REPLY
    closed = Network(line(fault("refuse", "forwarder")))
    assert only(closed, datagram(ROUTERS[0])).icmp_code == ip.PORT_UNREACHABLE


def test_a_dead_server_is_silent_and_its_router_is_not() -> None:
    """The last hop before a dead server still answers."""
    assert alive(Network(line(fault("down", "edge"))), 0.0) == [True, True, True, True, False]


def test_a_router_on_the_way_forges_answers() -> None:
    """The client hears the liar first, in the resolver's name; the question itself passes."""
    network = Network(line(fault("dns", "r1", names=("*.tiktok.com",), addresses=("10.9.9.9",))))
    forged, question = outcome(network, datagram(RESOLVER, payload=dns_query(7, "www.tiktok.com")))
    assert (forged.node, forged.packet.source, forged.packet.destination_port) == ("client", RESOLVER, 5000)
    assert parse_dns_answer(forged.packet.payload).addresses == ("10.9.9.9",)
    assert question.node == "servers"
    assert [d.node for d in outcome(network, datagram(RESOLVER, payload=dns_query(7, "a.example")))] == ["servers"]
    answer = Packet(RESOLVER, CLIENT, protocol=ip.UDP, source_port=53, destination_port=5000)
    answer.payload = dns_answer(dns_query(7, "www.tiktok.com"), Records("NOERROR"))
    assert [d.node for d in outcome(network, answer, at="servers")] == ["client"]
