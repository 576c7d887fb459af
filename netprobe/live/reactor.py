"""The one wait of the live vantage: sockets and timers behind one epoll, in one thread.

Everything else here is a state machine that is called when its socket is ready or its time has come.
"""

import heapq
import itertools
import math
import select
import time
from collections import deque
from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
_SELECT_LIMIT = 1024  # FD_SETSIZE
_LATENESS_KEPT = 8192


class Timer:
    """A call that is due at `when`, unless it is cancelled before."""

    __slots__ = ("call", "cancelled", "when")

    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when = when
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        """Never call."""
        self.cancelled = True


class Lateness:
    """How late this process was, of late: at waking, and at reading what had come.

    A starved process measures itself: its time-outs are over before it has looked for the replies.
    """

    def __init__(self) -> None:
        self._noted: deque[tuple[float, float]] = deque(maxlen=_LATENESS_KEPT)

    def note(self, due_s: float, late_s: float) -> None:
        """What was due at `due_s` (monotonic) happened `late_s` seconds later."""
        self._noted.append((due_s, late_s))

    def since(self, since_s: float, share: float = 1.0) -> float:
        """Seconds that `share` of all that was due after `since_s` was late at most; 0 when nothing was."""
        late = sorted(late for due, late in self._noted if due >= since_s)
        return late[max(0, math.ceil(share * len(late)) - 1)] if late else 0.0

    def overdue(self, since_s: float) -> float:
        """Seconds after `since_s` in which something was due and not done yet, each counted once."""
        total, counted = 0.0, since_s
        for due, late in sorted(self._noted):
            if due + late > counted:
                total += due + late - max(due, counted)
                counted = due + late
        return total


class Reactor:
    """Watches descriptors and timers. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.lateness = Lateness()
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def close(self) -> None:
        """Forget everything; the watched sockets belong to others."""
        self._calls.clear()
        self._timers.clear()
        self._epoll.close()

    def now(self) -> float:
        """The clock of all times here."""
        return time.monotonic()

    def watch(self, descriptor: int, events: int, call: Callable[[], None]) -> None:
        """Call `call` whenever `descriptor` is ready for `events`, or is in error; replaces the watch before."""
        if descriptor in self._calls:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._calls[descriptor] = call

    def forget(self, descriptor: int) -> None:
        """Watch `descriptor` no longer; to be called before it is closed."""
        if self._calls.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def at(self, when: float, call: Callable[[], None]) -> Timer:
        """Call `call` at `when`."""
        timer = Timer(when, call)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        return timer

    def turn(self, until: float) -> None:
        """Wait for whatever comes first, at most until `until`, and make the calls that are due."""
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        if self._timers:
            until = min(until, self._timers[0][0])
            overdue = time.monotonic() - self._timers[0][0]
            if overdue > 0:  # this process was kept from coming here in time
                self.lateness.note(self._timers[0][0], overdue)
        self._wait(until - time.monotonic())
        for descriptor, _ in self._epoll.poll(0):
            call = self._calls.get(descriptor)
            if call is not None:  # an earlier call of this turn may have closed it
                call()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                timer.call()

    def _wait(self, timeout_s: float) -> None:
        """Sleep until something is ready.

        epoll counts in whole milliseconds, which would make every probe late: select() over the epoll descriptor counts
        in microseconds.
        """
        if timeout_s <= 0:
            return
        due = time.monotonic() + timeout_s
        if self._epoll.fileno() < _SELECT_LIMIT:
            select.select((self._epoll,), (), (), timeout_s if timeout_s < 1e6 else None)
        else:
            self._epoll.poll(min(timeout_s, 60.0), 1)
        late = time.monotonic() - due
        if late > 0:
            self.lateness.note(due, late)
