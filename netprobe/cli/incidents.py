"""`netprobe incidents`: when something was wrong, and whose fault it was."""

from typing import Annotated

import typer

from netprobe.cli.options import AsJson, ConfigFile, State

Since = Annotated[str, typer.Option(metavar="WHEN", help="Only since then: 24h, 7d, or 2026-11-22T10:00.")]


def incidents(
    as_json: AsJson = False,
    since: Since = "",
    state: State = None,
    config: ConfigFile = None,
) -> None:
    """List the incidents that the agent has seen. With --json, one JSON array."""
    from netprobe.cli.console import show, show_json
    from netprobe.cli.records import open_records, since_s
    from netprobe.model.record import to_json
    from netprobe.report.history import incident_lines

    with open_records(state, config) as (store, platform):
        found = store.incidents(since_s(since))
    if as_json:
        show_json(to_json(found))
    else:
        show(incident_lines(found, platform))
