"""Kernel time stamps of packets that came and went, brought to the monotonic clock.

The kernel stamps with the wall clock, which may be set at any moment. A stamp is therefore turned into an age when it
is read: a step of the clock can then only hurt between a packet's arrival and our reading it, and is noticed there.
"""

import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

SO_TIMESTAMPNS = 35  # linux/socket.h; SCM_TIMESTAMPNS is the same number
_IP_RECVTTL = 12
_IPV6_RECVHOPLIMIT, _IPV6_HOPLIMIT = 51, 52
_SO_TIMESTAMPING = 37  # SCM_TIMESTAMPING is the same number
_TX_SOFTWARE, _SOFTWARE, _OPT_ID, _OPT_TSONLY = 1 << 1, 1 << 4, 1 << 7, 1 << 11  # linux/net_tstamp.h
_ORIGIN_TIMESTAMPING = 4  # linux/errqueue.h
_EXTENDED_ERROR = struct.Struct("@IBBBBII")
QUEUED_ERROR = ((socket.IPPROTO_IP, 11), (socket.IPPROTO_IPV6, 25))  # IP_RECVERR, IPV6_RECVERR
_TTLS = ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT))
_MSG_ERRQUEUE = 0x2000
_TIMESPEC = struct.Struct("@qq")
_ANCILLARY_BYTES = 256
_LARGEST_PACKET = 65535
_CLOCK_ATTEMPTS, _CLOCK_GAP_S = 4, 5e-6  # somebody else had the processor in between: ask again
_MOST_PENDING = 4096  # departures whose stamp has not come: some devices never stamp
_OLDEST_S = 5.0  # nothing waits longer in a socket that is being read: an older stamp means that the clock was set


class Arrival(NamedTuple):
    """A datagram, when it came in (monotonic seconds), from whom, and its TTL (-1 where the socket does not tell).

    `waited_s` is how long it lay in the socket until it was read.
    """

    data: bytes
    at_s: float
    source: str
    port: int
    ttl: int
    waited_s: float


def want_stamps(sock: socket.socket) -> None:
    """Ask for receive stamps in nanoseconds."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def want_ttl(sock: socket.socket) -> None:
    """Ask for the TTL, or the hop limit, of received datagrams."""
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)


def clocks() -> tuple[float, int]:
    """The monotonic clock (s) and the wall clock (ns) at the same moment, to a few microseconds even under load."""
    for _ in range(_CLOCK_ATTEMPTS):
        before = time.monotonic()
        wall_ns = time.time_ns()
        after = time.monotonic()
        if after - before < _CLOCK_GAP_S:
            break
    return (before + after) / 2, wall_ns


def unix_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The kernel's stamp among what came beside a datagram, nanoseconds of Unix time; 0 without one."""
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(value) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(value)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0


def receive(sock: socket.socket) -> Arrival:
    """The next datagram of a non-blocking socket. Raises OSError as recvmsg does."""
    data, ancillary, _, address = sock.recvmsg(_LARGEST_PACKET, _ANCILLARY_BYTES)
    at_s, waited_s, ttl = moment(ancillary)
    source, port = (address[0], address[1]) if address else ("", 0)
    return Arrival(data, at_s, source, port, ttl, waited_s)


def moment(ancillary: Iterable[tuple[int, int, bytes]]) -> tuple[float, float, int]:
    """When what was just read came (monotonic seconds), how long it has waited, and its TTL (-1 where unknown)."""
    now, wall_ns = clocks()
    at_s, ttl = now, -1
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(value) >= _TIMESPEC.size:
            at_s = _at(value, now, wall_ns) or now
        elif (level, kind) in _TTLS and len(value) >= 4:
            (ttl,) = struct.unpack_from("@i", value)
    return at_s, now - at_s, ttl


def _at(stamp: bytes, now: float, wall_ns: int) -> float | None:
    """The monotonic moment of `stamp` (a timespec of the wall clock), None when the clock was set since."""
    seconds, nanoseconds = _TIMESPEC.unpack_from(stamp)
    age = (wall_ns - seconds * 1_000_000_000 - nanoseconds) * 1e-9
    return now - age if 0.0 <= age < _OLDEST_S else None


class Departures:
    """When the packets of one sending socket were given to the device, by the kernel (SO_TIMESTAMPING).

    The stamps wait in the socket's error queue until somebody asks, and wake nobody. The kernel numbers the packets of
    a socket, and so do we; where a packet failed nobody knows whether it was counted, and both begin again.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._pending: dict[int, int] = {}  # the kernel's number -> token, oldest first
        self._next = 0
        self._begin()

    def _begin(self) -> None:
        self._pending.clear()
        self._next = 0
        with suppress(OSError):  # no stamps: the clock has to do
            for flags in (0, _TX_SOFTWARE | _SOFTWARE | _OPT_ID | _OPT_TSONLY):
                self._sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, flags)

    def sent(self, token: int) -> None:
        """The packet of `token` was sent."""
        self._pending[self._next] = token
        self._next = self._next + 1 & 0xFFFFFFFF
        if len(self._pending) > _MOST_PENDING:
            del self._pending[next(iter(self._pending))]

    def failed(self) -> None:
        """A packet could not be sent."""
        self._begin()

    def departed(self, number: int) -> int | None:
        """The token of the packet that the kernel's stamp calls `number`, once: for who reads the queue by himself."""
        return self._pending.pop(number, None)

    def read(self) -> Iterator[tuple[int, float]]:
        """The tokens whose stamps have come since, and when they left (monotonic seconds). Never waits.

        A stamp from before the count began again may name a younger packet: it is older than that packet's sending.
        """
        while self._pending:
            try:
                _, ancillary, _, _ = self._sock.recvmsg(0, _ANCILLARY_BYTES, _MSG_ERRQUEUE)
            except OSError:
                return
            now, wall_ns = clocks()
            number, at_s = -1, None
            for level, kind, value in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPING) and len(value) >= _TIMESPEC.size:
                    at_s = _at(value, now, wall_ns)
                elif (level, kind) in QUEUED_ERROR and len(value) >= _EXTENDED_ERROR.size:
                    _, origin, _, _, _, _, data = _EXTENDED_ERROR.unpack_from(value)
                    number = data if origin == _ORIGIN_TIMESTAMPING else -1
            token = self.departed(number)
            if token is not None and at_s is not None:
                yield token, at_s
