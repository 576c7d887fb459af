"""What `netprobe report` does once its arguments are known."""

from pathlib import Path

from netprobe.cli.console import show, width
from netprobe.cli.failure import Failure
from netprobe.cli.output import Output
from netprobe.cli.records import open_records, since_s
from netprobe.cli.settings import load
from netprobe.cli.showing import known_causes
from netprobe.report.history import History, Moment, history_lines
from netprobe.report.html import page
from netprobe.report.text import answer
from netprobe.topology.asn import AsnTable


def recall(since: str, html: Path | None, state: Path | None, config: Path | None) -> None:
    """Print the records since a time, or write them as a page about the last incident, or about now without one."""
    begin_s = since_s(since)
    with Output.open("--html", html) as file:
        _recall(since, begin_s, file, state, config)


def _recall(since: str, begin_s: float, file: Output, state: Path | None, config: Path | None) -> None:
    with open_records(state, config) as (store, _):
        moments = tuple(Moment(r.taken_s, r.component, r.latencies) for r in store.rounds(begin_s))
        incidents = tuple(store.incidents(begin_s))
        latest = store.latest()
        worst = next((found for i in reversed(incidents) if (found := store.report_of(i))), latest)
    if latest is None or worst is None or not moments:
        msg = f"no round was recorded{' since ' + since if since else ' yet'}; is the agent running?"
        raise Failure(msg)
    history = History(moments, incidents)
    if not file.wanted:
        show([*answer(latest, known_causes(), width=width()), *history_lines(history, latest.platform)])
        return
    with AsnTable.open(load(config).asn_table or None) as table:
        file.write(page(worst, known_causes(), table.lookup, history))
