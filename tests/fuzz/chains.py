"""From the socket to the reply: what is accepted must carry what only the probe carried."""

import ipaddress
import itertools
import math
import socket
import struct
from collections.abc import Iterator
from typing import Any

from netprobe.live import (
    codec,
    errqueue,
    stamps,
)
from netprobe.live.echoes import Echoes, _PingSocket
from netprobe.live.identity import Identity
from netprobe.model.probes import Flow, Probe, Protocol, ReplyKind
from netprobe.model.record import to_json
from tests.fuzz.doubles import Ancillary, Clock
from tests.fuzz.packets import V6_PROTOCOLS, about, extension
from tests.live.live_desk import CLIENT, PORTS, ROUTER_V6, SERVER, SERVER_V6, Desk

_SECRET = bytes(range(32))


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
            protocol = V6_PROTOCOLS[where - 2]
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


def chain_seeds() -> Iterator[bytes]:
    chain = Chain()
    desk = chain.begin()
    for token, packet in chain.packets.items():
        over_v6 = packet[0] >> 4 == 6
        for error in about(packet):
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


class Ping(Ancillary):
    """A ping socket that gives one datagram, and one entry of its error queue that quotes the same bytes."""

    type = socket.SOCK_DGRAM
    proto = socket.IPPROTO_ICMP

    def __init__(self) -> None:
        super().__init__(b"")
        self.sent: list[bytes] = []
        self.unread: list[tuple[bytes, list[tuple[int, int, bytes]]]] = []
        self.errors: list[tuple[bytes, list[tuple[int, int, bytes]]]] = []

    def recvmsg(self, *sizes: int) -> Any:
        waiting = self.errors if len(sizes) > 2 else self.unread
        if not waiting:
            raise BlockingIOError
        data, items = waiting.pop()
        return data, items, 0, (SERVER, 0)

    def sendmsg(self, parts: list[bytes], *_where: Any) -> None:
        self.sent.append(b"".join(parts))

    def getsockopt(self, *_option: int) -> int:
        return 0


class Rung:
    """Echo probes over a ping socket: what is accepted brings the nonce back, or quotes what is not against it."""

    def __init__(self) -> None:
        clock: Any = Clock()
        ping: Any = Ping()
        self.answers: list[tuple[int, Any]] = []
        self.ping = ping
        self.echoes = Echoes(
            clock, Identity(_SECRET), lambda token, _at, what, _rtt: self.answers.append((token, what))
        )
        self.socket = _PingSocket(ping, 0x4201, stamps.Departures(ping))
        self.echoes._sockets[socket.AF_INET] = self.socket
        for token in (1, 2):
            self.echoes.send(Probe(Flow(Protocol.ICMP, SERVER), ttl=token), socket.AF_INET, token, 10.0)

    def __call__(self, data: bytes) -> None:
        """The same bytes as an answer, and as what an error quotes."""
        self.answers.clear()
        error = struct.pack("@IBBBBIHBx", 113, 2, 11, 0, 0, 0, 0, 0) + struct.pack("@HH4s8x", 2, 0, b"\x0a\0\0\1")
        self.ping.unread = [(data, [])]
        self.ping.errors = [(data, [(0, 11, error)])]
        self.echoes._read(self.socket)
        assert len(self.answers) <= 2
        for token, what in self.answers:
            sent = self.echoes._sent[token]
            assert struct.pack("!H", sent.sequence) in data
            assert isinstance(what, errqueue.Failed) or sent.nonce in data
        assert len(self.echoes._sent) == 2


def rung_seeds() -> Iterator[bytes]:
    for request in Rung().ping.sent:
        yield b"\0" + request[1:]
        yield request
        yield request[:8]
        yield request.ljust(100, b"\0") + extension()
