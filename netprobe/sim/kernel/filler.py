"""Others who keep the queue of a link full: frames that wait in it before ours and that nobody takes at the other end.

What they want beyond that is not sent: the rules drop the part of our packets that would not have found room. So the
queue is filled up from time to time, by an account of what has left it meanwhile.
"""

import contextlib
import random
import socket

_FRAME = 1514  # bytes, as tc-tbf counts them
_TO_NOBODY = bytes.fromhex("02000000dead02000000beef88b5")  # EtherType: IEEE 802, 9.2.3, for experiments
_PAUSE_S = 0.004
_SO_SNDBUFFORCE = 32  # asm-generic/socket.h
_LEAST = 0.85  # how far a queue that others keep full runs empty again; see `links`


class Filler:
    """Keeps a queue of `rate` bytes a second for `queue_s` seconds full, from now on until it is closed.

    `device` is the one that the queue is in front of, in this process's network namespace of the moment.
    """

    def __init__(self, device: str, rate: float, queue_s: float, seed: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.bind((device, 0))
        self._socket.settimeout(0)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 1 << 23)  # or this would be the shorter queue
        self._rate = rate
        self._room = rate * queue_s
        self._draw = random.Random(seed)  # a model
        self._waiting = 0.0
        self._at = 0.0

    def close(self) -> None:
        """No more of it; what waits leaves."""
        self._socket.close()

    def next_at(self) -> float:
        """When there is something to do next."""
        return self._at + _PAUSE_S

    def release(self, now: float) -> None:
        """Fill the queue up."""
        self._waiting = max(0.0, self._waiting - (now - self._at) * self._rate)
        self._at = now
        wanted = self._room * self._draw.uniform(_LEAST, 1.0)
        frame = _TO_NOBODY.ljust(_FRAME, b"\0")
        with contextlib.suppress(OSError):  # it is full, or its device is down
            while self._waiting + _FRAME <= wanted:
                self._socket.send(frame)
                self._waiting += _FRAME
