"""How routers say what happened to a packet: limits, source addresses, garbled quotes, labels."""

import msgspec
import pytest

from netprobe.live import extensions
from netprobe.model.replies import Interface
from netprobe.sim import packet as ip
from netprobe.sim.extensions import interfaces_of, labels_of
from netprobe.sim.network import Network
from netprobe.sim.packet import Packet
from netprobe.sim.records import RateLimit, Router, Scenario
from netprobe.sim.replies import router_error
from tests.sim.small import CLIENT, ROUTERS, SERVER, datagram, echo, line


def with_routers(**changed: dict[str, object]) -> Scenario:
    """The line whose routers have other fields, by their names."""
    return line(routers=tuple(msgspec.structs.replace(r, **changed.get(r.name, {})) for r in line().routers))


def answer(network: Network, packet: Packet, now: float = 0.0, at: str = "client") -> Packet | None:
    """What comes of one packet."""
    network.inject(packet, at, now)
    found = network.advance(now + 60)
    return found[0].packet if found else None


def answered(network: Network, source: str, count: int, now: float = 0.0) -> int:
    """How many of `count` packets to a closed port of r2 are answered; the sources that are no client are servers."""
    found = 0
    for _ in range(count):
        packet = datagram(ROUTERS[1], port=33434)
        packet.source = source
        network.inject(packet, "client" if source == CLIENT else "servers", now)
        found += len(network.advance(now + 5.0))
    return found


def test_a_limit_for_each_peer() -> None:
    """As in Linux: who asks too much does not silence the router for others."""
    network = Network(with_routers(r2={"rate_limit": RateLimit(1.0, 6, per="peer")}))
    assert answered(network, CLIENT, 10) == 6
    assert answered(network, SERVER, 10) == 6
    assert answered(network, CLIENT, 10, now=10.0) == 6
    one = Network(with_routers(r2={"rate_limit": RateLimit(1.0, 6)}))
    assert (answered(one, CLIENT, 10), answered(one, SERVER, 10)) == (6, 0)


def test_a_limit_over_all_peers() -> None:
    """Whom the limit over all refuses keeps the token of its own."""
    limit = RateLimit(1.0, 6, per="peer", total_rate=100.0, total_burst=8)
    network = Network(with_routers(r2={"rate_limit": limit}))
    assert answered(network, CLIENT, 6) == 6
    assert answered(network, SERVER, 6) == 2
    assert answered(network, SERVER, 6, now=0.05) == 4


def test_errors_may_come_from_another_address() -> None:
    """RFC 1812, 4.3.2.4 leaves it to the router; echo replies come from the address that was asked."""
    network = Network(with_routers(r2={"icmp_source": "80.81.192.9"}))
    error = answer(network, echo(ttl=2))
    assert error is not None
    assert error.source == "80.81.192.9"
    for address in (ROUTERS[1], "80.81.192.9"):
        reply = answer(network, echo(address))
        assert reply is not None
        assert (reply.source, reply.icmp_type) == (address, ip.ECHO_REPLY)


@pytest.mark.parametrize(
    ("what", "at", "bytes_there"),
    [
        ("ttl", 8, b"\0"),
        ("ip_id", 4, b"\x34\x12"),
        ("checksum", 10, b"\0\0"),
        ("length", 2, (28 + 50 - 20).to_bytes(2)),
        ("dscp", 1, b"\x01"),
    ],
)
def test_garbled_quotes(what: str, at: int, bytes_there: bytes) -> None:
    """One field of the quoted IP header is wrong, all else is right."""
    packet = echo(ttl=2, size=50)
    packet.ident, packet.tos = 0x1234, 0xB9
    error = answer(Network(with_routers(r2={"mangle": (what,)})), packet)
    right = answer(Network(line()), _again(packet))
    assert error is not None
    assert right is not None
    size = len(bytes_there)
    assert error.payload[at : at + size] == bytes_there != right.payload[at : at + size]
    assert error.payload[:at] + right.payload[at : at + size] + error.payload[at + size :] == right.payload


def _again(packet: Packet) -> Packet:
    """The same packet as it left: the network counts TTLs down."""
    fresh = echo(ttl=2, size=50)
    fresh.ident, fresh.tos = packet.ident, packet.tos
    return fresh


@pytest.mark.parametrize("quote", [0, 8, 28, 128])
@pytest.mark.parametrize(("form", "length"), [("rfc4884", 32), ("legacy", 0), ("wrong_length", None)])
def test_labels_stand_behind_128_bytes_of_quote(quote: int, form: str, length: int | None) -> None:
    """RFC 4884: padded with zeros, whatever the quote; the length field says so, or not, or not the truth."""
    router = {"mpls": (24012, 16), "quote": quote, "extension": form}
    error = answer(Network(with_routers(r2=router)), echo(ttl=2, size=20))
    assert error is not None
    again = Packet.from_bytes(error.to_bytes())
    assert labels_of(again) == ((24012, 0, 0, 1), (16, 0, 1, 1))
    quoted = min(20 + (quote or 999), 48)
    assert not any(again.payload[quoted:128])
    assert again.icmp_ident & 0xFF == (quoted // 4 if length is None else length)
    assert again.quoted().icmp_seq == 1


def test_a_path_of_labels_quotes_the_ip_ttl_of_its_beginning_and_answers_from_its_end() -> None:
    """Inside, only the label's TTL counts down; what is said goes on to the end first and is as old as its answers."""
    scenario = with_routers(r2={"mpls": (100,)}, r3={"mpls": (200,)})
    network = Network(scenario)
    for ttl in (1, 2, 3, 4):
        network.inject(echo(ttl=ttl), "client", 0.0)
    by_source = {delivery.packet.source: delivery for delivery in network.advance(9.0)}
    assert [by_source[address].packet.quoted().ttl for address in ROUTERS] == [1, 1, 2, 1]
    assert [labels_of(by_source[address].packet) for address in ROUTERS] == [
        (),
        ((100, 0, 1, 1),),
        ((200, 0, 1, 1),),
        (),
    ]
    times = [by_source[address].at_s for address in ROUTERS]
    assert times[1] == pytest.approx(times[3]) == pytest.approx(times[2])


def test_a_path_that_does_not_count_the_ttl_down_is_not_seen() -> None:
    """The pipe model (RFC 3443): its routers take no TTL and never answer, there and back."""
    hidden = {"mpls": (100,), "propagate_ttl": False}
    network = Network(with_routers(r2=hidden, r3=hidden))
    seen = []
    for ttl in (1, 2):
        error = answer(network, echo(ttl=ttl), float(ttl))
        assert error is not None
        seen.append((error.source, error.ttl))
    assert seen == [(ROUTERS[0], 255), (ROUTERS[3], 254)]
    assert [router.name for router in network.hops(SERVER)] == ["r1", "r4"]
    network.inject(echo(ttl=3), "client", 9.0)
    (arrived,) = network.advance(20.0)
    assert (arrived.node, arrived.packet.ttl) == ("servers", 1)


def test_a_hidden_router_still_answers_for_itself() -> None:
    """Its own address is a destination like any other."""
    network = Network(with_routers(r2={"mpls": (100,), "propagate_ttl": False}))
    reply = answer(network, echo(ROUTERS[1]))
    assert reply is not None
    assert (reply.source, reply.icmp_type) == (ROUTERS[1], ip.ECHO_REPLY)
    assert isinstance(network.hops(ROUTERS[1])[0], Router)


def test_ipv6_has_its_own_place_for_the_length_and_its_own_fields() -> None:
    """RFC 4884, 4.2: ICMPv6 says the quote's length first, in units of 8 bytes; the class lies across two bytes."""
    router = Router("r", "192.0.2.1", address6="2001:db8::1", mpls=(24012,), mangle=("ttl", "ip_id", "dscp"))
    packet = Packet("2001:db8::9", "2001:db8::2", ttl=1, icmp_type=ip.ECHO, icmp_code=0, icmp_seq=7, tos=0xB9)
    error = router_error(packet, router, ip.TIME_EXCEEDED, 0, arrived_ttl=1, labelled=True)
    again = Packet.from_bytes(error.to_bytes())
    assert again.icmp_ident == 16 << 8
    assert labels_of(again) == ((24012, 0, 1, 1),)
    quote = again.quoted()
    assert (quote.source, quote.ttl, quote.tos, quote.icmp_seq) == (packet.source, 0, 1, 7)


def test_interfaces_are_told() -> None:
    """Number, address, name and MTU of the one that a packet came in by (RFC 5837), behind labels or alone."""
    scenario = with_routers(r2={"interfaces": True}, r3={"interfaces": True, "mpls": (16,)})
    network = Network(scenario)
    second, third = answer(network, echo(ttl=2)), answer(network, echo(ttl=3))
    assert second is not None
    assert third is not None
    told = Interface("incoming", 2, ROUTERS[1], "to-r1", 1500)
    assert interfaces_of(second) == (told,)
    assert extensions.read(second.to_bytes()[20:], 5, 4).interfaces == (told,)
    said = extensions.read(third.to_bytes()[20:], 5, 4)
    assert said.mpls == labels_of(third) == ((16, 0, 1, 1),)
    assert said.interfaces == interfaces_of(third) == (Interface("incoming", 2, ROUTERS[2], "to-r2", 1500),)
    other = answer(network, echo(ttl=1))
    assert other is not None
    assert interfaces_of(other) == ()
