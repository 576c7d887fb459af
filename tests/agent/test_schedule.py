"""When rounds are due."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.agent.schedule import JITTER, IntervalError, next_at, next_due, parse_interval


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30.0), ("5m", 300.0), ("1h", 3600.0), ("7d", 604800.0), ("1.5h", 5400.0), (" 2s ", 2.0)],
)
def test_intervals_are_a_number_and_a_unit(text: str, seconds: float) -> None:
    """Seconds, minutes, hours and days."""
    assert parse_interval(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m5", "5 minutes", "-5m", "5m5s", "1e3s", "٣s"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    """The message says what an interval looks like."""
    with pytest.raises(IntervalError, match="is not an interval; write a number and a unit: 30s, 5m, 1h or 1d"):
        parse_interval(text)


@pytest.mark.parametrize("text", ["0s", "0.5s", "8d"])
def test_an_interval_has_bounds(text: str) -> None:
    """Not more often than every second, not less often than every week."""
    with pytest.raises(IntervalError, match="lies between 1s and 7d"):
        parse_interval(text)


@given(st.floats(0, 1e9), st.floats(0, 1e6), st.floats(1, 1e5), st.randoms(use_true_random=False))
def test_rounds_neither_drift_nor_queue_up(due: float, late: float, every: float, rng: Random) -> None:
    """The next round lies ahead, on the grid of the first, within the jitter of its place."""
    now = due + late
    following = next_due(due, now, every)
    assert now - 1e-6 * now <= following <= now + every * (1 + 1e-6) + 1e-3
    steps = (following - due) / every
    assert steps >= 1 - 1e-6
    assert abs(steps - round(steps)) < 1e-3 * max(1.0, steps)
    start = next_at(following, now, every, rng)
    assert start >= now
    assert start <= following + JITTER * every + 1e-6
