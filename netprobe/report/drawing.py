"""Drawings as inline SVG: the way with its break, bands and curves over time, what was tried when.

Plots stretch with the page (`preserveAspectRatio="none"`, strokes that do not scale); their labels are HTML beside
them, so text keeps its size on a telephone.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from netprobe.report.markup import Markup, join, tag
from netprobe.report.way import HOME, Stop

_ROW = 46
_WIDTH = 360
_LINE_X = 20
_TITLE_CHARACTERS = 33
_SUBTITLE_CHARACTERS = 50
_NETWORK_COLOURS = 6
_BINS = 120  # of a lane: what begins within one is drawn as one bar
_SMALLEST = 1e-6  # no axis ends below this
WIDE, HIGH = 1000.0, 100.0  # the plots' own units; the page decides how large they are


def draw_way(stops: Sequence[Stop]) -> Markup:
    """The way from top to bottom, a colour for each network, broken where it breaks."""
    colours: dict[str, str] = {HOME: "net-home", "": "net-none"}
    for stop in stops:
        colours.setdefault(stop.network, f"net-{(len(colours) - 2) % _NETWORK_COLOURS}")
    height = len(stops) * _ROW + 4
    parts: list[Markup] = []
    for index, stop in enumerate(stops):
        y = index * _ROW + 22
        if index + 1 < len(stops):
            parts.append(_segment(stop, stops[index + 1], y, colours))
    parts += [_stop(stop, index * _ROW + 22, colours[stop.network]) for index, stop in enumerate(stops)]
    told = "; ".join(f"{stop.title} ({stop.subtitle})" for stop in stops)
    return tag("svg", tag("title", told), *parts, class_="way", role="img", viewBox=f"0 0 {_WIDTH} {height}",
               width=_WIDTH, height=height)  # fmt: skip


def _segment(stop: Stop, following: Stop, y: float, colours: Mapping[str, str]) -> Markup:
    broken = "broken" in {stop.state, following.state} or following.state == "beyond"
    kind = "gap" if broken else "silent" if following.state == "silent" else ""
    colour = colours[following.network if following.network and not broken else stop.network]
    return tag("line", x1=_LINE_X, x2=_LINE_X, y1=y, y2=y + _ROW, class_=f"track {colour} {kind}".strip())


def _stop(stop: Stop, y: float, colour: str) -> Markup:
    mark = _cross(y) if stop.state in {"broken", "failed"} else _dot(stop, y, colour)
    texts = [
        tag("text", _cut(stop.title, _TITLE_CHARACTERS), x=44, y=y - 2, class_="stop-title"),
        tag("text", _cut(stop.subtitle, _SUBTITLE_CHARACTERS), x=44, y=y + 13, class_="stop-sub"),
    ]
    if stop.rtt:
        texts.append(tag("text", stop.rtt, x=_WIDTH - 4, y=y - 2, class_="stop-rtt", text_anchor="end"))
    return tag("g", mark, *texts, class_=f"stop {stop.state}")


def _dot(stop: Stop, y: float, colour: str) -> Markup:
    radius = 8 if stop.state in {"start", "arrived", "beyond"} else 6
    return tag("circle", cx=_LINE_X, cy=y, r=radius, class_=f"dot {colour} {stop.state}")


def _cross(y: float) -> Markup:
    around = tag("circle", cx=_LINE_X, cy=y, r=10, class_="cross-back")
    strokes = f"M{_LINE_X - 5} {y - 5}l10 10m0 -10l-10 10"
    return join(around, tag("path", d=strokes, class_="cross"))


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


class Band(NamedTuple):
    """A coloured stretch from `begin` to `end`, fractions of the plot's width. `label` is shown on hovering."""

    begin: float
    end: float
    style: str
    label: str


def draw_bands(bands: Iterable[Band], label: str) -> Markup:
    """Stretches of time behind each other on one strip."""
    shapes = [
        tag("rect", tag("title", band.label), x=band.begin * WIDE, y=0, height=HIGH,
            width=max(1.0, (band.end - band.begin) * WIDE), class_=f"fill-{band.style}")
        for band in bands
    ]  # fmt: skip
    return _plot(shapes, "strip", label)


class Tick(NamedTuple):
    """One thing that was tried: when (fraction of the width), and whether it worked."""

    at: float
    good: bool


def draw_ticks(ticks: Iterable[Tick], label: str) -> Markup:
    """What was tried, a bar for what was tried together: what worked from below, what did not from above."""
    bins: dict[int, list[bool]] = {}
    for tick in ticks:
        bins.setdefault(round(min(max(tick.at, 0.0), 1.0) * (_BINS - 1)), []).append(tick.good)
    shapes: list[Markup] = []
    for index, tries in sorted(bins.items()):
        x, good = index * WIDE / _BINS, sum(tries)
        told = tag("title", f"{good} of {len(tries)} worked")
        height = good / len(tries) * HIGH
        shapes.append(tag("rect", told, x=x, y=HIGH - height, width=WIDE / _BINS, height=height, class_="tick-good"))
        shapes.append(tag("rect", told, x=x, y=0, width=WIDE / _BINS, height=HIGH - height, class_="tick-bad"))
    return _plot(shapes, "lane", label)


class Curve(NamedTuple):
    """Points (x as a fraction of the width, y in the plot's unit); None breaks it. `style` is a colour's name."""

    name: str
    style: str
    points: Sequence[tuple[float, float | None]]


def draw_curves(curves: Sequence[Curve], top: float, label: str, shades: Iterable[Band] = ()) -> Markup:
    """Curves over a common scale from 0 to `top`, with shaded stretches behind them."""
    shapes = [
        tag("rect", tag("title", band.label), x=band.begin * WIDE, y=0, height=HIGH,
            width=max(2.0, (band.end - band.begin) * WIDE), class_=f"shade fill-{band.style}")
        for band in shades
    ]  # fmt: skip
    shapes += [tag("path", d=f"M0 {y:.1f}H{WIDE:.0f}", class_="rule") for y in (0.0, 25.0, 50.0, 75.0, 100.0)]
    shapes += [shape for curve in curves for shape in _curve(curve, top)]
    return _plot(shapes, "curves", label)


def _curve(curve: Curve, top: float) -> Iterable[Markup]:
    pen, lines, dots = "M", [], []
    for x, value in curve.points:
        if value is None:
            pen = "M"
            continue
        place = f"{x * WIDE:.1f} {HIGH - min(value / top, 1.0) * HIGH:.1f}"
        lines.append(pen + place)
        dots.append(f"M{place}h0")
        pen = "L"
    yield tag("path", d="".join(lines), class_=f"curve stroke-{curve.style}")
    if len(dots) <= 120:
        yield tag("path", d="".join(dots), class_=f"dots stroke-{curve.style}")


def scale(values: Iterable[float]) -> float:
    """A round number for an axis to end with: not below any value, and 1, 2, 4, 5 or 8 times a power of ten."""
    largest = max((v for v in values if math.isfinite(v)), default=0.0)
    largest = max(largest, _SMALLEST)
    power = 10.0 ** math.floor(math.log10(largest))
    return next((step * power for step in (1.0, 2.0, 4.0, 5.0, 8.0) if step * power >= largest), 10.0 * power)


def _plot(shapes: Iterable[Markup], kind: str, label: str) -> Markup:
    return tag("svg", tag("title", label), *shapes, class_=f"plot {kind}", role="img",
               viewBox=f"0 0 {WIDE:.0f} {HIGH:.0f}", preserveAspectRatio="none")  # fmt: skip
