"""A report in the form that was asked for; the exit code that goes with its verdict."""

from pathlib import Path

from netprobe.cli.console import show, show_json, width
from netprobe.cli.failure import Failure
from netprobe.cli.settings import Settings
from netprobe.diagnosis.causes import tables
from netprobe.model.record import to_json
from netprobe.model.report import Report
from netprobe.model.verdict import EXIT_CODES, Cause
from netprobe.report.details import details
from netprobe.report.html import page
from netprobe.report.text import answer
from netprobe.topology.asn import AsnTable


def present(report: Report, settings: Settings, *, as_json: bool, html: Path | None, verbose: bool) -> int:
    """Print `report` for people or machines, write the page if one is wanted; the exit code of its verdict."""
    if as_json:
        show_json(to_json(report))
    if html or (verbose and not as_json):
        with AsnTable.open(settings.asn_table or None) as table:
            if verbose and not as_json:
                show(details(report, table.lookup, width=width()))
            if html:
                write(html, page(report, known_causes(), table.lookup))
    if not as_json:
        show(answer(report, known_causes(), width=width()))
    return EXIT_CODES[report.verdict.component]


def known_causes() -> dict[str, Cause]:
    """The table of causes by id."""
    return tables().causes


def write(path: Path, text: str) -> None:
    """Write a file that the user asked for."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise Failure(msg) from None
