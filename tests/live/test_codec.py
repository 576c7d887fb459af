"""Bytes as others make and read them: scapy is the oracle."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6

from netprobe.live import codec, dissect
from netprobe.live.codec import Header
from netprobe.live.dissect import EchoReply, IcmpError, Segment
from netprobe.model.replies import TcpOption, parse_options

addresses = st.ip_addresses(v=4).map(str)
words = st.integers(1, 0xFFFE)
ports = st.integers(0, 0xFFFF)
headers = st.builds(Header, addresses, addresses, st.integers(1, 255), words, st.integers(0, 255))


addresses_v6 = st.ip_addresses(v=6).map(str)
headers_v6 = st.builds(
    Header, addresses_v6, addresses_v6, st.integers(1, 255), st.integers(1, 0xFFFFF), st.integers(0, 255)
)
PROBE_V6 = Header("2001:db8:1::2", "2001:db8:3::2", 3, 0xABCDE, 40)
ROUTER_V6 = "2001:db8:2::2"


def ip_v6(header: Header) -> IPv6:
    return IPv6(src=header.source, dst=header.destination, hlim=header.ttl, fl=header.ident, tc=header.tos)


def ip(header: Header) -> IP:
    return IP(src=header.source, dst=header.destination, ttl=header.ttl, id=header.ident, tos=header.tos, flags="DF")


sizes = st.integers(38, 1500) | st.just(0)


@given(headers, ports, words, words, st.binary(min_size=8, max_size=8), sizes, st.integers(0, 255))
def test_echo_request_is_what_scapy_builds(
    header: Header, ident: int, sequence: int, check: int, nonce: bytes, size: int, fill: int
) -> None:
    """An echo request is byte for byte scapy's with the same payload, its computed checksum included."""
    built = codec.build_echo(header, ident, sequence, check, nonce, size, fill)
    assert built == bytes(ip(header) / ICMP(id=ident, seq=sequence) / built[28:])
    assert struct.unpack_from("!H", built, 22) == (check,)
    assert built[28:36] == nonce
    assert built[38:] == bytes([fill]) * (len(built) - 38)
    assert len(built) == (size or 38)


@given(headers, ports, words, words, st.binary(min_size=8, max_size=8), st.integers(0, 20), st.integers(0, 255))
def test_what_has_no_room_for_a_nonce_has_its_beginning(
    header: Header, ident: int, sequence: int, check: int, nonce: bytes, room: int, fill: int
) -> None:
    """Small packets have exactly the size asked for and right checksums; those asked for, from two bytes on."""
    echo = codec.build_echo(header, ident, sequence, check, nonce, 28 + room, fill)
    assert echo == bytes(ip(header) / ICMP(id=ident, seq=sequence) / echo[28:])
    payload = codec.udp_payload(28 + room, header.destination, nonce)
    datagram = codec.build_udp(header, 1, 2, check, payload, 28 + room, fill)
    assert datagram == bytes(ip(header) / UDP(sport=1, dport=2) / datagram[28:])
    assert len(echo) == len(datagram) == 28 + room
    assert codec.as_sent(echo) == (int.from_bytes(echo[22:24]), echo[28:36])
    assert codec.as_sent(datagram) == (int.from_bytes(datagram[26:28]), datagram[28:36])
    if room >= 2:
        assert codec.as_sent(echo)[0] == codec.as_sent(datagram)[0] == check
        kept = min(8, (room - 2) // 2 * 2)
        assert echo[28 : 28 + kept] == nonce[:kept]


@given(headers, ports, ports, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_syn_is_what_scapy_builds(header: Header, source: int, destination: int, isn: int, stamp: int) -> None:
    """A SYN is byte for byte scapy's with the options of a Linux client, and has no payload."""
    options = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (stamp, 0)), ("NOP", None), ("WScale", 7)]
    oracle = ip(header) / TCP(sport=source, dport=destination, seq=isn, flags="S", window=64240, options=options)
    built = codec.build_syn(header, source, destination, isn, stamp)
    assert built == bytes(oracle)
    assert len(built) == 60


@given(headers, ports, ports, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_ack_is_what_scapy_builds(
    header: Header, source: int, destination: int, sequence: int, number: int, stamp: int
) -> None:
    """An ACK is byte for byte scapy's with the options that a Linux client has in a connection."""
    options = [("NOP", None), ("NOP", None), ("Timestamp", (stamp, 9))]
    numbers = {"seq": sequence, "ack": number}
    oracle = TCP(sport=source, dport=destination, flags="A", window=502, options=options, **numbers)
    built = codec.build_ack(header, source, destination, sequence, number, struct.pack("!II", stamp, 9))
    assert built == bytes(ip(header) / oracle)


@given(st.binary(max_size=40))
def test_tcp_options_are_read_as_scapy_reads_them(data: bytes) -> None:
    """Any options are survived; of those that scapy builds, order and values are kept."""
    assert all(option.name for option in parse_options(data))
    built = TCP(
        options=[("MSS", 1400), ("NOP", None), ("WScale", 9), ("SAckOK", b""), ("Timestamp", (5, 6)), (34, b"x")]
    )
    assert parse_options(bytes(built)[20:]) == (
        *(TcpOption("mss", 1400), TcpOption("nop"), TcpOption("window_scale", 9), TcpOption("sack")),
        *(TcpOption("timestamps", 5, 6), TcpOption("34"), TcpOption("end")),
    )


@given(headers, ports, ports, words, st.binary(max_size=700))
def test_datagram_is_what_scapy_builds(header: Header, source: int, destination: int, check: int, half: bytes) -> None:
    """A UDP datagram is byte for byte scapy's with the same payload, and has the checksum that was asked for."""
    built = codec.build_udp(header, source, destination, check, half + half)
    assert built == bytes(ip(header) / UDP(sport=source, dport=destination) / built[28:])
    assert struct.unpack_from("!H", built, 26) == (check,)


@given(st.integers(48, 1500), st.integers(0, 255))
def test_udp_padding_makes_the_size(size: int, fill: int) -> None:
    """A datagram has the size that was asked for, filled up behind what identifies it."""
    payload = codec.udp_payload(size, "192.0.2.2", bytes(range(1, 9)))
    built = codec.build_udp(Header("192.0.2.1", "192.0.2.2", 9, 9), 1, 2, 3, payload, size, fill)
    assert len(built) == size
    assert payload == b"\1\2" + bytes(10) + b"\3\4\5\6\7\x08", "a DNS header without a question, and the rest"
    assert payload == codec.udp_payload(0, "192.0.2.2", bytes(range(1, 9)))
    assert built[48:] == bytes([fill]) * (size - 48)


def test_quic_probe_is_as_long_as_a_server_demands() -> None:
    """A QUIC probe fills 1200 bytes of UDP payload and its nonce comes back in a version negotiation."""
    nonce = bytes(range(8))
    payload = codec.quic_payload(nonce)
    assert len(payload) + 2 == 1200
    scid_of_client = payload[6 + 8 + 1 : 6 + 8 + 1 + 8]
    negotiation = b"\xca\0\0\0\0" + b"\x08" + scid_of_client + payload[5:14] + b"\0\0\0\1"
    assert dissect.quic_nonce(negotiation) == nonce
    assert dissect.quic_nonce(payload) is None


@given(headers, ports, words, words, st.binary(min_size=8, max_size=8))
def test_echo_reply_is_read(header: Header, ident: int, sequence: int, check: int, nonce: bytes) -> None:
    """Everything that an echo reply says is read."""
    built = codec.build_echo(header, ident, sequence, check, nonce)
    reply = built[:20] + b"\0" + built[21:]
    assert dissect.parse(reply) == EchoReply(header.source, header.ttl, header.ident, ident, sequence, built[28:])
    assert dissect.parse(built) is None, "a request is not a reply"


@given(headers, ports, ports, st.integers(0, 0xFFFFFFFF))
def test_segment_is_read(header: Header, source: int, destination: int, isn: int) -> None:
    """A segment's ports, numbers and flags are read."""
    segment = dissect.parse(codec.build_syn(header, source, destination, isn, 7))
    options = codec.build_syn(header, source, destination, isn, 7)[40:]
    rest = (0, options, header.tos, True)
    assert segment == Segment(
        header.source, header.ttl, header.ident, source, destination, isn, 0, codec.SYN, 64240, *rest
    )


def time_exceeded(quote: bytes, *, unused: bytes = b"\0\0\0\0") -> bytes:

    body = bytes(ICMP(type=11, code=0))[:4] + unused + quote
    return bytes(IP(src="198.51.100.9", dst="192.0.2.1", ttl=250, id=77, proto=1) / body)


@pytest.mark.parametrize("kept", [28, 29, 36, 60, 200])
def test_quote_of_eight_bytes_is_enough(kept: int) -> None:
    """A router that quotes 8 bytes of the transport header (RFC 792) or more gives the same identity."""
    header = Header("192.0.2.1", "203.0.113.1", 3, 4321, 40)
    error = dissect.parse(time_exceeded(codec.build_syn(header, 20000, 443, 0xDEADBEEF, 1)[:kept]))
    assert isinstance(error, IcmpError)
    assert (error.source, error.ttl, error.ip_id, error.type, error.code) == ("198.51.100.9", 250, 77, 11, 0)
    quote = error.quote
    assert (quote.source, quote.destination, quote.ttl, quote.tos, quote.ident) == (
        *("192.0.2.1", "203.0.113.1", 3),
        *(40, 4321),
    )
    assert (quote.protocol, quote.first, quote.second, quote.third) == (6, 20000, 443, 0xDEADBEEF)


@pytest.mark.parametrize("kept", range(28))
def test_shorter_quote_is_refused(kept: int) -> None:
    """A quote without the first 8 bytes of the transport header identifies nothing."""
    assert (
        dissect.parse(time_exceeded(codec.build_udp(Header("192.0.2.1", "192.0.2.2", 1, 1), 1, 2, 3, b"")[:kept]))
        is None
    )


def test_options_in_the_quoted_header_are_skipped() -> None:
    """The quoted header's own length says where the transport header begins."""
    packet = codec.build_syn(Header("192.0.2.1", "203.0.113.1", 3, 4321), 20000, 443, 5, 1)
    with_options = bytes([0x47]) + packet[1:20] + b"\x94\x04\0\0\1\1\1\0" + packet[20:]
    error = dissect.parse(time_exceeded(with_options))
    assert isinstance(error, IcmpError)
    assert (error.quote.first, error.quote.second, error.quote.third) == (20000, 443, 5)


@pytest.mark.parametrize("said", [0, 17, 32])
def test_mpls_stack_is_found_wherever_it_is(said: int) -> None:
    """Labels are read with the length field of RFC 4884 right, wrong, and absent."""
    quote = codec.build_udp(Header("192.0.2.1", "192.0.2.2", 1, 1), 1, 2, 3, b"").ljust(128, b"\0")
    stack = bytes(MPLS(label=16001, cos=5, s=0, ttl=1) / MPLS(label=29657, cos=0, s=1, ttl=2))
    extension = struct.pack("!BBHHBB", 0x20, 0, 0, 4 + len(stack), 1, 1) + stack
    extension = extension[:2] + struct.pack("!H", codec.checksum(extension)) + extension[4:]
    error = dissect.parse(time_exceeded(quote + extension, unused=bytes([0, said, 0, 0])))
    assert isinstance(error, IcmpError)
    assert error.mpls == ((16001, 5, 0, 1), (29657, 0, 1, 2))


@given(st.integers(0, 0xFFFF), st.integers(0, 15))
def test_next_hop_mtu_is_read_where_it_means_one(mtu: int, code: int) -> None:
    """The MTU word of RFC 1191 counts in "fragmentation needed" and in no other unreachable."""
    packet = codec.build_echo(Header("192.0.2.1", "203.0.113.1", 64, 4321), 1, 2, 3, bytes(8), 1500)
    oracle = IP(src="198.51.100.9", dst="192.0.2.1") / ICMP(type=3, code=code, nexthopmtu=mtu if code == 4 else 0)
    data = bytearray(bytes(oracle / packet[:28]))
    struct.pack_into("!H", data, 26, mtu)
    error = dissect.parse(bytes(data))
    assert isinstance(error, IcmpError)
    assert error.mtu == (mtu if code == 4 else 0)


def test_bytes_after_a_long_quote_are_no_labels() -> None:
    """What only looks like an extension, its checksum wrong, is not one."""
    quote = codec.build_udp(Header("192.0.2.1", "192.0.2.2", 1, 1), 1, 2, 3, b"").ljust(128, b"\0")
    error = dissect.parse(time_exceeded(quote + b"\x20\0\x12\x34\0\x08\1\1\1\2\3\4"))
    assert isinstance(error, IcmpError)
    assert error.mpls == ()


@given(st.binary(max_size=300))
def test_parser_never_raises(data: bytes) -> None:
    """Arbitrary bytes are a message or nothing."""
    assert dissect.parse(data) is None or isinstance(dissect.parse(data), EchoReply | IcmpError | Segment)
    dissect.quic_nonce(data)


@given(st.data(), st.integers(0, 2))
def test_parser_never_raises_on_damaged_packets(data: st.DataObject, which: int) -> None:
    """A packet that was cut or changed anywhere is a message or nothing."""
    header = Header("192.0.2.1", "203.0.113.1", 3, 4321)
    whole = (
        time_exceeded(codec.build_syn(header, 1, 2, 3, 4), unused=b"\0\x11\0\0"),
        codec.build_echo(header, 1, 2, 3, bytes(8)),
        codec.build_syn(header, 1, 2, 3, 4),
    )[which]
    damaged = bytearray(whole)
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)), max_size=5)):
        damaged[place] = value
    dissect.parse(bytes(damaged[: data.draw(st.integers(0, len(whole)))]))


# -- IPv6 -------------------------------------------------------------------------------------------------------------


@given(headers_v6, ports, words, words, st.binary(min_size=8, max_size=8), st.integers(58, 1500) | st.just(0))
def test_echo_request_of_ipv6_is_what_scapy_builds(
    header: Header, ident: int, sequence: int, check: int, nonce: bytes, size: int
) -> None:
    """An ICMPv6 echo request is byte for byte scapy's with the same payload, and has the checksum asked for."""
    built = codec.build_echo(header, ident, sequence, check, nonce, size)
    assert built == bytes(ip_v6(header) / ICMPv6EchoRequest(id=ident, seq=sequence, data=built[48:]))
    assert struct.unpack_from("!H", built, 42) == (check,)
    assert len(built) == (size or 58)


@given(headers_v6, ports, ports, st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_syn_of_ipv6_is_what_scapy_builds(header: Header, source: int, destination: int, isn: int, stamp: int) -> None:
    """A SYN over IPv6 is byte for byte scapy's, with the maximum segment that a link of 1500 bytes takes."""
    options = [("MSS", 1440), ("SAckOK", b""), ("Timestamp", (stamp, 0)), ("NOP", None), ("WScale", 7)]
    oracle = ip_v6(header) / TCP(sport=source, dport=destination, seq=isn, flags="S", window=64240, options=options)
    assert codec.build_syn(header, source, destination, isn, stamp) == bytes(oracle)


@given(headers_v6, ports, ports, words, st.binary(max_size=700))
def test_datagram_of_ipv6_is_what_scapy_builds(
    header: Header, source: int, destination: int, check: int, half: bytes
) -> None:
    """A UDP datagram over IPv6 is byte for byte scapy's, and has the checksum that was asked for."""
    built = codec.build_udp(header, source, destination, check, half + half)
    assert built == bytes(ip_v6(header) / UDP(sport=source, dport=destination) / built[48:])
    assert struct.unpack_from("!H", built, 46) == (check,)


@given(headers_v6, words, words, words, st.binary(min_size=8, max_size=8), st.integers(0, 20), st.integers(0, 255))
def test_small_packets_of_ipv6_are_what_scapy_builds(
    header: Header, ident: int, sequence: int, check: int, nonce: bytes, room: int, fill: int
) -> None:
    """The smallest have right checksums too, and a datagram's is never 0, which IPv6 does not allow."""
    echo = codec.build_echo(header, ident, sequence, check, nonce, 48 + room, fill)
    assert echo == bytes(ip_v6(header) / ICMPv6EchoRequest(id=ident, seq=sequence, data=echo[48:]))
    payload = codec.udp_payload(48 + room, header.destination, nonce)
    datagram = codec.build_udp(header, 1, 2, check, payload, 48 + room, fill)
    assert datagram == bytes(ip_v6(header) / UDP(sport=1, dport=2) / datagram[48:])
    assert len(echo) == len(datagram) == 48 + room
    assert codec.as_sent(datagram)[0] != 0


@given(headers_v6, ports, words, st.binary(max_size=40))
def test_echo_reply_of_ipv6_is_read(header: Header, ident: int, sequence: int, data: bytes) -> None:
    """Everything that an ICMPv6 echo reply says is read; a request is not a reply."""
    for oracle, expected in (
        (ICMPv6EchoReply, EchoReply(header.source, header.ttl, -1, ident, sequence, data)),
        (ICMPv6EchoRequest, None),
    ):
        body = bytes(ip_v6(header) / oracle(id=ident, seq=sequence, data=data))[40:]
        assert dissect.parse_v6(codec.PROTOCOL_ICMPV6, header.source, header.ttl, body) == expected


def error_v6(message: ICMPv6TimeExceeded | ICMPv6PacketTooBig, quote: bytes) -> dissect.Message | None:
    body = bytes(IPv6(src=ROUTER_V6, dst=PROBE_V6.source) / message / quote)[40:]
    return dissect.parse_v6(codec.PROTOCOL_ICMPV6, ROUTER_V6, 63, body)


def test_quote_of_ipv6_is_read() -> None:
    """A time exceeded brings back the header, the first 8 bytes of the transport's and what identifies a datagram."""
    error = error_v6(ICMPv6TimeExceeded(), codec.build_udp(PROBE_V6, 20000, 33434, 77, b"identity"))
    assert isinstance(error, IcmpError)
    assert (error.source, error.ttl, error.type, error.code) == (ROUTER_V6, 63, 3, 0)
    quote = error.quote
    assert (quote.source, quote.destination, quote.protocol) == (PROBE_V6.source, PROBE_V6.destination, 17)
    assert (quote.ttl, quote.tos, quote.ident) == (3, 40, 0xABCDE)
    assert (quote.first, quote.second, quote.third, quote.fourth) == (20000, 33434, 18, 77)
    assert quote.head[:8] == b"identity"


def extended(packet: bytes, *headers: tuple[int, bytes]) -> bytes:
    """`packet` with extension headers put in: the number of each, and what follows its first 2 bytes."""
    kinds = [*(kind for kind, _ in headers), packet[6]]
    bodies = (bytes([after, (len(body) - 6) // 8]) + body for (_, body), after in zip(headers, kinds[1:], strict=True))
    return packet[:6] + bytes([kinds[0]]) + packet[7:40] + b"".join(bodies) + packet[40:]


HOP_BY_HOP, ROUTING, FRAGMENT, OPTIONS = (0, bytes(6)), (43, bytes(14)), (44, bytes(6)), (60, bytes(22))


@pytest.mark.parametrize(
    "headers",
    [(HOP_BY_HOP,), (ROUTING,), (FRAGMENT,), (OPTIONS,), (HOP_BY_HOP, FRAGMENT), (HOP_BY_HOP, ROUTING, OPTIONS)],
)
def test_extension_headers_in_a_quote_are_skipped(headers: tuple[tuple[int, bytes], ...]) -> None:
    """Our probes have none; what a router has put in before another quoted them does not hide whose they are."""
    packet = codec.build_udp(PROBE_V6, 20000, 33434, 77, b"identity")
    error = error_v6(ICMPv6TimeExceeded(), extended(packet, *headers))
    assert isinstance(error, IcmpError)
    assert error == error_v6(ICMPv6TimeExceeded(), packet)


@pytest.mark.parametrize(
    "headers", [(HOP_BY_HOP, HOP_BY_HOP, ROUTING, OPTIONS), ((44, b"\0\x08" + bytes(4)),), ((50, bytes(6)),)]
)
def test_a_quote_behind_too_much_is_none(headers: tuple[tuple[int, bytes], ...]) -> None:
    """More headers than anybody inserts, a later fragment and what is encrypted show no transport header."""
    packet = codec.build_udp(PROBE_V6, 20000, 33434, 77, b"identity")
    error = error_v6(ICMPv6TimeExceeded(), extended(packet, *headers))
    assert error is None or (isinstance(error, IcmpError) and error.quote.protocol != codec.PROTOCOL_UDP)


@pytest.mark.parametrize("mtu", [1280, 1400, 0xFFFF, 0xFFFFFFFF])
def test_packet_too_big_says_the_mtu(mtu: int) -> None:
    """The next hop's MTU is read (RFC 4443, 3.2); more than a packet can have is as good as no limit."""
    error = error_v6(ICMPv6PacketTooBig(mtu=mtu), codec.build_echo(PROBE_V6, 1, 2, 3, bytes(8), 1500)[:1200])
    assert isinstance(error, IcmpError)
    assert (error.type, error.mtu) == (2, min(mtu, 0xFFFF))


@pytest.mark.parametrize("said", [0, 16])
def test_mpls_stack_of_ipv6_is_found(said: int) -> None:
    """Labels are read with the length field of RFC 4884, which counts in 8 bytes in ICMPv6, and without it."""
    quote = codec.build_udp(PROBE_V6, 1, 2, 3, b"").ljust(128, b"\0")
    stack = bytes(MPLS(label=16001, cos=5, s=0, ttl=1) / MPLS(label=29657, cos=0, s=1, ttl=2))
    extension = struct.pack("!BBHHBB", 0x20, 0, 0, 4 + len(stack), 1, 1) + stack
    error = error_v6(ICMPv6TimeExceeded(length=said), quote + extension)
    assert isinstance(error, IcmpError)
    assert error.mpls == ((16001, 5, 0, 1), (29657, 0, 1, 2))


@given(st.sampled_from((codec.PROTOCOL_ICMPV6, codec.PROTOCOL_TCP, codec.PROTOCOL_UDP)), st.binary(max_size=300))
def test_parser_of_ipv6_never_raises(protocol: int, data: bytes) -> None:
    """Arbitrary bytes are a message or nothing, behind the type of an error too."""
    for body in (data, b"\x03\0\0\0\0\x10\0\0" + data, b"\x01\0\0\0\0\0\0\0\x60" + data):
        message = dissect.parse_v6(protocol, ROUTER_V6, 63, body)
        assert message is None or isinstance(message, EchoReply | IcmpError | Segment)
