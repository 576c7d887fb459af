"""Probes that each have a socket of their own: UDP datagrams, and TCP SYNs by connect(). They need no right at all.

The socket is a probe's identity: the kernel hands it only what belongs to its addresses and ports (of TCP, to its
sequence number, RFC 9293, 3.10.7.3). So no two probes share a four-tuple, and none of them a flow.
"""

import errno
import resource
import socket
import struct
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from netprobe.live import codec, dissect, errqueue, stamps
from netprobe.live.binding import bind
from netprobe.live.errqueue import Departed, Failed
from netprobe.live.identity import Identity
from netprobe.live.reactor import READ, WRITE, Reactor, Timer
from netprobe.live.tcp_info import connected_after, is_opening
from netprobe.model.probes import Probe, Protocol, Reply, ReplyKind

_MOST_SOCKETS = 1024
_PATIENCE_S = 1.0  # what sessions wait for an answer: a younger socket is not taken away for another probe
_DATAGRAM_S = 3.0  # how late an answer to a datagram may be
_CONNECT_S = 0.9  # before the kernel would send the SYN again (RFC 6298, 2.1: after a second)
_LINGER_NOT = struct.pack("@ii", 1, 0)  # close() is a RST: no FIN, no TIME-WAIT
_TX_SOFTWARE, _SOFTWARE, _OPT_ID, _OPT_TSONLY = 1 << 1, 1 << 4, 1 << 7, 1 << 11  # linux/net_tstamp.h
_SO_TIMESTAMPING = 37
_TTL = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TTL),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS),
}
_SYN_BYTES = 40  # the kernel's own SYN with its options, without the IP header
_TIME_STAMP_BYTES = 12  # RFC 7323, appendix A
_CLOCK_ERROR_S = 50e-6  # between the clock and a stamp brought to it

Answer = Callable[[int, float, Failed | Reply, float], None]


@dataclass(slots=True, eq=False)
class _Open:
    """A probe whose answer may still come. `payload` is what a quote must agree with."""

    token: int
    sock: socket.socket
    probe: Probe
    at_s: float
    timer: Timer
    payload: bytes = b""
    nonce: bytes = b""


class LoneSockets:
    """Sends probes and calls `answer(token, at_s, what, rtt_s)` for what comes of them, once for each at most."""

    def __init__(self, reactor: Reactor, identity: Identity, answer: Answer, count: Callable[[int, int], None]) -> None:
        self._reactor = reactor
        self._identity = identity
        self._answer = answer
        self._count = count  # told the packets and bytes that the kernel has sent for us beside the probe
        self._open: OrderedDict[int, _Open] = OrderedDict()  # by token, oldest first

    def close(self) -> None:
        """Close all sockets."""
        for open_ in list(self._open.values()):
            self._end(open_)

    def send(self, probe: Probe, family: socket.AddressFamily, token: int, link: str = "") -> int:
        """Send `probe`, whose destination is in its usual form, by `link`; the packet's size. Raises OSError."""
        self._make_room()
        if probe.flow.protocol is Protocol.TCP:
            return self._connect(probe, family, token, link)
        return self._datagram(probe, family, token, link)

    def _socket(self, probe: Probe, family: socket.AddressFamily, kind: socket.SocketKind, link: str) -> socket.socket:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            bind(sock, link)
            errqueue.prepare(sock)
            level, option = _TTL[family]
            sock.setsockopt(level, option, probe.ttl)
            if probe.flow.tos:  # of TCP the kernel keeps the ECN bits for itself
                sock.setsockopt(*stamps.TRAFFIC_CLASS[family], probe.flow.tos)
        except OSError:
            sock.close()
            raise
        return sock

    def _remember(self, open_: _Open, events: int, ready: Callable[[_Open], None]) -> None:
        self._open[open_.token] = open_
        self._reactor.watch(open_.sock.fileno(), events, lambda: ready(open_))

    def _expiry(self, token: int, after_s: float) -> Timer:
        return self._reactor.at(self._reactor.now() + after_s, lambda: self._expire(token))

    def _expire(self, token: int) -> None:
        open_ = self._open.get(token)
        if open_:
            self._end(open_)

    def _end(self, open_: _Open) -> None:
        del self._open[open_.token]
        open_.timer.cancel()
        self._reactor.forget(open_.sock.fileno())
        open_.sock.close()

    def _make_room(self) -> None:
        """Descriptors are bounded. Raises OSError (EMFILE) where every one may still be answered."""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if len(self._open) < (_MOST_SOCKETS if limit == resource.RLIM_INFINITY else min(_MOST_SOCKETS, limit // 2)):
            return
        oldest = next(iter(self._open.values()))
        if self._reactor.now() - oldest.at_s < _PATIENCE_S:
            raise OSError(errno.EMFILE, "too many probes at once")
        self._end(oldest)

    # -- datagrams ----------------------------------------------------------------------------------------------------

    def _datagram(self, probe: Probe, family: socket.AddressFamily, token: int, link: str) -> int:
        flow = probe.flow
        nonce = self._identity.mark(flow, token).nonce
        headers = codec.header_bytes(flow.destination) + codec.UDP.size
        if flow.protocol is Protocol.QUIC:
            payload = codec.quic_payload(nonce) + bytes(2)
        else:
            payload = nonce.ljust(probe.size - headers, bytes([probe.fill]))
        sock = self._socket(probe, family, socket.SOCK_DGRAM, link)
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, _TX_SOFTWARE | _SOFTWARE | _OPT_ID | _OPT_TSONLY)
            sock.connect((flow.destination, flow.port))
            at_s = self._reactor.now()
            sock.send(payload)
        except OSError:
            sock.close()
            raise
        open_ = _Open(token, sock, probe, at_s, self._expiry(token, _DATAGRAM_S), payload, nonce)
        self._remember(open_, READ, self._read_datagram)
        return headers + len(payload)

    def _read_datagram(self, open_: _Open) -> None:
        for entry in errqueue.read(open_.sock):
            if isinstance(entry, Departed):
                if entry.at_s > open_.at_s - _CLOCK_ERROR_S:
                    open_.at_s = max(open_.at_s, entry.at_s)
            elif errqueue.agrees(entry.quote, open_.payload):
                self._failed(open_, entry)
                return
        try:
            arrival = stamps.receive(open_.sock)
        except OSError:  # nothing there, or an error that came meanwhile: the queue has it
            return
        if open_.probe.flow.protocol is Protocol.QUIC and dissect.quic_nonce(arrival.data) != open_.nonce:
            return
        self._reactor.lateness.note(arrival.at_s, arrival.waited_s)
        rtt_s = max(0.0, arrival.at_s - open_.at_s)
        self._tell(open_, arrival.at_s, Reply(ReplyKind.UDP_DATA, arrival.source, rtt_s, ttl=arrival.ttl))

    # -- connections --------------------------------------------------------------------------------------------------

    def _connect(self, probe: Probe, family: socket.AddressFamily, token: int, link: str) -> int:
        flow = probe.flow
        size = codec.header_bytes(flow.destination) + _SYN_BYTES
        if probe.size > size:
            raise OSError(errno.EOPNOTSUPP, "the kernel's SYN has its own size")
        sock = self._socket(probe, family, socket.SOCK_STREAM, link)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        at_s = self._reactor.now()
        error = sock.connect_ex((flow.destination, flow.port))
        if error not in {0, errno.EINPROGRESS, errno.ECONNREFUSED}:
            sock.close()
            raise OSError(error, "connect")
        open_ = _Open(token, sock, probe, at_s, self._expiry(token, _CONNECT_S))
        self._remember(open_, WRITE, self._connected)
        if error == errno.ECONNREFUSED:  # at once: this very machine
            self._refused(open_)
        return size

    def _connected(self, open_: _Open) -> None:
        for entry in errqueue.read(open_.sock):
            if isinstance(entry, Failed):
                self._failed(open_, entry)
                return
        error = open_.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error == errno.ECONNREFUSED:
            self._refused(open_)
        elif error in {0, errno.ECONNRESET, errno.EPIPE}:  # a server may accept and reset at once
            if not is_opening(open_.sock):
                self._accepted(open_)
        else:
            self._end(open_)

    def _refused(self, open_: _Open) -> None:
        now = self._reactor.now()
        self._tell(open_, now, Reply(ReplyKind.RST, open_.probe.flow.destination, now - open_.at_s))

    def _accepted(self, open_: _Open) -> None:
        """The handshake is complete; the kernel has measured its round trip."""
        now = self._reactor.now()
        rtt_s = connected_after(open_.sock, now - open_.at_s)
        destination = open_.probe.flow.destination
        # The kernel's ACK, with a time stamp, and its RST.
        self._count(2, 2 * (codec.header_bytes(destination) + codec.TCP.size) + _TIME_STAMP_BYTES)
        self._reactor.lateness.note(open_.at_s + rtt_s, now - open_.at_s - rtt_s)
        self._tell(open_, open_.at_s + rtt_s, Reply(ReplyKind.SYN_ACK, destination, rtt_s))

    # -- both ---------------------------------------------------------------------------------------------------------

    def _failed(self, open_: _Open, failed: Failed) -> None:
        self._reactor.lateness.note(failed.at_s, failed.waited_s)
        token, rtt_s = open_.token, max(0.0, failed.at_s - open_.at_s)
        self._end(open_)
        self._answer(token, failed.at_s, failed, rtt_s)

    def _tell(self, open_: _Open, at_s: float, reply: Reply) -> None:
        self._end(open_)
        self._answer(open_.token, at_s, reply, reply.rtt_s)
