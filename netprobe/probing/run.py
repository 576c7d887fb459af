"""The one loop that joins sessions to a vantage.

A *session* is one measurement (a traceroute, a lookup). A *plan* is a generator that yields sessions and other plans in
batches and is sent back their results in the same order when all of the batch are done, so a whole diagnosis reads
from top to bottom:

    def plan() -> Plan[str]:
        (host,) = yield [ask(Inspect())]
        paths = yield [Traceroute(flow) for flow in flows]
        return "done"

The loop owns pacing: probes leave at most `rate` a second, whoever wants to send them.
"""

import heapq
from collections import deque
from collections.abc import Generator, Sequence
from typing import Any, Protocol, TypeVar

from msgspec import Struct, field

from netprobe.model.probes import Probe
from netprobe.probing.port import Event, Outcome, Over, Request, Vantage

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

DEFAULT_RATE = 400.0  # probes a second over all sessions: a guest's share of a home uplink
_BURST = 100.0  # at most this many probes leave at once to make up for a pause,
_BURST_S = 0.02  # and no more than this time's share
_ROUNDING = 1e-9
_FOREVER = float("inf")


class Session(Protocol[T_co]):
    """One measurement, driven from outside. `token` is what the vantage returned for a request of this session."""

    def next_request(self, now: float) -> Request | None:
        """What to send now, None when there is nothing to send at the moment. Asked again until None."""
        ...

    def sent(self, request: Request, token: int, now: float) -> None:
        """`request` has left; its events carry `token`."""
        ...

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Something came of the request that got `token`."""
        ...

    def deadline(self) -> float | None:
        """When to ask again if nothing arrives; None when done."""
        ...

    def result(self) -> T_co:
        """What was measured; valid once `deadline()` is None."""
        ...


Plan = Generator[Sequence["Session[Any] | Plan[Any]"], list[Any], T]
Task = Session[Any] | Plan[Any]


class Progress(Protocol):
    """Told what goes on, for people who watch."""

    def __call__(self, done: int, started: int, result: Any) -> None:
        """A session ended with `result` (an `Observation` in a survey); `done` of `started` are over."""
        ...


class _Node(Struct, eq=False):
    """A plan in the tree: the results of its batch as they come in, and its place in the plan that waits for it."""

    plan: Plan[Any]
    parent: "_Node | None" = None
    index: int = 0
    results: list[Any] = field(default_factory=list)
    missing: int = 0


class _Running(Struct, eq=False):
    """A session at work, and its place in the plan that waits for it."""

    session: Session[Any]
    parent: _Node
    index: int
    held: bool = False  # its next probe waits for its turn
    ready: bool = False  # it is to be asked what it wants to send
    wake: float = _FOREVER  # when to ask it if nothing arrives before


class _Pace:
    """A token bucket over probes (not over lookups or connections, which the survey bounds by number)."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.limit = min(_BURST, max(1.0, rate * _BURST_S))
        self.credit = self.limit
        self.at = now

    def ready_at(self, now: float) -> float:
        """When the next probe may leave: `now`, or later."""
        self.credit = min(self.limit, self.credit + (now - self.at) * self.rate)
        self.at = now
        return now if self.credit >= 1.0 - _ROUNDING else now + (1.0 - self.credit) / self.rate

    def spend(self) -> None:
        """One probe leaves."""
        self.credit -= 1.0


class _Loop:
    """State of one run: the sessions at work, whom a token belongs to, and the probes that wait for their turn."""

    def __init__(self, vantage: Vantage, rate: float, progress: Progress | None) -> None:
        self.vantage = vantage
        self.pace = _Pace(rate, vantage.now())
        self.progress = progress
        self.running: set[_Running] = set()
        self.ready: deque[_Running] = deque()  # to be asked, in order
        self.timers: list[tuple[float, int, _Running]] = []  # a heap; entries whose session has moved on are skipped
        self.set_timers = 0
        self.owner: dict[int, _Running] = {}
        self.held: deque[tuple[_Running, Request]] = deque()
        self.started = 0
        self.done = 0
        self.outcome: Any = None

    def start(self, task: Task, parent: _Node, index: int) -> None:
        """Begin a session, or a plan up to its first batch."""
        if isinstance(task, Generator):
            self.advance(_Node(task, parent, index), None)
        else:
            self.started += 1
            running = _Running(task, parent, index)
            self.running.add(running)
            self.make_ready(running)

    def advance(self, node: _Node, results: list[Any] | None) -> None:
        """Run a plan up to its next batch; a finished plan delivers its value to the plan that waits for it."""
        try:
            batch = list(node.plan.send(results))  # type: ignore[arg-type]  # None starts a generator
            while not batch:
                batch = list(node.plan.send([]))
        except StopIteration as stop:
            self.deliver(node.parent, node.index, stop.value)
            return
        node.results = [None] * len(batch)
        node.missing = len(batch)
        for index, task in enumerate(batch):
            self.start(task, node, index)

    def deliver(self, node: _Node | None, index: int, value: Any) -> None:
        """Hand a result to the plan that waits for it; it goes on when it was the last of the batch."""
        if node is None:
            self.outcome = value
            return
        node.results[index] = value
        node.missing -= 1
        if not node.missing:
            self.advance(node, node.results)

    def finish(self, running: _Running) -> None:
        """Retire a session."""
        self.running.remove(running)
        self.done += 1
        result = running.session.result()
        if self.progress:
            self.progress(self.done, self.started, result)
        self.deliver(running.parent, running.index, result)

    def send(self, running: _Running, request: Request) -> None:
        """Send a request and remember whose it is."""
        token = self.vantage.send(request)
        self.owner[token] = running
        running.session.sent(request, token, self.vantage.now())

    def receive(self, event: Event) -> None:
        """Hand an event to the session that it belongs to, if that is still interested."""
        owner = self.owner.get(event.token)
        if owner in self.running and owner is not None:
            owner.session.receive(event.token, event.outcome, self.vantage.now())
            self.make_ready(owner)

    def make_ready(self, running: _Running) -> None:
        """Ask it at the next opportunity, once, unless its probe waits for its turn: it is asked after that."""
        if not running.held and not running.ready:
            running.ready = True
            self.ready.append(running)

    def pump(self) -> float:
        """Send whatever may be sent and retire whoever is done; return when to look again.

        Only those are asked to whom something has happened: it costs nothing that a thousand others wait.
        """
        now = self.vantage.now()
        while self.timers and self.timers[0][0] <= now:
            when, _, running = heapq.heappop(self.timers)
            if running.wake == when:
                self.make_ready(running)
        self.release_held(now)
        while self.ready:
            running = self.ready.popleft()
            running.ready = False
            self.ask(running, now)
        wake = self.pace.ready_at(now) if self.held else _FOREVER
        return min(wake, self.timers[0][0]) if self.timers else wake

    def release_held(self, now: float) -> None:
        """Send the probes whose turn has come, oldest first."""
        while self.held and self.pace.ready_at(now) <= now:
            running, probe = self.held.popleft()
            running.held = False
            self.pace.spend()
            self.send(running, probe)
            self.make_ready(running)

    def ask(self, running: _Running, now: float) -> None:
        """Let one session send until it has nothing more to send, must wait for its turn, or is done."""
        running.wake = _FOREVER
        while (request := running.session.next_request(now)) is not None:
            if is_probe(request):
                if self.held or self.pace.ready_at(now) > now:
                    self.held.append((running, request))
                    running.held = True
                    return
                self.pace.spend()
            self.send(running, request)
        deadline = running.session.deadline()
        if deadline is None:
            self.finish(running)
            return
        running.wake = deadline
        self.set_timers += 1
        heapq.heappush(self.timers, (deadline, self.set_timers, running))


def run(plan: Plan[T], vantage: Vantage, *, rate: float = DEFAULT_RATE, progress: Progress | None = None) -> T:
    """Carry `plan` out over `vantage` and return its value. `rate` is in probes a second, over all sessions."""
    loop = _Loop(vantage, rate, progress)
    loop.advance(_Node(plan), None)
    while loop.running:
        wake = loop.pump()
        event = vantage.receive(wake) if loop.running else None
        while event is not None:  # drain what has already arrived before sending more
            loop.receive(event)
            event = vantage.receive(vantage.now())
    return loop.outcome  # type: ignore[no-any-return]  # the value of the root plan


def is_probe(request: Request) -> bool:
    """Whether it is a single packet, whose turn the loop decides."""
    return isinstance(request.request if isinstance(request, Over) else request, Probe)


def one(session: Session[T]) -> Plan[T]:
    """A plan of a single session."""
    (result,) = yield [session]
    return result  # type: ignore[no-any-return]  # yielded results are untyped; this one is the session's


def gather(tasks: Sequence[Task]) -> Plan[list[Any]]:
    """A plan that runs `tasks` side by side and returns their results in order."""
    return (yield tasks)
