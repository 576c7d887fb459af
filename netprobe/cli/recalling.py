"""What `netprobe report` does once its arguments are known."""

from pathlib import Path

from netprobe.cli.console import show, width
from netprobe.cli.failure import Failure
from netprobe.cli.records import open_records, since_s
from netprobe.cli.settings import load
from netprobe.cli.showing import check_writable, known_causes, write
from netprobe.report.history import History, Moment, history_lines
from netprobe.report.html import page
from netprobe.report.text import answer
from netprobe.topology.asn import AsnTable


def recall(since: str, html: Path | None, state: Path | None, config: Path | None) -> None:
    """Print the records since a time, or write them as a page about the last incident, or about now without one."""
    begin_s = since_s(since)
    check_writable(html)
    with open_records(state, config) as (store, _):
        moments = tuple(Moment(r.taken_s, r.component, r.latencies) for r in store.rounds(begin_s))
        incidents = tuple(store.incidents(begin_s))
        latest = store.latest()
        worst = next((found for i in reversed(incidents) if (found := store.report_of(i))), latest)
    if latest is None or worst is None or not moments:
        msg = f"no round was recorded{' since ' + since if since else ' yet'}; is the agent running?"
        raise Failure(msg)
    history = History(moments, incidents)
    if html is None:
        show([*answer(latest, known_causes(), width=width()), *history_lines(history, latest.platform)])
        return
    with AsnTable.open(load(config).asn_table or None) as table:
        write(html, page(worst, known_causes(), table.lookup, history))
