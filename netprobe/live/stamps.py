"""Kernel time stamps of packets that came in; `broker.moments` has what they have in common with those that left."""

import _socket
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from netprobe.live.broker.moments import (
    ANCILLARY_BYTES,
    QUEUED_ERROR,
    SO_TIMESTAMPNS,
    TIMESPEC,
    Departures,
    clocks,
    to_monotonic,
)

__all__ = [
    "QUEUED_ERROR",
    "SO_TIMESTAMPNS",
    "Arrival",
    "Departures",
    "clocks",
    "moment",
    "receive",
    "unix_ns",
    "want_stamps",
    "want_ttl",
]

_IP_RECVTTL = 12
_IPV6_RECVHOPLIMIT, _IPV6_HOPLIMIT = 51, 52
#: The option that sets a packet's DSCP and ECN.
TRAFFIC_CLASS = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TOS),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
}
_TTLS = ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT))
_LARGEST_PACKET = 65535


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


def unix_ns(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The kernel's stamp among what came beside a datagram, nanoseconds of Unix time; 0 without one."""
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(value) >= TIMESPEC.size:
            seconds, nanoseconds = TIMESPEC.unpack_from(value)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0


def receive(sock: _socket.socket) -> Arrival:
    """The next datagram of a non-blocking socket. Raises OSError as recvmsg does."""
    data, ancillary, _, address = sock.recvmsg(_LARGEST_PACKET, ANCILLARY_BYTES)
    at_s, waited_s, ttl = moment(ancillary)
    source, port = (address[0], address[1]) if address else ("", 0)
    return Arrival(data, at_s, source, port, ttl, waited_s)


def moment(ancillary: Iterable[tuple[int, int, bytes]]) -> tuple[float, float, int]:
    """When what was just read came (monotonic seconds), how long it has waited, and its TTL (-1 where unknown)."""
    now, wall_ns = clocks()
    at_s, ttl = now, -1
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(value) >= TIMESPEC.size:
            at_s = to_monotonic(value, now, wall_ns) or now
        elif (level, kind) in _TTLS and len(value) >= 4:
            (ttl,) = struct.unpack_from("@i", value)
    return at_s, now - at_s, ttl
