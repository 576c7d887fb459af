"""The whole chain that `netprobe trace --rounds` uses: a traceroute, rounds, tests, conclusions; in virtual time."""

import random
from collections import Counter
from collections.abc import Callable

import pytest

from netprobe.model.probes import Flow, Protocol
from netprobe.probing.loss import Silence
from netprobe.probing.loss_evidence import LossEvidence, LossMeasurement
from netprobe.probing.run import Plan, run
from netprobe.probing.traceroute import Traceroute
from tests.probing.routers import DESTINATION, Bucket, Early, Limiter, RouterVantage, Wire, line

HOPS = 5
SUSPECT, BEFORE = "198.51.100.3", "198.51.100.2"


def network(limiter: Limiter | None = None, loss: float = 0.0, seed: int = 1) -> RouterVantage:
    """Five routers; the third may limit its errors, and the link to it may lose packets."""
    limiters = {SUSPECT: limiter} if limiter else {}
    return RouterVantage(line(HOPS), limiters=limiters, wires={(BEFORE, SUSPECT): Wire(loss=loss)}, seed=seed)


def measured(vantage: RouterVantage, rounds: int = 200, protocol: Protocol = Protocol.ICMP) -> LossEvidence:
    """What the chain says of the path."""

    def plan() -> Plan[LossEvidence]:
        (path,) = yield [Traceroute(Flow(protocol, DESTINATION, 0 if protocol is Protocol.ICMP else 443))]
        (only,) = yield from LossMeasurement([path], count=rounds).plan()
        return only

    return run(plan(), vantage)


def busiest(vantage: RouterVantage) -> int:
    """The most probes that any one TTL below the destination's got within a second."""
    most = 0
    for ttl in range(1, HOPS + 1):
        times = [at for at, probe in vantage.sent if probe.ttl == ttl]
        most = max(most, *(sum(at <= other < at + 1.0 - 1e-6 for other in times) for at in times))
    return most


def test_a_clean_path_is_clean_and_asked_no_further() -> None:
    """Every hop was asked in each round, nobody is a suspect, nothing is called loss."""
    vantage = network()
    said = measured(vantage, 20)
    assert said.loss is None
    assert [(hop.sent, hop.lost, hop.silence) for hop in said.hops] == [(21, 0, None)] * HOPS
    assert said.destination is not None
    assert said.destination.sent == 21
    assert len(vantage.sent) - said.path.probes_sent == 0
    assert busiest(vantage) <= 5


@pytest.mark.slow
def test_three_percent_are_found_within_200_probes() -> None:
    """True loss of 3 % is found in at least 95 % of runs, and not behind where it is."""
    runs = [measured(network(loss=0.03, seed=seed)) for seed in range(100)]
    found = [said.loss for said in runs if said.loss]
    assert len(found) >= 0.95 * len(runs)
    assert sum(loss.after <= 2 for loss in found) >= 0.98 * len(found)
    assert not any(hop.limits for said in runs for hop in said.hops)


@pytest.mark.parametrize("limiter", [lambda: Bucket(1.0), lambda: Bucket(0.3), lambda: Bucket(1.7), lambda: Early(1.0)])
def test_a_limiter_is_named_and_is_no_loss(limiter: Callable[[], Limiter]) -> None:
    """A hop that answers some of its probes on a clean path is told to limit them; no router is asked too fast."""
    for seed in range(5):
        vantage = network(limiter(), seed=seed)
        said = measured(vantage)
        assert said.loss is None
        assert [hop.ttl for hop in said.hops if hop.limits] == [3]
        assert busiest(vantage) <= 5 + 16  # the first pass asks each hop at once


def test_loss_and_a_limiter_are_both_told() -> None:
    """A limiter on a lossy path: loss begins behind the second hop, and the third limits its answers."""
    said = measured(network(Bucket(0.8), 0.15))
    assert said.loss is not None
    assert (said.loss.after, said.loss.only_destination) == (2, False)
    assert said.hops[2].limits


def test_a_destination_that_limits_its_answers_is_no_loss() -> None:
    """As Linux limits port unreachables, even when every router before it limits alike."""
    limiters: dict[str, Limiter] = {f"198.51.100.{n}": Bucket(1.0) for n in range(1, HOPS + 1)}
    vantage = RouterVantage(line(HOPS), limiters=limiters | {DESTINATION: Bucket(1.0)})
    said = measured(vantage)
    assert said.loss is None
    assert said.destination is not None
    assert said.destination.limits
    assert said.destination.rate == pytest.approx(1.0, rel=0.15)
    assert all(hop.limits for hop in said.hops)


def shown(seed: int) -> tuple[tuple[bool, bool], tuple[bool, bool]]:
    """A hop that limits, a link that loses, or both: (limits, loses) in truth, and as the chain says."""
    draw = random.Random(seed)
    limits, loses = draw.choice([(True, False), (False, True), (True, True)])
    loss = draw.uniform(0.03, 0.3) if loses else 0.0
    rate = 2.0 * (1.0 - loss) * draw.uniform(0.2, 0.85)
    limiter = draw.choice([Bucket, Early])(rate) if limits else None
    said = measured(network(limiter, loss, seed))
    return (limits, loses), (said.hops[2].limits, said.loss is not None)


def test_some_mixed_cases() -> None:
    """A sample of the mixed cases for every day."""
    cases = Counter(shown(seed) for seed in range(1000, 1030))
    assert sum(count for (truth, said), count in cases.items() if truth == said) >= 28


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_mixed_cases() -> None:
    """Of 500 hops that limit, links that lose (3 to 30 %) or both, at least 98 % are told right."""
    cases = Counter(shown(seed) for seed in range(500))
    print(cases)
    assert sum(count for (truth, said), count in cases.items() if truth == said) >= 490


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_limited_hop_is_never_called_loss() -> None:
    """1,000 limited hops on clean paths: no path is said to lose packets, no hop's silence is said to be loss."""
    said: Counter[tuple[bool, Silence | None]] = Counter()
    for seed in range(1000):
        draw = random.Random(seed)
        limiter = draw.choice([Bucket, Early])(2.0 * draw.uniform(0.1, 0.9))
        found = measured(network(limiter, seed=seed))
        said[found.loss is not None, found.hops[2].silence] += 1
    print(said)
    assert not any(loss or silence is Silence.LOSS for loss, silence in said)
    assert said[False, Silence.LIMITER] + said[False, Silence.BOTH] >= 980
