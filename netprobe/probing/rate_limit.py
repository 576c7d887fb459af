"""The active test behind a hop that often stays silent: is it asked too fast, or are packets lost?

The same hop is asked at four times the rate, at the rate itself, and at a quarter of it (`loss.judge` says what that
means). The fastest comes first, because it empties a limiter's savings soonest: what it still has in store looks like
health. How long the other phases last follows from the first: long enough for loss of the same fraction to show.
"""

from collections.abc import Sequence

from netprobe.model.probes import Flow, Probe, RatePhase, RateTest, Reply, ReplyKind
from netprobe.probing.port import Outcome, Request

_FACTORS = (4.0, 1.0, 0.25)
_UNANSWERED = 12  # in the first phase: enough to know its fraction
_SHOWS = 10  # how often loss of the first phase's fraction would show in each later one
_FEWEST, _MOST = (60, 60, 240), (1200, 500, 500)  # probes in a phase; the last shows small loss beside a limiter
_LABEL_BASE = 500  # labels of its own: whoever else probes that hop is another flow


class RateLimitSession:
    """Ask the hop at `ttl` of `flow` around `rate` probes a second: the rate at which it stayed silent.

    `factors` of that rate are asked in turns, fastest first, with `fewest` to `most` probes each. TTL 64 asks the
    destination itself. All probes are of one flow, so that the same router answers all of them; to ask
    the destination, use echo requests: a second SYN on a four-tuple would draw no SYN-ACK.
    """

    def __init__(  # what to ask, and how long to go on
        self,
        flow: Flow,
        ttl: int,
        *,
        rate: float,
        timeout_s: float = 1.0,
        factors: Sequence[float] = _FACTORS,
        fewest: Sequence[int] = _FEWEST,
        most: Sequence[int] = _MOST,
    ) -> None:
        self._flow = flow.labelled(_LABEL_BASE + flow.label)
        self._ttl = ttl
        self._rates = tuple(rate * factor for factor in factors)
        self._fewest, self._most = fewest, most
        self._timeout_s = timeout_s
        self._phases: list[list[bool]] = [[]]  # whether each probe was answered, in order of sending
        self._sent_s: list[list[float]] = [[]]  # the same
        self._place: dict[int, tuple[int, int]] = {}  # token -> phase, index
        self._next_at = 0.0
        self._done = False

    def next_request(self, now: float) -> Request | None:
        """The next probe when its time has come. Phases follow at once: a pause would fill a limiter's store again."""
        if self._done or now < self._next_at:
            return None
        if self._enough(now):
            if len(self._phases) == len(self._rates) or not self._unanswered(0, now):
                ends_at = self._sent_s[-1][-1] + self._timeout_s
                self._done = now >= ends_at
                self._next_at = ends_at
                return None
            self._phases.append([])
            self._sent_s.append([])
        return Probe(self._flow, ttl=self._ttl, sequence=len(self._place) + 1)

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note its place; the next one of this phase is due an interval after it."""
        del request
        present = self._phases[-1]
        self._place[token] = (len(self._phases) - 1, len(present))
        present.append(False)
        self._sent_s[-1].append(now)
        self._next_at = now + 1.0 / self._rates[len(self._phases) - 1]

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Mark the probe as answered. One that could not be sent ends the test."""
        del now
        if isinstance(outcome, Reply) and token in self._place:
            phase, index = self._place[token]
            self._phases[phase][index] = outcome.kind is not ReplyKind.SEND_FAILED
            self._done |= outcome.kind is ReplyKind.SEND_FAILED

    def deadline(self) -> float | None:
        """When the next probe is due, or the phase is over."""
        return None if self._done else self._next_at

    def result(self) -> RateTest:
        """The phases, fastest first, with the rates at which the probes really left."""
        first = self._phases[0]
        drained = first.index(False) + 1 if False in first else 0  # what a limiter had in store is no rate of its
        counted = [first[drained:], *self._phases[1:]]
        phases = tuple(
            RatePhase((len(sent_s) - 1) / (sent_s[-1] - sent_s[0]), len(answers), sum(answers))
            for sent_s, answers in zip(self._sent_s, counted, strict=True)
            if answers and sent_s[-1] > sent_s[0]
        )
        return RateTest(self._flow, self._ttl, phases, len(self._place))

    def _old(self, phase: int, now: float) -> list[bool]:
        """What is certain of a phase: whether the probes were answered that had their time to be."""
        return self._phases[phase][: sum(at + self._timeout_s <= now for at in self._sent_s[phase])]

    def _unanswered(self, phase: int, now: float) -> int:
        return self._old(phase, now).count(False)

    def _enough(self, now: float) -> bool:
        """Whether the present phase has seen what it was for."""
        sent = len(self._phases[-1])
        if len(self._phases) == 1:
            return sent >= self._most[0] or (sent >= self._fewest[0] and self._unanswered(0, now) >= _UNANSWERED)
        wanted = _SHOWS * len(self._old(0, now)) / max(1, self._unanswered(0, now))
        present = len(self._phases) - 1
        return sent >= min(self._most[present], max(self._fewest[present], wanted))
