"""What people see of traced targets: a block each when they are over, and a page that fits the screen until then.

The page has one target's hops as they come; of many targets a line each, those under way first.
"""

from collections.abc import Sequence

from netprobe.model.probes import Path
from netprobe.report.known import Known
from netprobe.report.lines import BLANK, Line, Span, line, paragraph
from netprobe.report.loss import spread
from netprobe.report.trace import Whose, broken, header, how, notes, outcome, table, title
from netprobe.report.words import clean, counted

_ECHOES = "Echo requests have no ports: balancers that look at ports show one way only; --method syn or udp shows all."
_SYNS = "By SYNs, because balancers look at ports, which echo requests do not have; --method chooses another."


def block(
    one: Known,
    method: str,
    port: int,
    whose: Whose,
    *,
    width: int = 80,
    left_s: float | None = None,
    named: bool = True,
) -> list[Line]:
    """All there is to say of one target: the title, its hops or all its ways, and what follows from them.

    `named`: the method was the user's choice.
    """
    if not one.path:
        return []
    lines = broken(title(one.target, one.address, method, port, one.path), width)
    if one.ways:
        from netprobe.report.ways import graph, summary  # noqa: PLC0415  # only who looks for ways needs it

        lines += [*graph(one.ways, whose, one.path, width=width), *summary(one.ways, left_s=left_s, width=width)]
        note = _ECHOES if method == "icmp" else "" if named else _SYNS
        return lines + (paragraph(note, width=width - 2, first=(Span("  "),), indent=2, style="faint") if note else [])
    lines.append(header(one.path, loss=one.loss, width=width))
    lines += [*table(one.path, whose, width=width, loss=one.loss), *notes(one.path, one.loss, width=width)]
    return lines


def page(
    known: Sequence[Known],
    doing: str,
    method: str,
    port: int,
    whose: Whose,
    *,
    width: int,
    height: int,
    left_s: float | None = None,
) -> list[Line]:
    """What fits the screen: `doing` says what is under way."""
    status = line(clean(doing, width), "faint")
    if len(known) == 1:
        (one,) = known
        lines = block(one, method, port, whose, width=width, left_s=left_s) or [_row(one, width)]
        return [*lines[: max(1, height - 2)], BLANK, status] if height > 3 else lines[:1]
    room = max(1, height - 3)
    order = sorted(known, key=lambda one: one.over) if len(known) > room else known
    lines = [line(f"{counted(len(known), 'target')} by {how(method, port)}", "strong")]
    longest = max(len(one.target) for one in order[:room]) if order else 0
    lines += [_row(one, width, longest) for one in order[:room]]
    rest = len(known) - room
    more = f"{rest} more not shown; " if rest > 0 else ""
    lines.append(line(clean(more + doing, width), "faint"))
    return lines[:height]


def _row(one: Known, width: int, longest: int = 0) -> Line:
    """One target in one line, none longer than the screen is wide; names take `longest` columns if there is room."""
    if one.error:
        text, style = clean(one.error), "bad"
    elif not one.path or not one.path.hops:
        text, style = "...", "faint"
    elif one.loss and one.loss.destination and one.loss.destination.sent:
        end = one.loss.destination
        text = f"{spread(end.interval)} of {end.sent} lost, {_reach(one.path)}"
        style = "bad" if one.loss.loss else "faint" if end.lost else "good"
    elif one.ways:
        most = max((len(one.ways.at(vertex.ttl)) for vertex in one.ways.vertices), default=0)
        text, style = f"up to {counted(most, 'way')}, {_reach(one.path)}", "good" if one.ways.complete else "faint"
    else:
        text, style = outcome(one.path)
        text, style = (text, style) if one.over or one.path.reached else (_reach(one.path), "faint")
    most = max(8, min(40, width // 2 - 2))
    name = f"{clean(one.target, most):<{min(longest, most)}}"
    return (Span(f" {name}", ""), Span(clean(f"  {text}", max(1, width - len(name) - 2)), style))


def _reach(path: Path) -> str:
    last = path.last_responding
    return outcome(path).text if path.reached else f"hop {last.ttl}" if last else "nobody yet"
