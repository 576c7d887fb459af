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
    """Brier and ECE by hand: 0.9 sure and right, 0.9 sure and wrong."""
    total = score([a_run(Component.ISP, Component.ISP), a_run(Component.ISP, Component.HOME)], 1.0)
    assert total.brier == pytest.approx((0.01 + 0.81) / 2)
    assert total.ece == pytest.approx(0.4)


def test_per_scenario_sums() -> None:
    """Each scenario's runs are counted on their own; totals add up."""
    runs = [a_run(Component.ISP, Component.ISP, scenario="a"), a_run(Component.ISP, Component.ISP, scenario="b")]
    total = score(runs, 3.0)
    assert {name: s.right_component for name, s in total.per_scenario.items()} == {"a": 1, "b": 1}
    assert (total.runs, total.virtual_s, total.packets, total.wall_s) == (2, 4.0, 200, 3.0)


def test_nothing_to_score() -> None:
    """No runs, no rates, no division by zero."""
    assert score([], 0.0).component_accuracy == 0.0
