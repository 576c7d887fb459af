"""Others who keep the queue of a link full: frames that wait in it before ours and that nobody takes at the other end.

What they want beyond that is not sent: the rules drop the part of our packets that would not have found room. So the
queue is filled up from time to time, by an account of what has left it meanwhile.
"""

import itertools
import math
import random
import socket

_FRAME = 1514  # bytes, as tc-tbf counts them
_TO_NOBODY = bytes.fromhex("02000000dead02000000beef88b5")  # EtherType: IEEE 802, 9.2.3, for experiments
_PAUSE_S = 0.004
_HELD, _MOST = 4096, 1 << 23  # bytes of a buffer that a frame takes at most, and that are asked for
_LEAST = 0.85  # how far a queue that others keep full runs empty again; see `links`


class Filler:
    """Keeps a queue of `rate` bytes a second for `queue_s` seconds full, from now on until it is closed.

    `device` is the one that the queue is in front of, in this process's network namespace of the moment.
    """

    def __init__(self, device: str, rate: float, queue_s: float, seed: str) -> None:
        self._rate = rate
        self._room = rate * queue_s
        # Each may have so much under way that its own buffer allows, which would be the shorter queue.
        first = _open(device)
        each = first.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // _HELD
        more = math.ceil(self._room / _FRAME / each)
        self._all = [first, *(_open(device) for _ in range(more))]
        self._sockets = itertools.cycle(self._all)
        self._draw = random.Random(seed)  # a model
        self._waiting = 0.0
        self._at = 0.0

    def close(self) -> None:
        """No more of it; what waits leaves."""
        for one in self._all:
            one.close()

    def next_at(self) -> float:
        """When there is something to do next."""
        return self._at + _PAUSE_S

    def release(self, now: float) -> None:
        """Fill the queue up."""
        self._waiting = max(0.0, self._waiting - (now - self._at) * self._rate)
        self._at = now
        wanted = self._room * self._draw.uniform(_LEAST, 1.0)
        frame = _TO_NOBODY.ljust(_FRAME, b"\0")
        refused = 0
        while self._waiting + _FRAME <= wanted and refused < len(self._all):
            try:
                next(self._sockets).send(frame)
            except OSError:  # it is full, or its device is down
                refused += 1
            else:
                self._waiting += _FRAME


def _open(device: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    made.bind((device, 0))
    made.settimeout(0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST)
    return made
