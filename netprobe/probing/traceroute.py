"""The traceroute of about one round trip: constant flow, the whole path at once.

The destination and the first TTLs leave together. The TTL of the destination's reply says how long the way back is,
which is a good guess for the way there; what the guess missed follows in a second round. TTL-limited probes all belong
to one flow (Paris traceroute, Augustin et al. 2006), so a load balancer shows one path, not a mixture. The probe that
only asks for the destination's reply is a flow of its own under TCP: a second SYN on one four-tuple would draw no
SYN-ACK, and the one that counts is that of the shortest TTL that gets through.
"""

from collections import deque

from netprobe.model.probes import Exchange, Flow, Hop, Path, Probe, Protocol, Reply
from netprobe.probing.port import Outcome, Request

FIRST_TTLS = 16  # 90 % of paths to a CDN are shorter
FULL_TTL = 64
_GUESS_MARGIN = 1  # the way there is often a hop longer or shorter than the way back
_GAP = 5  # silent hops in a row after which a path that does not reach is given up
_SLOW_ANSWER_S = 0.15  # routers answer from a slow path: what they may take beyond the destination's round trip
_DESTINATION_LABEL = 50


def path_length(arrival_ttl: int) -> int:
    """How many hops a packet that arrived with `arrival_ttl` has crossed, from the usual initial TTLs (64, 128, 255)."""
    initial = next(start for start in (64, 128, 255) if arrival_ttl <= start)
    return initial - arrival_ttl + 1


class Traceroute:
    """Find the path of `flow`, hop by hop, with up to `tries` probes for a hop that stays silent."""

    def __init__(
        self, flow: Flow, *, max_ttl: int = 30, tries: int = 2, timeout_s: float = 1.0, first_ttls: int = FIRST_TTLS
    ) -> None:
        self._flow = flow
        self._max_ttl = max_ttl
        self._tries = tries
        self._timeout_s = timeout_s
        away = _DESTINATION_LABEL if flow.protocol is Protocol.TCP else 0
        self._ask_destination = Flow(flow.protocol, flow.destination, flow.port, flow.label + away)
        self._queue: deque[int] = deque([FULL_TTL, *range(1, min(first_ttls, max_ttl) + 1)])
        self._sent: dict[int, list[Exchange]] = {}  # by TTL, in order of sending
        self._token: dict[int, tuple[int, int]] = {}  # token -> TTL, index
        self._sequence = 0
        self._outstanding = 0
        self._last_at = 0.0
        self._guess: int | None = None  # path length by the TTL of the destination's reply
        self._length: int | None = None  # path length as shown by the shortest TTL that got through
        self._destination_rtt_s: float | None = None
        self._given_up: set[int] = set()
        self._done = False

    def next_request(self, now: float) -> Request | None:
        """The next probe of the current round; a new round when this one is answered or has timed out."""
        if not self._queue and not self._done and self._round_is_over(now):
            self._next_round()
        if not self._queue:
            return None
        ttl = self._queue.popleft()
        flow = self._ask_destination if ttl == FULL_TTL else self._flow
        self._sequence += 1
        return Probe(flow, ttl=ttl, sequence=self._sequence)

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note when it left."""
        if not isinstance(request, Probe):
            return
        tries = self._sent.setdefault(request.ttl, [])
        self._token[token] = (request.ttl, len(tries))
        tries.append(Exchange(request.ttl, request.sequence, now))
        self._outstanding += 1
        self._last_at = now

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Keep the first reply to each probe and learn from it how long the path is."""
        del now
        if not isinstance(outcome, Reply):
            return
        ttl, index = self._token[token]
        before = self._sent[ttl][index]
        if before.reply is not None:
            return
        self._sent[ttl][index] = Exchange(before.ttl, before.sequence, before.sent_s, outcome)
        self._outstanding -= 1
        if not outcome.from_destination:
            return
        if self._destination_rtt_s is None or outcome.rtt_s < self._destination_rtt_s:
            self._destination_rtt_s = outcome.rtt_s
        if ttl == FULL_TTL:
            if outcome.ttl > 0:
                self._guess = path_length(outcome.ttl)
        elif self._length is None or ttl < self._length:
            self._length = ttl
        self._trim_queue()

    def deadline(self) -> float | None:
        """When the current round times out."""
        if self._done:
            return None
        return self._last_at + self._wait_s if self._sent else 0.0

    def result(self) -> Path:
        """The path: all hops up to the destination, or up to the last that answered and the silence after it."""
        last = self._length or max((t for t in self._sent if t != FULL_TTL), default=0)
        if self._length is None:
            last = min(last, max(self._farthest + _GAP, 1)) if not self._reached else max(self._farthest, 1)
        hops = tuple(Hop(ttl, tuple(self._sent.get(ttl, ()))) for ttl in range(1, last + 1))
        probes = sum(len(tries) for tries in self._sent.values())
        return Path(self._flow, hops, self._reached, self._destination_rtt_s, probes)

    @property
    def _reached(self) -> bool:
        return self._destination_rtt_s is not None

    @property
    def _farthest(self) -> int:
        """The farthest TTL at which somebody answered."""
        return max((t for t, tries in self._sent.items() if t != FULL_TTL and any(x.reply for x in tries)), default=0)

    @property
    def _wait_s(self) -> float:
        if self._destination_rtt_s is None:
            return self._timeout_s
        return min(self._timeout_s, 1.5 * self._destination_rtt_s + _SLOW_ANSWER_S)

    def _round_is_over(self, now: float) -> bool:
        return bool(self._sent) and (self._outstanding == 0 or self._everything_needed() or now >= self.deadline_or_now)

    @property
    def deadline_or_now(self) -> float:
        """The round's end."""
        return self._last_at + self._wait_s

    def _everything_needed(self) -> bool:
        """Every hop up to the destination has answered: what is still in flight went beyond it."""
        return self._length is not None and all(
            any(x.reply for x in self._sent.get(ttl, ())) for ttl in range(1, self._length + 1)
        )

    def _trim_queue(self) -> None:
        """Probes beyond the destination are not sent."""
        limit = self._length or (self._guess or FULL_TTL) + _GUESS_MARGIN
        self._queue = deque(ttl for ttl in self._queue if ttl <= limit)

    def _next_round(self) -> None:
        """Queue what is still worth sending; nothing: done."""
        wanted = self._wanted()
        for tries in self._sent.values():  # what this round left unanswered is over: late replies still count
            self._outstanding -= sum(1 for x in tries if x.reply is None)
        self._outstanding = 0
        self._queue.extend(wanted)
        self._done = not wanted

    def _wanted(self) -> list[int]:
        if self._length is not None:
            return self._unsent_or_silent(self._length)
        if self._reached:
            beyond = max(self._farthest, self._guess or 0) + _GUESS_MARGIN
            wanted = self._unsent_or_silent(min(beyond, self._max_ttl))
            if wanted:
                return wanted
            unsent = [t for t in range(beyond + 1, min(beyond + _GAP, self._max_ttl) + 1) if t not in self._sent]
            return unsent if not self._silent_tail() else []
        horizon = min(self._farthest + _GAP, self._max_ttl)
        unsent = [ttl for ttl in range(1, horizon + 1) if ttl not in self._sent]
        if unsent:
            return unsent
        tail = [t for t in range(self._farthest + 1, horizon + 1) if len(self._sent.get(t, ())) < self._tries]
        if len(self._sent[FULL_TTL]) < self._tries:
            tail.append(FULL_TTL)
        return tail

    def _unsent_or_silent(self, last: int) -> list[int]:
        """TTLs up to `last` that were not asked yet, or that stayed silent and have tries left."""
        return [
            ttl
            for ttl in range(1, last + 1)
            if len(self._sent.get(ttl, ())) < self._tries and not any(x.reply for x in self._sent.get(ttl, ()))
        ]

    def _silent_tail(self) -> bool:
        """Whether the last TTLs that were sent are silent: a destination that answers only at full TTL."""
        sent = sorted(t for t in self._sent if t != FULL_TTL)
        return len(sent) >= _GAP and not any(x.reply for t in sent[-_GAP:] for x in self._sent[t])
