"""Rates out of curves of bytes, and the two tests that compare them, against what can be counted by hand."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.model.services import Fetch, Handshake, Handshaken, Response
from netprobe.probing.throughput import PARTS, area, differ, goodput, ks_probability, ks_statistic, rates

_ASKED = Handshake("192.0.2.1", server_name="www.example.com")


def response(*curve: tuple[float, int], quiet_s: float | None = None) -> Response:
    """An answer whose bytes came like this."""
    arrived = curve[-1][1] if curve else 0
    return Response(Fetch(_ASKED), Handshaken(_ASKED, "done"), 200, arrived_bytes=arrived, curve=curve, quiet_s=quiet_s)


def test_a_steady_stream_has_one_rate() -> None:
    """10 KB a second, in every part of it."""
    steady = response(*((0.1 * n, 1000 * n) for n in range(1, 33)))
    assert rates(steady) == pytest.approx([10_000.0] * PARTS)
    assert goodput(steady) == pytest.approx(10_000.0)


def test_silence_at_the_end_counts() -> None:
    """What comes no more is slow, and belongs to the last part."""
    dead = response((1.0, 10_000), quiet_s=4.0)
    assert goodput(dead) == pytest.approx(2000.0)
    assert min(rates(dead)) == rates(dead)[-1] == pytest.approx(1000 / 4.1)


def test_nothing_has_no_rate() -> None:
    """An answer without a byte is no measurement."""
    assert (rates(response()), goodput(response())) == ([], 0.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [([1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]), ([1.0, 3.0, 5.0], [2.0, 4.0, 6.0, 8.0]), ([1.0, 2.0], [1.5, 9.0, 9.5])],
)
def test_the_probability_is_what_counting_gives(one: list[float], other: list[float]) -> None:
    """All ways to deal the values out to two samples are as likely; so many are at least as far apart."""
    values = [*one, *other]
    seen = ks_statistic(one, other)
    deals = list(combinations(range(len(values)), len(one)))
    far = sum(
        ks_statistic([values[i] for i in deal], [v for i, v in enumerate(values) if i not in deal]) >= seen - 1e-9
        for deal in deals
    )
    assert ks_probability(one, other) == pytest.approx(far / len(deals))


def test_the_probability_agrees_with_a_table() -> None:
    """Two samples of 10: D = 7/10 is significant at 5 %, D = 6/10 is not (Massey 1951, table 1)."""
    low = [float(n) for n in range(10)]
    assert ks_probability(low, [n + 6.5 for n in low]) == pytest.approx(0.0123, abs=1e-4)
    assert ks_probability(low, [n + 5.5 for n in low]) == pytest.approx(0.0524, abs=1e-4)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=40), st.lists(st.floats(0, 1e9), min_size=1, max_size=40))
def test_any_samples_have_a_probability(one: list[float], other: list[float]) -> None:
    """It is one, the same from both sides, and certain for a sample and itself."""
    probability = ks_probability(one, other)
    assert 0.0 <= probability <= 1.0
    assert ks_probability(other, one) == pytest.approx(probability)
    assert ks_probability(one, one) == pytest.approx(1.0)
    assert area(one, other) >= 0.0


def test_the_area_is_what_lies_between() -> None:
    """Two samples of one value each: the distance, as a part of the smaller."""
    assert area([10.0], [15.0]) == pytest.approx(0.5)
    assert area([10.0, 20.0], [10.0, 20.0]) == 0.0


def test_a_small_difference_is_none() -> None:
    """However surely two things differ, less than a tenth does not count."""
    slow = [100.0 + n / 100 for n in range(50)]
    assert ks_probability(slow, [rate + 5 for rate in slow]) < 0.001
    assert not differ(slow, [rate + 5 for rate in slow])
    assert differ(slow, [rate + 50 for rate in slow])
