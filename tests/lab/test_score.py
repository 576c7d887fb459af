import msgspec
import pytest

from netprobe.lab.score import Run, score
from netprobe.model.verdict import Component


def a_run(expected: Component, answered: Component, *, probability: float = 0.9, scenario: str = "s") -> Run:
    return Run(scenario, 0, expected, f"{expected}.x", answered, f"{answered}.x", probability, 2.0, 100)


def test_abstention_is_not_wrong_and_costs_coverage() -> None:
    """An undetermined answer lowers accuracy and coverage, and blames nobody."""
    total = score([a_run(Component.ISP, Component.ISP), a_run(Component.ISP, Component.UNDETERMINED)], 1.0)
    assert (total.component_accuracy, total.coverage, total.wrong_blame_rate) == (0.5, 0.5, 0.0)


def test_innocent_component_is_wrong_blame() -> None:
    """Naming another component is wrong, "nothing is wrong" among them."""
    runs = [a_run(Component.ISP, Component.NONE), a_run(Component.NONE, Component.HOME)]
    total = score(runs, 1.0)
    assert total.wrong_blame_rate == 1.0
    assert total.confusion == {"isp": {"none": 1}, "none": {"home": 1}}


def test_calibration_is_over_named_answers() -> None:
    """Brier and ECE by hand: 0.9 sure and right, 0.9 sure and wrong, two in each bin; an argmax rule is wrong by half."""
    pair = [a_run(Component.ISP, Component.ISP), a_run(Component.ISP, Component.HOME)]
    total = score([*pair * 10, a_run(Component.ISP, Component.UNDETERMINED, probability=0.3)], 1.0)
    assert total.brier == pytest.approx((0.01 + 0.81) / 2)
    assert total.ece == pytest.approx(0.4)
    assert total.brier_argmax == 0.5
    assert total.brier_argmax_all == pytest.approx(11 / 21)
    assert [(one.count, one.stated, one.right) for one in total.reliability] == [(2, 0.9, 0.5)] * 10


def test_per_scenario_sums() -> None:
    """Each scenario's runs are counted on their own; totals add up."""
    runs = [a_run(Component.ISP, Component.ISP, scenario="a"), a_run(Component.ISP, Component.ISP, scenario="b")]
    total = score(runs, 3.0)
    assert {name: s.right_component for name, s in total.per_scenario.items()} == {"a": 1, "b": 1}
    assert (total.runs, total.virtual_s, total.packets, total.wall_s) == (2, 4.0, 200, 3.0)


def test_open_scenarios_are_counted_and_shown_apart() -> None:
    """They count in every figure of all runs; the figures of the settled ones stand beside them."""
    found, missing = a_run(Component.ISP, Component.ISP), a_run(Component.HOME, Component.ISP, scenario="b")
    total = score([found, msgspec.structs.replace(missing, open="needs Wi-Fi counters")], 1.0)
    assert (total.component_accuracy, total.wrong_blame_rate) == (0.5, 0.5)
    assert (total.settled.scenarios, total.settled.component_accuracy, total.settled.wrong_blame_rate) == (1, 1.0, 0.0)
    assert (total.open.scenarios, total.open.component_accuracy, total.open.wrong_blame_rate) == (1, 0.0, 1.0)
    assert {name: one.open for name, one in total.per_scenario.items()} == {"s": "", "b": "needs Wi-Fi counters"}


def test_two_causes_at_once_are_both_to_be_named() -> None:
    """The nearer one alone is half of the answer."""
    both = msgspec.structs.replace(a_run(Component.ISP, Component.ISP), expected_also=("policy.x",))
    assert not both.right_cause
    assert msgspec.structs.replace(both, also=("policy.x",)).right_cause


def test_a_second_cause_can_blame_an_innocent_too() -> None:
    """Whoever must never be blamed must not be blamed beside somebody else."""
    blamed = msgspec.structs.replace(a_run(Component.ISP, Component.ISP), never=("home",), also=("home.dns.blocklist",))
    assert (blamed.wrong_blame, blamed.blames_innocent) == (False, True)
    assert score([blamed], 1.0).per_scenario["s"].innocent_blamed == 1


def test_nothing_to_score() -> None:
    """No runs, no rates, no division by zero."""
    assert score([], 0.0).component_accuracy == 0.0
