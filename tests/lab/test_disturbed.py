"""A control or a target less, a line that loses a little, no ICMP: nobody is blamed wrongly because of that."""

from collections import Counter

import pytest

from netprobe.lab.score import Run
from netprobe.model.verdict import Component
from tests.lab.disturbed import DISTURBANCES, Outcome, misled, outcomes


@pytest.mark.slow
def test_no_disturbance_leads_to_a_wrong_answer() -> None:
    """Worlds that nobody has looked at while mending. With loss all over, one network that loses more was overlooked."""
    seen = Counter[str]()
    for outcome in outcomes(16, 9_100_001):
        assert not misled(outcome), outcome.plain.scenario
        seen.update(name for name, run in outcome.disturbed.items() if run.right)
    assert set(seen) == {d.name for d in DISTURBANCES}  # each leaves answers that can be given


def run(component: Component, cause: str) -> Run:
    return Run("w", 1, Component.HOME, "home.link.down", component, cause, 0.9, 1.0, 1, never=("isp",))


def test_who_is_misled_is_told() -> None:
    """Whom it blames wrongly undisturbed is not counted; nobody named is no wrong answer."""
    right, wrong = run(Component.HOME, "home.link.down"), run(Component.ISP, "isp.dns.failure")
    none = run(Component.UNDETERMINED, "undetermined")
    assert misled(Outcome(right, {"no ICMP": wrong, "a control less": none}, Counter())) == {
        "no ICMP": "isp.dns.failure"
    }
    assert misled(Outcome(wrong, {"no ICMP": wrong}, Counter())) == {}
