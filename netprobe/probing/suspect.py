"""A hop that often stayed silent, asked once more at other rates: is it asked too fast, or do packets get lost?

What the rounds have counted is one phase of a rate test; this adds the others. Asked faster, up to what is polite, a
limiter falls behind; asked a little more slowly than it has answered, it keeps up. Limiters remember how they were
asked before, so the beginning of a phase does not count. The test ends as soon as one explanation is much likelier.
(`RateLimitSession` measures a limiter from scratch; this only tells.)
"""

from collections.abc import Sequence

from netprobe.model.probes import Exchange, Flow, Probe, Protocol, RatePhase, Reply, ReplyKind
from netprobe.probing.loss import Judgement, Silence, judge, lean
from netprobe.probing.port import Outcome, Request
from netprobe.probing.traceroute import FULL_TTL

FASTEST = 5.0  # probes a second that one router is asked
_SLOWEST = 0.25
_SLOWER = 0.8  # of the rate of the answers
_SELDOM = 0.4  # who answers less than that has shown what it does when it is asked too fast
_FORGETS = 4.0  # answers after which a limiter has forgotten what was before
_LEAST_FASTER, _LEAST_SLOWER = 20, 8  # probes in a phase before anything is said
_MOST_FASTER, _MOST_SLOWER = 60, 30
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
        self._before = known = _phase(_drained([(x.sent_s, _answered(x.reply)) for x in before]))
        self._rates: list[float] = []
        self._settles_s = 0.0  # what is left out at the beginning of a phase
        if known and known.answered:
            answers = known.rate * known.answered / known.sent
            faster = known.rate <= FASTEST / 2 and known.answered >= _SELDOM * known.sent
            slower = max(_SLOWEST, min(known.rate / 2, _SLOWER * answers))
            self._rates = [*([FASTEST] if faster else []), slower]
            self._settles_s = _FORGETS / answers
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
        number = len(self._sent) - 1
        faster = self._rates[number] == FASTEST
        least, most = (_LEAST_FASTER, _MOST_FASTER) if faster else (_LEAST_SLOWER, _MOST_SLOWER)
        settled = len(self._settled(number, now))
        if settled >= max(least, self._looked + _STEP):
            self._looked = settled
            self._over = lean(self._phases(now)) is not Silence.UNDECIDED
        if settled + self._timeout_s * self._rates[number] >= most:
            if number + 1 < len(self._rates):
                self._sent.append([])
                self._looked = 0
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
        """What all phases say. Loss is said of nobody but who is very likely to lose."""
        phases = self._phases(self._now)
        said = judge(phases)
        if said.silence is Silence.LOSS and lean(phases) is not Silence.LOSS:
            return Judgement(Silence.UNDECIDED, said.log_likelihood, None, 0.0)
        return said

    @property
    def left_s(self) -> float:
        """How long it may still take at most."""
        left = 0.0
        for number, rate in enumerate(self._rates):
            began = self._sent[number][0][0] if self._sent[number:] and self._sent[number] else self._now
            most = (_MOST_FASTER if rate == FASTEST else _MOST_SLOWER) / rate + self._settles_s
            left += max(0.0, most - (self._now - began)) if number + 1 >= len(self._sent) else 0.0
        return 0.0 if self._over else left

    def _probe(self) -> Probe:
        number = len(self._place)
        label = self._flow.label
        if self._ttl == FULL_TTL and self._flow.protocol is Protocol.TCP:
            label = _LABELS[number % len(_LABELS)]
        flow = self._flow.labelled(label)
        return Probe(flow, ttl=self._ttl, sequence=number + 1)

    def _settled(self, number: int, now: float) -> list[_Sent]:
        """The probes of a phase that count: among the youngest only answers are known, and the first are left out."""
        sent = self._sent[number]
        begins = sent[0][0] + self._settles_s if sent else 0.0
        return [one for one in sent if begins <= one[0] <= now - self._timeout_s]

    def _phases(self, now: float) -> list[RatePhase]:
        found = [self._before, *(_phase(self._settled(number, now)) for number in range(len(self._sent)))]
        return [phase for phase in found if phase]


def _drained(sent: Sequence[_Sent]) -> Sequence[_Sent]:
    """The probes from the first unanswered one on: until then a limiter may have lived on its savings."""
    first = next((n for n, (_, answered) in enumerate(sent) if not answered), -1)
    return sent[first + 1 :]


def _answered(reply: Reply | None) -> bool:
    return reply is not None and reply.kind is not ReplyKind.SEND_FAILED


def _phase(sent: Sequence[_Sent]) -> RatePhase | None:
    """The probes as a phase, None when they are too few for a rate."""
    if len(sent) < 2 or sent[-1][0] <= sent[0][0]:
        return None
    rate = (len(sent) - 1) / (sent[-1][0] - sent[0][0])
    return RatePhase(rate, len(sent), sum(answered for _, answered in sent))
