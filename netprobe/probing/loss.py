"""Loss as evidence: what unanswered probes allow to say, and what they do not.

A router that does not answer has not necessarily lost anything: routers limit how many ICMP errors they send. So one
hop's silence is never loss. Loss on the path shows at the destination, and at the hops between it and where packets
get lost. All here is arithmetic on counts.
"""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from statistics import NormalDist

from netprobe.model.probes import RatePhase
from netprobe.model.record import Record

BACKGROUND = 0.001  # loss that any path has: what has to be exceeded to be worth a word
_SIGNIFICANCE = 0.02
_DECISIVE = math.log(50.0)  # how much likelier one explanation has to be than the other
_CLEANER = 3.3  # standard deviations: one equal hop in 2,000 looks cleaner by chance, and a way has many hops
_EARLY = math.log(1000.0)  # the same where a test ends early: who looks often is fooled more easily
_SECOND_CAUSE = 4.0  # and how much better a fit has to get by a second cause (chi-squared: p = 0.005)
_RATE_STEPS = 200


class Interval(Record, frozen=True):
    """A fraction with its confidence interval: `low` <= `fraction` <= `high`."""

    fraction: float
    low: float
    high: float


class Counted(Record, frozen=True):
    """Probes to one TTL, and how many of them nobody answered."""

    ttl: int
    sent: int
    lost: int


class PathLoss(Record, frozen=True):
    """Loss on a path, `interval` as the destination shows it.

    It is behind the hop at TTL `after` (0: anywhere from the own link on), the last that is significantly cleaner than
    the destination. `agreeing` are the later hops whose silence fits it. `only_destination`: there is no such hop, so
    it may just as well be the destination that answers seldom; a rate test tells.
    """

    interval: Interval
    after: int
    agreeing: tuple[int, ...]
    only_destination: bool


class Silence(StrEnum):
    """Why probes to a hop are not answered."""

    LIMITER = "limiter"
    LOSS = "loss"
    BOTH = "both"
    NONE = "none"
    UNDECIDED = "undecided"


class Judgement(Record, frozen=True):
    """What a rate test says: an explanation, and the natural logarithms of the likelihoods that it rests on.

    `rate` is how many probes a second the limiter answers, None where there is none; `loss` is the fraction that is
    lost. Beside a limiter, loss shows only if some phase was slow enough for the limiter to answer all of it.
    """

    silence: Silence
    log_likelihood: dict[Silence, float]
    rate: float | None
    loss: float


def wilson(lost: int, sent: int, confidence: float = 0.95) -> Interval:
    """The score interval of a fraction (Wilson 1927), which holds its promise for few probes and rare loss too.

    Nothing sent: anything is possible.
    """
    if sent <= 0:
        return Interval(0.0, 0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2.0)
    fraction = lost / sent
    scale = 1.0 + z * z / sent
    middle = (fraction + z * z / (2 * sent)) / scale
    half = z / scale * math.sqrt(fraction * (1.0 - fraction) / sent + z * z / (4 * sent * sent))
    return Interval(fraction, max(0.0, min(fraction, middle - half)), min(1.0, max(fraction, middle + half)))


def exceeds(one: Interval, other: Interval) -> bool:
    """Whether a fraction is significantly greater than another (Newcombe 1998, method 10: from their intervals)."""
    return one.fraction - other.fraction > math.hypot(one.fraction - one.low, other.high - other.fraction)


def chance_of(lost: int, sent: int, fraction: float) -> float:
    """How likely `lost` or more of `sent` are lost where each is with probability `fraction` (binomial, exact)."""
    if lost <= 0:
        return 1.0
    below = sum(math.comb(sent, k) * fraction**k * (1.0 - fraction) ** (sent - k) for k in range(lost))
    return max(0.0, 1.0 - below)


def is_significant(lost: int, sent: int) -> bool:
    """Whether so many lost probes are more than what any path loses."""
    return chance_of(lost, sent, BACKGROUND) < _SIGNIFICANCE


def path_loss(hops: Sequence[Counted], destination: Counted) -> PathLoss | None:
    """Whether packets are lost on the way to `destination`; None when there is no reason to say so.

    `hops` are those before it, by TTL. A hop that never answers says nothing, and one that answers less than the
    destination limits its answers: only one that answers better says where packets have not been lost yet.
    """
    if not is_significant(destination.lost, destination.sent):
        return None
    interval = wilson(destination.lost, destination.sent)
    seen = [(hop.ttl, wilson(hop.lost, hop.sent)) for hop in hops if hop.lost < hop.sent and hop.ttl < destination.ttl]
    after = max((hop.ttl for hop in hops if hop.ttl < destination.ttl and is_cleaner(hop, destination)), default=0)
    agreeing = tuple(ttl for ttl, its in seen if ttl > after and its.low <= interval.high and its.low > BACKGROUND)
    return PathLoss(interval, after, agreeing, only_destination=not agreeing)


def is_cleaner(hop: Counted, destination: Counted, deviations: float = _CLEANER) -> bool:
    """Whether a hop loses so much less that it must stand before the loss (likelihood-ratio test of two fractions).

    Not by whether their intervals are apart: of two equal counts one in 400 is called cleaner so, and of a hop without
    any loss no more are found.
    """
    if hop.lost * destination.sent >= destination.lost * hop.sent:
        return False
    apart = _own_fraction(hop.lost, hop.sent) + _own_fraction(destination.lost, destination.sent)
    same = _own_fraction(hop.lost + destination.lost, hop.sent + destination.sent)
    return 2.0 * (apart - same) > deviations**2


def _own_fraction(lost: int, sent: int) -> float:
    """The logarithm of the likelihood of a count under the fraction that fits it best."""
    return sum(count * math.log(count / sent) for count in (lost, sent - lost) if count)


def judge(phases: Sequence[RatePhase]) -> Judgement:
    """Tell a limiter from loss: one keeps the rate of the answers at whatever rate it is asked, the other the fraction.

    Each explanation is fitted to the phases by maximum likelihood, the answers taken as independent: answered are
    1 - loss of the probes, times rate / sent rate where a limiter is exceeded. A limiter whose rate no phase exceeds
    is no limiter, so the phases have to be at different rates.
    """
    fastest = max((phase.rate for phase in phases), default=0.0)
    rates = [fastest * step / _RATE_STEPS for step in range(1, _RATE_STEPS)]
    losses = [BACKGROUND, *(step / 400 for step in range(1, 400))]
    none = _fit(phases, math.inf, BACKGROUND)
    loss, its_loss = max((_fit(phases, math.inf, fraction), fraction) for fraction in losses)
    limiter, its_rate = max(((_fit(phases, rate, BACKGROUND), rate) for rate in rates), default=(none, math.inf))
    one = max(loss, limiter)
    if one - none < _DECISIVE:
        likelihood = {Silence.NONE: none, Silence.LOSS: loss, Silence.LIMITER: limiter}
        return Judgement(Silence.NONE, likelihood, None, 0.0)
    both, both_rate, both_loss = _fit_both(phases, rates, losses)
    likelihood = {Silence.NONE: none, Silence.LOSS: loss, Silence.LIMITER: limiter, Silence.BOTH: both}
    if both - one > _SECOND_CAUSE:
        return Judgement(Silence.BOTH, likelihood, both_rate, both_loss)
    if loss - limiter > _DECISIVE:
        return Judgement(Silence.LOSS, likelihood, None, its_loss)
    if limiter - loss > _DECISIVE:
        return Judgement(Silence.LIMITER, likelihood, its_rate, 0.0)
    return Judgement(Silence.UNDECIDED, likelihood, None, 0.0)


def _fit_both(
    phases: Sequence[RatePhase], rates: Sequence[float], losses: Sequence[float]
) -> tuple[float, float, float]:
    """The likeliest limiter beside a loss: on a coarse grid first, then on a fine one around its best."""

    def best(at_rates: Iterable[int], at_losses: Sequence[int]) -> tuple[float, int, int]:
        return max((_fit(phases, rates[r], losses[f]), r, f) for r in at_rates for f in at_losses)

    _, rate, loss = best(range(0, len(rates), 8), range(1, len(losses), 16))
    near_rates = range(max(0, rate - 8), min(len(rates), rate + 9))
    near_losses = range(max(1, loss - 16), min(len(losses), loss + 17), 4)
    likelihood, rate, loss = best(near_rates, near_losses)
    return likelihood, rates[rate], losses[loss]


def lean(phases: Sequence[RatePhase]) -> Silence:
    """A cheap `judge` for a test under way: LIMITER or LOSS once one of the two is much likelier, else UNDECIDED."""
    fastest = max((phase.rate for phase in phases), default=0.0)
    sent, answered = sum(phase.sent for phase in phases), sum(phase.answered for phase in phases)
    if not sent or answered in {0, sent}:
        return Silence.UNDECIDED
    loss = _fit(phases, math.inf, 1.0 - answered / sent)
    limiter = max(_fit(phases, fastest * step / _RATE_STEPS, BACKGROUND) for step in range(1, _RATE_STEPS))
    if abs(loss - limiter) < _EARLY:
        return Silence.UNDECIDED
    return Silence.LOSS if loss > limiter else Silence.LIMITER


def _fit(phases: Sequence[RatePhase], rate: float, loss: float) -> float:
    """The logarithm of the likelihood of `phases` behind a limiter of `rate` and a loss of `loss`."""
    total = 0.0
    for phase in phases:
        answered = (1.0 - loss) * min(1.0, rate / phase.rate)
        total += phase.answered * math.log(answered) + (phase.sent - phase.answered) * math.log1p(-answered)
    return total
