"""`netprobe doctor`: can this machine measure, and what is lost where it cannot?"""

from typing import TYPE_CHECKING

from netprobe.cli.options import AsJson

if TYPE_CHECKING:
    from netprobe.live.doctor import Check
    from netprobe.report.lines import Line


def doctor(as_json: AsJson = False) -> int:
    """Check what netprobe needs from this machine, and say how to get what is missing. Sends no packet."""
    from netprobe.cli.console import show, show_json
    from netprobe.live.doctor import checks
    from netprobe.model.record import to_json
    from netprobe.model.verdict import EXIT_CANNOT_MEASURE

    found = checks()
    if as_json:
        show_json(to_json(found))
    else:
        show([row for check in found for row in _rows(check)])
    return EXIT_CANNOT_MEASURE if any(check.needed and not check.ok for check in found) else 0


def _rows(check: "Check") -> list["Line"]:
    from netprobe.report.lines import Span, paragraph

    style = "good" if check.ok else "bad" if check.needed else "warn"
    mark = Span(f" {'✓' if check.ok else '✗' if check.needed else '≈'} ", style)
    rows = paragraph(check.detail, width=100, first=(mark, Span(f"{check.name:<16} ", "strong")), indent=20)
    if not check.ok and check.remedy:
        rows += paragraph(check.remedy, width=100, first=(Span(" " * 18), Span("▸ ", "mark")), indent=20)
    return rows
