"""Drawings: scales, and shapes within their frame."""

import re

from hypothesis import given
from hypothesis import strategies as st

from netprobe.report.drawing import Curve, Tick, draw_curves, draw_ticks, draw_way, scale
from netprobe.report.way import Stop


@given(st.lists(st.floats(0.0, 1e6, allow_nan=False), max_size=20))
def test_a_scale_holds_every_value(values: list[float]) -> None:
    """No value lies above the axis' end, and the end is less than ten times the largest."""
    top = scale(values)
    assert top > 0
    assert all(value <= top for value in values)
    largest = max(values, default=0.0)
    assert largest < 1e-6 or top <= 10 * largest


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.one_of(st.none(), st.floats(0.0, 5.0))), max_size=30))
def test_curves_stay_in_their_frame(points: list[tuple[float, float | None]]) -> None:
    """Every point lies within 1000 by 100 units, and a value that is missing breaks the line."""
    drawn = draw_curves([Curve("one", "edge", points)], 5.0, "label")
    line = re.findall(r'class="curve [^"]*"', drawn)
    assert len(line) == 1
    path = re.search(r'<path d="([^"]*)" class="curve', drawn)
    assert path is not None
    pairs = re.findall(r"[ML](\S+?) ([0-9.]+)", path[1])
    assert len(pairs) == sum(value is not None for _, value in points)
    assert all(0 <= float(x) <= 1000 and 0 <= float(y) <= 100 for x, y in pairs)


def test_what_was_tried_together_is_one_bar_in_two_parts() -> None:
    """One of four worked: a quarter from below, three quarters from above."""
    drawn = draw_ticks([Tick(0.5, good=True), *[Tick(0.5, good=False)] * 3], "label")
    assert re.findall(r'height="(\d+)" class="tick-(\w+)"', drawn) == [("25", "good"), ("75", "bad")]


def test_the_way_has_a_row_for_each_stop_and_a_cross_where_it_breaks() -> None:
    """Drawn from top to bottom, told in words for those who cannot see it."""
    stops = [Stop("This computer", "eth0", "home", "start"), Stop("No answer <b>", "", "", "broken")]
    drawn = draw_way(stops)
    assert drawn.count('class="cross"') == 1
    assert "No answer &lt;b&gt;" in drawn
    assert "<title>This computer (eth0); No answer &lt;b&gt; ()</title>" in drawn
