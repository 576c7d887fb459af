"""Multipath discovery: which ways do the flows to one destination take?

The multipath detection algorithm (Augustin, Friedman and Teixeira 2007; Veitch et al. 2009): for each vertex that is
known, flows are sent one TTL farther until it is safe to say that it has no more successors than were seen. *Node
control*: a flow counts for a vertex only if it is known to go through it, because the vertex answered it at its own
TTL, or because its TTL has one vertex only. What is wanted next follows from one table (TTL, flow -> addresses), so
hops are explored side by side, and an answer that is late or lost changes nothing but the order.

A router's patience is part of the measurement. Linux answers one peer's probes with a burst of 6 errors, then one a
second (icmp_ratelimit); whoever asks faster makes the loss that it then reports. So an address that has answered is
asked within such a budget, a hop at most five times a second, and slower for as long as probes to it time out. A probe
that times out is sent again; it says nothing about a branch.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from netprobe.model.probes import Branch, Exchange, Flow, Hop, Multipath, Probe, Reply, ReplyKind, Vertex
from netprobe.model.unsent import PASSING
from netprobe.probing.flow_table import INTERVAL_S, FlowsAt
from netprobe.probing.port import Outcome, Request

FIRST_LABEL = 1000  # labels below belong to traceroutes and trains
_FLOWS = 384  # fewer than a vantage has source ports
_PROBES = 4000
_REPEATS = 6  # six flows that are asked twice rule out two-way per-packet balancing at 95 %
_GAP = 5  # silent hops in a row after which the path is given up
_SILENT = 6  # unanswered flows after which a hop, or a vertex's successor, is silent
_TRIES, _TRIES_INTO_SILENCE = 5, 2

_SLOW_S, _SLOWEST_S = 1.0, 2.0
_RECOVERY = 0.7
_BURST, _REFILL = 5.0, 1.0  # errors that an address has in store for us, and gets back in a second

_LONGEST_WAIT_S, _MARGIN = 5.0, 1.5  # for replies, once one was late

_SELF = ""  # the vertex at TTL 0, and whatever else all flows go through


def stopping_point(branches: int, confidence: float = 0.95) -> int:
    """How many flows rule out, at `confidence`, that there is one more branch than the `branches` seen: 6, 11, 16, ...

    n_k = ceil(ln(eps/k) / ln((k-1)/k)) for k = `branches` + 1, balancing evenly (Veitch et al. 2009).
    """
    k = branches + 1
    return math.ceil(math.log((1.0 - confidence) / k) / math.log((k - 1) / k))


@dataclass(frozen=True)
class _Group:
    """The flows that go through one vertex to `ttl`. `open_to_all`: every flow does, seen there or not."""

    ttl: int
    near: str
    labels: tuple[int, ...]
    open_to_all: bool


@dataclass(frozen=True)
class _Wish:
    """A probe that is wanted, and who is expected to answer it."""

    ttl: int
    label: int
    answerers: tuple[str, ...]


class MultipathSession:
    """Find the branches of all flows like `flow`, whose label is not used.

    `timeout_s` is how long one reply may take, longer once one was late; `confidence` is that of the stopping rule, for
    each vertex. After `longest_s`, nothing new is asked, and the graph is not called complete. (Linux's limits make it
    10 s for two ways, 52 s for eight that meet again in one router.) Sessions one after the other that pass the same
    routers share a `store`: what is left of each router's patience.
    """

    def __init__(
        self,
        flow: Flow,
        *,
        max_ttl: int = 30,
        timeout_s: float = 1.0,
        confidence: float = 0.95,
        flows: int = _FLOWS,
        longest_s: float = 300.0,
        store: dict[str, tuple[float, float]] | None = None,
    ) -> None:
        self._flow = flow
        self._max_ttl = max_ttl
        self._timeout_s = timeout_s
        self._confidence = confidence
        self._longest_s = longest_s
        self._began: float | None = None
        self._labels = range(FIRST_LABEL, FIRST_LABEL + flows)
        self._hops = [FlowsAt() for _ in range(max_ttl + 1)]
        self._ends: dict[int, int] = {}  # label -> the shortest TTL at which the flow's way was over
        self._place: dict[int, tuple[int, int]] = {}  # token -> TTL, label
        self._waiting: dict[int, float] = {}  # token -> when it times out
        self._store = {} if store is None else store  # address -> errors left, and when that was so
        self._reached = False
        self._answered: set[int] = set()  # tokens
        self._complete = True
        self._stopped = False  # a probe could not leave
        self._deadline: float | None = 0.0

    # -- session ------------------------------------------------------------------------------------------------------

    def next_request(self, now: float) -> Request | None:
        """The first wanted probe whose hop and whose answerer may be asked now."""
        self._began = now if self._began is None else self._began
        self._time_out(now)
        wake = min(self._waiting.values(), default=math.inf)
        wanted = False
        self._complete = not self._stopped and len(self._place) < _PROBES and now < self._began + self._longest_s
        if self._complete:
            for wish in self._wishes():
                wanted = True
                ready = self._ready_at(wish, now)
                if ready <= now:
                    flow = self._flow
                    varied = flow.labelled(wish.label)
                    return Probe(varied, ttl=wish.ttl, sequence=len(self._place) + 1)
                wake = min(wake, ready)
        self._deadline = wake if wanted or self._waiting else None
        return None

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note when it left, and when its hop may be asked again."""
        if isinstance(request, Probe):
            label, hop = request.flow.label, self._hops[request.ttl]
            self._place[token] = (request.ttl, label)
            self._waiting[token] = now + self._timeout_s
            hop.exchanges[token] = Exchange(request.ttl, request.sequence, now)
            hop.pending[label] += 1
            hop.repeated[label] += label in hop.drawn
            hop.next_at = now + hop.interval_s

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Enter the answer into the table, late ones too."""
        place = self._place.get(token)
        if place is None or token in self._answered or not isinstance(outcome, Reply):
            return
        ttl, label = place
        hop = self._hops[ttl]
        self._answered.add(token)
        asked = hop.exchanges[token]
        hop.exchanges[token] = Exchange(ttl, asked.sequence, asked.sent_s, outcome)
        if self._waiting.pop(token, None) is None:
            hop.failed[label] -= 1
            self._timeout_s = min(_LONGEST_WAIT_S, max(self._timeout_s, _MARGIN * outcome.rtt_s))
        else:
            hop.pending[label] -= 1
        if outcome.kind is ReplyKind.SEND_FAILED:
            if outcome.error in PASSING:  # like a lost one: another try may leave
                hop.failed[label] += 1
            else:
                self._stopped = True
            return
        hop.drawn.setdefault(label, []).append(outcome.source)
        hop.interval_s = max(INTERVAL_S, hop.interval_s * _RECOVERY)
        if outcome.kind in {ReplyKind.TIME_EXCEEDED, ReplyKind.UNREACHABLE}:
            self._store[outcome.source] = (self._left(outcome.source, now) - 1.0, now)
        if outcome.from_destination or outcome.kind is ReplyKind.UNREACHABLE:
            self._ends[label] = min(ttl, self._ends.get(label, ttl))
            self._reached |= outcome.from_destination

    def deadline(self) -> float | None:
        """When a hop may be asked again or a probe times out; None when nothing more is wanted."""
        return self._deadline

    def result(self) -> Multipath:
        """The graph, as far as it is known."""
        last = max((ttl for ttl, hop in enumerate(self._hops) if hop.drawn), default=0)
        per_packet = tuple(ttl for ttl in range(1, last + 1) if self._hops[ttl].per_packet)
        vertices = tuple(
            Vertex(ttl, address, tuple(sorted(labels)))
            for ttl in range(1, last + 1)
            for address, labels in sorted(self._seen_at(ttl).items())
        )
        branches = {
            Branch(ttl, self._hops[ttl - 1].drawn[label][0], addresses[0])
            for ttl in range(2, last + 1)
            if not {ttl - 1, ttl}.intersection(per_packet)
            for label, addresses in self._hops[ttl].drawn.items()
            if label in self._hops[ttl - 1].drawn and self._alive(label, ttl)
        }
        return Multipath(
            flow=self._flow,
            vertices=vertices,
            branches=tuple(sorted(branches, key=lambda b: (b.ttl, b.near, b.far))),
            per_packet=per_packet,
            reached=self._reached,
            complete=self._complete and self._deadline is None,
            probes_sent=len(self._place),
            unanswered=len(self._place) - len(self._answered),
            hops=tuple(Hop(ttl, tuple(hop.exchanges.values())) for ttl, hop in enumerate(self._hops) if hop.exchanges),
        )

    @property
    def destination(self) -> str:
        """Where all flows lead."""
        return self._flow.destination

    def left_s(self, now: float) -> float:
        """How long what is known to be missing will take at least."""
        wanted: dict[int, list[_Wish]] = {}
        for wish in self._wishes():
            wanted.setdefault(wish.ttl, []).append(wish)
        left = 0.0
        for ttl, wishes in wanted.items():
            known = {address for wish in wishes for address in wish.answerers if address in self._store}
            short = len(wishes) - sum(self._left(address, now) for address in known)
            left = max(left, len(wishes) * self._hops[ttl].interval_s, short / _REFILL / len(known) if known else 0.0)
        return left

    # -- the table ----------------------------------------------------------------------------------------------------

    def _alive(self, label: int, ttl: int) -> bool:
        """Whether this flow's way was not over before `ttl`."""
        return self._ends.get(label, ttl) >= ttl

    def _seen_at(self, ttl: int) -> dict[str, list[int]]:
        """Every address that was drawn at `ttl`, with the flows that drew it and were not over before."""
        found: dict[str, list[int]] = {}
        for label, addresses in self._hops[ttl].drawn.items():
            for address in dict.fromkeys(addresses) if self._alive(label, ttl) else ():
                found.setdefault(address, []).append(label)
        return found

    def _time_out(self, now: float) -> None:
        for token in [token for token, at in self._waiting.items() if at <= now]:
            del self._waiting[token]
            ttl, label = self._place[token]
            hop = self._hops[ttl]
            hop.pending[label] -= 1
            hop.failed[label] += 1
            if label in hop.drawn and hop.failed[label] < _TRIES:
                hop.repeated[label] -= 1
            if hop.drawn:
                hop.interval_s = min(_SLOWEST_S, max(_SLOW_S, 2.0 * hop.interval_s))

    def _groups(self, ttl: int, *, settled: bool) -> list[_Group]:
        """The flows that may be sent to `ttl`, by the vertex before it. `settled`: all is known of the TTL before."""
        before = self._hops[ttl - 1]
        vertices = before.vertices
        if ttl == 1 or before.per_packet or (settled and len(vertices) < 2):
            near = next(iter(vertices), _SELF) if len(vertices) == 1 else _SELF
            labels = tuple(label for label in self._hops[ttl].drawn if self._alive(label, ttl))
            over = vertices and not any(self._alive(label, ttl) for label in before.drawn)
            return [] if over else [_Group(ttl, near, labels, open_to_all=True)]
        groups = ((near, tuple(x for x in labels if self._alive(x, ttl))) for near, labels in vertices.items())
        return [_Group(ttl, near, labels, open_to_all=False) for near, labels in groups if labels]

    def _wishes(self) -> Iterator[_Wish]:
        """All that is wanted, nearest first; nothing: done (once what is in flight has been answered or timed out)."""
        settled, silent = True, 0
        for ttl in range(1, self._max_ttl + 1):
            hop = self._hops[ttl]
            groups = self._groups(ttl, settled=settled)
            if not groups:
                return
            for group in groups:
                wishes = list(self._wishes_of(group))
                settled = settled and not wishes and not self._lack(group)
                yield from wishes
            repeats = [*self._repeats(ttl), *self._confirmations(ttl)]
            yield from repeats
            tested = not repeats and not any(hop.pending[x] for x in hop.drawn)
            settled = settled and tested
            silent = 0 if hop.drawn else silent + 1
            if silent >= _GAP or (not settled and (silent or (len(hop.vertices) > 1 and not tested))):
                return

    def _succession(self, group: _Group) -> dict[str, int]:
        """Who answered how many flows of `group` at its TTL."""
        drawn = self._hops[group.ttl].drawn
        return Counter(drawn[label][0] for label in group.labels if label in drawn)

    def _lack(self, group: _Group) -> int:
        """How many more answers the stopping rule wants; 0 where nobody answers."""
        found = self._succession(group)
        drawn, failed = self._hops[group.ttl].drawn, self._hops[group.ttl].failed
        answered = sum(found.values())
        labels, tries = failed if group.open_to_all else group.labels, self._tries(group)
        given_up = sum(failed[x] >= tries and x not in drawn for x in labels)
        if not found:
            return max(0, _SILENT - given_up)
        need = stopping_point(len(found), self._confidence)
        return 0 if given_up >= need else max(0, need - answered)

    def _tries(self, group: _Group) -> int:
        """How often a flow of `group` is sent before it is given up."""
        drawn = self._hops[group.ttl].drawn
        into_silence = _TRIES_INTO_SILENCE if drawn else 1
        return _TRIES if any(x in drawn for x in group.labels) else into_silence

    def _wishes_of(self, group: _Group) -> Iterator[_Wish]:
        """Flows of `group` to send to its TTL, or flows to find for it one TTL nearer."""
        hop = self._hops[group.ttl]
        labels = hop.pending if group.open_to_all else group.labels
        lack = self._lack(group) - sum(hop.pending[x] for x in labels if x not in hop.drawn)
        if lack <= 0:
            return
        tries = self._tries(group)
        candidates = self._candidates(group) if group.open_to_all else group.labels
        again = [x for x in (hop.failed if group.open_to_all else group.labels) if hop.failed[x]]
        fresh = (x for x in candidates if not hop.failed[x])
        usable = (x for x in chain(again, fresh) if x not in hop.drawn and not hop.pending[x] and hop.failed[x] < tries)
        answerers = tuple(self._succession(group)) or tuple(hop.vertices)
        for label in islice(usable, lack):
            lack -= 1
            yield _Wish(group.ttl, label, answerers)
        if lack and not group.open_to_all:
            supply = self._supply(group.ttl - 1, group.near)
            if supply is None:
                self._complete = False
            elif sum(self._hops[supply.ttl].pending.values()) < lack:
                yield supply

    def _candidates(self, group: _Group) -> Iterator[int]:
        """Flows for a group that is open to all: those known one TTL nearer, which makes branches, then new ones."""
        before = self._hops[group.ttl - 1].drawn
        known = [label for label in sorted(before) if self._alive(label, group.ttl)]
        yield from known
        have = set(known)
        fresh = (x for x in self._labels if x not in have and self._alive(x, group.ttl))
        yield from fresh

    def _supply(self, ttl: int, vertex: str) -> _Wish | None:
        """A probe that may show one more flow to go through `vertex` at `ttl`."""
        hop = self._hops[ttl]
        groups = [g for g in self._groups(ttl, settled=True) if vertex in self._succession(g)]
        for group in groups:
            labels = self._candidates(group) if group.open_to_all else iter(group.labels)
            label = next((x for x in labels if hop.untouched(x)), None)
            if label is not None:
                return _Wish(ttl, label, tuple(self._succession(group)))
        for group in groups:
            if not group.open_to_all and (found := self._supply(ttl - 1, group.near)):
                return found
        return None

    def _repeats(self, ttl: int) -> Iterator[_Wish]:
        """Flows to ask once more where there is more than one vertex: does balancing follow the flow, or the packet?"""
        hop = self._hops[ttl]
        vertices = hop.vertices
        if len(vertices) < 2 or hop.per_packet:
            return
        left = _REPEATS - sum(1 for label in hop.drawn if hop.repeated[label])
        # In turn over the addresses, so that none has to answer more than its share.
        turns = max(map(len, vertices.values()))
        order = [labels[turn] for turn in range(turns) for labels in vertices.values() if turn < len(labels)]
        for label in order:
            if left > 0 and not hop.repeated[label] and label not in self._ends and not hop.pending[label]:
                left -= 1
                yield _Wish(ttl, label, (hop.drawn[label][0],))

    def _confirmations(self, ttl: int) -> Iterator[_Wish]:
        """Flows to ask one TTL nearer, where they were taken for granted, so that every branch has a flow to show."""
        before = self._hops[ttl - 1]
        if len(before.vertices) != 1:
            return
        (near,) = before.vertices
        for labels in self._hops[ttl].vertices.values():
            alive = [label for label in labels if self._alive(label, ttl)]
            if alive and not any(x in before.drawn or before.pending[x] for x in alive):
                label = min(alive, key=lambda x: before.failed[x])
                if before.failed[label] < _TRIES:
                    yield _Wish(ttl - 1, label, (near,))

    # -- patience -----------------------------------------------------------------------------------------------------

    def _left(self, address: str, now: float) -> float:
        """Errors that `address` has in store for us."""
        left, at = self._store.get(address, (_BURST, now))
        return min(_BURST, left + (now - at) * _REFILL)

    def _ready_at(self, wish: _Wish, now: float) -> float:
        """When `wish` may be sent: every one of its possible answerers must be able to afford it."""
        hop = self._hops[wish.ttl]
        cost = 1.0 + sum(hop.pending.values())
        short = max((cost - self._left(a, now) for a in wish.answerers if a in self._store), default=0.0)
        return max(hop.next_at, now + max(0.0, short) / _REFILL)
