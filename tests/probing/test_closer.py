"""What a second look adds, and that it adds nothing where nothing is wrong."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from netprobe.model.probes import Flow, FlowTally, FlowTest, Path, Protocol, RateTest, Train
from netprobe.model.report import Observation
from netprobe.probing.flows import is_split
from netprobe.probing.run import run
from netprobe.probing.survey import survey
from netprobe.sim.scenario import load
from netprobe.sim.virtual import VirtualVantage
from netprobe.topology.platform import load_platform

CLOSER = (".loss", ".loss.path", ".rate", ".mtu", ".fetch.small", ".flows", ".branch")


def look(name: str, seed: int = 1, *, symptom: str = "") -> tuple[tuple[Observation, ...], int]:
    """The observations of a survey in a scenario, and how many packets it sent."""
    platform = load_platform()
    vantage = VirtualVantage(load(name), seed)
    targets = [target for target in platform.targets if target.essential]
    return run(survey(platform, targets, symptom=symptom), vantage), vantage.usage().packets_sent


@pytest.mark.parametrize(
    "name", ["healthy", "mobile-healthy", "healthy-narrow-line", "healthy-balanced", "healthy-silent-and-rate-limited"]
)
def test_nothing_is_added_where_nothing_is_wrong(name: str) -> None:
    """Counting, sizes and flows are for symptoms: a healthy survey is what it was."""
    found, packets = look(name)
    assert not [o.purpose for o in found if o.purpose.endswith(CLOSER)]
    over_v6 = any(o.purpose.startswith("v6.") for o in found)
    assert packets < (500 if over_v6 else 400)  # a quarter more where there is IPv6 too


def test_loss_is_counted_calmly() -> None:
    """At most 200 probes to the destination and hops of one way, and five a second to a place."""
    found, _ = look("transit-lossy")
    probes: Counter[str] = Counter()
    for o in found:
        if o.purpose.endswith(".loss") and isinstance(o.fact, Train):
            probes[o.fact.destination] += len(o.fact.exchanges)
            times = [x.sent_s for x in o.fact.exchanges]
            assert min(later - earlier for earlier, later in pairwise(times)) > 0.19
        elif o.purpose.endswith(".loss.path") and isinstance(o.fact, Path):
            probes[o.fact.flow.destination] += o.fact.probes_sent
    assert len(probes) >= 8
    assert max(probes.values()) <= 200


def test_only_who_is_alone_with_its_silence_is_asked_at_other_rates() -> None:
    """Where everything loses there is nothing to tell apart but the home router, which is asked more."""
    tests = {
        name: [o.fact for o in look(name)[0] if isinstance(o.fact, RateTest)]
        for name in ("isp-line-lossy", "cdn-lossy")
    }
    assert [(t.flow.destination, t.probes_sent) for t in tests["isp-line-lossy"]] == [("192.168.1.1", 150)]
    assert {test.flow.destination.rpartition(".")[0] for test in tests["cdn-lossy"]} == {"23.50.131"}
    assert all(test.probes_sent <= 80 for test in tests["cdn-lossy"])


def test_sizes_are_asked_where_an_upload_fails() -> None:
    """What only dies on the way there shows in nothing that is fetched."""
    assert not [o for o in look("isp-mtu-black-hole-upload")[0] if o.purpose.endswith(".mtu")]
    asked = [o for o in look("isp-mtu-black-hole-upload", symptom="upload")[0] if o.purpose.endswith(".mtu")]
    assert {o.purpose for o in asked} == {"edge.mtu", "control.mtu"}


def tallies(*answered: int, sent: int = 5) -> FlowTest:
    return FlowTest(Flow(Protocol.TCP, "192.0.2.1", 443), tuple(FlowTally(n, sent, a) for n, a in enumerate(answered)))


@pytest.mark.parametrize(
    ("test", "split"),
    [
        (tallies(*[0, 5] * 6), True),
        (tallies(*[0, 4, 5] * 4), True),
        (tallies(*[0] * 9, 5, 5, 5), True),
        (tallies(*[5] * 10, 0, 0), True),
        (tallies(*[5] * 12), False),
        (tallies(*[0] * 12), False),
        (tallies(*[5] * 11, 0), False),
        (tallies(*[4, 3, 5, 4] * 3), False),
        (tallies(*[1, 2, 0, 3, 2, 1, 4, 2, 0, 3, 2, 1]), False),
    ],
)
def test_flows_split_where_loss_would_not(test: FlowTest, split: bool) -> None:  # noqa: FBT001 - a table
    """All or nothing is a branch; now and then is loss."""
    assert is_split(test) is split


def test_heavy_loss_is_hardly_ever_a_branch() -> None:
    """Of a thousand tests that lose two fifths of their probes at random, at most one is called split."""
    draw = random.Random(1)
    split = [is_split(tallies(*(sum(draw.random() < 0.6 for _ in range(5)) for _ in range(12)))) for _ in range(1000)]
    assert sum(split) <= 1


def test_a_dead_branch_is_not_counted_as_loss() -> None:
    """Once some flows always work and others never, nothing else is asked about loss."""
    found, _ = look("isp-dead-branch")
    assert [o for o in found if o.purpose.endswith(".branch")]
    assert not [o for o in found if o.purpose.endswith(".loss")]
