"""Paths to many targets in one pass, with a prefix that targets share probed once.

Doubletree (Donnet et al. 2005) without rounds: each way goes on when its own answers come.

- A few *learners*, spread over the list, are traced whole. The others are then asked from their end backwards (the end
  is where a neighbour's path ended, or else the learners') until a hop answers that has been seen at this TTL on the
  way to another target. What lies before it is taken over from that target and marked so, never counted as asked.
- While the learners' answers are under way, *scouts*, one target of each further neighbourhood, are asked hop by hop
  outwards, beginning behind what all paths of a home have in common.
- That holds in a tree. Where balancers choose by flow, two targets may cross one hop by different ways. So a sample of
  the ways is asked a hop that they would take over, where most rests on the fewest flows, up to the six that rule out a
  second branch (MDA). Where answers differ, whoever took over one of these hops is asked itself, and who differs there
  is asked what lies around it.
"""

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest

from netprobe.model.probes import Exchange, Flow, Path, Probe, Reply
from netprobe.probing.port import Outcome, Request
from netprobe.probing.run import Plan
from netprobe.probing.traceroute import FULL_TTL, Traceroute
from netprobe.probing.way import Node, Way

_LEARNERS = 5  # targets that are traced whole
_SCOUTS = 20
_FIRST_SCOUTED, _LAST_SCOUTED = 5, 12
_STEP = 4  # so many hops are asked at once on the way back
_FORWARD = 2  # and beyond the expected end
_SAMPLE = 3  # for so many ways one hop is asked that would be taken over
_FEW_TAKERS = 1.5  # for each flow that speaks for a hop: so many may be wrong where flows are known to be balanced
_SAMPLES_AT_ONCE = 64
_ENOUGH_FLOWS = 6  # through one router rule out a second one at 95 % (Augustin et al. 2007),
_MANY_FLOWS = 11  # and so many at 99.9 %, where flows are known to be balanced somewhere
_TRIES = 2
_SLOW_ANSWER_S = 0.15  # what a router may take beyond the destinations' round trip
_LONGEST_WAIT_S = 1.0

_Place = tuple[Way, int, int]  # a probe's way, TTL, and which of the probes there it is


def trace_shared(
    flows: Sequence[Flow], *, max_ttl: int = 30, watch: Callable[[Callable[[], list[Path]]], None] | None = None
) -> Plan[list[Path]]:
    """The path of each of `flows`, which are of one kind and lead to different destinations, in their order.

    `watch` is given what to call to look at the paths while they grow.
    """
    session = Doubletree(flows, max_ttl=max_ttl)
    if watch:
        watch(session.so_far)
    ways: list[Way]
    (ways,) = yield [session]
    lone = [way for way in ways if not way.complete]  # dead, barred, or nobody to learn from
    paths: list[Path] = yield [Traceroute(way.flow, max_ttl=max_ttl) for way in lone]
    for way, path in zip(lone, paths, strict=True):
        way.whole = path
    return [way.path(session.balanced) for way in ways]


class Doubletree:
    """The session behind `trace_shared`: gives the ways; one that is not complete is to be traced by itself."""

    def __init__(self, flows: Sequence[Flow], *, max_ttl: int = 30) -> None:
        self.balanced: set[Node] = set()  # nodes that other flows were seen to go around
        self._max_ttl = max_ttl
        self._ways = [Way(flow) for flow in flows]
        learners = _spread(self._ways, _LEARNERS)
        self._learning = {way: Traceroute(way.flow, max_ttl=max_ttl) for way in learners}
        known = {_neighbourhood(way) for way in learners}
        first = {_neighbourhood(way): way for way in reversed(self._ways)}
        others = [way for place, way in reversed(first.items()) if place not in known]
        self._scouts = deque(_spread(others, _SCOUTS))
        self._scouted = deque(
            (way, ttl) for ttl in range(_FIRST_SCOUTED, min(_LAST_SCOUTED, max_ttl) + 1) for way in self._scouts
        )
        leading = {*learners, *self._scouts}
        rest = [way for way in self._ways if way not in leading]
        self._waiting = dict.fromkeys(_in_turns(rest))  # for their turn, in this order
        self._next_door: deque[Way] = deque()  # of these, whose neighbour's length is known
        self._lengths: dict[str, int] = {}  # by neighbourhood
        self._queue: deque[tuple[Way, int]] = deque()
        self._asking: tuple[Way, int] | None = None  # what the request that was given last is about
        self._places: dict[int, _Place] = {}
        self._learned: dict[int, tuple[Way, int]] = {}  # tokens of learners' probes: the way, and the TTL
        self._silence: list[tuple[float, int]] = []  # a heap: when a probe's time is over, and its token
        self._rtt_s = 0.0  # the longest of a destination
        self._owners: dict[Node, Way] = {}  # who was first seen to go through a node
        self._witnesses: Counter[Node] = Counter()  # how many ways were seen, or are being asked, to go through it
        self._takers: Counter[Node] = Counter()  # how many have taken it over
        self._after: defaultdict[Node, set[str]] = defaultdict(set)  # the routers that were seen behind it, by any way
        self._agreed: Counter[Node] = Counter()  # how many were asked behind it, and went where they should
        self._samples = len(rest) // _SAMPLE
        self._open = 0  # of all ways
        self._given_up: set[tuple[Way, int]] = set()
        self._done = not flows

    # -- the loop's side ----------------------------------------------------------------------------------------------

    def next_request(self, now: float) -> Request | None:
        """Learners' probes first, then what answers have led to, then the next way's end, then the scouts'."""
        for way, trace in list(self._learning.items()):
            request = trace.next_request(now)
            if request is not None:
                self._asking = None
                self._learner = way
                return request
            if trace.deadline() is None:
                way.whole = trace.result()
                del self._learning[way]
                if not self._learning and not self._lengths:  # nobody answers: everybody is traced whole
                    self._scouted.clear()
                    self._waiting.clear()
        self._time_out(now)
        self._asking = self._next()
        if self._asking is None:
            return None
        way, ttl = self._asking
        tries = len(way.asked[ttl])
        return Probe(way.flow, ttl=ttl, sequence=1 + ttl + FULL_TTL * tries)

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note when it left."""
        if not isinstance(request, Probe):
            return
        if self._asking is None:
            self._learning[self._learner].sent(request, token, now)
            self._learned[token] = self._learner, request.ttl
            return
        way, ttl = self._asking
        tries = way.asked[ttl]
        self._places[token] = way, ttl, len(tries)
        tries.append(Exchange(ttl, request.sequence, now))
        heapq.heappush(self._silence, (now + self._patience_s, token))

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Keep the first reply to each probe, and go on with its way."""
        if not isinstance(outcome, Reply):
            return
        if token in self._learned:
            way, ttl = self._learned[token]
            if way in self._learning:
                self._learning[way].receive(token, outcome, now)
            if ttl != FULL_TTL:
                self._note(way, ttl, outcome)
            return
        way, ttl, index = self._places[token]
        exchange = way.asked[ttl][index]
        if exchange.reply is not None:
            return
        late = not way.silent(ttl) or (way, ttl) in self._given_up
        way.asked[ttl][index] = Exchange(ttl, exchange.sequence, exchange.sent_s, outcome)
        self._note(way, ttl, outcome)
        if not late:
            self._settle(way)

    def deadline(self) -> float | None:
        """When something has had its time."""
        if self._done:
            return None
        times = [at for trace in self._learning.values() if (at := trace.deadline()) is not None]
        if self._silence:
            times.append(self._silence[0][0])
        return min(times, default=0.0)

    def result(self) -> list[Way]:
        """The ways, in the order of the flows."""
        return self._ways

    def so_far(self) -> list[Path]:
        """The paths as far as they were asked themselves; what will be taken over is not known before the end."""
        return [self._learning[way].result() if way in self._learning else way.whole or way.own() for way in self._ways]

    # -- whom to ask next ---------------------------------------------------------------------------------------------

    @property
    def _patience_s(self) -> float:
        return min(_LONGEST_WAIT_S, 1.5 * self._rtt_s + _SLOW_ANSWER_S) if self._rtt_s else _LONGEST_WAIT_S

    def _next(self) -> tuple[Way, int] | None:
        """The next way to ask and the TTL; None when there is nothing to ask at the moment."""
        while True:
            if not self._queue:
                self._begin_another()
            if not self._queue and not self._learning and not self._open:
                self._clear_doubts()
                if not self._queue and self.balanced:
                    self._sample_more()
                self._done = not self._queue
            if not self._queue:
                return None
            way, ttl = self._queue.popleft()
            if way.silent(ttl):  # else a late answer has made it needless to ask again
                return way, ttl

    def _ask(self, way: Way, ttls: Iterable[int]) -> None:
        """Ask `way` at those of `ttls` at which it has not been asked yet."""
        for ttl in ttls:
            if ttl not in way.asked:
                way.asked[ttl] = []
                way.open += 1
                self._open += 1
                self._queue.append((way, ttl))

    def _begin_another(self) -> None:
        """Ask the next way at its end; as long as nobody knows where paths end, the next hop of a scout."""
        if self._lengths:
            while self._scouts:  # their time is over: they go on like everybody else, but first
                scout = self._scouts.popleft()
                end = self._end(scout)
                self._ask(scout, range(min(scout.asked), end + 1) if scout.asked else self._last(end))
                self._go_on(scout)
            self._scouted.clear()
            if self._queue:
                return
            while self._next_door and self._next_door[0] not in self._waiting:
                self._next_door.popleft()
            way = self._next_door.popleft() if self._next_door else next(iter(self._waiting), None)
            if way:
                del self._waiting[way]
                self._ask(way, self._last(self._end(way)))
        elif self._scouted:
            way, ttl = self._scouted.popleft()
            self._ask(way, [ttl])

    def _end(self, way: Way) -> int:
        """Where the path probably ends: where a neighbour's does, else the middle of those that are known."""
        lengths = sorted(self._lengths.values())
        return min(self._max_ttl, self._lengths.get(_neighbourhood(way)) or lengths[len(lengths) // 2])

    @staticmethod
    def _last(end: int) -> list[int]:
        return [end, end - 1] if end > 1 else [end]

    def _time_out(self, now: float) -> None:
        """Ask again what has stayed silent, or go on without it."""
        while self._silence and self._silence[0][0] <= now:
            _, token = heapq.heappop(self._silence)
            way, ttl, index = self._places[token]
            if not way.silent(ttl):
                continue
            if index + 1 < _TRIES:
                self._queue.append((way, ttl))
            else:
                self._given_up.add((way, ttl))
                self._settle(way)

    # -- what answers lead to -----------------------------------------------------------------------------------------

    def _note(self, way: Way, ttl: int, reply: Reply) -> None:
        """Learn from a reply: how long the way is, and through which node it goes."""
        node = way.answered(ttl, reply)
        if way.length == ttl and reply.from_destination:
            self._rtt_s = max(self._rtt_s, reply.rtt_s)
            place = _neighbourhood(way)
            if place not in self._lengths:
                self._next_door.extend(other for other in self._waiting if _neighbourhood(other) == place)
            self._lengths[place] = ttl
        if node:
            self._owners.setdefault(node, way)
            before, behind = way.seen.get(ttl - 1), way.seen.get(ttl + 1)
            if before:
                self._after[ttl - 1, before].add(node[1])
            if behind:
                self._after[node].add(behind)
            if way.joins and ttl < way.joins_at:
                self._compare(way, node)
            else:
                self._witnesses[node] += 1

    def _settle(self, way: Way) -> None:
        """One of its probes has been answered, or never will be; after the last one it is clear how to go on."""
        way.open -= 1
        self._open -= 1
        self._go_on(way)

    def _go_on(self, way: Way) -> None:
        if way.open or way.joins or way in self._scouts:  # a scout is still asked outwards
            return
        if not way.length:
            top = max(way.asked)
            if top in way.seen and top < self._max_ttl:
                self._ask(way, range(top + 1, min(top + _FORWARD, self._max_ttl) + 1))
            return
        self._join(way)
        if not way.joins:
            lowest = min(way.asked)
            self._ask(way, range(lowest - 1, max(0, lowest - 1 - _STEP), -1))

    def _join(self, way: Way) -> None:
        """Let it end where another one has been; a node belongs to the first way on which it was seen."""
        for ttl, address in way.routers():
            owner = self._owners[ttl, address]
            if not owner.rests_on(way):
                way.joins, way.joins_at = owner, ttl
                break
        else:
            return
        for ttl in list(way.asked):
            if ttl < way.joins_at and ttl in way.seen:
                self._compare(way, (ttl, way.seen[ttl]))
        taken = [(ttl, address) for ttl in way.takes() if (address := way.at(ttl))]
        self._takers.update(taken)
        balanced = [ttl for ttl, address in taken if (ttl, address) in self.balanced]
        self._ask(way, balanced)
        if not balanced and self._samples:
            most = max(taken, key=lambda node: self._unproven(way, node), default=None)
            if most and self._unproven(way, most):
                self._samples -= 1
                self._sample(way, most)

    def _sample(self, way: Way, node: Node) -> None:
        """Ask `way` at `node`, which it would take over, and presume that it goes there until it is known."""
        ttl = node[0]
        self._witnesses[node] += 1
        self._agreed[ttl - 1, way.at(ttl - 1)] += 1
        self._ask(way, [ttl])

    def _unproven(self, way: Way, node: Node) -> float:
        """How much rests on that `way` goes through `node`: those who take it over for each flow that speaks for it.

        Where all that came by the hop before was seen to go there, these flows do. Where ways part, by destination or
        by flow, only those do that were asked and went where another one had led.
        """
        before = (node[0] - 1, way.at(node[0] - 1))
        parting = len(self._after[before]) > 1
        speak = self._agreed[before] if parting else self._witnesses[node]
        return (
            self._takers[before if parting else node] / (1 + speak)
            if speak < (_MANY_FLOWS if self.balanced else _ENOUGH_FLOWS)
            else 0.0
        )

    def _sample_more(self) -> None:
        """Flows are balanced somewhere: ask where most rests on the fewest."""
        best: dict[Node, tuple[float, Way]] = {}
        for way in self._ways:
            for ttl in way.takes():
                node = ttl, way.at(ttl)
                unproven = self._unproven(way, node) if node[1] else 0.0
                if unproven >= best.get(node, (_FEW_TAKERS, way))[0]:
                    best[node] = unproven, way
        most = sorted(best, key=lambda node: best[node][0], reverse=True)
        for node in most[:_SAMPLES_AT_ONCE]:
            self._sample(best[node][1], node)

    # -- where flows are balanced -------------------------------------------------------------------------------------

    def _compare(self, way: Way, node: Node) -> None:
        """`way` goes through `node`: when it would have taken over another one there, flows are balanced here."""
        ttl, address = node
        other = way.joins.at(ttl) if way.joins else ""
        if not other or other == address:
            return
        new = {node, (ttl, other)} - self.balanced
        self.balanced |= new
        for one in self._ways if new else ():
            if one.joins and ttl < one.joins_at and ttl not in one.asked and (ttl, one.at(ttl)) in new:
                self._ask(one, [ttl])
        self._ask(way, [near for near in (ttl - 1, ttl + 1) if 0 < near < way.joins_at and near not in way.asked])

    def _clear_doubts(self) -> None:
        """When all is quiet: compare once more what came late, and ask who takes over what is doubtful."""
        for way in self._ways:
            for ttl, address in list(way.seen.items()) if way.joins else ():
                if ttl < way.joins_at and (ttl, address) not in self.balanced:
                    self._compare(way, (ttl, address))
        for way in self._ways:
            self._ask(way, [ttl for ttl in way.takes() if (ttl, way.at(ttl)) in self.balanced])


def _spread(ways: Sequence[Way], most: int) -> list[Way]:
    """At most so many of `ways`, evenly spread."""
    count = min(most, len(ways))
    return [ways[n * (len(ways) - 1) // max(1, count - 1)] for n in range(count)]


def _in_turns(ways: Iterable[Way]) -> list[Way]:
    """One of each neighbourhood, then the second of each, and so on: what is learned early is spread over all."""
    places: dict[str, list[Way]] = {}
    for way in ways:
        places.setdefault(_neighbourhood(way), []).append(way)
    return [way for turn in zip_longest(*places.values()) for way in turn if way]


def _neighbourhood(way: Way) -> str:
    """What the targets next door have in common with it: the first three bytes of IPv4, the first 48 bits of IPv6."""
    address = way.flow.destination
    return ":".join(address.split(":")[:3]) if ":" in address else address.rpartition(".")[0]
