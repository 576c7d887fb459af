"""A vantage with somebody in front of the screen: who looks now and then, and may want to stop.

Both happen between two events, never inside a session: what is known then is whole.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from netprobe.probing.port import Event, Request, Usage, Vantage

_SHARE = 20.0  # who looks gets one part of so many of the time
_SAME_SIGNAL_S = 0.5
_STOPPING = (signal.SIGINT, signal.SIGTERM)


class Stopped(Exception):  # noqa: N818  # nothing went wrong: the user has seen enough
    """The user wants no more; `code` is for the shell."""

    def __init__(self, code: int) -> None:
        super().__init__("interrupted")
        self.code = code


class Attended:
    """`vantage`, and `look` called every `every_s` seconds while it is waited for an event."""

    def __init__(self, vantage: Vantage, look: Callable[[], None] | None = None, every_s: float = 0.1) -> None:
        self._vantage = vantage
        self._look = look
        self._every_s = every_s
        self._look_at = vantage.now()
        self._signal = 0
        self._stopped_s = 0.0
        self._waiting = False

    @contextmanager
    def stoppable(self) -> Iterator[None]:
        """Turn the first Ctrl-C (or SIGTERM) of the block into `Stopped`; a second one ends the process at once.

        That holds behind the block too, where what is known is printed. A signal that comes right after the first is
        the same one: a group gets it from the terminal, and its leader may pass it on.
        """
        before = {number: signal.signal(number, self._stop) for number in _STOPPING}
        try:
            yield
        finally:
            if not self._signal:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._signal, self._stopped_s = number, time.monotonic()
        for each in _STOPPING:
            signal.signal(each, self._again)
        self._raise_if_waiting()

    def _again(self, number: int, frame: FrameType | None) -> None:
        del frame
        if time.monotonic() - self._stopped_s > _SAME_SIGNAL_S:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _raise_if_waiting(self) -> None:
        if self._waiting and self._signal:
            raise Stopped(128 + self._signal)

    def now(self) -> float:
        """Monotonic seconds."""
        return self._vantage.now()

    def send(self, request: Request) -> int:
        """Start `request`."""
        return self._vantage.send(request)

    def usage(self) -> Usage:
        """What was sent."""
        return self._vantage.usage()

    def receive(self, until: float) -> Event | None:
        """The next event; in between, whoever attends may look."""
        while True:
            now = self._vantage.now()
            if self._look and now >= self._look_at:
                self._look()
                after = self._vantage.now()
                self._look_at = after + max(self._every_s, _SHARE * (after - now))
            self._waiting = True
            try:
                self._raise_if_waiting()
                event = self._vantage.receive(min(until, self._look_at) if self._look else until)
            finally:
                self._waiting = False
            if event is not None or self._vantage.now() >= until:
                return event
