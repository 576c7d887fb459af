"""One web page, one file: the verdict, the way with its break, what happened over time, the evidence and the advice.

It asks nobody for anything: no script, no font, no picture from elsewhere, and a content security policy that would
forbid them. Everything that came from the network is escaped where it is written (markup.py).
"""

import functools
from collections.abc import Mapping, Sequence
from importlib import resources

from netprobe import __version__
from netprobe.model.report import Incident, Report
from netprobe.model.verdict import Cause, Component, Level, Weighed
from netprobe.report.charts import measured, over_time
from netprobe.report.details import details
from netprobe.report.drawing import draw_way
from netprobe.report.history import History, span_of
from netprobe.report.lines import render
from netprobe.report.markup import Child, Markup, tag, verbatim
from netprobe.report.text import announced, split_evidence, worth_mentioning
from netprobe.report.trace import Whose
from netprobe.report.way import stops
from netprobe.report.words import (
    capitalised,
    clean,
    confidence,
    counted,
    headline,
    likelihood,
    moment,
    not_seen,
    octets,
    platform_name,
    who,
)

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_BAR_PIXELS = 60  # the heaviest finding's
#: Owed to the makers of the AS table (netprobe/data/NOTICE) wherever results that rest on it are shown to others.
_ATTRIBUTION = (
    "Names of networks: Route Views, University of Oregon (routeviews.org); DB-IP (db-ip.com); Number Resource "
    "Organization (nro.net), by way of ip-location-db, CC BY 4.0, changed by netprobe."
)


def page(report: Report, causes: Mapping[str, Cause], whose: Whose, history: History | None = None) -> str:
    """The page about `report`; with a `history` it begins with what happened over that time."""
    verdict = report.verdict
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),  # or a browser asks the server that the page lies on for one
        tag("title", f"netprobe: {headline(verdict.component, report.platform)}"),
        tag("style", style()),
    )
    body = tag(
        "body",
        tag(
            "main",
            *_now(report, history),
            _verdict(report),
            *_history(report, history),
            tag(
                "div",
                tag("div", _way(report, whose), *_innocent(report)),
                tag("div", *_answers(report, causes)),
                class_="columns",
            ),
            *_measurement(report, whose),
            _footer(report),
        ),
        class_=f"about-{verdict.component.value}",
    )
    return f'<!doctype html>\n<html lang="en">{head}{body}</html>\n'


@functools.cache
def style() -> Markup:
    """The page's style sheet."""
    return Markup(resources.files("netprobe.report").joinpath("page.css").read_text(encoding="utf-8"))


def _section(title: str, *children: Child, kind: str = "card") -> Markup:
    return tag("section", tag("h2", title), *children, class_=kind)


def _now(report: Report, history: History | None) -> list[Markup]:
    """How it is now, when the page is about something that was."""
    last = history.moments[-1] if history and history.moments else None
    if last is None or last.taken_s <= report.taken_s:
        return []
    style = "good" if last.component is Component.NONE else f"ink-{last.component.value}"
    told = tag("strong", headline(last.component, report.platform), class_=style)
    return [tag("p", tag("span", f"Now, {moment(last.taken_s)}: "), told, " What was wrong before:", class_="now")]


def _verdict(report: Report) -> Markup:
    verdict = report.verdict
    facts = [("Confidence", confidence(verdict))]
    if verdict.expected_duration:
        facts.append(("How long", f"{verdict.expected_duration} (what is usual, not a promise)"))
    facts.append(("Measured", moment(report.taken_s)))
    return tag(
        "header",
        tag("p", f"{platform_name(report.platform)}, seen from here", class_="kicker"),
        tag("h1", headline(verdict.component, report.platform)),
        tag("p", verdict.sentence, class_="lead"),
        *(tag("p", f"At the same time: {other}") for other in verdict.also),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts), class_="facts"),
        class_="verdict",
    )


def _history(report: Report, history: History | None) -> list[Markup]:
    if history is None or not history.moments:
        return []
    return [
        _section("Over time", *over_time(history, report.platform), kind="card wide"),
        _section("Incidents", _incidents(history.incidents, report.platform), kind="card wide"),
    ]


def _incidents(incidents: Sequence[Incident], platform: str) -> Markup:
    if not incidents:
        return tag("p", "None in this time.", class_="good")
    rows = [
        tag(
            "li",
            tag("strong", capitalised(who(incident.component, platform)), class_=f"ink-{incident.component.value}"),
            tag("p", incident.sentence),
            tag("p", f"{span_of(incident)}; {incident.cause}, {counted(incident.rounds, 'round')}", class_="small"),
        )
        for incident in reversed(incidents)
    ]
    return tag("ol", *rows, class_="incidents")


def _way(report: Report, whose: Whose) -> Markup:
    return _section("The way", draw_way(stops(report, whose)))


def _answers(report: Report, causes: Mapping[str, Cause]) -> list[Markup]:
    verdict = report.verdict
    parts = [_section("Why", *_evidence(verdict.evidence))]
    said = announced(verdict.evidence)
    if said:
        rows = [
            tag("li", e.sentence, *([tag("span", f"Does not count: {e.reason}.", class_="small")] if e.reason else []))
            for e in said
        ]
        parts.append(_section("Announced", tag("ul", *rows)))
    if verdict.advice:
        steps = [
            tag("li", one.step, *([tag("span", f"✓ {one.checked}", class_="checked")] if one.checked else []))
            for one in verdict.advice
        ]
        parts.append(_section("What to do", tag("ol", *steps, class_="steps")))
    others = _others(report, causes)
    if others:
        parts.append(_section("What else it could be", *others))
    return parts


def _innocent(report: Report) -> list[Markup]:
    rows = [tag("li", capitalised(item.sentence)) for item in report.verdict.exonerated]
    return [_section("Not to blame", tag("ul", *rows, class_="innocent"))] if rows else []


def _others(report: Report, causes: Mapping[str, Cause]) -> list[Markup]:
    verdict = report.verdict
    rows: list[Markup] = []
    for candidate in worth_mentioning(verdict):
        cause = causes.get(candidate.cause)
        sure = likelihood(candidate.probability, calibrated=verdict.calibrated)
        told = (
            [tag("p", f"What tells them apart: {cause.discriminator}", class_="small")]
            if cause and cause.discriminator
            else []
        )
        name = tag("strong", capitalised(who(candidate.component, report.platform)))
        rows.append(tag("li", name, f": {cause.sentence if cause else candidate.cause} ({sure})", *told))
    parts = [tag("ul", *rows)] if rows else []
    if verdict.next_probe:
        parts.append(tag("p", tag("strong", "To be surer: "), verdict.next_probe))
    return parts


def _evidence(evidence: Sequence[Weighed]) -> list[Markup]:
    """What counts, as a table; what does not count, folded away."""
    speaks_for, against, discarded = split_evidence(evidence)
    heaviest = max((abs(e.weight) for e in evidence), default=0.0) or 1.0
    neutral = [e for e in evidence if e.level is Level.SCORED and not e.weight]
    counts = [*(_finding(e, heaviest, "for") for e in speaks_for), *(_finding(e, heaviest, "against") for e in against)]
    parts = [_findings(counts)] if counts else [tag("p", "Nothing could be weighed.")]
    for items, side, title in (
        (neutral, "neutral", "that decide nothing"),
        (discarded, "discarded", "left out as not to be trusted"),
    ):
        if items:
            summary = tag("summary", f"{counted(len(items), 'finding')} {title}")
            parts.append(tag("details", summary, _findings([_finding(e, heaviest, side) for e in items])))
    return parts


def _findings(rows: Sequence[Markup]) -> Markup:
    return tag("table", tag("tbody", *rows), class_="evidence")


def _finding(item: Weighed, heaviest: float, side: str) -> Markup:
    told = f"{item.id} = {item.state}"
    if side not in {"for", "against"}:
        reason = [tag("span", item.reason, class_="small")] if item.reason else []
        return tag("tr", tag("td", item.sentence, *reason), class_=side, title=told)
    bar = tag("span", "", class_=f"bar {side}", style=f"width:{abs(item.weight) / heaviest * _BAR_PIXELS:.0f}px")
    shown = f"+{item.weight:.1f}" if item.weight > 0 else f"−{-item.weight:.1f}"
    weight = tag("td", bar, tag("span", shown, class_="small"), class_="weight")
    return tag("tr", tag("td", item.sentence), weight, class_=side, title=told)


def _measurement(report: Report, whose: Whose) -> list[Markup]:
    text = verbatim(render(details(report, whose, width=120)))
    everything = tag("details", tag("summary", "Every measurement"), tag("pre", text))
    return [_section("This measurement", *measured(report), everything, kind="card wide")]


def _footer(report: Report) -> Markup:
    timing = report.timing
    cost = (
        f"netprobe {__version__}: {counted(len(report.observations), 'observation')}, "
        f"{counted(timing.packets_sent, 'packet')} ({octets(timing.bytes_sent)}) in {timing.wall_s:.1f} s. "
    )
    calibrated = (
        "Probabilities are calibrated on simulated networks, which are tidier than real ones. "
        if report.verdict.calibrated
        else "Scores are not calibrated: they rank, they are no probabilities. "
    )
    return tag("footer", tag("p", f"{cost}{calibrated}{not_seen(report)}"), tag("p", clean(_ATTRIBUTION, 400)))
