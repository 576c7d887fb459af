"""What routers, NATs and middleboxes make of a quote: still known where it can be, never taken for another probe's."""

import contextlib
import socket
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netprobe.live import bpf, codec, dissect
from netprobe.live.broker import sockets
from netprobe.model.probes import Protocol, Reply
from tests.live.live_desk import BLOCKS, CLIENT, CLIENT_V6, ROUTER, ROUTER_V6, SERVER, SERVER_V6, Desk

OTHER, OTHER_V6 = "203.0.113.7", "2001:db8:3::7"
PROBES = 40  # of each protocol to each of two destinations
words = st.integers(0, 0xFFFF)


class Bench:
    """A desk with many probes out that share ports, and the filters in front of it."""

    def __init__(self, desk: Desk, packets: dict[int, bytes], passes: Callable[[bytes, bool], bool]) -> None:
        self.desk = desk
        self.packets = packets
        self.passes = passes

    def __repr__(self) -> str:
        return "bench"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with Desk(bytes(32)) as desk, contextlib.ExitStack() as stack:
        packets: dict[int, bytes] = {}
        for destination in (SERVER, OTHER, SERVER_V6, OTHER_V6):
            for protocol in Protocol:
                for ttl in range(1, PROBES + 1):
                    token = len(packets) + 1
                    packets[token] = desk.send(protocol, destination, token, ttl=ttl)
        doors = [door(stack, program(BLOCKS)) for program in (bpf.icmp_filter, bpf.icmpv6_filter)]
        yield Bench(desk, packets, lambda packet, over_v6: doors[over_v6](packet))


def door(stack: contextlib.ExitStack, program: bytes) -> Callable[[bytes], bool]:
    """Whether the kernel lets a packet through `program`."""
    inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    stack.enter_context(inside)
    stack.enter_context(outside)
    inside.settimeout(0)
    sockets.let_through([inside], [program])

    def passes(packet: bytes) -> bool:
        outside.send(packet)
        try:
            return bool(inside.recv(1 << 16))
        except BlockingIOError:
            return False

    return passes


def receive(bench: Bench, quote: bytes) -> list[tuple[int, Reply]]:
    """What becomes of a time exceeded that quotes `quote`, if the filter lets it through; nobody has guessed before."""
    outstanding = bench.desk.prober._outstanding
    outstanding._misses.clear()
    outstanding._replies.clear()
    over_v6 = quote[0] >> 4 == 6
    body = (b"\3\0" if over_v6 else b"\x0b\0") + bytes(6) + quote
    header = codec.Header(*((ROUTER_V6, CLIENT_V6) if over_v6 else (ROUTER, CLIENT)), 250, 9)
    packet = codec._ip(header, codec.PROTOCOL_ICMPV6 if over_v6 else codec.PROTOCOL_ICMP, body)
    accepted = bench.desk.arrive(packet)
    passed = bench.passes(packet[40:] if over_v6 else packet, over_v6)
    assert passed or not accepted, "the filter keeps out what would have been a reply"
    return accepted if passed else []


# -- IPv4 -------------------------------------------------------------------------------------------------------------


class Mangling(NamedTuple):
    """What became of an IPv4 probe before it was quoted, and of its quote. `kept` counts bytes behind the header."""

    ident: str = "kept"
    ttl: int = 1
    tos: int = 0
    checksum: int | None = None
    length: str = "kept"
    fragment: int = 0x4000
    options: int = 0
    source: bytes = b"\xc0\0\2\2"
    kept: int = 8
    padding: bytes = b""
    transport: str = "kept"

    def apply(self, packet: bytes) -> bytes:
        """The quote."""
        changed = bytearray(packet)
        ident, length = struct.unpack_from("!H", packet, 4)[0], struct.unpack_from("!H", packet, 2)[0]
        swapped = (ident >> 8) | (ident & 0xFF) << 8
        idents = {
            "plus one": ident + 1 & 0xFFFF,
            "swapped": swapped,
            "zero": 0,
            "swapped plus one": swapped + 1 & 0xFFFF,
        }
        struct.pack_into("!H", changed, 4, idents.get(self.ident, ident))
        lengths = {"swapped": (length >> 8) | (length & 0xFF) << 8, "less": length - 20, "zero": 0, "data": length - 20}
        struct.pack_into("!H", changed, 2, lengths.get(self.length, length))
        struct.pack_into("!H", changed, 6, self.fragment)
        changed[8], changed[1] = self.ttl, self.tos
        if self.checksum is not None:
            struct.pack_into("!H", changed, 10, self.checksum)
        changed[12:16] = self.source
        at = {codec.PROTOCOL_TCP: 24, codec.PROTOCOL_UDP: 26, codec.PROTOCOL_ICMP: 22}[packet[9]]
        if self.transport == "rewritten":  # a sequence number by a middlebox, a checksum by a NAT
            changed[at : at + 2] = bytes(byte ^ 0xA5 for byte in changed[at : at + 2])
        changed[0] = 0x45 + self.options
        body = changed[20 : 20 + self.kept]
        return bytes(changed[:20]) + b"\1" * 4 * self.options + bytes(body) + self.padding


manglings = st.builds(
    Mangling,
    ident=st.sampled_from(["kept", "plus one", "swapped", "swapped plus one", "zero"]),
    ttl=st.integers(0, 255),
    tos=st.integers(0, 255),
    checksum=st.none() | words,
    length=st.sampled_from(["kept", "swapped", "less", "zero"]),
    fragment=st.sampled_from([0x4000, 0, 0x0040, 0x2000]),
    options=st.integers(0, 10),
    source=st.binary(min_size=4, max_size=4),
    kept=st.sampled_from([8, 20, 28, 108, 128]),
    padding=st.binary(max_size=40),
    transport=st.sampled_from(["kept", "rewritten"]),
)


def recognisable(mangling: Mangling, packet: bytes) -> bool:
    """Whether one of the two keys came through; swapped bytes that are the same are still in order."""
    return mangling.transport == "kept" or mangling.apply(packet)[4:6] == packet[4:6]


@settings(max_examples=400)
@given(st.integers(1, 12 * PROBES), manglings)
@example(1, Mangling(ident="zero", length="swapped", ttl=0))
@example(5 * PROBES, Mangling(ident="zero"))
@example(PROBES + 1, Mangling(transport="rewritten"))
@example(86, Mangling(ident="swapped", transport="rewritten"))
def test_a_mangled_quote_is_of_its_probe_or_of_none(bench: Bench, number: int, mangling: Mangling) -> None:
    """Whatever is mangled, a quote with one of its keys is its probe's, one without is nobody's; others never get it."""
    tokens = [token for token, packet in bench.packets.items() if packet[0] >> 4 == 4]
    token = tokens[number % len(tokens)]
    accepted = receive(bench, mangling.apply(bench.packets[token]))
    assert [owner for owner, _ in accepted] == ([token] if recognisable(mangling, bench.packets[token]) else [])
    for _, reply in accepted:
        assert (reply.quoted_ttl, reply.quoted_tos) == (mangling.ttl, mangling.tos)
        assert "destination" not in {change.field for change in reply.changes}


@settings(max_examples=200)
@given(number=st.integers(1, 12 * PROBES), mangling=manglings, address=st.ip_addresses(v=4), mended=st.booleans())
def test_a_rewritten_destination_is_told_or_nobody_s(
    bench: Bench, number: int, mangling: Mangling, address: object, *, mended: bool
) -> None:
    """With all other numbers it is its probe's and said to be rewritten; with one number wrong it is nobody's."""
    tokens = [token for token, packet in bench.packets.items() if packet[0] >> 4 == 4]
    token = tokens[number % len(tokens)]
    packet = bytearray(bench.packets[token])
    packet[16:20] = int(address).to_bytes(4)  # type: ignore[call-overload]
    if mended and packet[9] == codec.PROTOCOL_UDP:  # RFC 1624: as a NAT does
        was, now = (struct.unpack("!2H", data[16:20]) for data in (bench.packets[token], packet))
        (check,) = struct.unpack_from("!H", packet, 26)
        total = (0xFFFF - check - sum(was) + sum(now)) % 0xFFFF
        struct.pack_into("!H", packet, 26, 0xFFFF - total)
    accepted = receive(bench, mangling.apply(bytes(packet)))
    whole = mangling.transport == "kept" and mangling.ident != "zero"
    if packet[16:20] == bench.packets[token][16:20]:
        return
    assert [owner for owner, _ in accepted] == ([token] if whole else [])
    for _, reply in accepted:
        (change,) = (change for change in reply.changes if change.field == "destination")
        assert (change.sent, change.seen) == (
            socket.inet_ntoa(bench.packets[token][16:20]),
            socket.inet_ntoa(packet[16:20]),
        )


@settings(max_examples=200)
@given(st.integers(1, 12 * PROBES), manglings, st.integers(1, 0xFFFF))
def test_a_source_port_that_a_nat_left_in_the_quote_is_nobody_s(
    bench: Bench, number: int, mangling: Mangling, change: int
) -> None:
    """Another source port or identifier is another flow's, of which the same numbers are not to be expected."""
    tokens = [token for token, packet in bench.packets.items() if packet[0] >> 4 == 4]
    packet = bytearray(bench.packets[tokens[number % len(tokens)]])
    at = 24 if packet[9] == codec.PROTOCOL_ICMP else 20
    struct.pack_into("!H", packet, at, struct.unpack_from("!H", packet, at)[0] ^ change)
    assert receive(bench, mangling.apply(bytes(packet))) == []


# -- IPv6 -------------------------------------------------------------------------------------------------------------

extensions = st.lists(
    st.tuples(st.sampled_from([0, 43, 60]), st.integers(0, 3)) | st.just((44, 0)), max_size=codec.MOST_EXTENSION_HEADERS
)


def extended(packet: bytes, headers: list[tuple[int, int]]) -> bytes:
    """`packet` with extension headers (kind, units of 8 bytes beyond the first) put in."""
    kinds = [*(kind for kind, _ in headers), packet[6]]
    inserted = (bytes([after, more]) + bytes(6 + 8 * more) for (_, more), after in zip(headers, kinds[1:], strict=True))
    return packet[:6] + bytes([kinds[0]]) + packet[7:40] + b"".join(inserted) + packet[40:]


@settings(max_examples=300)
@given(
    st.integers(1, 12 * PROBES),
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 0xFFFFF), words),
    extensions,
    st.sampled_from([8, 20, 28, 32, 88, 1232]),
    st.binary(max_size=40),
)
def test_a_mangled_quote_of_ipv6_is_of_its_probe_or_of_none(
    bench: Bench,
    number: int,
    header: tuple[int, int, int, int],
    headers: list[tuple[int, int]],
    kept: int,
    padding: bytes,
) -> None:
    """Hop limit, class, label, length and inserted headers hide nothing; a datagram needs its first bytes too."""
    tokens = [token for token, packet in bench.packets.items() if packet[0] >> 4 == 6]
    token = tokens[number % len(tokens)]
    packet = bench.packets[token]
    hop_limit, traffic_class, label, length = header
    first = struct.pack("!IHBB", 6 << 28 | traffic_class << 20 | label, length, packet[6], hop_limit)
    quote = extended(first + packet[8 : 40 + kept], headers) + padding
    accepted = receive(bench, quote)
    enough = packet[6] != codec.PROTOCOL_UDP or kept >= 8 + len(bench.desk.sent(token).head)
    if enough:
        assert [owner for owner, _ in accepted] == [token]
    else:
        assert {owner for owner, _ in accepted} <= {token}
    for _, reply in accepted:
        assert (reply.quoted_ttl, reply.quoted_tos) == (hop_limit, traffic_class)


# -- the filters ------------------------------------------------------------------------------------------------------


def ours(quote: dissect.Quote) -> bool:
    """Whether a quote is of a port or identifier of our blocks, by another way than the filter's."""
    if quote.protocol in {codec.PROTOCOL_ICMP, codec.PROTOCOL_ICMPV6}:
        return quote.third >> 8 == BLOCKS.ident_base >> 8
    return quote.first in range(BLOCKS.first_port, BLOCKS.first_port + BLOCKS.ports)


@settings(max_examples=500)
@given(
    st.integers(1, 24 * PROBES),
    st.sampled_from([1, 2, 3, 4, 11, 12, 0, 129]),
    st.lists(st.tuples(st.integers(0, 47), st.integers(0, 255)), max_size=4),
    st.integers(0, 90),
)
def test_the_filter_and_the_parser_agree(
    bench: Bench, number: int, kind: int, damage: list[tuple[int, int]], kept: int
) -> None:
    """Of errors damaged anywhere the filter passes all that the parser finds to be ours, and nobody else's."""
    packet = bytearray(bench.packets[1 + number % len(bench.packets)])
    over_v6 = packet[0] >> 4 == 6
    for at, value in damage:
        packet[at % len(packet)] = value
    packet[0] = packet[0] & 0x0F | (0x60 if over_v6 else 0x40)
    body = bytes([kind, 0]) + bytes(6) + bytes(packet[:kept])
    header = codec.Header(*((ROUTER_V6, CLIENT_V6) if over_v6 else (ROUTER, CLIENT)), 250, 9)
    whole = codec._ip(header, codec.PROTOCOL_ICMPV6 if over_v6 else codec.PROTOCOL_ICMP, body)
    message = dissect.parse_packet(whole)
    passed = bench.passes(whole[40:] if over_v6 else whole, over_v6)
    if isinstance(message, dissect.IcmpError):
        of_version = codec.PROTOCOL_ICMPV6 if over_v6 else codec.PROTOCOL_ICMP
        known = message.quote.protocol in {of_version, codec.PROTOCOL_TCP, codec.PROTOCOL_UDP}
        if known and ours(message.quote):
            assert passed
        elif known:
            assert not passed
    elif isinstance(message, dissect.EchoReply):
        assert passed == (message.ident >> 8 == BLOCKS.ident_base >> 8)
