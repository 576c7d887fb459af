"""Path MTU discovery (RFC 1191), and where packets die that are too large and nobody says so (RFC 2923).

Probes must not be fragmented. A size that draws "fragmentation needed" is followed by the MTU that the router tells, or
by the next of the usual ones; a size that draws nothing at all is halved towards what was answered. What was silent is
then sent with short TTLs beside small packets: behind the last router that still answers the large one, it dies.
"""

from collections.abc import Generator, Iterator, Sequence

from netprobe.model.probes import BlackHole, Exchange, Flow, PathMtu, Probe, Reply, Sized
from netprobe.probing.distance import path_length
from netprobe.probing.port import Outcome, Request
from netprobe.probing.traceroute import FULL_TTL

#: MTUs that links have: RFC 1191, 7.1, and what tunnels, PPPoE and mobile networks leave of 1500 bytes.
USUAL = (
    *(68, 296, 508, 576, 1006, 1280, 1300, 1340, 1380, 1400, 1420, 1428, 1440, 1450, 1460, 1472, 1480, 1492, 1500),
    *(1600, 2002, 4352, 8166, 9000),
)
SMALL = 68  # RFC 791: every link carries this much
_TOO_LARGE = frozenset({(3, 4), (2, 0)})  # RFC 792: fragmentation needed; RFC 4443, 3.2: packet too big
_MOST_SIZES = 32  # whoever tells us smaller and smaller MTUs, it ends
_MARGIN = 2  # hops that the way there may be longer than the way back
_SLOW_ANSWER_S = 0.2
_PATIENCE_S = 1.0  # a limited router gets an answer back in that time (Linux: icmp_ratelimit)
_DOUBTS = 3

Asked = tuple[int, int]  # TTL, size
Answers = dict[Asked, Reply | None]
Course = Generator[Sequence[Asked], Answers, None]


class PathMtuSession:
    """Find the largest packet that gets to `flow`'s destination, from `largest` bytes down.

    `flow` is ICMP echo or UDP: a SYN has no size to choose. Silence counts after `tries` probes.
    """

    def __init__(
        self, flow: Flow, *, largest: int = 1500, tries: int = 3, timeout_s: float = 1.0, max_ttl: int = 30
    ) -> None:
        self._flow = flow
        self._largest = max(largest, SMALL)
        self._tries = tries
        self._timeout_s = timeout_s
        self._max_ttl = max_ttl
        self._mtu = 0
        self._told: list[tuple[str, int]] = []
        self._hole: BlackHole | None = None
        self._sized: list[Sized] = []
        self._place: dict[int, int] = {}  # token -> index
        self._least_wait_s = 0.0  # for the present batch
        self._rtt_s: float | None = None  # of the destination
        self._course = self._find()
        self._queue = list(next(self._course))
        self._batch: dict[int, Asked] = {}  # index -> what was asked
        self._ends_at = 0.0
        self._done = False

    # -- session ------------------------------------------------------------------------------------------------------

    def next_request(self, now: float) -> Request | None:
        """The next probe of the present batch; the next batch when this one is answered or has timed out."""
        while not self._queue and not self._done and self._over(now):
            answers = {asked: self._sized[index].exchange.reply for index, asked in self._batch.items()}
            self._batch.clear()
            try:
                self._queue = list(self._course.send(answers))
            except StopIteration:
                self._done = True
        if not self._queue:
            return None
        ttl, size = self._queue.pop(0)
        return Probe(self._flow, ttl=ttl, sequence=len(self._sized) + 1, size=size)

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note when it left."""
        if isinstance(request, Probe):
            index = len(self._sized)
            self._place[token] = index
            self._batch[index] = (request.ttl, request.size)
            self._sized.append(Sized(request.size, Exchange(request.ttl, request.sequence, now)))
            self._ends_at = now + max(self._wait_s, self._least_wait_s)

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Keep the first reply to each probe."""
        del now
        if not isinstance(outcome, Reply) or token not in self._place:
            return
        index = self._place[token]
        size, exchange = self._sized[index].size, self._sized[index].exchange
        if exchange.reply is None:
            answered = Exchange(exchange.ttl, exchange.sequence, exchange.sent_s, outcome)
            self._sized[index] = Sized(size, answered)
            if outcome.from_destination:
                self._rtt_s = min(outcome.rtt_s, self._rtt_s or outcome.rtt_s)

    def deadline(self) -> float | None:
        """When the present batch times out."""
        return None if self._done else self._ends_at

    def result(self) -> PathMtu:
        """What sizes got through, who said what does not, and where the rest died."""
        return PathMtu(self._flow, self._mtu, tuple(self._told), self._hole, tuple(self._sized))

    @property
    def _wait_s(self) -> float:
        """How long a reply may take: a good round trip once the destination has answered."""
        return self._timeout_s if self._rtt_s is None else min(self._timeout_s, 1.5 * self._rtt_s + _SLOW_ANSWER_S)

    def _over(self, now: float) -> bool:
        answered = all(self._sized[index].exchange.reply for index in self._batch)
        return bool(self._batch) and (answered or now >= self._ends_at)

    # -- the course of it ---------------------------------------------------------------------------------------------

    def _find(self) -> Course:
        answers = yield from self._ask([(FULL_TTL, SMALL), (FULL_TTL, self._largest)])
        small = answers[FULL_TTL, SMALL]
        if small is None or not small.from_destination:
            self._take(answers[FULL_TTL, self._largest], self._largest)
            return
        silent = yield from self._narrow(answers[FULL_TTL, self._largest])
        if silent:
            hops = path_length(small.ttl) + _MARGIN if small.ttl > 0 else self._max_ttl
            yield from self._locate(silent, min(hops, self._max_ttl))

    def _narrow(self, reply: Reply | None) -> Generator[Sequence[Asked], Answers, int]:
        """Close in on the largest size that is answered; returns the smallest that drew silence, 0 for none."""
        low, high, size, silent = SMALL, self._largest, self._largest, 0
        for _ in range(_MOST_SIZES):
            told = self._take(reply, size)
            if reply is not None and reply.from_destination:
                low = size
            elif reply is None:
                silent = size
                high = size - 1
            else:
                high = told if low <= told < size else size - 1
            if low >= high:
                break
            size = high if told == high else _between(low, high, halve=bool(silent))
            reply = (yield from self._ask([(FULL_TTL, size)]))[FULL_TTL, size]
        self._mtu = low
        return silent

    def _take(self, reply: Reply | None, size: int) -> int:
        """Note what a router says about `size`; the MTU that it tells, 0 when it tells none that makes sense."""
        if reply is None or (reply.icmp_type, reply.icmp_code) not in _TOO_LARGE:
            return 0
        told = reply.mtu if SMALL <= reply.mtu < size else 0
        self._told.append((reply.source, told))
        return told

    def _locate(self, size: int, hops: int) -> Course:
        """Where packets of `size` bytes die: hop by hop, beside small ones."""
        asked = [(ttl, each) for ttl in range(1, hops + 1) for each in (SMALL, size)]
        answers = yield from self._ask(asked)
        for _ in range(_DOUBTS * hops):
            near = max((ttl for ttl in range(1, hops + 1) if answers[ttl, size]), default=0)
            far = next((ttl for ttl in range(near + 1, hops + 1) if answers[ttl, SMALL]), None)
            if far is None:
                return
            # Routers that limit their errors may have been silent for that: in doubt, they are asked again in peace.
            self._least_wait_s = _PATIENCE_S
            again = yield from self._ask([(ttl, size) for ttl in range(near + 1, far + 1)])
            self._least_wait_s = 0.0
            if not any(again.values()):
                source = [reply.source if reply else "" for reply in (answers.get((near, size)), answers[far, SMALL])]
                self._hole = BlackHole(size, (near, source[0]), (far, source[1]))
                return
            answers |= again

    def _ask(self, asked: Sequence[Asked]) -> Generator[Sequence[Asked], Answers, Answers]:
        """Send each of `asked`, and what stays unanswered again."""
        answers: Answers = dict.fromkeys(asked)
        for _ in range(self._tries):
            missing = [one for one, reply in answers.items() if reply is None]
            if not missing:
                break
            answers |= yield missing
        return answers


def _between(low: int, high: int, *, halve: bool) -> int:
    """The size to try next, above `low` and up to `high`: a usual one, the largest or (`halve`) the middle one."""
    usual = list(_usual(low, high))
    if usual:
        return usual[len(usual) // 2] if halve else usual[-1]
    return (low + high + 1) // 2


def _usual(low: int, high: int) -> Iterator[int]:
    return (size for size in USUAL if low < size <= high)
