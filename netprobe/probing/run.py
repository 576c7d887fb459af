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

from collections import deque
from collections.abc import Generator, Sequence
from typing import Any, Protocol, TypeVar

from netprobe.model.probes import Probe
from netprobe.probing.port import Outcome, Request, Vantage

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

DEFAULT_RATE = 400.0  # probes a second over all sessions: a guest's share of a home uplink
_BURST = 20.0  # a pause may be made up for by this many probes at once
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


class _Node:
    """A plan in the tree: the results of its batch as they come in, and who waits for it."""

    def __init__(self, plan: Plan[Any], parent: "_Node | None", index: int) -> None:
        self.plan = plan
        self.parent = parent
        self.index = index
        self.results: list[Any] = []
        self.missing = 0


class _Pace:
    """A token bucket over probes (not over lookups or connections, which the survey bounds by number)."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate = rate
        self.credit = min(_BURST, max(1.0, rate * 0.02))
        self.limit = self.credit
        self.at = now

    def ready_at(self, now: float) -> float:
        """When the next probe may leave: `now`, or later."""
        self.credit = min(self.limit, self.credit + (now - self.at) * self.rate)
        self.at = now
        return now if self.credit >= 1.0 - 1e-9 else now + (1.0 - self.credit) / self.rate

    def spend(self) -> None:
        self.credit -= 1.0


class _Loop:
    """State of one run: the tree of plans, the sessions at work, and which session a token belongs to."""

    def __init__(self, vantage: Vantage, rate: float, progress: Progress | None) -> None:
        self.vantage = vantage
        self.pace = _Pace(rate, vantage.now())
        self.progress = progress
        self.waiting: dict[int, tuple[Session[Any], _Node]] = {}  # by id(session), in order of start
        self.places: dict[int, int] = {}
        self.owner: dict[int, Session[Any]] = {}
        self.held: deque[tuple[Session[Any], Probe]] = deque()
        self.started = 0
        self.done = 0

    def start(self, task: Task, parent: _Node, index: int) -> None:
        if isinstance(task, Generator):
            self.advance(_Node(task, parent, index), None)
        else:
            self.started += 1
            self.places[id(task)] = index
            self.waiting[id(task)] = (task, parent)

    def advance(self, node: _Node, results: list[Any] | None) -> None:
        """Run a plan up to its next batch; a finished plan delivers its value to the plan that waits for it."""
        try:
            batch = list(next(node.plan) if results is None else node.plan.send(results))
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
        if node is None:
            self.outcome = value
            return
        node.results[index] = value
        node.missing -= 1
        if not node.missing:
            self.advance(node, node.results)

    def finish(self, session: Session[Any]) -> None:
        _, node = self.waiting.pop(id(session))
        self.done += 1
        result = session.result()
        if self.progress:
            self.progress(self.done, self.started, result)
        self.deliver(node, self.places.pop(id(session)), result)

    def send(self, session: Session[Any], request: Request) -> None:
        token = self.vantage.send(request)
        self.owner[token] = session
        session.sent(request, token, self.vantage.now())

    def pump(self) -> float:
        """Send whatever may be sent, retire whoever is done; when to look again."""
        now = self.vantage.now()
        blocked = _FOREVER
        while self.held:
            blocked = self.pace.ready_at(now)
            if blocked > now:
                break
            session, probe = self.held.popleft()
            self.pace.spend()
            self.send(session, probe)
            blocked = _FOREVER
        busy = {id(session) for session, _ in self.held}
        wake = blocked
        for session, _ in list(self.waiting.values()):
            if id(session) in busy:  # its next probe waits for its turn: keep the order, spread the sessions
                continue
            while (request := session.next_request(now)) is not None:
                if isinstance(request, Probe):
                    ready = self.pace.ready_at(now)
                    if ready > now or self.held:
                        self.held.append((session, request))
                        wake = min(wake, ready)
                        break
                    self.pace.spend()
                self.send(session, request)
            else:
                deadline = session.deadline()
                if deadline is None:
                    self.finish(session)
                    wake = now
                else:
                    wake = min(wake, deadline)
        return wake


def run(plan: Plan[T], vantage: Vantage, *, rate: float = DEFAULT_RATE, progress: Progress | None = None) -> T:
    """Carry `plan` out over `vantage` and return its value. `rate` is in probes a second, over all sessions."""
    loop = _Loop(vantage, rate, progress)
    root = _Node(plan, None, 0)
    loop.advance(root, None)
    while loop.waiting:
        wake = loop.pump()
        if not loop.waiting:
            break
        event = vantage.receive(wake)
        now = vantage.now()
        while event is not None:  # drain what has already arrived before sending more
            owner = loop.owner.get(event.token)
            if owner is not None and id(owner) in loop.waiting:
                owner.receive(event.token, event.outcome, now)
            event = vantage.receive(now)
    return loop.outcome  # type: ignore[no-any-return]  # the root plan's StopIteration value


def one(session: Session[T]) -> Plan[T]:
    """A plan of a single session."""
    (result,) = yield [session]
    return result  # type: ignore[no-any-return]  # yielded results are untyped; this one is the session's


def gather(tasks: Sequence[Task]) -> Plan[list[Any]]:
    """A plan that runs `tasks` side by side and returns their results in order."""
    return (yield tasks)
