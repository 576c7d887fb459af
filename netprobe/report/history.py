"""Many rounds and the incidents among them: the records that a page draws, and a list for the terminal."""

from collections import Counter
from collections.abc import Sequence

from netprobe.model.record import Record
from netprobe.model.report import Incident
from netprobe.model.verdict import Component
from netprobe.report.lines import BLANK, Line, Span, line
from netprobe.report.words import clean, clock, counted, duration, moment, who


class Moment(Record, frozen=True):
    """One round: when, what was said, and how long answers took (seconds, by the keys of latency.SERIES)."""

    taken_s: float
    component: Component
    latencies: dict[str, float]


class History(Record, frozen=True):
    """Rounds and incidents of a stretch of time, each oldest first."""

    moments: tuple[Moment, ...] = ()
    incidents: tuple[Incident, ...] = ()


def span_of(incident: Incident) -> str:
    """When an incident began and ended, and how long it took."""
    began = moment(incident.began_s)
    if incident.ended_s is None:
        return f"{began}, still going on"
    took = duration(incident.ended_s - incident.began_s)
    ended = clock(incident.ended_s) if incident.ended_s - incident.began_s < 43200 else moment(incident.ended_s)
    return f"{began} to {ended} ({took})"


def incident_lines(incidents: Sequence[Incident], platform: str) -> list[Line]:
    """Every incident, the last one first."""
    if not incidents:
        return [line("No incident is on record.", "good")]
    lines: list[Line] = []
    for incident in reversed(incidents):
        style = "bad" if incident.ended_s is None else ""
        lines.append((Span(f"{incident.id:>4}  ", "faint"), Span(span_of(incident), style)))
        blamed = f"{who(incident.component, platform)}: {clean(incident.sentence, 300)}"
        lines.append((Span("      "), Span(blamed)))
        lines.append((Span("      "), Span(f"{incident.cause}, {counted(incident.rounds, 'round')}", "faint")))
    return lines


def history_lines(history: History, platform: str) -> list[Line]:
    """The stretch of time in a few lines, then its incidents."""
    first, last = history.moments[0], history.moments[-1]
    said = Counter(m.component for m in history.moments)
    shares = ", ".join(f"{who(component, platform)} {count}" for component, count in said.most_common())
    return [
        line(
            f"  {counted(len(history.moments), 'round')} from {moment(first.taken_s)} to {moment(last.taken_s)}",
            "strong",
        ),
        line(f"  to blame: {shares}", "faint"),
        BLANK,
        *((Span("  "), *spans) for spans in incident_lines(history.incidents, platform)),
    ]
