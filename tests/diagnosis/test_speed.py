"""What is said of pages by two names: a name is blamed for three pairs that agree, and for nothing less."""

import pytest

from netprobe.diagnosis.facts import Facts
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding
from netprobe.diagnosis.signals.speed import by_name
from netprobe.model.services import Response
from netprobe.topology.platform import load_platform
from tests.diagnosis.two_names import page, pairs


def said(*each: tuple[Response, Response]) -> Finding | None:
    """What the signal says of such pairs."""
    return by_name(View(Facts(pairs(*each), load_platform(), lambda _: None)))


@pytest.mark.parametrize(
    ("named", "other", "state"),
    [
        (page(130), page(20_000), "by_name"),
        (page(5000, most=14_000, dead=True), page(20_000), "cut_by_name"),
        (page(5000, most=14_000, dead=True), page(5000, most=14_000, dead=True), "alike"),
        (page(200), page(220), "alike"),
        (page(200), page(350), "alike"),  # not twice as quick: two connections share a full line by chance
        (page(20_000), page(20_000), "quick"),
        (page(4000), page(20_000), "quick"),  # a video needs less
        (page(20_000, tls_s=1.6), page(20_000), "held_up"),
    ],
)
def test_three_pairs_decide(named: Response, other: Response, state: str) -> None:
    """Throttles, caps and slow lines, each by what it does to both names."""
    finding = said(*[(named, other)] * 3)
    assert finding is not None
    assert finding.state == state
    assert len(finding.facts) == 6


def test_one_pair_that_is_quick_acquits_the_name() -> None:
    """Who slows a name down does so each time."""
    finding = said((page(130), page(20_000)), (page(130), page(20_000)), (page(12_000), page(20_000)))
    assert finding is not None
    assert finding.state == "unclear"


def test_fewer_pairs_say_nothing_of_the_name() -> None:
    """Two of them may be chance."""
    finding = said(*[(page(130), page(20_000))] * 2)
    assert finding is not None
    assert finding.state == "unclear"


def test_a_small_page_shows_no_speed() -> None:
    """What is over after a round trip is no transfer."""
    finding = said(*[(page(30, most=3000), page(20_000, most=3000))] * 3)
    assert finding is not None
    assert finding.state != "by_name"


def test_nothing_asked_nothing_said() -> None:
    """No pairs, no finding."""
    assert said() is None
