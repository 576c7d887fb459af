"""The answer in plain words for the person who asked: who, why, how sure, what to do, how long, who is innocent.

No word here is one that a person at home would have to look up; the hops are in `details`.
"""

from collections.abc import Mapping, Sequence

from netprobe.model.report import Report
from netprobe.model.verdict import Candidate, Cause, Component, Level, Verdict, Weighed
from netprobe.report.lines import BLANK, Line, Span, line, paragraph
from netprobe.report.words import (
    ON_THE_WAY,
    capitalised,
    clean,
    confidence,
    counted,
    headline,
    likelihood,
    listed,
    not_seen,
    octets,
    platform_name,
    who,
)

#: How many items of evidence for, and against, a short answer shows: the heaviest.
SHOWN_FOR = 5
SHOWN_AGAINST = 3
_RUNNERS_UP = 2
_ANNOUNCED = "announced."  # what the ids of such evidence begin with
_LONG = 400
_WIDEST = 96  # longer lines are hard to read, however wide the terminal is
_MARGIN = "  "


def answer(report: Report, causes: Mapping[str, Cause], *, width: int = 80) -> list[Line]:
    """The whole answer. `causes` explains the runners-up; ids that it does not know are shown without explanation."""
    verdict, platform = report.verdict, report.platform
    room = min(width, _WIDEST) - len(_MARGIN)
    blocks = (
        _who(verdict, platform, room),
        [way(verdict, platform)],
        _how_sure(verdict, room),
        _why(verdict, room),
        _announced(verdict, room),
        _steps(verdict, room),
        _innocent(verdict, room),
        _runners_up(verdict, causes, platform, room),
        _cost(report, room),
        _limits(report, room),
    )
    shown: list[Line] = [BLANK]
    for block in blocks:
        if block:
            shown += [(Span(_MARGIN), *spans) if spans else BLANK for spans in block]
            shown.append(BLANK)
    return shown


def way(verdict: Verdict, platform: str) -> Line:
    """The way from the person to the platform, with what is innocent, where it breaks, and what lies behind."""
    innocent = {e.component for e in verdict.exonerated if e.passed == e.checks}
    guilty = verdict.component
    names = {
        Component.HOME: "home network",
        Component.ISP: "provider",
        Component.TRANSIT: "internet",
        Component.PLATFORM: platform_name(platform),
    }
    broken = guilty not in ON_THE_WAY and guilty is not Component.POLICY
    spans = [Span("you", "strong")]
    behind = False
    for component in ON_THE_WAY:
        blocked = guilty is Component.POLICY and component is Component.PLATFORM
        if blocked:
            spans += [Span(" ━━ ", "faint"), Span("✗ blocked", "bad")]
            behind = True
        spans.append(Span(" ╌╌ " if behind else " ━━ ", "faint"))
        if component is guilty:
            spans.append(Span(f"{names[component]} ✗", "bad"))
            behind = True
        elif component in innocent or guilty is Component.NONE:
            spans.append(Span(f"{names[component]} ✓", "good"))
        else:
            spans.append(Span(names[component], "faint" if behind or broken else ""))
    return tuple(spans)


def _who(verdict: Verdict, platform: str, room: int) -> list[Line]:
    style = {Component.NONE: "good", Component.UNDETERMINED: "warn"}.get(verdict.component, "bad")
    lines = paragraph(headline(verdict.component, platform), width=room, style=style)
    lines += paragraph(clean(verdict.sentence, _LONG), width=room)
    for other in verdict.also:
        lines += paragraph(f"At the same time: {clean(other, _LONG)}", width=room)
    return lines


def _how_sure(verdict: Verdict, room: int) -> list[Line]:
    lines = paragraph(confidence(verdict), width=room, first=(Span("Confidence  ", "strong"),), indent=12)
    if verdict.expected_duration:
        text = f"{clean(verdict.expected_duration)} (what is usual, not a promise)"
        lines += paragraph(text, width=room, first=(Span("How long    ", "strong"),), indent=12)
    return lines


def split_evidence(evidence: Sequence[Weighed]) -> tuple[list[Weighed], list[Weighed], list[Weighed]]:
    """Evidence that speaks for the verdict, heaviest first; against it, heaviest first; and what was discarded."""
    scored = [e for e in evidence if e.level is Level.SCORED]
    speaks_for = sorted((e for e in scored if e.weight > 0), key=lambda e: -e.weight)
    against = sorted((e for e in scored if e.weight < 0), key=lambda e: e.weight)
    return speaks_for, against, [e for e in evidence if e.level is Level.DISCARDED]


def announced(evidence: Sequence[Weighed]) -> list[Weighed]:
    """What the platform and others say, whether or not it counts."""
    return [e for e in evidence if e.id.startswith(_ANNOUNCED) and e.state not in {"", "nothing"}]


def _announced(verdict: Verdict, room: int) -> list[Line]:
    items = announced(verdict.evidence)
    lines = [line("Announced", "strong")] if items else []
    for item in items:
        lines += paragraph(clean(item.sentence, _LONG), width=room, first=(Span("  · ", "mark"),), indent=4)
        if item.reason:
            text = f"does not count: {clean(item.reason, _LONG)}"
            lines += paragraph(text, width=room, first=(Span("    "),), indent=4, style="faint")
    return lines


def _why(verdict: Verdict, room: int) -> list[Line]:
    measured = [e for e in verdict.evidence if not e.id.startswith(_ANNOUNCED)]  # what is announced stands below
    speaks_for, against, discarded = split_evidence(measured)
    lines: list[Line] = []
    for title, items, limit, mark, style in (
        ("Why", speaks_for, SHOWN_FOR, "+", "good"),
        ("What speaks against it", against, SHOWN_AGAINST, "−", "warn"),
    ):
        if items:
            lines.append(line(title, "strong"))
        for item in items[:limit]:
            lines += paragraph(clean(item.sentence, _LONG), width=room, first=(Span(f"  {mark} ", style),), indent=4)
        if len(items) > limit:
            rest = f"and {counted(len(items) - limit, 'lesser finding')}"
            lines += paragraph(rest, width=room, first=(Span("    "),), indent=4, style="faint")
    if discarded and lines:
        text = f"{counted(len(discarded), 'finding')} left out as not to be trusted"
        lines += paragraph(text, width=room, first=(Span("    "),), indent=4, style="faint")
    return lines


def _steps(verdict: Verdict, room: int) -> list[Line]:
    if not verdict.advice:
        return []
    lines = [line("What to do", "strong")]
    for number, advice in enumerate(verdict.advice, 1):
        first = (Span(f"  {number}. ", "mark"),)
        lines += paragraph(clean(advice.step, _LONG), width=room, first=first, indent=5)
        if advice.checked:
            lines += paragraph(
                clean(advice.checked), width=room, first=(Span("     ✓ ", "good"),), indent=7, style="faint"
            )
    return lines


def _innocent(verdict: Verdict, room: int) -> list[Line]:
    if not verdict.exonerated:
        return []
    lines = [line("Not to blame", "strong")]
    for item in verdict.exonerated:
        lines += paragraph(
            capitalised(clean(item.sentence, _LONG)), width=room, first=(Span("  ✓ ", "good"),), indent=4
        )
    return lines


def worth_mentioning(verdict: Verdict) -> list[Candidate]:
    """The runners-up that a person should know of."""
    floor = 0.0 if verdict.abstained else 0.001 if verdict.calibrated else 0.01  # a sure answer leaves little to share
    return [c for c in verdict.runners_up if c.probability >= floor][:_RUNNERS_UP]


def _runners_up(verdict: Verdict, causes: Mapping[str, Cause], platform: str, room: int) -> list[Line]:
    lines: list[Line] = []
    for candidate in worth_mentioning(verdict):
        lines = lines or [line("It could also be" if not verdict.abstained else "What it could be", "strong")]
        cause = causes.get(candidate.cause)
        what = clean(cause.sentence, _LONG) if cause else clean(candidate.cause)
        sure = likelihood(candidate.probability, calibrated=verdict.calibrated)
        text = f"{who(candidate.component, platform)}: {what} ({sure})"
        lines += paragraph(capitalised(text), width=room, first=(Span("  · ", "mark"),), indent=4)
        if cause and cause.discriminator:
            told = f"What tells them apart: {clean(cause.discriminator, _LONG)}"
            lines += paragraph(told, width=room, first=(Span("    "),), indent=4, style="faint")
    if verdict.next_probe:
        first = (Span("  To be surer: ", "strong"),) if lines else (Span("To be surer: ", "strong"),)
        lines += paragraph(clean(verdict.next_probe, _LONG), width=room, first=first, indent=4)
    return lines


def _cost(report: Report, room: int) -> list[Line]:
    timing = report.timing
    measured = [
        counted(len(report.observations), "observation"),
        f"{counted(timing.packets_sent, 'packet')} ({octets(timing.bytes_sent)})",
        f"{timing.wall_s:.1f} s",
    ]
    return paragraph(f"Measured: {listed(measured)}.", width=room, style="faint")


def _limits(report: Report, room: int) -> list[Line]:
    """What this machine did not let us measure."""
    said = not_seen(report)
    return paragraph(said, width=room, style="faint") if said else []
