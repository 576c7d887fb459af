import math
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.model.probes import Flow, Probe, Protocol, RatePhase, RateTest, Reply
from netprobe.model.record import from_json, to_json
from netprobe.probing.loss import Counted, Judgement, PathLoss, Silence, chance_of, exceeds, judge, path_loss, wilson
from netprobe.probing.rate_limit import RateLimitSession
from netprobe.probing.run import one, run
from tests.probing.routers import DESTINATION, Bucket, Early, Limiter, RouterVantage, Wire, line

FLOW = Flow(Protocol.ICMP, DESTINATION)
HOPS = 5
SUSPECT = "198.51.100.3"
BEFORE = "198.51.100.2"


def rounds(vantage: RouterVantage, count: int, interval_s: float = 0.1) -> tuple[list[Counted], Counted]:
    """Ask every hop and the destination `count` times."""
    asked: dict[int, int] = {}  # token -> TTL
    answered: Counter[int] = Counter()
    for _ in range(count):
        asked |= {vantage.send(Probe(FLOW, ttl)): ttl for ttl in range(1, HOPS + 2)}
        until = vantage.now() + interval_s
        while event := vantage.receive(until):
            answered[asked[event.token]] += isinstance(event.outcome, Reply)
    *hops, destination = (Counted(ttl, count, count - answered[ttl]) for ttl in range(1, HOPS + 2))
    return hops, destination


def network(limiter: Limiter | None = None, loss: float = 0.0, seed: int = 1) -> RouterVantage:
    """Five routers; the third may limit its errors, and the link to it may lose packets."""
    limiters = {SUSPECT: limiter} if limiter else {}
    return RouterVantage(line(HOPS), limiters=limiters, wires={(BEFORE, SUSPECT): Wire(loss=loss)}, seed=seed)


def test_interval_of_wilson() -> None:
    """Values of the literature (Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29)."""
    for lost, sent, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
        found = wilson(lost, sent)
        assert [found.low, found.high] == pytest.approx([low, high], abs=1e-4)
    assert wilson(1, 29).low == pytest.approx(0.0061, abs=1e-4)
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)


@given(st.integers(1, 500).flatmap(lambda sent: st.tuples(st.integers(0, sent), st.just(sent))))
def test_interval_holds_its_fraction(counts: tuple[int, int]) -> None:
    """An interval lies within 0 and 1, around what was seen, and narrows with more of the same."""
    lost, sent = counts
    found, more = wilson(lost, sent), wilson(10 * lost, 10 * sent)
    assert 0.0 <= found.low <= found.fraction == lost / sent <= found.high <= 1.0
    assert more.high - more.low <= found.high - found.low


@pytest.mark.parametrize("fraction", [0.01, 0.03, 0.1, 0.5])
def test_interval_covers_the_truth(fraction: float) -> None:
    """Over all outcomes of 200 probes, the interval holds the true fraction in about 95 % of them."""
    covered = 0.0
    for lost in range(201):
        found = wilson(lost, 200)
        if found.low <= fraction <= found.high:
            covered += math.comb(200, lost) * fraction**lost * (1 - fraction) ** (200 - lost)
    assert covered > 0.93


def test_a_difference_has_to_be_significant() -> None:
    """Values of the literature (Newcombe 1998, Statistics in Medicine 17:873: 56/70 - 48/80 is 0.0524 to 0.3339)."""
    assert exceeds(wilson(56, 70), wilson(48, 80))
    assert exceeds(wilson(9, 10), wilson(3, 10))  # 0.1705 to 0.8090
    assert exceeds(wilson(6, 7), wilson(2, 7))  # 0.0582 to 0.8062
    assert not exceeds(wilson(5, 56), wilson(0, 29))  # -0.0381 to 0.1926
    assert not exceeds(wilson(10, 100), wilson(10, 100))


def test_chance_is_the_binomial_tail() -> None:
    """Two or more of 200 at one in a thousand: 1.7 %."""
    assert chance_of(2, 200, 0.001) == pytest.approx(0.0175, abs=1e-4)
    assert chance_of(0, 200, 0.001) == 1.0


@pytest.mark.slow
def test_three_percent_are_found_within_200_probes() -> None:
    """True loss of 3 % is called loss in at least 95 % of runs, and hardly ever placed behind where it is."""
    runs = [path_loss(*rounds(network(loss=0.03, seed=seed), 200)) for seed in range(300)]
    found = [its for its in runs if its]
    assert len(found) >= 0.95 * len(runs)
    assert sum(its.after <= 2 for its in found) >= 0.98 * len(found)
    assert sum(its.interval.low <= 0.03 <= its.interval.high for its in found) >= 0.93 * len(found)


@pytest.mark.parametrize("limiter", [lambda: Bucket(1.0), lambda: Bucket(5.0), lambda: Early(2.0)])
def test_limited_hop_is_not_loss(limiter: Callable[[], Limiter]) -> None:
    """A hop that answers a tenth of its probes on a clean path is no loss, however often it is looked at."""
    for seed in range(60):
        hops, destination = rounds(network(limiter(), seed=seed), 200)
        assert hops[2].lost > 50
        assert path_loss(hops, destination) is None


def test_loss_is_behind_the_last_clean_hop() -> None:
    """Where the destination and the hops before it agree, loss is behind the last that answers better."""
    hops = [Counted(1, 100, 0), Counted(2, 100, 1), Counted(3, 100, 90), Counted(4, 100, 22), Counted(5, 100, 18)]
    found = path_loss(hops, Counted(6, 100, 20))
    assert found is not None
    assert (found.after, found.agreeing, found.only_destination) == (2, (4, 5), False)


def test_destination_alone_is_told() -> None:
    """When every hop is clean, it is the destination alone, which may limit its answers too."""
    found = path_loss([Counted(ttl, 100, 0) for ttl in range(1, 6)], Counted(6, 100, 20))
    assert found is not None
    assert (found.after, found.only_destination) == (5, True)


def test_hop_behind_the_loss_is_hardly_ever_called_clean() -> None:
    """Two counts of the same loss: chance makes one look cleaner in less than one of a thousand."""
    source = random.Random(4)

    def lost() -> int:
        return sum(source.random() < 0.2256 for _ in range(150))

    found = [path_loss([Counted(2, 150, lost())], Counted(3, 150, lost())) for _ in range(5000)]
    assert all(found)
    assert sum(its is not None and its.after == 2 for its in found) <= 5


def test_silent_hops_say_nothing() -> None:
    """A hop that never answers neither agrees nor exonerates."""
    found = path_loss([Counted(1, 50, 0), Counted(2, 50, 50), Counted(3, 50, 10)], Counted(4, 50, 10))
    assert found == PathLoss(wilson(10, 50), 1, (3,), only_destination=False)


def asked(limiter: Limiter | None, loss: float, rate: float, seed: int = 1) -> tuple[Judgement, RouterVantage]:
    """What a rate test at `rate` says of the third hop."""
    vantage = network(limiter, loss, seed)
    test = run(one(RateLimitSession(FLOW, 3, rate=rate)), vantage)
    assert len(vantage.sent) == test.probes_sent
    return judge(test.phases), vantage


def test_limiter_keeps_the_rate() -> None:
    """A Linux router asked four times a second is a limiter of about one a second."""
    said, vantage = asked(Bucket(1.0), 0.0, 4.0)
    assert said.silence is Silence.LIMITER
    assert said.rate == pytest.approx(1.0, rel=0.15)
    assert said.log_likelihood[Silence.LIMITER] > said.log_likelihood[Silence.LOSS] + 10
    assert {round(probe.ttl) for _, probe in vantage.sent} == {3}


def test_loss_keeps_the_fraction() -> None:
    """A tenth lost is a tenth lost at any rate."""
    said, _ = asked(None, 0.1, 10.0)
    assert (said.silence, said.rate) == (Silence.LOSS, None)
    assert said.loss == pytest.approx(0.1, abs=0.04)


def test_both_are_told() -> None:
    """A limiter on a path that loses packets: both."""
    said, _ = asked(Bucket(5.0), 0.15, 10.0)
    assert said.silence is Silence.BOTH
    assert said.rate == pytest.approx(5.0 / 0.85, rel=0.3)  # of what leaves here, 85 % get to the limiter
    assert said.loss == pytest.approx(0.15, abs=0.08)


def test_healthy_hop_is_neither() -> None:
    """A hop that answers everything is asked at the highest rate only, and nothing is said of it."""
    said, vantage = asked(None, 0.0, 10.0)
    assert said.silence is Silence.NONE
    assert vantage.sent[-1][0] - vantage.sent[0][0] < 31.0


def test_too_little_is_undecided_or_nothing() -> None:
    """Without probes there is no judgement, and three lost of few do not settle which it is."""
    assert judge([]).silence is Silence.NONE
    assert judge([RatePhase(40.0, 30, 27), RatePhase(10.0, 5, 5)]).silence is Silence.UNDECIDED


def test_rates_are_kept() -> None:
    """The phases leave at four times the rate, the rate, and a quarter of it; probes of one flow."""
    vantage = network(Bucket(2.0))
    test = run(one(RateLimitSession(FLOW, 3, rate=8.0)), vantage)
    assert [phase.rate for phase in test.phases] == pytest.approx([32.0, 8.0, 2.0])
    gaps = [b - a for (a, _), (b, _) in pairwise(vantage.sent)]
    assert min(gaps) == pytest.approx(1 / 32.0)
    assert sum(gap == pytest.approx(1 / 2.0) for gap in gaps) >= 200
    assert len({probe.flow for _, probe in vantage.sent}) == 1
    assert from_json(to_json(test), RateTest) == test


def test_rates_are_those_that_were() -> None:
    """When other sessions, or the loop's own pace, hold probes back, the phases say how fast they really left."""
    vantage = network(Bucket(2.0))
    test = run(one(RateLimitSession(FLOW, 3, rate=8.0)), vantage, rate=20.0)
    assert [phase.rate for phase in test.phases] == pytest.approx([20.0, 8.0, 2.0], rel=0.01)
    assert judge(test.phases).silence is Silence.LIMITER


def test_probe_that_cannot_leave_ends_the_test() -> None:
    """When the own kernel refuses, there is nothing to judge."""
    vantage = RouterVantage(line(3), local_mtu=-1)
    test = run(one(RateLimitSession(FLOW, 3, rate=8.0)), vantage)
    assert test.probes_sent == 1


def limited(draw: random.Random) -> tuple[Limiter, float]:
    """A limiter, and a rate at which it shows."""
    rate = draw.choice([1.0, 10.0, 50.0, 100.0])
    return draw.choice([Bucket, Early])(rate), rate / draw.uniform(0.3, 0.9)


def mixed(seed: int) -> tuple[Silence, Silence]:
    """A hop that limits, loses, or both: what it does and what is said of it."""
    draw = random.Random(seed)
    truth = draw.choice([Silence.LIMITER, Silence.LOSS, Silence.BOTH])
    limiter, rate = limited(draw)
    loss = draw.uniform(0.01 if truth is Silence.LOSS else 0.03, 0.3)
    said, _ = asked(None if truth is Silence.LOSS else limiter, 0 if truth is Silence.LIMITER else loss, rate, seed)
    return truth, said.silence


@pytest.mark.slow
def test_limited_hop_is_never_called_loss() -> None:
    """1,000 limited hops, token buckets and random ones of 1 to 100 answers a second: not one is called loss."""
    said: Counter[Silence] = Counter()
    for seed in range(1000):
        limiter, rate = limited(random.Random(seed))
        said[asked(limiter, 0.0, rate, seed)[0].silence] += 1
    assert said[Silence.LOSS] == 0
    assert said[Silence.LIMITER] >= 980


@pytest.mark.slow
def test_mixed_cases() -> None:
    """Of 500 hops that limit, lose (1 to 30 %) or both (3 to 30 %), at least 98 % are told right."""
    cases = Counter(mixed(seed) for seed in range(500))
    assert sum(count for (truth, said), count in cases.items() if truth is said) >= 490


def test_some_mixed_cases() -> None:
    """A sample of the mixed cases for every day: nearly all are right, and no limiter is called loss."""
    cases = Counter(mixed(seed) for seed in range(1000, 1040))
    assert sum(count for (truth, said), count in cases.items() if truth is said) >= 38
    assert cases[Silence.LIMITER, Silence.LOSS] == 0
