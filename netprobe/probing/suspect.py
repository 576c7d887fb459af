"""A hop that often stayed silent, asked once more at other rates: is it asked too fast, or do packets get lost?

What the rounds have counted is one phase of a rate test; this adds the others. Asked faster, up to what is polite, a
limiter falls behind; asked more slowly, it keeps up. The test ends as soon as one explanation is much likelier.
(`RateLimitSession` measures a limiter from scratch; this only tells.)
"""

from collections.abc import Sequence

from netprobe.model.probes import Exchange, Flow, Probe, Protocol, RatePhase, Reply, ReplyKind
from netprobe.probing.loss import Judgement, Silence, judge, lean
from netprobe.probing.port import Outcome, Request
from netprobe.probing.traceroute import FULL_TTL

FASTEST = 5.0  # probes a second that one router is asked
_SLOWER = 4.0
_SELDOM = 0.4  # who answers less than that has shown what it does when it is asked too fast
_LEAST = 20  # probes in a phase before anything is said
_MOST_FASTER, _MOST_SLOWER = 60, 40
_STEP = 5  # probes after which is looked again
_LABELS = range(728, 856)  # of the SYNs to a destination, each a flow of its own

#: When a probe left, and whether it was answered.
_Sent = tuple[float, bool]


class SuspectTest:
    """Ask the hop at `ttl` of `flow` (TTL 64: the destination), whose exchanges in the rounds are `before`."""

    def __init__(self, flow: Flow, ttl: int, before: Sequence[Exchange], *, timeout_s: float = 1.0) -> None:
        self._flow = flow
        self._ttl = ttl
        self._timeout_s = timeout_s
        self._before = known = _phase([(x.sent_s, _answered(x.reply)) for x in before])
        self._rates: list[float] = []
        if known:
            faster = known.rate <= FASTEST / 2 and known.answered >= _SELDOM * known.sent
            self._rates = [*([FASTEST] if faster else []), known.rate / _SLOWER]
        self._sent: list[list[_Sent]] = [[]]  # by phase
        self._place: dict[int, tuple[int, int]] = {}  # token -> phase, index
        self._next_at = 0.0
        self._looked = 0
        self._now = 0.0
        self._over = not self._rates

    def next_request(self, now: float) -> Request | None:
        """The next probe when its time has come."""
        self._now = now
        if self._over or now < self._next_at:
            return None
        number, present = len(self._sent) - 1, self._sent[-1]
        settled = len(self._settled(number, now))
        if settled >= max(_LEAST, self._looked + _STEP):
            self._looked = settled
            self._over = lean(self._phases(now)) is not Silence.UNDECIDED
        if len(present) >= (_MOST_FASTER if self._rates[number] == FASTEST else _MOST_SLOWER):
            if number + 1 < len(self._rates):
                self._sent.append([])
                self._looked = 0
            elif now < present[-1][0] + self._timeout_s:
                self._next_at = present[-1][0] + self._timeout_s
                return None
            else:
                self._over = True
        return None if self._over else self._probe()

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note when it left."""
        del request
        phase = len(self._sent) - 1
        self._place[token] = (phase, len(self._sent[phase]))
        self._sent[phase].append((now, False))
        self._next_at = now + 1.0 / self._rates[phase]

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Mark the probe as answered. One that could not be sent ends the test."""
        del now
        if isinstance(outcome, Reply) and token in self._place:
            phase, index = self._place[token]
            self._sent[phase][index] = (self._sent[phase][index][0], True)
            self._over |= outcome.kind is ReplyKind.SEND_FAILED

    def deadline(self) -> float | None:
        """When the next probe is due."""
        return None if self._over else self._next_at

    def result(self) -> Judgement:
        """What all phases say."""
        return judge(self._phases(self._now))

    @property
    def left_s(self) -> float:
        """How long it may still take at most."""
        left = 0.0
        for number, rate in enumerate(self._rates):
            sent = len(self._sent[number]) if number < len(self._sent) else 0
            left += max(0, (_MOST_FASTER if rate == FASTEST else _MOST_SLOWER) - sent) / rate
        return 0.0 if self._over else left

    def _probe(self) -> Probe:
        number = len(self._place)
        label = self._flow.label
        if self._ttl == FULL_TTL and self._flow.protocol is Protocol.TCP:
            label = _LABELS[number % len(_LABELS)]
        flow = Flow(self._flow.protocol, self._flow.destination, self._flow.port, label)
        return Probe(flow, ttl=self._ttl, sequence=number + 1)

    def _settled(self, number: int, now: float) -> list[_Sent]:
        """The probes of a phase that have had their time: among younger ones, only answers are known."""
        return [one for one in self._sent[number] if one[0] + self._timeout_s <= now]

    def _phases(self, now: float) -> list[RatePhase]:
        """All phases. Asked faster, a limiter lives on its savings until the first silence."""
        found = [self._before]
        for number in range(len(self._sent)):
            settled = self._settled(number, now)
            silent = next((n for n, (_, answered) in enumerate(settled) if not answered), -1)
            found.append(_phase(settled[silent + 1 :] if self._rates[number] == FASTEST else settled))
        return [phase for phase in found if phase]


def _answered(reply: Reply | None) -> bool:
    return reply is not None and reply.kind is not ReplyKind.SEND_FAILED


def _phase(sent: Sequence[_Sent]) -> RatePhase | None:
    """The probes as a phase, None when they are too few for a rate."""
    if len(sent) < 2 or sent[-1][0] <= sent[0][0]:
        return None
    rate = (len(sent) - 1) / (sent[-1][0] - sent[0][0])
    return RatePhase(rate, len(sent), sum(answered for _, answered in sent))
