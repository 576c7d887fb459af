"""Rounds over paths that are known: every hop and every destination asked again and again, calmly, to count loss.

Whoever asks a router often finds out how seldom it answers, not what gets lost. So one router is asked at most five
times a second, for whichever target; a router that several paths cross behind the same hops is asked on the way to the
first of them, and the others take its counts over. Destinations are asked at full TTL: a path that becomes longer
during the rounds is not loss. Each SYN to a destination is a flow of its own, as in a train.
"""

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from netprobe.model.probes import Exchange, Flow, Hop, Path, Probe, Protocol, Reply, ReplyKind
from netprobe.model.record import Record
from netprobe.probing.loss import Counted
from netprobe.probing.port import Outcome, Request
from netprobe.probing.traceroute import FULL_TTL

SHORTEST_INTERVAL_S = 0.2  # between two probes that one router is to answer
INTERVAL_S = 0.5
_SILENT = 10  # rounds after which a hop that has never answered is left in peace
_LABELS = range(600, 728)  # of the SYNs: labels below belong to traceroutes, trains and rate tests
_LEAST_WAIT_S, _MARGIN = 1.0, 2.0  # for a reply: as long as that, and so many round trips of the slowest destination


class CountedPath(Record, frozen=True):
    """A path with all exchanges of the rounds, and its destination's.

    `destination` is also the last hop of `path` where that was found; empty when the target never answered.
    """

    path: Path
    destination: Hop


@dataclass(eq=False)
class _Node:
    """A hop, or a destination, that is asked in each round."""

    flow: Flow
    ttl: int
    exchanges: list[Exchange]
    routers: tuple[str, ...]  # who is expected to answer
    place: int  # among the nodes
    asked: int = 0  # in rounds; the exchanges before these had their time
    next_at: float = 0.0
    answered: int = 0
    unsent: int = 0  # probes that never left

    def probe(self) -> Probe:
        """The next probe to it."""
        label = self.flow.label
        if self.ttl == FULL_TTL and self.flow.protocol is Protocol.TCP:
            label = _LABELS[self.asked % len(_LABELS)]
        flow = self.flow.labelled(label)
        return Probe(flow, ttl=self.ttl, sequence=len(self.exchanges) + 1)


@dataclass
class _Way:
    """A path, and the nodes that stand for its hops, in their order."""

    path: Path
    hops: list[_Node] = field(default_factory=list)
    destination: _Node | None = None


class Rounds:
    """Ask everything on `paths` `count` times, `interval_s` apart or as slowly as routers that they share demand."""

    def __init__(self, paths: Sequence[Path], *, count: int, interval_s: float = INTERVAL_S) -> None:
        self._count = count
        self._interval_s = max(interval_s, SHORTEST_INTERVAL_S)
        self._ways = [_Way(path) for path in paths]
        self._nodes: list[_Node] = []
        known: dict[tuple[int, str], _Way] = {}  # who was first seen to go through a router at a TTL
        for way in self._ways:
            self._add(way, known)
        slowest = max((path.rtt_s or 0.0 for path in paths), default=0.0)
        self._timeout_s = max(_LEAST_WAIT_S, _MARGIN * slowest)
        self._queue: list[tuple[float, int]] = []  # a heap: when which node is due
        self._free_at: dict[str, float] = {}  # router -> when it may be asked again
        self._place: dict[int, tuple[_Node, int]] = {}  # token -> node, index
        self._open: set[int] = set()
        self._in_hand: _Node | None = None  # its probe has been handed out and has not left yet
        self._now = 0.0
        self._ends_at = 0.0
        self._began = False
        self._began_at = 0.0

    # -- session ------------------------------------------------------------------------------------------------------

    def next_request(self, now: float) -> Request | None:
        """The next probe that is due and whose router may be asked."""
        if not self._began:
            self._begin(now)
        self._now = now
        while self._queue and self._queue[0][0] <= now:
            _, index = heapq.heappop(self._queue)
            node = self._nodes[index]
            free_at = max((self._free_at.get(router, 0.0) for router in node.routers), default=0.0)
            if free_at > now:
                heapq.heappush(self._queue, (free_at, index))
                continue
            self._in_hand = node
            return node.probe()
        return None

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note when it left; the same node is due an interval after it was due."""
        node, self._in_hand = self._in_hand, None
        if node is None or not isinstance(request, Probe):
            return
        self._place[token] = (node, len(node.exchanges))
        node.exchanges.append(Exchange(request.ttl, request.sequence, now))
        node.asked += 1
        self._open.add(token)
        for router in node.routers:
            self._free_at[router] = now + SHORTEST_INTERVAL_S
        self._now = now
        self._ends_at = now + self._timeout_s
        node.next_at = max(node.next_at + self._interval_s, now + SHORTEST_INTERVAL_S)
        if node.asked < self._count and (node.answered or node.asked < _SILENT):
            heapq.heappush(self._queue, (node.next_at, node.place))

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Keep the first reply to each probe, however late."""
        self._now = now
        if token not in self._place or not isinstance(outcome, Reply):
            return
        node, index = self._place[token]
        asked = node.exchanges[index]
        if asked.reply is None:
            node.exchanges[index] = Exchange(asked.ttl, asked.sequence, asked.sent_s, outcome)
            self._open.discard(token)
            failed = outcome.kind is ReplyKind.SEND_FAILED
            node.unsent += failed
            node.answered += not failed
            if outcome.source and outcome.source not in node.routers:
                node.routers += (outcome.source,)

    def deadline(self) -> float | None:
        """When the next node is due, or the last reply."""
        if not self._began:
            return self._now
        if self._queue:
            return self._queue[0][0]
        return self._ends_at if self._open and self._now < self._ends_at else None

    def result(self) -> list[CountedPath]:
        """The paths with what has been counted so far, without the probes that may still be answered."""
        hops = {id(node): self._settled(node) for node in self._nodes}
        return [self._counted(way, hops) for way in self._ways]

    # -- who is asked -------------------------------------------------------------------------------------------------

    def _add(self, way: _Way, known: dict[tuple[int, str], _Way]) -> None:
        """Give each hop of `way` a node: those of the first way that goes the same hops, as far as it does."""
        path = way.path
        routers = list(itertools.takewhile(lambda hop: not _is_destination(hop), path.hops))
        shared = _join(routers, known)
        if shared:
            way.hops += shared
        for hop in routers[len(way.hops) :]:
            way.hops.append(self._node(path.flow, hop.ttl, hop.exchanges, hop.addresses))
        for hop in routers:
            for address in hop.addresses[:1]:
                known.setdefault((hop.ttl, address), way)
        if path.reached:
            end = path.hops[len(routers)].exchanges if len(routers) < len(path.hops) else ()
            way.destination = self._node(path.flow, FULL_TTL, end, (path.flow.destination,))

    def _node(self, flow: Flow, ttl: int, exchanges: Sequence[Exchange], routers: tuple[str, ...]) -> _Node:
        node = _Node(flow, ttl, list(exchanges), routers, len(self._nodes))
        node.unsent = sum(1 for x in exchanges if x.reply and x.reply.kind is ReplyKind.SEND_FAILED)
        node.answered = sum(1 for x in exchanges if x.reply) - node.unsent
        self._nodes.append(node)
        return node

    def _begin(self, now: float) -> None:
        """Spread the nodes over the first interval."""
        self._began, self._began_at = True, now
        for index, node in enumerate(self._nodes if self._count > 0 else ()):
            node.next_at = now + index * self._interval_s / len(self._nodes)
            self._queue.append((node.next_at, index))  # in order: it is a heap

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def paths(self) -> list[Path]:
        """The paths as they were before."""
        return [way.path for way in self._ways]

    @property
    def planned(self) -> int:
        """How many probes all rounds are."""
        return self._count * len(self._nodes)

    @property
    def asked(self) -> int:
        """How many of them have left."""
        return sum(node.asked for node in self._nodes)

    @property
    def left_s(self) -> float:
        """About how long it will still take, at the pace so far."""
        left = sum(self._count - node.asked for node in self._nodes if node.answered or node.asked < _SILENT)
        return left * (self._now - self._began_at) / max(1, self.asked) if self.asked else left * self._interval_s

    @property
    def _over(self) -> bool:
        return self._began and self.deadline() is None

    def destination_of(self, index: int) -> Counted | None:
        """The counts of the destination of the path at `index`, cheap enough to be looked at all the time."""
        way = self._ways[index]
        node = way.destination
        if node is None:
            return None
        return Counted(len(way.path.hops), *self._counts(node))

    def _counts(self, node: _Node) -> tuple[int, int]:
        """Probes that have had their time, and how many of them nobody answered."""
        sent = len(node.exchanges) - self._waiting(node) - node.unsent
        return sent, sent - node.answered

    def _waiting(self, node: _Node) -> int:
        """How many probes may still be answered."""
        due = self._now - self._timeout_s
        latest = node.exchanges[len(node.exchanges) - node.asked :]
        waiting = itertools.takewhile(lambda x: x.sent_s > due, reversed(latest))
        return 0 if self._over else sum(x.reply is None for x in waiting)

    def _settled(self, node: _Node) -> tuple[Exchange, ...]:
        due = self._now - self._timeout_s
        before = len(node.exchanges) - node.asked
        return tuple(x for n, x in enumerate(node.exchanges) if self._over or n < before or x.reply or x.sent_s <= due)

    def _counted(self, way: _Way, hops: dict[int, tuple[Exchange, ...]]) -> CountedPath:
        path = way.path
        shown = []
        for hop, node in zip(path.hops, way.hops, strict=False):
            elsewhere = node.flow.destination
            shared = elsewhere if elsewhere != path.flow.destination else "" if node.asked else hop.shared_from
            shown.append(Hop(hop.ttl, hops[id(node)], shared))
        end = Hop(len(path.hops), ())
        own = [node for node in way.hops if node.flow.destination == path.flow.destination]
        if way.destination:
            found = len(way.hops) < len(path.hops)
            end = Hop(len(way.hops) + 1, hops[id(way.destination)])
            own.append(way.destination)
            shown += [end] if found else []
        rtts = [x.reply.rtt_s for x in end.exchanges if x.reply and x.reply.from_destination]
        sent = path.probes_sent + sum(node.asked for node in own)
        rtt_s = min([*rtts, *([path.rtt_s] if path.rtt_s is not None else [])], default=None)
        return CountedPath(Path(path.flow, tuple(shown), path.reached, rtt_s, sent), end)


def _is_destination(hop: Hop) -> bool:
    return any(x.reply and x.reply.from_destination for x in hop.exchanges)


def _join(routers: Sequence[Hop], known: dict[tuple[int, str], _Way]) -> list[_Node]:
    """The nodes of another way up to the farthest router that both go through, if nothing before tells them apart.

    A hop that was silent on one of them may be any.
    """
    for hop in reversed(routers):
        other = known.get((hop.ttl, hop.addresses[0])) if hop.addresses else None
        if other is None:
            continue
        pairs = zip(routers[: hop.ttl], other.path.hops, strict=False)
        if all(set(a.addresses) & set(b.addresses) for a, b in pairs if a.addresses and b.addresses):
            return other.hops[: hop.ttl]
    return []
