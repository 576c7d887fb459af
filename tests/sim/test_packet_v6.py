"""Packets of IPv6: bytes in, bytes out; scapy is the oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.packet import Packet as Layer
from scapy.packet import Raw

from netprobe.sim import ipv6
from netprobe.sim import packet as ip
from netprobe.sim.packet import Packet
from netprobe.sim.replies import echo_reply, refusal

HERE, THERE, ROUTER = "2001:db8::23", "2a00:1450:4001::10", "2001:db8:5::1"
ECHO = Packet(HERE, THERE, ttl=7, ident=0xABCDE, icmp_type=8, icmp_code=0, icmp_ident=5, icmp_seq=6, payload=b"abc")
SYN = Packet(
    HERE, THERE, 64, ip.TCP, source_port=4, destination_port=443, seq=2**32 - 1, flags=2, options=b"\2\4\5\xa0"
)
SEGMENT = Packet(
    HERE, THERE, 64, ip.TCP, source_port=4, destination_port=443, seq=1, ack=2, flags=ip.ACK, payload=b"odd"
)
DATAGRAM = Packet(HERE, THERE, 64, ip.UDP, tos=0xB8, source_port=4, destination_port=53, payload=b"q")
HEADER = {"src": HERE, "dst": THERE}
MADE = {
    "echo": (ECHO, IPv6(**HEADER, hlim=7, fl=0xABCDE) / ICMPv6EchoRequest(id=5, seq=6, data=b"abc")),
    "syn": (
        SYN,
        IPv6(**HEADER) / TCP(sport=4, dport=443, seq=2**32 - 1, flags="S", window=64240, options=[("MSS", 1440)]),
    ),
    "segment": (SEGMENT, IPv6(**HEADER) / TCP(sport=4, dport=443, seq=1, ack=2, flags="A", window=64240) / b"odd"),
    "datagram": (DATAGRAM, IPv6(**HEADER, tc=0xB8) / UDP(sport=4, dport=53) / b"q"),
}


@pytest.mark.parametrize("name", MADE)
def test_made_packets_are_what_scapy_makes(name: str) -> None:
    """Lengths and checksums, of ICMPv6 with its pseudo header, are scapy's, byte for byte; there and back."""
    packet, oracle = MADE[name]
    data = packet.to_bytes()
    assert data == bytes(oracle)
    assert len(data) == packet.size
    parsed = Packet.from_bytes(data)
    assert parsed.raw == data
    parsed.raw = None
    assert parsed == packet


@pytest.mark.parametrize(
    ("kind", "code", "word", "oracle"),
    [
        (ip.TIME_EXCEEDED, 0, 0, ICMPv6TimeExceeded(code=0)),
        (ip.UNREACHABLE, ip.NET_UNREACHABLE, 0, ICMPv6DestUnreach(code=0)),
        (ip.UNREACHABLE, ip.HOST_UNREACHABLE, 0, ICMPv6DestUnreach(code=3)),
        (ip.UNREACHABLE, ip.PORT_UNREACHABLE, 0, ICMPv6DestUnreach(code=4)),
        (ip.UNREACHABLE, ip.FRAGMENTATION_NEEDED, 1280, ICMPv6PacketTooBig(mtu=1280)),
    ],
)
def test_errors_are_those_of_icmpv6(kind: int, code: int, word: int, oracle: Layer) -> None:
    """What routers say in the simulation's numbers leaves in those of RFC 4443, and is an error when it comes in."""
    error = SEGMENT.error(ROUTER, kind, code, ttl=255, arrived_ttl=1, word=word)
    seen = bytes(MADE["segment"][1])
    quote = seen[:7] + b"\1" + seen[8:]
    assert error.to_bytes() == bytes(IPv6(src=ROUTER, dst=HERE, hlim=255) / oracle / Raw(quote))
    parsed = Packet.from_bytes(error.to_bytes())
    assert (parsed.icmp_type, parsed.icmp_code, parsed.icmp_seq) == (kind, code, word)
    assert parsed.is_error
    assert (parsed.quoted().ttl, parsed.quoted().destination_port) == (1, 443)


def test_the_counterparts_are_each_other_s() -> None:
    """There and back every message is itself; no two share a counterpart; others are kept apart, errors known as such."""
    for icmp_type in range(256):
        for code in range(16):
            ours = ipv6.from_wire(icmp_type, code)
            assert ipv6.to_wire(*ours) == (icmp_type, code)
            known = ours[0] < ipv6.WITHOUT_COUNTERPART
            error = ours[0] in ip.ICMP_ERRORS if known else ipv6.is_error(ours[0])
            assert error == (icmp_type < 128), (icmp_type, code)
    with pytest.raises(ValueError, match="no counterpart of type 13"):
        Packet(HERE, THERE, icmp_type=13, icmp_code=0).to_bytes()


def test_what_has_no_counterpart_goes_through() -> None:
    """A neighbour solicitation is no echo and no error, and is forwarded byte for byte."""
    sent = bytes(IPv6(src=HERE, dst=THERE, hlim=255) / ICMPv6ND_NS(tgt=THERE))
    packet = Packet.from_bytes(sent)
    assert packet.icmp_type == ipv6.WITHOUT_COUNTERPART + 135
    assert not packet.is_error
    assert packet.to_bytes() == sent


def test_a_forwarded_packet_changes_in_its_hop_limit_only() -> None:
    """Extension headers and the payload of somebody else's packet go through untouched: there is no sum to adjust."""
    chain = (
        IPv6(src=HERE, dst=THERE, hlim=9) / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2) / b"x"
    )
    sent = bytes(chain)
    packet = Packet.from_bytes(sent)
    assert (packet.source_port, packet.destination_port, packet.payload, packet.size) == (1, 2, b"x", len(sent))
    packet.ttl = 4
    assert packet.to_bytes() == sent[:7] + b"\4" + sent[8:]


def test_fragments_are_told_apart() -> None:
    """The first has ports; in a later one bytes of a payload are not taken for them."""
    for offset, ports in ((0, (5, 6)), (185, (0, 0))):
        head = IPv6(src=HERE, dst=THERE) / IPv6ExtHdrFragment(nh=17, offset=offset, m=1, id=7)
        packet = Packet.from_bytes(bytes(head / Raw(bytes(UDP(sport=5, dport=6) / b"rest"))))
        assert (packet.source_port, packet.destination_port) == ports
        assert packet.fragment == (offset > 0)


def test_hosts_answer_in_their_own_version() -> None:
    """Echo replies and resets are made of the same fields, and leave as IPv6."""
    reply = echo_reply(Packet.from_bytes(ECHO.to_bytes()), 64)
    assert reply.to_bytes() == bytes(IPv6(src=THERE, dst=HERE, fl=0xABCDE) / ICMPv6EchoReply(id=5, seq=6, data=b"abc"))
    reset = TCP(sport=443, dport=4, seq=0, ack=0, flags="RA", window=0)
    assert refusal(SYN).to_bytes() == bytes(IPv6(src=THERE, dst=HERE) / reset)


def test_quotes_stay_within_the_minimum_mtu() -> None:
    """RFC 4443, 2.4: an error is never longer than 1280 bytes; an old router's has 8 behind the header."""
    big = Packet(HERE, THERE, protocol=ip.UDP, source_port=9, payload=bytes(1400))
    assert len(big.error(ROUTER, ip.TIME_EXCEEDED, 0, ttl=64, arrived_ttl=1).to_bytes()) == 1280
    short = big.error(ROUTER, ip.TIME_EXCEEDED, 0, ttl=64, arrived_ttl=1, quote=8)
    assert len(short.payload) == 48
    assert short.quoted().source_port == 9


@pytest.mark.parametrize(
    "data",
    [
        b"\x60" + bytes(30),
        ECHO.to_bytes()[:-1],
        ECHO.to_bytes() + b"\0",
        bytes(IPv6(src=HERE, dst=THERE, nh=6) / Raw(b"short")),
        bytes(IPv6(src=HERE, dst=THERE, nh=1) / Raw(bytes(8))),
    ],
    ids=("short", "cut", "longer", "cut transport", "ICMP of IPv4"),
)
def test_garbage_is_a_value_error(data: bytes) -> None:
    """What is no whole packet is refused."""
    with pytest.raises(ValueError, match=r"\w"):
        Packet.from_bytes(data)


@given(st.binary(max_size=120))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    """No input raises anything but ValueError, as a packet or as a quote; what is parsed can be sent on."""
    data = b"\x60" + data
    for parse in (Packet.from_bytes, Packet.from_quote):
        try:
            packet = parse(data)
        except ValueError:
            continue
        assert packet.size > 0
        assert packet.is_error in {True, False}
