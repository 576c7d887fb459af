"""Kernel time stamps of received packets, brought to the monotonic clock.

The kernel stamps with the wall clock, which may be set at any moment. A stamp is therefore turned into an age when it
is read: a step of the clock can then only hurt between a packet's arrival and our reading it, and is noticed there.
"""

import socket
import struct
import time
from typing import NamedTuple

SO_TIMESTAMPNS = 35  # linux/socket.h; SCM_TIMESTAMPNS is the same number
_IP_RECVTTL = 12
_TIMESPEC = struct.Struct("@qq")
_ANCILLARY_BYTES = 256
_LARGEST_PACKET = 65535
_CLOCK_ATTEMPTS, _CLOCK_GAP_S = 4, 5e-6  # somebody else had the processor in between: ask again
_OLDEST_S = 5.0  # nothing waits longer in a socket that is being read: an older stamp means that the clock was set


class Arrival(NamedTuple):
    """A datagram, when it came in (monotonic seconds), from whom, and its TTL (-1 where the socket does not tell)."""

    data: bytes
    at_s: float
    source: str
    port: int
    ttl: int


def want_stamps(sock: socket.socket) -> None:
    """Ask for receive stamps in nanoseconds."""
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)


def want_ttl(sock: socket.socket) -> None:
    """Ask for the TTL of received IPv4 datagrams."""
    sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)


def _clocks() -> tuple[float, int]:
    """The monotonic clock (s) and the wall clock (ns) at the same moment, to a few microseconds even under load."""
    for _ in range(_CLOCK_ATTEMPTS):
        before = time.monotonic()
        wall_ns = time.time_ns()
        after = time.monotonic()
        if after - before < _CLOCK_GAP_S:
            break
    return (before + after) / 2, wall_ns


def receive(sock: socket.socket) -> Arrival:
    """The next datagram of a non-blocking socket. Raises OSError as recvmsg does."""
    data, ancillary, _, address = sock.recvmsg(_LARGEST_PACKET, _ANCILLARY_BYTES)
    now, wall_ns = _clocks()
    at_s, ttl = now, -1
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(value) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(value)
            age = (wall_ns - seconds * 1_000_000_000 - nanoseconds) * 1e-9
            if 0.0 <= age < _OLDEST_S:
                at_s = now - age
        elif (level, kind) == (socket.IPPROTO_IP, socket.IP_TTL) and len(value) >= 4:
            (ttl,) = struct.unpack_from("@i", value)
    source, port = (address[0], address[1]) if address else ("", 0)
    return Arrival(data, at_s, source, port, ttl)
