"""What rounds over paths allow to say about loss: the plan that measures, and the conclusions from what it has counted.

Rounds first; then everybody whose silence needs an explanation is tested: the hops that stay silent much more often
than the destination, and a destination that does not answer all. Only then is anything called loss: a destination that
limits its answers has lost nothing.
"""

from collections.abc import Iterator, Mapping, Sequence

from netprobe.model.probes import Hop, Path, ReplyKind
from netprobe.model.record import Record
from netprobe.probing.loss import (
    Counted,
    Interval,
    Judgement,
    PathLoss,
    Silence,
    exceeds,
    is_significant,
    path_loss,
    wilson,
)
from netprobe.probing.rounds import INTERVAL_S, CountedPath, Rounds
from netprobe.probing.run import Plan
from netprobe.probing.suspect import SuspectTest
from netprobe.probing.traceroute import FULL_TTL

_SELDOM = 0.02  # a hop that surely leaves more than that unanswered is worth a test
_LIMITS = frozenset({Silence.LIMITER, Silence.BOTH})


class HopLoss(Record, frozen=True):
    """How often the hop at `ttl` stayed silent, and why, as far as it was tested (None: there was no reason to).

    `rate` is how many probes a second it answers, where it limits them.
    """

    ttl: int
    sent: int
    lost: int
    interval: Interval
    silence: Silence | None = None
    rate: float | None = None

    @property
    def limits(self) -> bool:
        """Whether it limits its answers."""
        return self.silence in _LIMITS


class LossEvidence(Record, frozen=True):
    """What is known of loss on one path.

    `path` has all exchanges, `hops` counts those before the destination. `destination` is None where the target never
    answers: then nothing can be said of the path. `loss` is None when there is no reason to speak of loss.
    """

    path: Path
    hops: tuple[HopLoss, ...]
    destination: HopLoss | None
    loss: PathLoss | None


class LossMeasurement:
    """Rounds over `paths` and the tests that follow; `result()` holds at any time, for those who do not wait."""

    def __init__(self, paths: Sequence[Path], *, count: int, interval_s: float = INTERVAL_S) -> None:
        self.rounds = Rounds(paths, count=count, interval_s=interval_s)
        self.tests: dict[str, SuspectTest] = {}  # by the address that is asked
        self._judged: dict[str, Judgement] = {}

    def plan(self) -> Plan[list[LossEvidence]]:
        """The rounds, then tests side by side until nobody's silence is unexplained: one for each address."""
        (counted,) = yield [self.rounds]
        while suspects := self._untested(counted):
            self.tests |= suspects
            judged: list[Judgement] = yield list(suspects.values())
            self._judged |= dict(zip(suspects, judged, strict=True))
        return self.result()

    def _untested(self, counted: Sequence[CountedPath]) -> dict[str, SuspectTest]:
        found: dict[str, SuspectTest] = {}
        for one in counted:
            for address, hop in _suspects(one, self._judged):
                if address not in self.tests:
                    ttl = FULL_TTL if hop is one.destination else hop.ttl
                    found.setdefault(address, SuspectTest(one.path.flow, ttl, hop.exchanges))
        return found

    def result(self) -> list[LossEvidence]:
        """What can be said so far."""
        return [conclude(one, self._judged) for one in self.rounds.result()]

    def glance(self) -> dict[str, LossEvidence]:
        """By destination, its counts alone: what can be looked at all the time while many paths are asked."""
        found = {}
        for index, path in enumerate(self.rounds.paths):
            seen = self.rounds.destination_of(index)
            end = HopLoss(seen.ttl, seen.sent, seen.lost, wilson(seen.lost, seen.sent)) if seen else None
            found[path.flow.destination] = LossEvidence(path, (), end, None)
        return found


def conclude(counted: CountedPath, judged: Mapping[str, Judgement]) -> LossEvidence:
    """What the counts of one path say, given what tests say of some addresses.

    A destination that limits its answers has not lost them. Hops that do, say nothing of where loss begins.
    """
    end = _hop_loss(counted.destination, judged) if counted.destination.exchanges else None
    hops = tuple(_of_router(_hop_loss(hop, judged)) for hop in counted.path.hops if hop is not counted.destination)
    loss = None
    if end and not end.limits:
        seen = [Counted(hop.ttl, hop.sent, hop.lost) for hop in hops if not hop.limits]
        loss = path_loss(seen, Counted(end.ttl, end.sent, end.lost))
    return LossEvidence(counted.path, hops, end, loss)


def _of_router(hop: HopLoss) -> HopLoss:
    """One router's silence is never called loss: that shows at the destination, or is no matter."""
    if hop.silence is Silence.LOSS:
        return HopLoss(hop.ttl, hop.sent, hop.lost, hop.interval, Silence.UNDECIDED)
    return hop


def _suspects(counted: CountedPath, judged: Mapping[str, Judgement]) -> Iterator[tuple[str, Hop]]:
    """Who is worth a test by what is known, with the address that answers there."""
    now = conclude(counted, judged)
    end = now.destination
    if end and is_significant(end.lost, end.sent):
        yield counted.path.flow.destination, counted.destination
    for loss, hop in zip(now.hops, counted.path.hops, strict=False):
        seldom = loss.interval.low > _SELDOM and (end is None or end.limits or exceeds(loss.interval, end.interval))
        if hop.addresses and seldom:
            yield hop.addresses[0], hop


def _hop_loss(hop: Hop, judged: Mapping[str, Judgement]) -> HopLoss:
    said = next((judged[address] for address in hop.addresses if address in judged), None)
    unsent = sum(1 for x in hop.exchanges if x.reply and x.reply.kind is ReplyKind.SEND_FAILED)
    sent = len(hop.exchanges) - unsent
    return HopLoss(
        hop.ttl,
        sent,
        hop.lost,
        wilson(hop.lost, sent),
        said.silence if said else None,
        said.rate if said else None,
    )
