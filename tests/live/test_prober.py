"""Which replies are believed: real ones through kernel routers, and forged ones put on the client's wire."""

import errno
import secrets
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6

from netprobe.live import bpf, codec, stamps
from netprobe.live.identity import Identity
from netprobe.live.prober import Prober
from netprobe.live.reactor import Reactor
from netprobe.live.wire import LocalWire, Sockets, open_wire
from netprobe.model.probes import Flow, Probe, Protocol, Reply, ReplyKind
from netprobe.model.replies import Change
from tests.live.live_network import CLIENT, SERVER, SERVER_V6

ROUTER = "198.51.100.2"
OTHER = "203.0.113.77"
CLIENT_V6 = "2001:db8:1::2"
PORTS = {Protocol.ICMP: 0, Protocol.TCP: 443, Protocol.ACK: 443, Protocol.UDP: 33434, Protocol.QUIC: 443}
BLOCKS = bpf.Blocks(first_port=20000, ports=512, ident_base=0x4200)


class Bench:
    """A prober whose wire ends here: what it sends can be read, what is put in arrives as if from the network."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        (self._icmp_in, icmp), (self._tcp_in, tcp), (self._icmpv6_in, icmpv6), (_, tcp_v6) = (
            [self._stack.enter_context(sock) for sock in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)]
            for _ in range(4)
        )
        for sock in (icmp, tcp, icmpv6, tcp_v6):
            sock.settimeout(0)
        self.sent: list[bytes] = []
        self.replies: list[tuple[int, Reply]] = []
        self.reactor = Reactor()
        recorder: Any = Recorder(self.sent)
        wire = LocalWire(Sockets(recorder, icmp, tcp), Sockets(recorder, icmpv6, tcp_v6), BLOCKS)
        self.prober = Prober(wire, self.reactor, lambda token, _, reply: self.replies.append((token, reply)))
        self.prober._source = lambda destination, now, link: CLIENT_V6 if ":" in destination else CLIENT  # type: ignore[method-assign]  # noqa: ARG005

    def close(self) -> None:
        self.prober.close()
        self.reactor.close()
        self._stack.close()

    def send(self, protocol: Protocol, token: int = 1, **fields: int) -> IP:
        probe = Probe(Flow(protocol, SERVER, PORTS[protocol]), **{"ttl": 3, **fields})
        self.prober.send(probe, token, self.reactor.now())
        return IP(self.sent[-1])

    def receive(self, packet: object) -> list[Reply]:
        """What the prober makes of a packet."""
        data = bytes(packet)  # type: ignore[call-overload]
        (self._tcp_in if data[9] == codec.PROTOCOL_TCP else self._icmp_in).send(data)
        before = len(self.replies)
        self.reactor.turn(0)
        return [reply for _, reply in self.replies[before:]]

    def send_v6(self, protocol: Protocol, token: int = 1) -> IPv6:
        self.prober.send(Probe(Flow(protocol, SERVER_V6, PORTS[protocol]), ttl=3), token, self.reactor.now())
        return IPv6(self.sent[-1])

    def receive_v6(self, kind: int, code: int, quote: bytes) -> list[Reply]:
        """What the prober makes of an ICMPv6 error."""
        self._icmpv6_in.send(bytes([kind, code]) + bytes(6) + quote)
        before = len(self.replies)
        self.reactor.turn(0)
        return [reply for _, reply in self.replies[before:]]


class Recorder:
    """A sending socket that keeps what it is told to send."""

    def __init__(self, sent: list[bytes]) -> None:
        self._sent = sent

    def sendto(self, packet: bytes, _address: tuple[str, int]) -> None:
        self._sent.append(packet)

    def setsockopt(self, *_option: int) -> None:
        """Nothing here stamps: the clock has to do."""
        raise OSError(errno.ENOPROTOOPT, "no stamps")

    def recvmsg(self, *_arguments: int) -> None:
        """No stamp ever comes."""
        raise BlockingIOError

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.close()


def quoting(packet: IP, kept: int = 28, kind: int = 11, code: int = 0, source: str = ROUTER) -> IP:
    """An ICMP error about `packet` as a router sends it."""
    return IP(src=source, dst=CLIENT, ttl=250, id=9) / ICMP(type=kind, code=code) / bytes(packet)[:kept]


def changed(packet: IP, change: Callable[[IP], None]) -> IP:
    copy = IP(bytes(packet))
    change(copy)
    return copy


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("kept", [28, 128])
def test_a_quote_of_eight_bytes_is_recognised(bench: Bench, protocol: Protocol, kept: int) -> None:
    """A router's time exceeded belongs to its probe, whoever the router is."""
    probe = bench.send(protocol)
    (reply,) = bench.receive(quoting(probe, kept))
    assert reply.kind is ReplyKind.TIME_EXCEEDED
    assert (reply.source, reply.icmp_type, reply.icmp_code, reply.quoted_ttl, reply.ttl, reply.ip_id) == (
        ROUTER,
        11,
        0,
        3,
        250,
        9,
    )


def _set_ttl(packet: IP) -> None:
    packet.ttl = 7


def _set_id(packet: IP) -> None:
    packet.id = (packet.id + 1) & 0xFFFF


def _swap_id(packet: IP) -> None:
    packet.id = (packet.id >> 8) | (packet.id & 0xFF) << 8


def _set_tos(packet: IP) -> None:
    packet.tos = 0x28


def _set_source(packet: IP) -> None:
    packet.src = "10.1.1.1"


def _set_length(packet: IP) -> None:
    packet.len = 20


def _set_flags(packet: IP) -> None:
    packet.flags = 0


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize(
    "change", [_set_ttl, _set_id, _swap_id, _set_tos, _set_source, _set_length, _set_flags], ids=lambda f: f.__name__
)
def test_a_mangled_quote_is_recognised(bench: Bench, protocol: Protocol, change: Callable[[IP], None]) -> None:
    """What routers and NATs do to the header that they quote does not hide whose it is."""
    assert len(bench.receive(quoting(changed(bench.send(protocol), change)))) == 1


def test_a_rewritten_sequence_number_is_recognised(bench: Bench) -> None:
    """A middlebox that randomises sequence numbers leaves the IP identification, the second key."""
    probe = bench.send(Protocol.TCP)
    probe[TCP].seq ^= 0x12345678
    assert len(bench.receive(quoting(probe))) == 1


@pytest.mark.parametrize(("protocol", "layer"), [(Protocol.UDP, UDP), (Protocol.ICMP, ICMP)])
def test_a_rewritten_checksum_is_recognised(bench: Bench, protocol: Protocol, layer: type) -> None:
    """A NAT that adjusts a checksum and not the quote's leaves the IP identification; without both it is a guess."""
    probe = bench.send(protocol)
    probe[layer].chksum ^= 0x1234
    assert len(bench.receive(quoting(probe))) == 1
    probe.id ^= 0x1234
    assert bench.receive(quoting(probe)) == []


def _other_destination(packet: IP) -> None:
    packet.dst = OTHER


def _other_destination_and_id(packet: IP) -> None:
    packet.dst, packet.id = OTHER, packet.id ^ 0x0204


def _other_ports(packet: IP) -> None:
    if packet.proto == codec.PROTOCOL_ICMP:
        packet[ICMP].id ^= 1
    else:
        packet[packet.payload.__class__].sport ^= 1


def _other_identity(packet: IP) -> None:
    packet.id ^= 0x0101
    if packet.proto == codec.PROTOCOL_ICMP:
        packet[ICMP].seq ^= 1
    elif packet.proto == codec.PROTOCOL_TCP:
        packet[TCP].seq ^= 1
    else:
        packet[UDP].chksum ^= 1


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("change", [_other_ports, _other_identity, _other_destination_and_id], ids=lambda f: f.__name__)
def test_a_forged_quote_is_refused(bench: Bench, protocol: Protocol, change: Callable[[IP], None]) -> None:
    """Another port or identifier, other numbers, or another destination and one other number: not our probe."""
    assert bench.receive(quoting(changed(bench.send(protocol), change))) == []
    assert bench.receive(quoting(changed(bench.send(protocol, 2), change), source=SERVER)) == []


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("adjusted", [False, True])
def test_a_rewritten_destination_is_told(bench: Bench, protocol: Protocol, *, adjusted: bool) -> None:
    """A quote for somebody else with all our numbers is of our probe, and the reply says so; checksum mended or not."""
    bench.send(protocol, 1)
    probe = bench.send(protocol, 2)
    bench.send(protocol, 3)
    probe.dst, probe.chksum = OTHER, None
    if adjusted and protocol in {Protocol.UDP, Protocol.QUIC}:
        probe[UDP].chksum = None
    for change in (lambda _: None, _set_id, _swap_id):
        (reply,) = bench.receive(quoting(changed(IP(bytes(probe)), change)))
        assert (reply.kind, reply.source) == (ReplyKind.TIME_EXCEEDED, ROUTER)
        assert Change("destination", SERVER, OTHER) in reply.changes
    assert {token for token, _ in bench.replies} == {2}
    (plain,) = bench.receive(quoting(bench.send(protocol, 4)))
    assert "destination" not in {changed.field for changed in plain.changes}


@pytest.mark.parametrize("protocol", Protocol)
def test_short_keys_are_not_believed_while_somebody_guesses(bench: Bench, protocol: Protocol) -> None:
    """Eight quotes that are of no probe, and 16 bits are no identity any more; the long one still is, and soon both."""
    probe = bench.send(protocol)
    rewritten = changed(probe, _other_checks)
    assert len(bench.receive(quoting(rewritten))) == 1
    for number in range(8):
        assert bench.receive(quoting(changed(rewritten, lambda packet, n=number: setattr(packet, "id", n)))) == []  # type: ignore[misc]
    assert len(bench.receive(quoting(rewritten))) == (protocol is Protocol.ICMP), "an echo's sequence goes with its ID"
    assert len(bench.receive(quoting(probe))) == 1
    bench.prober._outstanding.expire(bench.reactor.now() + 31)
    again = changed(bench.send(protocol, 2), _other_checks)
    assert len(bench.receive(quoting(again))) == 1


def _other_checks(packet: IP) -> None:
    if packet.proto == codec.PROTOCOL_TCP:
        packet[TCP].seq ^= 0x1234
    else:
        packet[ICMP if packet.proto == codec.PROTOCOL_ICMP else UDP].chksum ^= 0x1234


def test_a_reply_that_is_played_again_and_again_is_told_a_few_times(bench: Bench) -> None:
    """Networks double packets; whoever plays a true reply a thousand times does not make a thousand events."""
    reply = quoting(bench.send(Protocol.TCP))
    assert [len(bench.receive(reply)) for _ in range(100)] == [1] * 8 + [0] * 92


def test_an_echo_reply_needs_the_nonce(bench: Bench) -> None:
    """Identifier and sequence could be guessed; the payload has to come back too."""
    probe = bench.send(Protocol.ICMP, ttl=64)
    payload = bytes(probe[ICMP].payload)

    def reply(body: bytes, **fields: int) -> IP:
        icmp = ICMP(type=0, id=probe[ICMP].id, seq=probe[ICMP].seq)
        for name, value in fields.items():
            setattr(icmp, name, value)
        return IP(src=SERVER, dst=CLIENT, ttl=60) / icmp / body

    assert bench.receive(reply(payload, seq=probe[ICMP].seq ^ 1)) == []
    assert bench.receive(reply(payload, id=probe[ICMP].id ^ 1)) == []
    assert bench.receive(reply(bytes(8) + payload[8:])) == []
    assert bench.receive(reply(b"")) == []
    (answer,) = bench.receive(reply(payload))
    assert (answer.kind, answer.source, answer.ttl, answer.icmp_type) == (ReplyKind.ECHO_REPLY, SERVER, 60, 0)


@pytest.mark.parametrize(
    ("flags", "kind"),
    [("SA", ReplyKind.SYN_ACK), ("RA", ReplyKind.RST), ("A", ReplyKind.ACK), ("R", None), ("S", None), ("PF", None)],
)
def test_a_segment_counts_by_its_flags_and_number(bench: Bench, flags: str, kind: ReplyKind | None) -> None:
    """A SYN-ACK, RST or ACK has to come from where we sent to, and to acknowledge our number plus one."""
    probe = bench.send(Protocol.TCP, ttl=64)
    local, isn = probe[TCP].sport, probe[TCP].seq

    def segment(source: str = SERVER, sport: int = 443, dport: int = local, ack: int = isn + 1) -> IP:
        return IP(src=source, dst=CLIENT) / TCP(
            sport=sport, dport=dport, seq=77, ack=ack & 0xFFFFFFFF, flags=flags, window=1234
        )

    for forged in (
        segment(source=OTHER),
        segment(sport=444),
        segment(dport=local ^ 1),
        segment(ack=isn),
        segment(ack=isn + 2),
        segment(ack=0),
    ):
        assert bench.receive(forged) == []
    assert [(r.kind, r.source, r.tcp and r.tcp.window) for r in bench.receive(segment())] == (
        [(kind, SERVER, 1234)] if kind else []
    )


def test_an_ack_belongs_to_the_first_syn_of_its_flow(bench: Bench) -> None:
    """A server in SYN-RECEIVED answers a second SYN with an ACK of the first: it is the first one's reply."""
    first, second = bench.send(Protocol.TCP, 1), bench.send(Protocol.TCP, 2)
    assert first[TCP].sport == second[TCP].sport
    ack = TCP(sport=443, dport=first[TCP].sport, seq=1, ack=(first[TCP].seq + 1) & 0xFFFFFFFF, flags="A")
    bench.receive(IP(src=SERVER, dst=CLIENT) / ack)
    assert [(token, reply.kind) for token, reply in bench.replies] == [(1, ReplyKind.ACK)]


@pytest.mark.parametrize(
    ("code", "error"), [(0, "ENETUNREACH"), (1, "EHOSTUNREACH"), (13, "EPERM"), (10, "EPERM"), (7, "EHOSTUNREACH")]
)
def test_what_the_own_kernel_refuses_has_never_left(bench: Bench, code: int, error: str) -> None:
    """An unreachable from the own address is about a packet that never left this machine."""
    (reply,) = bench.receive(quoting(bench.send(Protocol.ICMP), kind=3, code=code, source=CLIENT))
    assert (reply.kind, reply.error) == (ReplyKind.SEND_FAILED, error)


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 9, 10, 13])
def test_what_a_router_refuses_is_a_reply(bench: Bench, code: int) -> None:
    """An unreachable keeps its code, so that it can be told a policy from a fault."""
    (reply,) = bench.receive(quoting(bench.send(Protocol.TCP), kind=3, code=code))
    assert (reply.kind, reply.icmp_type, reply.icmp_code) == (ReplyKind.UNREACHABLE, 3, code)
    assert reply.from_destination == (code in {2, 3})


def test_parallel_flows_are_told_apart(bench: Bench) -> None:
    """Three hundred labels have three hundred source ports; one label keeps its own."""
    ports: dict[int, set[int]] = {}
    for token, label in enumerate([*range(300)] * 2):
        bench.prober.send(Probe(Flow(Protocol.TCP, SERVER, 443, label), sequence=token), token, 0.0)
        ports.setdefault(label, set()).add(IP(bench.sent[-1])[TCP].sport)
    assert all(len(found) == 1 for found in ports.values())
    assert len(set.union(*ports.values())) == 300


def test_idle_ports_are_given_back(bench: Bench) -> None:
    """A label that was not used for minutes does not keep its port; more labels than ports are no error."""
    for label in range(BLOCKS.ports + 100):
        bench.prober.send(Probe(Flow(Protocol.TCP, SERVER, 443, label)), label, float(label))
    assert bench.replies == []
    assert len(bench.prober._tcp_ports[socket.AF_INET]._held) <= BLOCKS.ports


def test_the_flow_is_constant(bench: Bench) -> None:
    """What load balancers hash (addresses, protocol, and the first four bytes behind) is the same for a whole flow."""
    for protocol in (Protocol.ICMP, Protocol.TCP):
        packets = [bytes(bench.send(protocol, token, ttl=token + 1)) for token in range(20)]
        assert len({(packet[9], packet[12:24]) for packet in packets}) == 1
        assert len({packet[24:28] for packet in packets}) == 20, "but every probe has its number"


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize(
    ("kind", "code", "expected", "from_destination"),
    [
        (3, 0, ReplyKind.TIME_EXCEEDED, False),
        (1, 0, ReplyKind.UNREACHABLE, False),
        (1, 4, ReplyKind.UNREACHABLE, True),
        (2, 0, ReplyKind.UNREACHABLE, False),
    ],
)
def test_a_quote_of_ipv6_is_recognised(
    bench: Bench, protocol: Protocol, kind: int, code: int, expected: ReplyKind, *, from_destination: bool
) -> None:
    """An ICMPv6 error belongs to its probe, whatever became of the traffic class, flow label and hop limit."""
    probe = bench.send_v6(protocol)
    probe.tc, probe.fl, probe.hlim = 0x28, 0, 0
    (reply,) = bench.receive_v6(kind, code, bytes(probe)[:72])
    assert (reply.kind, reply.icmp_type, reply.icmp_code, reply.from_destination) == (
        *(expected, kind, code),
        from_destination,
    )
    assert (reply.quoted_ttl, reply.quoted_tos) == (0, 0x28)


OTHER_V6 = "2001:db8:3::77"


def _other_destination_v6(packet: IPv6) -> None:
    packet.dst, packet.fl = OTHER_V6, packet.fl ^ 2


def _other_number_v6(packet: IPv6) -> None:
    if TCP in packet:
        packet[TCP].seq ^= 1
    elif UDP in packet:
        packet[UDP].chksum ^= 1
    else:
        packet[ICMPv6EchoRequest].seq ^= 1


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("change", [_other_destination_v6, _other_number_v6], ids=lambda f: f.__name__)
def test_a_forged_quote_of_ipv6_is_refused(bench: Bench, protocol: Protocol, change: Callable[[IPv6], None]) -> None:
    """Another destination and flow label, or other numbers: not our probe."""
    probe = IPv6(bytes(bench.send_v6(protocol)))
    change(probe)
    assert bench.receive_v6(3, 0, bytes(probe)[:72]) == []


@pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.QUIC])
def test_a_datagram_of_ipv6_is_known_by_its_payload_too(bench: Bench, protocol: Protocol) -> None:
    """Sixteen bits of checksum alone are no identity: the nonce has to come back as it was."""
    probe = bytes(bench.send_v6(protocol))
    at = 48 if protocol is Protocol.UDP else 48 + 15
    assert bench.receive_v6(3, 0, probe[:at] + bytes([probe[at] ^ 1]) + probe[at + 1 :]) == []
    assert bench.receive_v6(3, 0, probe[:48]) == []
    assert len(bench.receive_v6(3, 0, probe)) == 1


def test_the_flow_of_ipv6_is_constant(bench: Bench) -> None:
    """Addresses, flow label, next header and the first four bytes behind are the same for a whole flow."""
    for protocol in (Protocol.ICMP, Protocol.TCP):
        packets = [bytes(bench.send_v6(protocol, token)) for token in range(20)]
        assert len({(packet[:7], packet[8:44]) for packet in packets}) == 1
        assert len({packet[44:48] for packet in packets}) == 20, "but every probe has its number"


@pytest.mark.parametrize(("code", "error"), [(0, "ENETUNREACH"), (1, "EPERM"), (3, "EHOSTUNREACH")])
def test_what_the_own_kernel_refuses_of_ipv6_has_never_left(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, code: int, error: str
) -> None:
    """An ICMPv6 unreachable from the own address is about a packet that never left this machine."""
    probe = bench.send_v6(Protocol.ICMP)
    receive = stamps.receive
    monkeypatch.setattr("netprobe.live.stamps.receive", lambda sock: receive(sock)._replace(source=CLIENT_V6))
    (reply,) = bench.receive_v6(1, code, bytes(probe))
    assert (reply.kind, reply.error) == (ReplyKind.SEND_FAILED, error)


@given(st.binary(min_size=1, max_size=200))
def test_arbitrary_bytes_are_no_reply(data: bytes) -> None:
    """Nothing that a stranger sends is an exception or a reply."""
    bench = Bench()
    try:
        bench.send(Protocol.TCP)
        for sock in (bench._icmp_in, bench._tcp_in, bench._icmpv6_in):
            sock.send(data)
        bench.reactor.turn(0)
        assert bench.replies == []
    finally:
        bench.close()


# -- real packets -----------------------------------------------------------------------------------------------------


NEIGHBOUR = "192.0.2.200"  # on the client's link, and nobody: what arrives from it is forged


def forgery(number: int, blocks: bpf.Blocks) -> bytes:
    """A reply by somebody who knows all but our secret: addresses, ports and the blocks of numbers among it."""
    mark = Identity().mark(Flow(Protocol.TCP, NEIGHBOUR, 443), number)
    port = blocks.first_port + secrets.randbelow(blocks.ports)
    ident = blocks.ident_base | secrets.randbelow(256)
    probe = codec.Header(CLIENT, NEIGHBOUR, 1, mark.ip_id)
    echo = codec.build_echo(probe, ident, mark.sequence, mark.check, mark.nonce)
    syn_ack = struct.pack("!HHIIBBHHH", 443, port, 1, mark.isn, 5 << 4, codec.SYN | codec.ACK, 1, 0, 0)
    kinds = (
        lambda: error_about(codec.build_syn(probe, port, 443, mark.isn, 1)),
        lambda: error_about(codec.build_udp(probe, port, 33434, mark.check, b"")),
        lambda: error_about(echo),
        lambda: from_neighbour(codec.PROTOCOL_ICMP, b"\0" + echo[21:]),
        lambda: from_neighbour(codec.PROTOCOL_TCP, syn_ack),
    )
    return kinds[number % len(kinds)]()


def error_about(quote: bytes) -> bytes:
    return from_neighbour(codec.PROTOCOL_ICMP, struct.pack("!BBHI", 11, 0, 0, 0) + quote)


def from_neighbour(protocol: int, body: bytes) -> bytes:
    return codec._ip(codec.Header(NEIGHBOUR, CLIENT, 60, 1), protocol, body)


@pytest.mark.packets
@pytest.mark.usefixtures("inside")
def test_forged_replies_are_not_accepted() -> None:
    """Of ten thousand replies forged by somebody who knows all but our secret none is accepted; a true one is."""
    replies: list[Reply] = []
    reactor, wire = Reactor(), open_wire()
    prober = Prober(wire, reactor, lambda _token, _at, reply: replies.append(reply))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as forger:
        for token, protocol in enumerate([Protocol.ICMP, Protocol.TCP, Protocol.UDP] * 10):
            prober.send(Probe(Flow(protocol, NEIGHBOUR, PORTS[protocol]), ttl=64), token, reactor.now())
        for number in range(10_000):
            forger.sendto(forgery(number, wire.blocks), (CLIENT, 0))
            if number % 100 == 0:
                reactor.turn(0)
        ident, sequence, nonce = next(key[1:] for key in prober._outstanding._tokens if key[0] == "nonce")
        true = codec.build_echo(
            codec.Header(CLIENT, NEIGHBOUR, 1, 1), int(ident), int(sequence), 1, bytes.fromhex(str(nonce))
        )
        forger.sendto(from_neighbour(codec.PROTOCOL_ICMP, b"\0" + true[21:]), (CLIENT, 0))
    for _ in range(200):
        reactor.turn(0)
    prober.close()
    reactor.close()
    assert [reply.kind for reply in replies if reply.kind is not ReplyKind.SEND_FAILED] == [ReplyKind.ECHO_REPLY]
