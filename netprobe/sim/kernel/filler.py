"""Others who keep the queue of a link full: frames that wait in it before ours and that nobody takes at the other end.

What they want beyond that is not sent: the rules drop the part of our packets that would not have found room. The
queue is looked at from time to time, and filled up to what there is at that time in virtual time's too.
"""

import itertools
import math
import socket
import struct
import sys

from netprobe.sim.kernel.queues import NETEM, TBF
from netprobe.sim.links import others_wait_s

_FRAME = 1514  # bytes, as tc-tbf counts them
_TO_NOBODY = bytes.fromhex("02000000dead02000000beef88b5")  # EtherType: IEEE 802, 9.2.3, for experiments
_PAUSE_S = 0.004
_HELD, _MOST = 4096, 1 << 23  # bytes of a buffer that a frame takes at most, and that are asked for
# linux/rtnetlink.h, linux/netlink.h, linux/pkt_sched.h
_RTM_NEWQDISC, _RTM_GETQDISC, _TCA_STATS = 36, 38, 3
_NLM_F_REQUEST, _NLM_F_ECHO = 1, 8  # without the second only who listens to all changes hears the answer
_HEADER, _DISCIPLINE, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BxxxiIII"), struct.Struct("=HH")
_BACKLOG = 32  # where it stands in struct tc_stats, behind what was sent and dropped
_ANSWER = 4096


class Filler:
    """Keeps a queue of `rate` bytes a second for `queue_s` seconds full, from now on until it is closed.

    `device` is the one that the queue is in front of, in this process's network namespace of the moment; what comes to
    it is under way for `delay_s` first. `phase` is where in its cycle the queue is.
    """

    def __init__(self, device: str, rate: float, queue_s: float, phase: float, delay_s: float = 0.0) -> None:
        self._rate = rate
        self._queue_s = queue_s
        self._phase = phase
        self._delay_s = delay_s
        self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._index = socket.if_nametoindex(device)
        # Each may have so much under way that its own buffer allows, which would be the shorter queue.
        first = _open(device)
        each = first.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // _HELD
        more = math.ceil(rate * (queue_s + delay_s) / _FRAME / each)
        self._all = [first, *(_open(device) for _ in range(more))]
        self._sockets = itertools.cycle(self._all)
        self._at = 0.0

    def close(self) -> None:
        """No more of it; what waits leaves."""
        for one in (self._kernel, *self._all):
            one.close()

    def next_at(self) -> float:
        """When there is something to do next."""
        return self._at + _PAUSE_S

    def release(self, now: float) -> None:
        """Fill the queue up."""
        self._at = now
        wanted = self._rate * (others_wait_s(now, self._queue_s, self._phase) + self._delay_s)
        frame = _TO_NOBODY.ljust(_FRAME, b"\0")
        missing, refused = int((wanted - self._waiting()) / _FRAME), 0
        while missing > 0 and refused < len(self._all):
            try:
                next(self._sockets).send(frame)
            except OSError:  # it is full, or its device is down
                refused += 1
            else:
                missing -= 1

    def _waiting(self) -> int:
        """Bytes in the queue, whosever they are, and those on the way to it."""
        return self._backlog(TBF) + (self._backlog(NETEM) if self._delay_s else 0)

    def _backlog(self, handle: int) -> int:
        asked = _DISCIPLINE.pack(socket.AF_UNSPEC, self._index, handle, 0, 0)
        self._kernel.send(
            _HEADER.pack(_HEADER.size + len(asked), _RTM_GETQDISC, _NLM_F_REQUEST | _NLM_F_ECHO, 0, 0) + asked
        )
        answer = self._kernel.recv(_ANSWER)
        _, kind, *_ = _HEADER.unpack_from(answer)
        at = _HEADER.size + _DISCIPLINE.size
        while kind == _RTM_NEWQDISC and at < len(answer):
            length, attribute = _ATTRIBUTE.unpack_from(answer, at)
            if attribute == _TCA_STATS:
                return int.from_bytes(answer[at + 4 + _BACKLOG :][:4], sys.byteorder)
            at += (length + 3) & ~3 or len(answer)  # netlink(7): attributes are aligned
        return 0


def _open(device: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    made.bind((device, 0))
    made.settimeout(0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST)
    return made
