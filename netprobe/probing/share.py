"""Paths to many targets in one pass, with a prefix that targets share probed once.

Doubletree (Donnet et al. 2005) adapted to rounds of one round trip: a few targets, spread over the list, are traced
whole; the others are asked from their end backwards, until a hop answers that has been seen at this TTL on the way to
another target. What lies before it is taken over from that target and marked so, never counted as asked.

That holds in a tree. Where balancers choose by flow, two targets may cross one hop by different ways: when a target's
own answers contradict what it would take over (there are overlaps, and a sample is asked on purpose), whoever took over
one of these hops is asked itself.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from netprobe.model.probes import Exchange, Flow, Hop, Path, Probe, Reply
from netprobe.probing.port import Outcome, Request
from netprobe.probing.run import Plan
from netprobe.probing.traceroute import Traceroute

_LEARNERS = 5  # targets that are traced whole
_STEP = 4  # so many hops are asked at once on the way back
_SAMPLE = 4  # of so many targets one is asked a hop that it would take over
_TRIES = 2
_SLOW_ANSWER_S = 0.15  # what a router may take beyond the destinations' round trip
_LONGEST_WAIT_S = 1.0


class AskHops:
    """Ask `ttls` of one flow at once, and what stays silent once more; gives the exchanges by TTL."""

    def __init__(self, flow: Flow, ttls: Iterable[int], timeout_s: float) -> None:
        self._flow = flow
        self._timeout_s = timeout_s
        self._queue = deque(ttls)
        self._exchanges: dict[int, list[Exchange]] = {ttl: [] for ttl in self._queue}
        self._place: dict[int, tuple[int, int]] = {}  # token -> TTL, index
        self._sequence = 0
        self._ends_at = 0.0
        self._done = False

    def next_request(self, now: float) -> Request | None:
        """The next hop; those that are silent again when their time is over."""
        silent = [ttl for ttl, tries in self._exchanges.items() if not any(x.reply for x in tries)]
        if not self._queue and not self._done and (not silent or now >= self._ends_at):
            self._queue.extend(ttl for ttl in silent if len(self._exchanges[ttl]) < _TRIES)
            self._done = not self._queue
        if not self._queue:
            return None
        self._sequence += 1
        return Probe(self._flow, ttl=self._queue.popleft(), sequence=self._sequence)

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note when it left."""
        if isinstance(request, Probe):
            tries = self._exchanges[request.ttl]
            self._place[token] = (request.ttl, len(tries))
            tries.append(Exchange(request.ttl, request.sequence, now))
            self._ends_at = now + self._timeout_s

    def receive(self, token: int, outcome: Outcome, now: float) -> None:  # noqa: ARG002  # the port's signature
        """Keep the first reply to each probe."""
        ttl, index = self._place[token]
        exchange = self._exchanges[ttl][index]
        if isinstance(outcome, Reply) and exchange.reply is None:
            self._exchanges[ttl][index] = Exchange(ttl, exchange.sequence, exchange.sent_s, outcome)

    def deadline(self) -> float | None:
        """When what is silent has had its time."""
        return None if self._done else self._ends_at

    def result(self) -> dict[int, tuple[Exchange, ...]]:
        """The exchanges of each TTL that was asked."""
        return {ttl: tuple(tries) for ttl, tries in self._exchanges.items() if tries}


@dataclass(eq=False)
class _Way:
    """What is known of the way to one target: its own hops, and whose hops stand before TTL `joins_at`."""

    flow: Flow
    hops: dict[int, Hop] = field(default_factory=dict)
    whole: Path | None = None  # traced by itself
    length: int = 0
    rtt_s: float | None = None
    joins: "_Way | None" = None
    joins_at: int = 0

    def add(self, found: dict[int, tuple[Exchange, ...]]) -> None:
        """Own answers; the lowest TTL that the destination answered is the path's length."""
        for ttl, exchanges in found.items():
            self.hops[ttl] = Hop(ttl, exchanges)
            ended = [x.reply.rtt_s for x in exchanges if x.reply and x.reply.from_destination]
            if ended:
                self.length = min(ttl, self.length or ttl)
                self.rtt_s = min([*ended, *([self.rtt_s] if self.rtt_s is not None else [])])

    def routers(self) -> list[tuple[int, str]]:
        """Its own hops before the destination as (TTL, address), the farthest first."""
        return [
            (ttl, a) for ttl in sorted(self.hops, reverse=True) if ttl < self.length for a in self.hops[ttl].addresses
        ]

    def behind(self) -> list[int]:
        """The next TTLs to ask on the way back; none when it has joined another way or is complete."""
        if self.joins or self.whole:
            return []
        lowest = min(self.hops)
        return list(range(lowest - 1, max(0, lowest - 1 - _STEP), -1))

    def taken(self) -> list[Hop]:
        """The hops that are taken over, each marked with the target that it was asked for."""
        found = []
        for ttl in range(1, self.joins_at if self.joins else 0):
            if ttl not in self.hops:
                hop = self.joins.hop(ttl) if self.joins else None
                if hop:
                    found.append(hop)
        return found

    def hop(self, ttl: int) -> Hop | None:
        """The hop at `ttl` as another way takes it over."""
        own = self.hops.get(ttl)
        if own:
            return Hop(ttl, own.exchanges, self.flow.destination)
        return self.joins.hop(ttl) if self.joins and ttl < self.joins_at else None

    def contradicted(self) -> set[tuple[int, str]]:
        """Hops at which this way and the one that it has joined differ, as (TTL, address) of both."""
        found: set[tuple[int, str]] = set()
        for ttl, own in self.hops.items():
            other = self.joins.hop(ttl) if self.joins and ttl < self.joins_at else None
            if other and own.addresses and other.addresses and not set(own.addresses) & set(other.addresses):
                found.update((ttl, address) for address in (*own.addresses, *other.addresses))
        return found

    def path(self) -> Path:
        """All that is known."""
        if self.whole:
            return self.whole
        hops = {hop.ttl: hop for hop in self.taken()} | self.hops
        sent = sum(len(hop.exchanges) for hop in self.hops.values())
        shown = tuple(hops.get(ttl) or Hop(ttl, ()) for ttl in range(1, self.length + 1))
        return Path(self.flow, shown, reached=True, rtt_s=self.rtt_s, probes_sent=sent)


def trace_shared(flows: Sequence[Flow], *, max_ttl: int = 30) -> Plan[list[Path]]:
    """The path of each of `flows`, which are of one kind and lead to different destinations, in their order."""
    ways = [_Way(flow) for flow in flows]
    count = min(_LEARNERS, len(ways))
    learners = [ways[n * (len(ways) - 1) // max(1, count - 1)] for n in range(count)]
    yield from _trace_whole(learners, max_ttl)
    owners: dict[tuple[int, str], _Way] = {}
    _join(learners, owners)
    others = [way for way in ways if not way.whole]
    lengths = [way.length for way in learners if way.length]
    rtts = [way.rtt_s for way in learners if way.rtt_s is not None]
    if not lengths:
        yield from _trace_whole(others, max_ttl)
        return [way.path() for way in ways]
    timeout_s = min(_LONGEST_WAIT_S, 1.5 * max(rtts) + _SLOW_ANSWER_S)
    end = sorted(lengths)[len(lengths) // 2]
    yield from _ask([(way, [end, end - 1] if end > 1 else [end]) for way in others], timeout_s)
    yield from _trace_whole([way for way in others if not way.length], max_ttl)  # farther away, or dead
    _join(others, owners)
    while back := [(way, ttls) for way in others if (ttls := way.behind())]:
        yield from _ask(back, timeout_s)
        _join([way for way, _ in back], owners)
    yield from _verify(others, timeout_s)
    return [way.path() for way in ways]


def _trace_whole(ways: Sequence[_Way], max_ttl: int) -> Plan[None]:
    """Trace each of `ways` by itself."""
    paths: list[Path] = yield [Traceroute(way.flow, max_ttl=max_ttl) for way in ways]
    for way, path in zip(ways, paths, strict=True):
        way.whole = path
        way.hops = {hop.ttl: hop for hop in path.hops}
        way.length = len(path.hops) if path.reached else 0
        way.rtt_s = path.rtt_s


def _ask(questions: Sequence[tuple[_Way, list[int]]], timeout_s: float) -> Plan[None]:
    """Ask each way at its TTLs, all in one round."""
    answers = yield [AskHops(way.flow, ttls, timeout_s) for way, ttls in questions]
    for (way, _), found in zip(questions, answers, strict=True):
        way.add(found)


def _join(ways: Iterable[_Way], owners: dict[tuple[int, str], _Way]) -> None:
    """Let each way end where another one has been; a hop belongs to the first way on which it was seen."""
    for way in ways:
        for node in way.routers():
            owner = owners.setdefault(node, way)
            if owner is not way and not way.whole:
                way.joins, way.joins_at = owner, node[0]
                break


def _verify(ways: Sequence[_Way], timeout_s: float) -> Plan[None]:
    """Ask a sample of what was taken over, and all of it where ways that join have been different before."""
    sample = []
    for number, way in enumerate(ways[::_SAMPLE]):
        taken = way.taken()
        if taken:
            sample.append((way, [taken[number % len(taken)].ttl]))
    yield from _ask(sample, timeout_s)
    while True:
        differing = {node for way in ways for node in way.contradicted()}
        doubtful = [
            (way, [hop.ttl for hop in way.taken()])
            for way in ways
            if any((hop.ttl, address) in differing for hop in way.taken() for address in hop.addresses)
        ]
        if not doubtful:
            return
        yield from _ask(doubtful, timeout_s)
