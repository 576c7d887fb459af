"""A report in the form that was asked for; the exit code that goes with its verdict."""

import os
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
    with AsnTable.open(settings.asn_table or None) as table:
        if verbose and not as_json:
            show(details(report, table.lookup, width=width()))
        if not as_json:
            show(answer(report, known_causes(), width=width()))
        if html:
            write(html, page(report, known_causes(), table.lookup))
    return EXIT_CODES[report.verdict.component]


def check_writable(path: Path | None) -> None:
    """Refuse a place where no page can be written before anything is measured."""
    if path and (path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK)):
        msg = f"--html: {path}: cannot be written; name a file in a folder that is there and yours"
        raise Failure(msg)


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
