"""A report in the form that was asked for; the exit code that goes with its verdict."""

from netprobe.cli.console import show, show_json, width
from netprobe.cli.output import Output
from netprobe.diagnosis.causes import tables
from netprobe.model.record import to_json
from netprobe.model.report import Report
from netprobe.model.verdict import EXIT_CODES, Cause
from netprobe.report.details import details
from netprobe.report.html import page
from netprobe.report.text import answer
from netprobe.topology.asn import AsnTable


def present(report: Report, table: AsnTable, *, as_json: bool, html: Output, verbose: bool) -> int:
    """Print `report` for people or machines, write the page if one is wanted; the exit code of its verdict."""
    if as_json:
        show_json(to_json(report))
    if verbose and not as_json:
        show(details(report, table.lookup, width=width()))
    if not as_json:
        show(answer(report, known_causes(), width=width()))
    if html.wanted:
        html.write(page(report, known_causes(), table.lookup))
    return EXIT_CODES[report.verdict.component]


def known_causes() -> dict[str, Cause]:
    """The table of causes by id."""
    return tables().causes
