"""What is fuzzed: a group for each kind of bytes that strangers send, and what must hold whatever they send.

A group is a function of the bytes; it raises AssertionError where an invariant does not hold, and lets any other
exception through, which is a finding too. `seeds` gives the bytes to begin with: our own builders' and the samples'.
"""

import ipaddress
import itertools
import math
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from netprobe.live import certificate, codec, connection, dissect, dns, errors, extensions, host, netlink, stamps
from netprobe.live.dissect import EchoReply, IcmpError, Quote, Segment
from netprobe.model.probes import Protocol, ReplyKind
from netprobe.model.record import to_json
from netprobe.model.services import HEADERS_THAT_MATTER, Answer, Certificate, Fetch, Handshake, Lookup, Response
from tests.live.live_desk import CLIENT, CLIENT_V6, PORTS, ROUTER, ROUTER_V6, SERVER, SERVER_V6, Desk

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
_SECRET = bytes(range(32))
_V6_PROTOCOLS = (codec.PROTOCOL_ICMPV6, codec.PROTOCOL_TCP, codec.PROTOCOL_UDP)


class Group(NamedTuple):
    """Bytes of one kind: `check` looks at one input, `seeds` are inputs to begin with."""

    check: Callable[[bytes], None]
    seeds: Callable[[], Iterator[bytes]]


# -- packets ----------------------------------------------------------------------------------------------------------


def packets(data: bytes) -> None:
    """An IPv4 packet is a message whose fields fit the packet, or None; read twice it is the same."""
    message = dissect.parse(data)
    assert message == dissect.parse(bytes(bytearray(data)))
    if message is not None:
        ipaddress.IPv4Address(message.source)
        assert len(data) >= 28
        _check_message(message, data)
    _check_quote(dissect.parse_quote(data), data)
    for place, unit in ((5, 4), (4, 8)):
        _check_extensions(extensions.read(data, place, unit), data)
    nonce = dissect.quic_nonce(data)
    assert nonce is None or (len(nonce) == codec.NONCE_BYTES and nonce in data)


def packets_v6(data: bytes) -> None:
    """So is what follows an IPv6 header; the first byte says which protocol it is."""
    if not data:
        return
    protocol, body = _V6_PROTOCOLS[data[0] % len(_V6_PROTOCOLS)], data[1:]
    message = dissect.parse_v6(protocol, ROUTER_V6, 63, body)
    assert message == dissect.parse_v6(protocol, ROUTER_V6, 63, bytes(bytearray(body)))
    if message is not None:
        assert (message.source, message.ttl, message.ip_id) == (ROUTER_V6, 63, -1)
        _check_message(message, body)
    _check_quote(dissect.parse_quote_v6(body), body)


def _check_message(message: dissect.Message, data: bytes) -> None:
    assert 0 <= message.ttl <= 255
    assert -1 <= message.ip_id <= 0xFFFF
    to_json(message)
    match message:
        case EchoReply():
            assert data.endswith(message.payload)
            assert struct.pack("!HH", message.ident, message.sequence) in data
        case IcmpError():
            assert 0 <= message.mtu <= 0xFFFF
            assert (message.type, message.code) in itertools.pairwise(data)
            _check_quote(message.quote, data)
            _check_extensions(message.extensions, data)
        case Segment():
            ports = struct.pack("!HH", message.source_port, message.destination_port)
            assert ports + struct.pack("!II", message.sequence, message.acknowledges) in data


def _check_quote(quote: Quote | None, data: bytes) -> None:
    if quote is None:
        return
    addresses = [ipaddress.ip_address(text) for text in (quote.source, quote.destination)]
    assert len({address.version for address in addresses}) == 1
    assert b"".join(address.packed for address in addresses) in data
    assert max(quote.protocol, quote.ttl, quote.tos) <= 0xFF
    assert quote.ident <= (0xFFFF if addresses[0].version == 4 else 0xFFFFF)
    assert len(quote.head) <= codec.HEAD_BYTES
    words = (quote.first, quote.second, quote.third, quote.fourth)
    tcp = quote.protocol == codec.PROTOCOL_TCP
    assert (struct.pack("!HHI", *words[:3]) if tcp else struct.pack("!HHHH", *words)) in data


def _check_extensions(said: extensions.Extensions, data: bytes) -> None:
    assert len(said.mpls) <= 16
    assert len(said.interfaces) + said.unknown <= 32
    for interface in said.interfaces:
        assert len(interface.name) <= 255
        assert max(interface.index, interface.mtu) <= 0xFFFFFFFF
        if interface.address:
            assert ipaddress.ip_address(interface.address).packed in data
    for label, traffic_class, bottom, ttl in said.mpls:
        assert struct.pack("!I", label << 12 | traffic_class << 9 | bottom << 8 | ttl) in data


def _quotes() -> Iterator[bytes]:
    """Probes of ours, and probes cut short."""
    for destination, source, ident in ((SERVER, CLIENT, 4321), (SERVER_V6, CLIENT_V6, 0xABCDE)):
        header = codec.Header(source, destination, 1, ident)
        yield codec.build_syn(header, 20000, 443, 0xDEADBEEF, 7)
        yield codec.build_udp(header, 20000, 33434, 77, codec.udp_payload(0, destination, b"identity"))
        yield codec.build_udp(header, 20000, 443, 77, codec.quic_payload(b"identity"))
        yield codec.build_echo(header, 0x4201, 9, 99, b"identity")


def _extension() -> bytes:
    stack = struct.pack("!HBBII", 12, 1, 1, 29657 << 12 | 1, 25437 << 12 | 0x101)
    # RFC 5837: index, an IPv4 address, a name and an MTU.
    interface = struct.pack("!HBBIHH4s8sI", 28, 2, 0x0F, 7, 1, 0, b"\xc6\x33\x64\2", b"\x08ge0/0\0\0", 1500)
    objects = stack + interface
    return struct.pack("!BBH", 0x20, 0, codec.checksum(b"\x20\0\0\0" + objects)) + objects


def _about(quote: bytes) -> Iterator[bytes]:
    """ICMP messages about `quote`, from the router's header on: all kinds, with and without an extension."""
    over_v6 = quote[0] >> 4 == 6
    kept = quote[: 48 if over_v6 else 28]
    for kind, body in itertools.product((1, 2, 3, 4) if over_v6 else (3, 11, 12), (quote[:128], kept)):
        yield from_router(bytes([kind, 0]) + bytes(6) + body, over_v6=over_v6)
        length = bytes([0, 0, 16, 0, 0, 0]) if over_v6 else bytes([0, 0, 0, 32, 0, 0])
        yield from_router(bytes([kind, 0]) + length + body.ljust(128, b"\0") + _extension(), over_v6=over_v6)


def from_router(icmp: bytes, *, over_v6: bool) -> bytes:
    """An ICMP message in an IP packet."""
    header = codec.Header(*((ROUTER_V6, CLIENT_V6) if over_v6 else (ROUTER, CLIENT)), 250, 9)
    return codec._ip(header, codec.PROTOCOL_ICMPV6 if over_v6 else codec.PROTOCOL_ICMP, icmp)


def _v4_seeds() -> Iterator[bytes]:
    for quote in _quotes():
        if quote[0] >> 4 == 4:
            yield quote
            yield from _about(quote)
            if quote[9] == codec.PROTOCOL_ICMP:
                yield quote[:20] + b"\0" + quote[21:]
    for path in sorted(SAMPLES.glob("*/*.pcap")):
        data = path.read_bytes()
        for at in (packet for packet in range(24, min(len(data), 3000)) if data[packet] == 0x45):
            yield data[at : at + 200]


def _v6_seeds() -> Iterator[bytes]:
    for quote in _quotes():
        if quote[0] >> 4 == 6:
            yield b"\0" + quote
            yield from (b"\0" + packet[40:] for packet in _about(quote))
            yield b"\0" + b"\0" * 7 + quote[:6] + b"\0" + quote[7:40] + bytes([quote[6], 0]) + bytes(6) + quote[40:]
    yield b"\1" + codec.build_syn(codec.Header(SERVER_V6, CLIENT_V6, 60, 1), 443, 20000, 1, 2)[40:]
    yield b"\0\x81\0\0\0\x42\1\0\1identity"
    for path in sorted(SAMPLES.glob("atlas-replay/*-6*.net")):
        yield b"\0" + path.read_bytes()[12:212]


# -- from the socket to the reply -------------------------------------------------------------------------------------


class Chain:
    """A prober with probes of all protocols under way: what is accepted must carry what only they carried."""

    def __init__(self) -> None:
        self.desk: Desk | None = None
        self.packets: dict[int, bytes] = {}
        self.locals: dict[int, int] = {}
        self.udp_port: dict[str, int] = {}  # by destination: UDP and QUIC share their label's

    def begin(self) -> Desk:
        """The same probes each time: two of each protocol and version of IP."""
        if self.desk is None:
            self.desk = Desk(_SECRET)
            for token, (protocol, destination, ttl) in enumerate(
                itertools.product(Protocol, (SERVER, SERVER_V6), (3, 64)), 1
            ):
                packet = self.packets[token] = self.desk.send(protocol, destination, token, ttl=ttl)
                body = packet[codec.header_bytes(destination) :]
                icmp = protocol is Protocol.ICMP
                self.locals[token] = int.from_bytes(body[4:6] if icmp else body[:2])
                if protocol is Protocol.UDP:
                    self.udp_port[destination] = self.locals[token]
        self.desk.replies.clear()
        outstanding = self.desk.prober._outstanding
        outstanding._misses.clear()
        outstanding._replies.clear()
        return self.desk

    def __call__(self, data: bytes) -> None:
        """The first byte says at which socket the rest arrives."""
        if len(data) < 2:
            return
        desk, where, packet = self.begin(), data[0] % 6, data[1:]
        if where < 2:  # the two sockets of IPv4 differ in their filters only
            accepted = desk.raw(-1, packet)
        elif where < 4:
            protocol = _V6_PROTOCOLS[where - 2]
            accepted = desk.raw(protocol, packet, SERVER_V6 if protocol == codec.PROTOCOL_TCP else ROUTER_V6, 60)
        else:
            source, protocol_ = ((SERVER, SERVER_V6)[where - 4], (Protocol.UDP, Protocol.QUIC)[packet[0] & 1])
            accepted = desk.datagram(packet[1:], source, PORTS[protocol_.value], self.udp_port[source])
        assert len(accepted) <= 1
        for token, reply in accepted:
            self.check_identity(token, reply.kind, packet)
            ipaddress.ip_address(reply.source)
            assert math.isfinite(reply.rtt_s)
            assert 0 <= reply.rtt_s < 1e6
            to_json(reply)
        assert len(desk.prober._outstanding._misses) <= 4096

    def check_identity(self, token: int, kind: ReplyKind, data: bytes) -> None:
        """What makes the probe of `token` believable must be in `data`, read apart from the code that accepted it."""
        assert self.desk is not None
        sent = self.desk.sent(token)
        mark, local = sent.mark, struct.pack("!H", self.locals[token])
        protocol = self.packets[token][6 if ":" in sent.destination else 9]
        if kind is ReplyKind.UDP_DATA:
            assert mark.nonce in data or data[1:3] == mark.nonce[:2]
            return
        assert local in data
        if kind is ReplyKind.ECHO_REPLY:
            assert struct.pack("!H", mark.sequence) + mark.nonce in data
        elif kind in {ReplyKind.SYN_ACK, ReplyKind.RST, ReplyKind.ACK}:
            acknowledged = struct.pack("!I", (mark.isn + 1) & 0xFFFFFFFF)
            assert acknowledged in data or (kind is ReplyKind.RST and struct.pack("!I", mark.timestamp) in data)
        else:
            ids = [mark.ip_id, (mark.ip_id << 8 | mark.ip_id >> 8) & 0xFFFF]
            has_id = any(struct.pack("!H", ident + more & 0xFFFF) in data for ident in ids for more in (0, 1))
            numbers = {
                codec.PROTOCOL_TCP: struct.pack("!I", mark.isn),
                codec.PROTOCOL_UDP: struct.pack("!H", mark.check),
            }.get(protocol, struct.pack("!H", mark.sequence))
            if ":" not in sent.destination:
                assert has_id or numbers in data
            else:
                assert numbers in data or mark.nonce in data


def _chain_seeds() -> Iterator[bytes]:
    chain = Chain()
    desk = chain.begin()
    for token, packet in chain.packets.items():
        over_v6 = packet[0] >> 4 == 6
        for error in _about(packet):
            yield (b"\2" + error[40:]) if over_v6 else b"\0" + error
        if packet[6 if over_v6 else 9] == codec.PROTOCOL_TCP:
            mark, port = desk.sent(token).mark, chain.locals[token]
            for flags in (codec.SYN | codec.ACK, codec.RST | codec.ACK, codec.ACK):
                segment = codec.TCP.pack(443, port, 1, (mark.isn + 1) & 0xFFFFFFFF, 0x50, flags, 1, 0, 0)
                header = codec.Header(SERVER, CLIENT, 60, 1)
                yield b"\3" + segment if over_v6 else b"\1" + codec._ip(header, codec.PROTOCOL_TCP, segment)
            reset = codec.TCP.pack(443, port, mark.timestamp, 0, 0x50, codec.RST, 1, 0, 0)  # what an ACK draws
            yield b"\3" + reset if over_v6 else b"\1" + codec._ip(header, codec.PROTOCOL_TCP, reset)
        elif packet[6 if over_v6 else 9] == codec.PROTOCOL_UDP:
            payload = packet[(48 if over_v6 else 28) :]
            where = b"\5" if over_v6 else b"\4"
            yield where + b"\0" + payload[:30]
            yield where + b"\1" + b"\xca\0\0\0\0\x08" + payload[15:23] + payload[5:14] + b"\0\0\0\1"
        else:
            at = 40 if over_v6 else 20
            reply = b"\x81" if over_v6 else b"\0"
            yield (b"\2" if over_v6 else b"\0" + packet[:20]) + reply + packet[at + 1 :]
    desk.close()


# -- the kernel's ancillary data --------------------------------------------------------------------------------------


class Ancillary:
    """A socket whose ancillary data is made of arbitrary bytes."""

    family = socket.AF_INET
    _kinds = ((1, 35), (0, 2), (41, 52), (1, 37), (0, 11), (41, 25), (7, 7))

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = 3

    def recvmsg(self, *_sizes: int) -> Any:
        if not self._left or not self._data:
            raise BlockingIOError
        self._left -= 1
        items: list[tuple[int, int, bytes]] = []
        at = 0
        while at + 2 <= len(self._data) and len(items) < 8:
            length = self._data[at + 1] % 64
            items.append((*self._kinds[self._data[at] % len(self._kinds)], self._data[at + 2 : at + 2 + length]))
            at += 2 + length
        return b"x", items, 0, ("192.0.2.9", 53)

    def setsockopt(self, *_option: int) -> None:
        """Whatever is asked for."""

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.2", 1

    def getpeername(self) -> tuple[str, int]:
        return "192.0.2.9", 53


def ancillary(data: bytes) -> None:
    """A stamp is a moment that has been, and no more than seconds ago; an error queue is read to its end."""
    if not data:
        return
    sock: Any = Ancillary(data)
    arrival = stamps.receive(sock)
    assert math.isfinite(arrival.at_s)
    assert 0 <= arrival.waited_s <= 5
    assert isinstance(arrival.ttl, int)
    departures = stamps.Departures(sock)
    departures.sent(7)
    assert all(token == 7 and math.isfinite(at_s) for token, at_s in departures.read())
    for trouble in errors.troubles(Ancillary(data)):  # type: ignore[arg-type]
        if trouble.offender:
            ipaddress.IPv4Address(trouble.offender)
        assert trouble.text


def _ancillary_seeds() -> Iterator[bytes]:
    stamp = struct.pack("@qq", 1_700_000_000, 5)
    error = struct.pack("@IBBBBII", 113, 2, 3, 1, 0, 0, 0) + struct.pack("@HH4s8x", 2, 0, b"\x0a\0\0\1")
    departure = struct.pack("@IBBBBII", 42, 4, 0, 0, 0, 0, 0)
    yield b"\0\x10" + stamp + b"\1\4" + struct.pack("@i", 57)
    yield b"\3\x10" + stamp + b"\4" + bytes([len(departure)]) + departure
    yield b"\4" + bytes([len(error)]) + error + b"\2\4" + struct.pack("@i", 64)


# -- DNS, certificates, HTTP ------------------------------------------------------------------------------------------

_LOOKUP = Lookup("www.example.com", "192.0.2.53")
_DNS_ID = 0x1234


class Ended:
    """Whom a question or a conversation tells its end."""

    def __init__(self) -> None:
        self.outcomes: list[Any] = []

    def __call__(self, outcome: Any) -> None:
        self.outcomes.append(outcome)


class Clock:
    """A reactor that watches nothing."""

    def now(self) -> float:
        return 10.0

    def watch(self, *_arguments: Any) -> None:
        """Nothing is watched."""

    def forget(self, *_arguments: Any) -> None:
        """Nothing was."""

    def at(self, when: float, call: Callable[[], None]) -> Any:
        del call
        return Later(when)


class Later:
    """A timer that never comes."""

    def __init__(self, when: float) -> None:
        self.when = when

    def cancel(self) -> None:
        """Nothing was to come."""


class Stream:
    """A connected socket that gives what it was made with, in pieces."""

    type = socket.SOCK_STREAM
    family = socket.AF_INET

    def __init__(self, *pieces: bytes, kind: int = socket.SOCK_STREAM) -> None:
        self._pieces = list(pieces)
        self.type = kind  # type: ignore[assignment]

    def recv(self, _size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def send(self, data: bytes) -> int:
        return len(data)

    def fileno(self) -> int:
        return 99

    def getsockopt(self, *_option: int) -> bytes:
        return b""

    def close(self) -> None:
        """Nothing to close."""


def answers(data: bytes) -> None:
    """A DNS message is an answer to the question or none, over UDP as over TCP, whatever its sections hold."""
    ended = Ended()
    clock: Any = Clock()
    kind = socket.SOCK_STREAM if data and data[-1] & 1 else socket.SOCK_DGRAM  # where it says nothing
    question = dns.Question(_LOOKUP, clock, ended, lambda *_: None)
    sock: Any = Stream(struct.pack("!H", len(data) + 2) + b"\x12\x34" + data, kind=kind)
    question._sock = sock
    question._asked[_DNS_ID] = 9.0
    question._timers = [Later(11.0), Later(13.0)]  # type: ignore[list-item]
    if kind == socket.SOCK_STREAM:
        question._read_tcp()
    elif not data or not data[0] & 2:  # a truncated answer would open a connection
        question._consider(b"\x12\x34" + data, 10.0)
        if question._sock is not None:
            question._give_up()
    for answer in ended.outcomes:
        assert isinstance(answer, Answer)
        assert len(answer.addresses) <= 64
        assert len(answer.aliases) <= 16
        assert all(text.isprintable() for text in (*answer.addresses, *answer.aliases, answer.rcode))
        assert answer.rtt_s is None or 0 <= answer.rtt_s < 1e6
        assert 0 <= answer.ttl_s <= 0xFFFFFFFF
        assert bool(answer.rcode) != bool(answer.error)
        to_json(answer)


def _answer_seeds() -> Iterator[bytes]:
    import dns.message as messages  # noqa: PLC0415  # only this group needs it
    import dns.rcode as dns_rcode  # noqa: PLC0415
    import dns.rrset as rrsets  # noqa: PLC0415

    for records, rcode in (
        ((), 3),
        (("www.example.com. 300 IN A 203.0.113.5", "www.example.com. 300 IN A 203.0.113.6"), 0),
        (("www.example.com. 30 IN CNAME e.cdn.example.", "e.cdn.example. 20 IN A 203.0.113.5"), 0),
        (('www.example.com. 30 IN TXT "a\\000b" "c"', "www.example.com. 1 IN AAAA 2001:db8::1"), 0),
        (("www.example.com. 30 IN CNAME www.example.com.",), 2),
    ):
        response = messages.make_response(messages.make_query("www.example.com", "A", id=_DNS_ID, use_edns=False))
        response.set_rcode(dns_rcode.Rcode(rcode))
        for record in records:
            name, ttl, kind, rdtype, value = record.split(" ", 4)
            response.answer.append(rrsets.from_text(name, int(ttl), kind, rdtype, value))
        yield response.to_wire()[2:] + b"\0"
        yield response.to_wire()[2:] + b"\1"


def certificates(data: bytes) -> None:
    """DER is a certificate with bounded, printable names, or None."""
    read = certificate.read(data)
    if read is None:
        return
    assert isinstance(read, Certificate)
    assert len(read.names) <= 100
    assert all(len(text) <= 200 and text.isprintable() for text in (read.subject, read.issuer, *read.names))
    assert math.isfinite(read.not_before_s)
    assert math.isfinite(read.not_after_s)
    to_json(read)


def _certificate_seeds() -> Iterator[bytes]:
    import ssl  # noqa: PLC0415  # only this group needs it

    from tests.live.live_authority import Authority  # noqa: PLC0415

    authority = Authority("Fuzz")
    yield ssl.PEM_cert_to_DER_cert(authority.pem.decode())


_FETCH = Fetch(Handshake("192.0.2.80", 80), body_limit=4096)
_PIECES = 3


def heads(data: bytes) -> None:
    """An HTTP answer, in pieces, is a response with bounded, printable headers, and one outcome comes of it."""
    ended = Ended()
    clock: Any = Clock()
    talk = connection.Conversation(_FETCH, clock, connection.Trust(), ended, lambda *_: None)
    cut = len(data) // _PIECES + 1
    sock: Any = Stream(*(data[at : at + cut] for at in range(0, len(data), cut)))
    talk._sock = sock
    talk._established()
    talk._readable()
    (response,) = ended.outcomes
    assert isinstance(response, Response)
    assert 0 <= response.status <= 999
    assert len(response.title) <= 120
    assert set(response.headers) <= set(HEADERS_THAT_MATTER)
    assert all(len(text) <= 200 and text.isprintable() for text in (*response.headers.values(), response.title))
    assert len(talk._body) <= _FETCH.body_limit
    to_json(response)


def _head_seeds() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 39\r\n\r\n<html><title>It  works</title></html>\r\n"
    yield b"HTTP/1.1 302 Found\r\nLocation: http://a/\r\nVia: 1.1 b\r\nVia: 1.1 c\r\nContent-Length: 0\r\n\r\n"
    yield b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 \xff\r\nRetry-After: 9\r\n\r\nabc"
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"


def records(data: bytes) -> None:
    """Bytes instead of TLS end the handshake, once, in words that can be shown."""
    ended = Ended()
    clock: Any = Clock()
    talk = connection.Conversation(_TLS, clock, _TRUST, ended, lambda *_: None)
    sock: Any = Stream(data)
    talk._sock = sock
    talk._phase = "tls"
    talk._tls = _TRUST.context(verify=False).wrap_bio(talk._incoming, talk._outgoing, server_hostname="example.com")
    talk._shake_hands()
    talk._readable()
    (handshaken,) = ended.outcomes
    assert handshaken.error
    assert handshaken.detail.isprintable()
    to_json(handshaken)


_TLS = Handshake("192.0.2.80", 443, "example.com", verify=False)
_TRUST = connection.Trust()


def _record_seeds() -> Iterator[bytes]:
    yield b"\x15\x03\x01\0\2\2\x28"  # an alert: handshake failure
    yield b"\x16\x03\x03\0\x2e\2\0\0\x2a\x03\x03" + bytes(32) + b"\0\x13\x01\0\0\x04\0\x2b\0\0"
    yield b"HTTP/1.1 403 Forbidden\r\n\r\n"


# -- the own machine --------------------------------------------------------------------------------------------------


class Text:
    """A path to a file of these bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, *, encoding: str, errors: str) -> Any:
        import io  # noqa: PLC0415  # only this group needs it

        return io.TextIOWrapper(io.BytesIO(self._data), encoding=encoding, errors=errors)


def files(data: bytes) -> None:
    """resolv.conf and hosts give addresses and printable names, whatever is in them."""
    path: Any = Text(data)
    found = host.resolvers(path)
    assert len(found) <= 3
    for address in found:
        ipaddress.ip_address(address)
    names = host._overrides(path)
    assert len(names) <= 50
    assert all(len(name) <= 200 and name.isprintable() for name in names)


def _file_seeds() -> Iterator[bytes]:
    yield b"# c\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\noptions ndots:5\n"
    yield b"127.0.0.1 localhost\n203.0.113.5 www.example.com a.b ; c\n\xff\xfe\n"


def rows(data: bytes) -> None:
    """A netlink datagram is messages with attributes of its own bytes."""
    for kind, message in netlink._messages(data):
        body = netlink._BODIES.get(kind)
        if body is None or len(message) < body.size:
            continue
        row = netlink._row(body, message)
        for number in row.attributes:
            assert row.number(number) >= 0
            assert isinstance(row.text(number), str)
            if row.address(number):
                ipaddress.ip_address(row.address(number))


def _row_seeds() -> Iterator[bytes]:
    attribute = struct.pack("@HH4s", 8, 1, b"\xc0\0\2\1") + struct.pack("@HH8s", 9, 3, b"eth0\0")
    for kind, body in netlink._BODIES.items():
        message = bytes(body.size) + attribute
        yield struct.pack("@IHHII", 16 + len(message), kind, 2, 1, 0) + message


#: By name, in the order of the way in.
GROUPS = {
    "packets": Group(packets, _v4_seeds),
    "packets_v6": Group(packets_v6, _v6_seeds),
    "replies": Group(Chain(), _chain_seeds),
    "ancillary": Group(ancillary, _ancillary_seeds),
    "dns": Group(answers, _answer_seeds),
    "certificates": Group(certificates, _certificate_seeds),
    "http": Group(heads, _head_seeds),
    "tls": Group(records, _record_seeds),
    "files": Group(files, _file_seeds),
    "netlink": Group(rows, _row_seeds),
}
