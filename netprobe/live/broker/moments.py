"""Stamps of the kernel brought to the monotonic clock, and those of the packets that one socket has sent.

The kernel stamps with the wall clock, which may be set at any moment. A stamp is therefore turned into an age when it
is read: a step of the clock can then only hurt between a packet's coming and our reading it, and is noticed there.
"""

import struct
import time

TYPE_CHECKING = False  # the typing module is a megabyte
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Iterator

SOL_SOCKET = 1
SO_TIMESTAMPNS = 35  # linux/socket.h; SCM_TIMESTAMPNS is the same number
MSG_ERRQUEUE = 0x2000
ANCILLARY_BYTES = 256
TIMESPEC = struct.Struct("@qq")
_SO_TIMESTAMPING = 37  # SCM_TIMESTAMPING is the same number
_TX_SOFTWARE, _SOFTWARE, _OPT_ID, _OPT_TSONLY = 1 << 1, 1 << 4, 1 << 7, 1 << 11  # linux/net_tstamp.h
_ORIGIN_TIMESTAMPING = 4  # linux/errqueue.h
_EXTENDED_ERROR = struct.Struct("@IBBBBII")
QUEUED_ERROR = ((0, 11), (41, 25))  # IP_RECVERR, IPV6_RECVERR
_CLOCK_ATTEMPTS, _CLOCK_GAP_S = 4, 5e-6  # somebody else had the processor in between: ask again
_MOST_PENDING = 4096  # departures whose stamp has not come: some devices never stamp
_OLDEST_S = 5.0  # nothing waits longer in a socket that is being read: an older stamp means that the clock was set


def clocks() -> tuple[float, int]:
    """The monotonic clock (s) and the wall clock (ns) at the same moment, to a few microseconds even under load."""
    for _ in range(_CLOCK_ATTEMPTS):
        before = time.monotonic()
        wall_ns = time.time_ns()
        after = time.monotonic()
        if after - before < _CLOCK_GAP_S:
            break
    return (before + after) / 2, wall_ns


def to_monotonic(stamp: bytes, now: float, wall_ns: int) -> float | None:
    """The monotonic moment of `stamp` (a timespec of the wall clock), None when the clock was set since."""
    seconds, nanoseconds = TIMESPEC.unpack_from(stamp)
    age = (wall_ns - seconds * 1_000_000_000 - nanoseconds) * 1e-9
    return now - age if 0.0 <= age < _OLDEST_S else None


class Departures:
    """When the packets of one sending socket were given to the device, by the kernel (SO_TIMESTAMPING).

    The stamps wait in the socket's error queue until somebody asks. The kernel numbers the packets of a socket, and so
    do we; where a packet failed nobody knows whether it was counted, and both begin again.
    """

    def __init__(self, sock: "socket") -> None:
        self._sock = sock
        self._pending: dict[int, int] = {}  # the kernel's number -> token, oldest first
        self._next = 0
        self._begin()

    def _begin(self) -> None:
        self._pending.clear()
        self._next = 0
        try:
            for flags in (0, _TX_SOFTWARE | _SOFTWARE | _OPT_ID | _OPT_TSONLY):
                self._sock.setsockopt(SOL_SOCKET, _SO_TIMESTAMPING, flags)
        except OSError:  # no stamps: the clock has to do
            return

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

    def read(self, *, to_the_end: bool = False) -> "Iterator[tuple[int, float]]":
        """The tokens whose stamps have come since, and when they left (monotonic seconds). Never waits.

        Nothing is read while no stamp is awaited, unless `to_the_end`. A stamp from before the count began again may
        name a younger packet: it is older than that packet's sending.
        """
        while self._pending or to_the_end:
            try:
                _, ancillary, _, _ = self._sock.recvmsg(0, ANCILLARY_BYTES, MSG_ERRQUEUE)
            except OSError:
                return
            now, wall_ns = clocks()
            number, at_s = -1, None
            for level, kind, value in ancillary:
                if (level, kind) == (SOL_SOCKET, _SO_TIMESTAMPING) and len(value) >= TIMESPEC.size:
                    at_s = to_monotonic(value, now, wall_ns)
                elif (level, kind) in QUEUED_ERROR and len(value) >= _EXTENDED_ERROR.size:
                    _, origin, _, _, _, _, data = _EXTENDED_ERROR.unpack_from(value)
                    number = data if origin == _ORIGIN_TIMESTAMPING else -1
            token = self.departed(number)
            if token is not None and at_s is not None:
                yield token, at_s
