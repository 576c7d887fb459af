"""The traceroute of about one round trip: constant flow, the whole path at once.

The destination and the first TTLs leave together. The TTL of the destination's reply says how long the way back is,
which is a good guess for the way there; what the guess missed follows in a second round. TTL-limited probes all belong
to one flow (Paris traceroute, Augustin et al. 2006), so a load balancer shows one path, not a mixture. The probe that
only asks for the destination's reply is a flow of its own under TCP: a second SYN on one four-tuple would draw no
SYN-ACK, and the one that counts is that of the shortest TTL that gets through.
"""

from collections import deque

from netprobe.model.probes import Exchange, Flow, Hop, Path, Probe, Protocol, Reply, ReplyKind
from netprobe.model.unsent import PASSING
from netprobe.probing.distance import path_length
from netprobe.probing.port import Outcome, Request

FIRST_TTLS = 16  # most paths to a content network are shorter
FULL_TTL = 64
_GUESS_MARGIN = 1  # the way there is often a hop longer or shorter than the way back
_GAP = 5  # silent hops in a row after which a path that does not reach is given up
_SLOW_ANSWER_S = 0.15  # routers answer from a slow path: what they may take beyond the destination's round trip
_DESTINATION_LABEL = 50


class Traceroute:
    """Find the path of `flow`, hop by hop, in rounds, with up to `tries` probes for a hop that stays silent.

    With `patience_s` the TTLs of the first round leave one after the other, each when the one before has been answered
    or has had that long to be: where many paths share a rate, a round trip passes between two turns of one of them
    anyway, and what would have gone beyond the destination, or only asked how far it is, is saved.

    The path begins at `first_ttl`. Between the tries of a silent hop `timeout_s` pass, in which a router that answers
    one probe a second is ready again; the last is waited for `last_s` only, unless any of them is answered. Once the
    destination has answered, other hops have half a round trip and `grace_s` more.
    """

    def __init__(  # noqa: PLR0913  # what to ask, and how long to wait
        self,
        flow: Flow,
        *,
        first_ttl: int = 1,
        max_ttl: int = 30,
        tries: int = 2,
        timeout_s: float = 1.0,
        last_s: float | None = None,
        first_ttls: int = FIRST_TTLS,
        patience_s: float = 0.0,
        grace_s: float = _SLOW_ANSWER_S,
    ) -> None:
        self._flow = flow
        self._first_ttl = first_ttl
        self._max_ttl = max_ttl
        self._tries = tries
        self._timeout_s = timeout_s
        self._last_s = timeout_s if last_s is None else last_s
        self._asked_again = False  # what is open now are last tries
        away = _DESTINATION_LABEL if flow.protocol is Protocol.TCP else 0
        self._ask_destination = flow.labelled(flow.label + away)
        first = range(first_ttl, min(first_ttl + first_ttls - 1, max_ttl) + 1)
        self._queue: deque[int] = deque(first if patience_s else (FULL_TTL, *first))
        self._patience_s = patience_s
        self._grace_s = grace_s
        self._latest = 0  # the token of the probe that left last,
        self._next_at = 0.0  # and when the next one may follow though it is unanswered
        self._sent: dict[int, list[Exchange]] = {}  # by TTL, in order of sending
        self._place: dict[int, tuple[int, int]] = {}  # token -> TTL, index
        self._open: set[int] = set()  # tokens of this round without a reply
        self._sequence = 0
        self._round_ends_at = 0.0
        self._guess: int | None = None  # path length by the TTL of the destination's reply
        self._length: int | None = None  # path length as shown by the shortest TTL that got through
        self._barred: int | None = None  # the shortest TTL at which a router refused to pass it on (or it never left)
        self._rtt_s: float | None = None  # of the destination
        self._done = False

    def next_request(self, now: float) -> Request | None:
        """The next probe of the current round; a new round when this one is answered or has timed out."""
        if not self._queue and not self._done and self._round_is_over(now):
            self._open.clear()
            self._queue.extend(self._next_round())
            self._done = not self._queue
        if not self._queue or (self._patience_s and self._latest in self._open and now < self._next_at):
            return None
        ttl = self._queue.popleft()
        self._sequence += 1
        flow = self._ask_destination if ttl == FULL_TTL else self._flow
        return Probe(flow, ttl=ttl, sequence=self._sequence)

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note when it left."""
        if isinstance(request, Probe):
            tries = self._sent.setdefault(request.ttl, [])
            self._place[token] = (request.ttl, len(tries))
            tries.append(Exchange(request.ttl, request.sequence, now))
            self._open.add(token)
            self._round_ends_at = now + self._wait_s
            self._latest, self._next_at = token, now + self._patience_s

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Keep the replies to each probe (late ones too) and learn from the first how long the path is."""
        if not isinstance(outcome, Reply):
            return
        ttl, index = self._place[token]
        exchange = self._sent[ttl][index]
        self._sent[ttl][index] = exchange.answered_by(outcome)
        if exchange.reply is not None and exchange.reply.error not in PASSING:
            return
        self._open.discard(token)
        if not outcome.from_destination:
            if self._asked_again and self._rtt_s is None:  # it goes on: with routers that are ready again
                self._round_ends_at = max(self._round_ends_at, exchange.sent_s + self._timeout_s)
            if outcome.kind in {ReplyKind.UNREACHABLE, ReplyKind.SEND_FAILED} and outcome.error not in PASSING:
                self._bar(self._first_ttl if ttl == FULL_TTL and outcome.kind is ReplyKind.SEND_FAILED else ttl)
            return
        if self._rtt_s is None:
            self._round_ends_at = min(self._round_ends_at, now + self._grace_s + 0.5 * outcome.rtt_s)
        self._rtt_s = min(outcome.rtt_s, self._rtt_s or outcome.rtt_s)
        if ttl != FULL_TTL:
            self._length = min(ttl, self._length or ttl)
        elif outcome.ttl > 0:
            self._guess = path_length(outcome.ttl)
        self._forget_beyond(self._length or (self._guess or FULL_TTL) + _GUESS_MARGIN)

    def deadline(self) -> float | None:
        """When the current round times out, or the next probe of it may leave."""
        if self._done:
            return None
        return self._next_at if self._queue else self._round_ends_at

    def result(self) -> Path:
        """The path: all hops up to the destination, or up to the last that answered and the silence after it."""
        asked = max((ttl for ttl in self._sent if ttl != FULL_TTL), default=0)
        if self._length is not None:
            last = self._length
        elif self._barred is not None:
            last = min(asked, self._barred)
        elif self._rtt_s is not None and self._guess is not None:  # it answers, but at full TTL only
            last = min(asked, max(self._farthest, self._guess - 1))
        else:
            last = min(asked, self._farthest + _GAP)
        hops = tuple(Hop(ttl, tuple(self._sent.get(ttl, ()))) for ttl in range(self._first_ttl, last + 1))
        probes = sum(len(tries) for tries in self._sent.values())
        return Path(self._flow, hops, self._rtt_s is not None, self._rtt_s, probes)

    def _bar(self, ttl: int) -> None:
        if ttl != FULL_TTL:
            self._barred = min(ttl, self._barred or ttl)
            self._forget_beyond(self._barred)

    def _forget_beyond(self, last: int) -> None:
        """Probes beyond the destination are not sent."""
        self._queue = deque(ttl for ttl in self._queue if ttl <= last)

    @property
    def _wait_s(self) -> float:
        """How long a reply may take: a good round trip once the destination has answered."""
        if self._rtt_s is None:
            return self._last_s if self._asked_again else self._timeout_s
        return min(self._timeout_s, 1.5 * self._rtt_s + self._grace_s)

    @property
    def _farthest(self) -> int:
        """The farthest TTL at which a router answered."""
        return max((ttl for ttl in self._sent if ttl != FULL_TTL and self._answered(ttl)), default=self._first_ttl - 1)

    def _answered(self, ttl: int) -> bool:
        for exchange in self._sent.get(ttl, ()):
            if exchange.reply is not None and exchange.reply.error not in PASSING:
                return True
        return False

    def _open_for(self, ttl: int) -> bool:
        """Whether `ttl` is silent and has tries left."""
        return not self._answered(ttl) and len(self._sent.get(ttl, ())) < self._tries

    def _round_is_over(self, now: float) -> bool:
        if not self._sent:
            return False
        # What is still in flight once every hop up to the destination has answered went beyond it.
        complete = self._length is not None and all(map(self._answered, range(self._first_ttl, self._length + 1)))
        return complete or not self._open or now >= self._round_ends_at

    def _next_round(self) -> list[int]:
        """The TTLs that are still worth a probe; none: done."""
        if self._length is not None or self._barred is not None:
            last = self._length or self._barred or 0
            return [ttl for ttl in range(self._first_ttl, last + 1) if self._open_for(ttl)]
        if self._rtt_s is not None:
            # Not every vantage sees the TTL of a reply; and where routers answer that far out, it has misled.
            misled = self._guess is None or self._farthest >= self._guess
            margin = _GAP if misled else _GUESS_MARGIN
            last = min(max(self._farthest, self._guess or 0) + margin, self._max_ttl)
            return [ttl for ttl in range(self._first_ttl, last + 1) if self._open_for(ttl)]
        last = min(self._farthest + _GAP, self._max_ttl)
        unsent = [ttl for ttl in range(self._first_ttl, last + 1) if ttl not in self._sent]
        if unsent:
            self._asked_again = False
            return unsent
        # The end of a path is what a verdict rests on: only its silence is asked again, and the destination itself.
        again = [ttl for ttl in (*range(self._farthest + 1, last + 1), FULL_TTL) if self._open_for(ttl)]
        self._asked_again = all(len(self._sent.get(ttl, ())) + 1 >= self._tries for ttl in again)
        return again
