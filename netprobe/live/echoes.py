"""ICMP echo probes over ping sockets (icmp(7)), which need no right where the machine's administrator allows a group.

One socket for each version of IP carries all flows: its identifier is random, the TTL goes with each packet, and what
routers say comes by the error queue. A flow keeps its checksum, which load balancers hash, as it does on raw sockets.
"""

import socket
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from netprobe.live import chance, codec, errqueue, stamps
from netprobe.live.binding import by
from netprobe.live.errqueue import Departed, Failed
from netprobe.live.identity import Identity
from netprobe.live.reactor import READ, Reactor
from netprobe.model.probes import Probe, Reply, ReplyKind

_IPV6_HOPLIMIT = 52
_RECEIVE_AT_ONCE = 256
_RECEIVE_BUFFER = 1 << 21
_REMEMBER_S, _REMEMBER_PROBES = 30.0, 100_000
_MARK_ATTEMPTS, _SEND_ATTEMPTS, _BIND_ATTEMPTS = 8, 8, 64
_CLOCK_ERROR_S = 50e-6  # between the clock and a stamp brought to it


class _Sent(NamedTuple):
    """An echo request that has left at `at_s`: by the clock before it was sent, or by the kernel's stamp."""

    token: int
    at_s: float
    destination: str
    sequence: int
    nonce: bytes


class _PingSocket(NamedTuple):
    sock: socket.socket
    ident: int
    departures: stamps.Departures


def open_ping_socket(family: socket.AddressFamily) -> socket.socket:
    """A ping socket with a random identifier. Raises OSError: EACCES where no group of ours may."""
    over_v6 = family == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if over_v6 else socket.IPPROTO_ICMP
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    try:
        for left in reversed(range(_BIND_ATTEMPTS)):  # the kernel would count up, which everybody can guess
            try:
                sock.bind(("", 1 + chance.below(0xFFFE)))
                break
            except OSError:
                if not left:
                    raise
    except OSError:
        sock.close()
        raise
    return sock


class Echoes:
    """Sends echo requests and calls `answer(token, at_s, what, rtt_s)` for what comes of them."""

    def __init__(
        self, reactor: Reactor, identity: Identity, answer: Callable[[int, float, Failed | Reply, float], None]
    ) -> None:
        self._reactor = reactor
        self._identity = identity
        self._answer = answer
        self._sockets: dict[socket.AddressFamily, _PingSocket] = {}
        self._sent: OrderedDict[int, _Sent] = OrderedDict()  # by token, oldest first
        self._by_quote: dict[tuple[str, int], int] = {}
        self._by_nonce: dict[bytes, int] = {}

    def close(self) -> None:
        """Close the sockets."""
        for ping in self._sockets.values():
            self._reactor.forget(ping.sock.fileno())
            ping.sock.close()
        self._sockets.clear()

    def send(self, probe: Probe, family: socket.AddressFamily, token: int, now: float, link: str = "") -> int:
        """Send `probe`, whose destination is in its usual form, by `link`; the packet's size. Raises OSError."""
        self._expire(now)
        ping = self._sockets.get(family) or self._open(family)
        destination = probe.flow.destination
        for attempt in range(_MARK_ATTEMPTS):
            mark = self._identity.mark(probe.flow, token, attempt)
            if (destination, mark.sequence) not in self._by_quote:
                break
        # The kernel fills the checksum in: two bytes of the payload see to it that it is the flow's.
        made_up = codec.checksum(struct.pack("!HH", mark.sequence, mark.check) + mark.nonce)
        body = codec.ICMP.pack(_REQUEST[family], 0, 0, ping.ident, mark.sequence) + mark.nonce
        body += struct.pack("!H", made_up)
        body = body.ljust(probe.size - codec.header_bytes(destination), bytes([probe.fill]))
        at_s = self._reactor.now()
        self._hand_over(ping, body, probe, by(link, family))
        ping.departures.sent(token)
        self._sent[token] = _Sent(token, at_s, destination, mark.sequence, mark.nonce)
        self._by_quote[destination, mark.sequence] = token
        self._by_nonce[mark.nonce] = token
        return codec.header_bytes(destination) + len(body)

    def _open(self, family: socket.AddressFamily) -> _PingSocket:
        sock = open_ping_socket(family)
        errqueue.prepare(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        ping = _PingSocket(sock, int(sock.getsockname()[1]), stamps.Departures(sock))
        self._sockets[family] = ping
        self._reactor.watch(sock.fileno(), READ, lambda: self._read(ping))
        return ping

    def _hand_over(self, ping: _PingSocket, body: bytes, probe: Probe, beside: list[tuple[int, int, bytes]]) -> None:
        """Give the packet to the kernel; an error that an earlier packet drew stands in nobody's way."""
        destination, family = probe.flow.destination, ping.sock.family
        marks = [(*_TTL[family], struct.pack("@i", probe.ttl)), *beside]
        if probe.flow.tos:
            marks.append((*stamps.TRAFFIC_CLASS[family], struct.pack("@i", probe.flow.tos)))
        for left in reversed(range(_SEND_ATTEMPTS)):
            try:
                ping.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                ping.sock.sendmsg([body], marks, 0, (destination, 0))
            except OSError:
                before = ping.departures
                if not (left and self._read_errors(ping)):
                    before.failed()
                    raise
            else:
                return

    def _read(self, ping: _PingSocket) -> None:
        self._read_errors(ping)
        for _ in range(_RECEIVE_AT_ONCE):
            try:
                arrival = stamps.receive(ping.sock)
            except OSError:  # nothing more, or an error that came meanwhile: the queue has it
                return
            self._reactor.lateness.note(arrival.at_s, arrival.waited_s)
            self._reply(arrival)

    def _read_errors(self, ping: _PingSocket) -> bool:
        """Whether an ICMP error was among what waited in the queue."""
        told = False
        for entry in errqueue.read(ping.sock):
            if isinstance(entry, Departed):
                self._stamp(ping.departures.departed(entry.number), entry.at_s)
            else:
                told = True
                self._reactor.lateness.note(entry.at_s, entry.waited_s)
                self._error(entry)
        return told

    def _stamp(self, token: int | None, at_s: float) -> None:
        sent = self._sent.get(token) if token is not None else None
        if sent and at_s > sent.at_s - _CLOCK_ERROR_S:
            self._sent[sent.token] = sent._replace(at_s=max(at_s, sent.at_s))

    def _error(self, failed: Failed) -> None:
        """An error quotes our request: the kernel has checked its identifier, the sequence number is keyed."""
        if len(failed.quote) < codec.ICMP.size:
            return
        *_, sequence = codec.ICMP.unpack_from(failed.quote)
        sent = self._find(self._by_quote.get((failed.destination, sequence)))
        if sent and errqueue.agrees(failed.quote[codec.ICMP.size :], sent.nonce):
            self._answer(sent.token, failed.at_s, failed, max(0.0, failed.at_s - sent.at_s))

    def _reply(self, arrival: stamps.Arrival) -> None:
        """An echo reply brings the nonce back, which only who got the request can know."""
        head = codec.ICMP.size + codec.NONCE_BYTES
        if len(arrival.data) < head:
            return
        kind, code, _, _, sequence = codec.ICMP.unpack_from(arrival.data)
        sent = self._find(self._by_nonce.get(arrival.data[codec.ICMP.size : head]))
        if sent is None or sent.sequence != sequence or kind not in _REPLIES:
            return
        rtt_s = max(0.0, arrival.at_s - sent.at_s)
        reply = Reply(ReplyKind.ECHO_REPLY, arrival.source, rtt_s, ttl=arrival.ttl, icmp_type=kind, icmp_code=code)
        self._answer(sent.token, arrival.at_s, reply, rtt_s)

    def _find(self, token: int | None) -> _Sent | None:
        return self._sent.get(token) if token is not None else None

    def _expire(self, now: float) -> None:
        """Forget what nobody will answer any more."""
        while self._sent:
            sent = next(iter(self._sent.values()))
            if now - sent.at_s <= _REMEMBER_S and len(self._sent) < _REMEMBER_PROBES:
                break
            del self._sent[sent.token]
            if self._by_quote.get((sent.destination, sent.sequence)) == sent.token:
                del self._by_quote[sent.destination, sent.sequence]
            self._by_nonce.pop(sent.nonce, None)


_REQUEST = {socket.AF_INET: codec.ICMP_ECHO, socket.AF_INET6: codec.ICMPV6_ECHO}
_REPLIES = (codec.ICMP_ECHO_REPLY, codec.ICMPV6_ECHO_REPLY)
_TTL = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TTL),
    socket.AF_INET6: (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT),
}
