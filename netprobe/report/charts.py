"""The plots of a page with their axes and legends: rounds and answer times over days, one measurement over seconds."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from netprobe.model.host import HostState
from netprobe.model.probes import Path
from netprobe.model.report import Incident, Report
from netprobe.model.verdict import Component
from netprobe.report.drawing import Band, Curve, Tick, draw_bands, draw_curves, draw_ticks, scale
from netprobe.report.history import History, Moment, span_of
from netprobe.report.latency import SERIES
from netprobe.report.markup import Markup, tag
from netprobe.report.outcome import went_well
from netprobe.report.words import clock, milliseconds, moment, platform_name, who

_AXIS_LABELS = 5
_MOST_POINTS = 500  # more do not fit beside each other on a screen
_DAYS_S = 2 * 86400.0  # beyond this an axis shows dates
_GAP = 3.0  # a round counts for this many usual intervals at most: beyond, nothing was measured
_CURVES = 6

_Place = Callable[[float], float]  # Unix time -> fraction of a plot's width

#: What was tried, as lanes: the name, and how the purposes begin.
_LANES = (
    ("Home router", ("gateway",)),
    ("Name service", ("lookup.", "resolver.")),
    ("Other services", ("control.",)),
    ("{platform}", ("edge.",)),
    ("IPv6", ("v6.",)),
    ("A closer look", ("sni.",)),
)


def over_time(history: History, platform: str) -> list[Markup]:
    """Who was to blame when, and how long answers took, on one axis of time."""
    moments = history.moments
    begin_s, end_s = moments[0].taken_s, moments[-1].taken_s
    step_s = _usual_step(moments)
    length_s = max(end_s - begin_s + step_s, 1.0)

    def at(unix_s: float) -> float:
        return min(1.0, max(0.0, (unix_s - begin_s) / length_s))

    bands = []
    for index, one in enumerate(moments):
        until_s = moments[index + 1].taken_s if index + 1 < len(moments) else one.taken_s + step_s
        until_s = min(until_s, one.taken_s + _GAP * step_s)
        bands.append((one, at(one.taken_s), at(until_s)))
    strip = draw_bands(_merged(bands, platform), "Who was to blame, round by round")
    shades = [_shade(incident, at, platform) for incident in history.incidents]
    curves = [_series(key, moments, at, platform) for key in SERIES]
    curves = [curve for curve in curves if any(y is not None for _, y in curve.points)]
    top = scale(y for curve in curves for _, y in curve.points if y is not None)
    seen = list(dict.fromkeys(one.component for one in moments))
    labels = _time_labels(begin_s, begin_s + length_s)
    return [
        tag("h3", "Who was to blame"),
        tag("div", strip, tag("div", *labels, class_="x-axis"), class_="plain-plot"),
        _legend([(f"fill-{c.value}", _said(c, platform)) for c in seen]),
        tag("h3", "How long answers took"),
        _with_axes(draw_curves(curves, top, "Answer times over time", shades), top, labels),
        _legend([(f"line stroke-{curve.style}", curve.name) for curve in curves]),
    ]


def _said(component: Component, platform: str) -> str:
    return {Component.NONE: "all well", Component.UNDETERMINED: "could not be told"}.get(
        component, who(component, platform)
    )


def _usual_step(moments: Sequence[Moment]) -> float:
    steps = [b.taken_s - a.taken_s for a, b in pairwise(moments)]
    return max(median(steps), 1.0) if steps else 60.0


def _merged(rounds: Sequence[tuple[Moment, float, float]], platform: str) -> list[Band]:
    """Rounds that follow each other without a gap and blame the same become one band."""
    bands: list[Band] = []
    for one, begin, end in rounds:
        style = one.component.value
        if bands and bands[-1].style == style and begin - bands[-1].end < 1e-6:
            bands[-1] = bands[-1]._replace(end=end)
        else:
            bands.append(Band(begin, end, style, f"{moment(one.taken_s)}: {_said(one.component, platform)}"))
    return bands


def _shade(incident: Incident, at: _Place, platform: str) -> Band:
    end = 1.0 if incident.ended_s is None else at(incident.ended_s)
    label = f"{who(incident.component, platform)}, {span_of(incident)}"
    return Band(at(incident.began_s), end, incident.component.value, label)


def _series(key: str, moments: Sequence[Moment], at: _Place, platform: str) -> Curve:
    """One curve; where there are more rounds than points, each point is the median of a few."""
    size = -(-len(moments) // _MOST_POINTS)
    points: list[tuple[float, float | None]] = []
    for first in range(0, len(moments), size):
        chunk = moments[first : first + size]
        values = [m.latencies[key] for m in chunk if key in m.latencies]
        points.append((at(chunk[0].taken_s), median(values) if values else None))
    return Curve(SERIES[key].format(platform=platform_name(platform)), key, points)


def _time_labels(begin_s: float, end_s: float) -> list[Markup]:
    times = [begin_s + (end_s - begin_s) * n / (_AXIS_LABELS - 1) for n in range(_AXIS_LABELS)]
    if end_s - begin_s > _DAYS_S:
        return [tag("span", moment(t)[5:10]) for t in times]
    return [tag("span", clock(t) if end_s - begin_s < 600 else clock(t)[:5]) for t in times]


def _with_axes(plot: Markup, top: float, x_labels: Sequence[Markup]) -> Markup:
    y_labels = [tag("span", milliseconds(top * n / 4) if n else "0") for n in (4, 3, 2, 1, 0)]
    return tag(
        "div",
        tag("div", *y_labels, class_="y-axis"),
        tag("div", plot, tag("div", *x_labels, class_="x-axis")),
        class_="axes",
    )


def _legend(entries: Sequence[tuple[str, str]]) -> Markup:
    return tag("ul", *(tag("li", tag("i", "", class_=style), name) for style, name in entries), class_="legend")


def measured(report: Report) -> list[Markup]:
    """One measurement: what was tried when, and how answer times grow along the ways."""
    parts = [*_lanes(report)]
    curves, longest, top = _along(report)
    if curves:
        hops = [tag("span", f"step {n}" if n == 1 else f"{n}") for n in range(1, longest + 1)]
        parts += [
            tag("h3", "Answer time, step by step on the way"),
            _with_axes(draw_curves(curves, top, "Answer time at each step of the way"), top, hops),
            _legend([(f"line stroke-{curve.style}", curve.name) for curve in curves]),
        ]
    return parts


def _lanes(report: Report) -> list[Markup]:
    tried = [o for o in report.observations if not isinstance(o.fact, HostState)]
    if not tried:
        return []
    length_s = max(*(o.at_s for o in tried), report.timing.wall_s, 0.001)
    rows: list[Markup] = []
    for name, purposes in _LANES:
        chosen = [o for o in tried if o.purpose.startswith(purposes)]
        if chosen:
            good = sum(went_well(o.fact) for o in chosen)
            ticks = [Tick(o.at_s / length_s, went_well(o.fact)) for o in chosen]
            named = name.format(platform=platform_name(report.platform))
            rows.append(
                tag(
                    "div",
                    tag("span", named, class_="lane-name"),
                    draw_ticks(ticks, f"{named}: {good} of {len(chosen)} worked"),
                    tag("span", f"{good} of {len(chosen)}", class_="lane-count"),
                    class_="lane-row",
                )
            )
    marks = [tag("span", text) for text in ("0 s", f"{length_s / 2:.1f} s", f"{length_s:.1f} s")]
    rows.append(tag("div", tag("div", *marks, class_="x-axis"), class_="lane-row"))
    legend = _legend([("tick-good", "worked"), ("tick-bad", "did not")])
    return [tag("h3", "What was tried, and when"), tag("div", *rows, class_="lanes"), legend]


def _along(report: Report) -> tuple[list[Curve], int, float]:
    """A curve for each way: the best answer time of each hop; silent hops leave a gap that is bridged."""
    ways = [o for o in report.observations if isinstance(o.fact, Path) and o.fact.last_responding]
    ways.sort(key=lambda o: (not o.purpose.startswith("edge"), o.at_s))
    chosen: dict[str, list[tuple[int, float]]] = {}
    for observation in ways:
        path = observation.fact
        if isinstance(path, Path) and observation.subject not in chosen and len(chosen) < _CURVES:
            chosen[observation.subject] = [
                (hop.ttl, min(x.reply.rtt_s for x in hop.exchanges if x.reply)) for hop in path.hops if hop.addresses
            ]
    longest = max((ttl for points in chosen.values() for ttl, _ in points), default=0)
    top = scale(rtt_s for points in chosen.values() for _, rtt_s in points)
    width = max(1, longest - 1)
    curves = [
        Curve(name, f"way-{index}", [((ttl - 1) / width, rtt_s) for ttl, rtt_s in points])
        for index, (name, points) in enumerate(chosen.items())
    ]
    return curves, longest, top
