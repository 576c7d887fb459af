"""The kernel itself runs the filters here, on a pair of Unix sockets: no right is needed, and no packet is sent."""

import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netprobe.live import bpf, codec, dissect
from netprobe.live.broker import sockets
from netprobe.live.codec import Header

BLOCKS = bpf.Blocks(first_port=20000, ports=512, ident_base=0x4200)
PROBE = Header("192.0.2.1", "203.0.113.1", 3, 4321)
PROBE_V6 = Header("2001:db8::1", "2001:db8::2", 3, 4321)

Passes = Callable[[bytes], bool]


def door(program: bytes) -> Iterator[Passes]:
    """Whether a datagram gets through `program`."""
    inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with inside, outside:
        inside.settimeout(0)
        sockets.let_through([inside], [program])

        def passes(packet: bytes) -> bool:
            outside.send(packet)
            try:
                return inside.recv(2000) == packet
            except BlockingIOError:
                return False

        yield passes


@pytest.fixture
def icmp() -> Iterator[Passes]:
    yield from door(bpf.icmp_filter(BLOCKS))


@pytest.fixture
def tcp() -> Iterator[Passes]:
    yield from door(bpf.tcp_filter(BLOCKS))


@pytest.fixture
def icmpv6() -> Iterator[Passes]:
    yield from door(bpf.icmpv6_filter(BLOCKS))


@pytest.fixture
def tcp_v6() -> Iterator[Passes]:
    yield from door(bpf.tcp_v6_filter(BLOCKS))


def answer(packet: bytes) -> bytes:
    """An echo request turned into its reply."""
    return packet[:20] + b"\0" + packet[21:]


def error(quote: bytes, kind: int = 11) -> bytes:
    return codec.build_echo(PROBE, 0, 0, 1, bytes(8))[:20] + bytes([kind, 0, 0, 0, 0, 0, 0, 0]) + quote


@pytest.mark.parametrize(
    ("ident", "ours"), [(0x4200, True), (0x42FF, True), (0x4300, False), (0x41FF, False), (0, False)]
)
def test_only_echo_replies_to_our_identifiers_pass(icmp: Passes, ident: int, *, ours: bool) -> None:
    """An echo reply, or an error that quotes a request, passes by the identifier's high byte."""
    request = codec.build_echo(PROBE, ident, 7, 99, bytes(8))
    assert icmp(answer(request)) is ours
    assert icmp(error(request)) is ours
    assert not icmp(request), "other people's pings of us are not replies"


@pytest.mark.parametrize(("port", "ours"), [(20000, True), (20511, True), (20512, False), (19999, False), (0, False)])
def test_only_errors_about_our_ports_pass(icmp: Passes, port: int, *, ours: bool) -> None:
    """An error that quotes a segment or a datagram passes by the source port; options in the quote change nothing."""
    syn = codec.build_syn(PROBE, port, 443, 1, 2)
    datagram = codec.build_udp(PROBE, port, 443, 1, b"")
    with_options = bytes([0x47]) + syn[1:20] + b"\x94\x04\0\0\1\1\1\0" + syn[20:]
    for quote in (syn, datagram, with_options, syn[:28]):
        assert [icmp(error(quote, kind)) for kind in (3, 11, 12)] == [ours] * 3


@pytest.mark.parametrize("kind", [4, 5, 8, 9, 13, 17])
def test_other_icmp_messages_stay_outside(icmp: Passes, kind: int) -> None:
    """Redirects, source quenches and requests are nothing that we asked for."""
    assert not icmp(error(codec.build_syn(PROBE, 20000, 443, 1, 2), kind))


@pytest.mark.parametrize("kept", [0, 19, 20, 27, 28, 47, 48])
def test_errors_cut_short_stay_outside(icmp: Passes, kept: int) -> None:
    """A filter that reads beyond the end of a packet drops it."""
    assert not icmp(error(codec.build_syn(PROBE, 20000, 443, 1, 2))[:kept])


@pytest.mark.parametrize(("port", "ours"), [(20000, True), (20511, True), (20512, False), (19999, False), (443, False)])
def test_only_segments_to_our_ports_pass(tcp: Passes, port: int, *, ours: bool) -> None:
    """A segment passes by its destination port."""
    assert tcp(codec.build_syn(PROBE, 443, port, 1, 2)) is ours


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=100))
def test_what_passes_would_have_been_ours(icmp: Passes, data: bytes) -> None:
    """The filter never passes what the parser knows to be about other identifiers and ports."""
    message = dissect.parse(data)
    if isinstance(message, dissect.EchoReply) and icmp(data):
        assert message.ident & 0xFF00 == BLOCKS.ident_base


def test_nothing_from_before_the_filter_is_read() -> None:
    """What was queued between the socket's birth and its filter is thrown away."""
    inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with inside, outside:
        for _ in range(3):
            outside.send(b"somebody else's")
        inside.settimeout(0)
        sockets.let_through([inside], [bpf.assemble([bpf.Instruction(0x06, 0xFFFF)])])
        outside.send(b"ours")
        assert inside.recv(100) == b"ours"


@pytest.mark.parametrize(("ident", "ours"), [(0x4200, True), (0x42FF, True), (0x4300, False), (0x41FF, False)])
def test_only_our_echo_replies_of_ipv6_pass(icmpv6: Passes, ident: int, *, ours: bool) -> None:
    """An ICMPv6 echo reply, or an error that quotes a request, passes by the identifier's high byte."""
    request = codec.build_echo(PROBE_V6, ident, 7, 99, bytes(8))
    assert icmpv6(b"\x81" + request[41:]) is ours
    assert [icmpv6(bytes([kind]) + bytes(7) + request) for kind in (1, 2, 3, 4)] == [ours] * 4
    assert not icmpv6(request[40:]), "other people's pings of us are not replies"
    assert not any(icmpv6(bytes([kind]) + bytes(7) + request) for kind in (0, 5, 133, 134, 135, 136, 137))


@pytest.mark.parametrize(("port", "ours"), [(20000, True), (20511, True), (20512, False), (19999, False)])
def test_only_our_ports_of_ipv6_pass(icmpv6: Passes, tcp_v6: Passes, port: int, *, ours: bool) -> None:
    """Errors that quote a segment or a datagram pass by its source port, segments by their destination port."""
    syn = codec.build_syn(PROBE_V6, port, 443, 1, 2)
    datagram = codec.build_udp(PROBE_V6, port, 443, 1, b"")
    assert [icmpv6(b"\x03" + bytes(7) + quote) for quote in (syn, datagram, syn[:50])] == [ours] * 3
    assert not icmpv6(b"\x03" + bytes(7) + syn[:41])
    assert tcp_v6(codec.build_syn(PROBE_V6, 443, port, 1, 2)[40:]) is ours
