"""`netprobe report`: what the agent has found, as text or as a web page."""

from pathlib import Path
from typing import Annotated

import typer

from netprobe.cli.options import ConfigFile, State

Since = Annotated[str, typer.Option(metavar="WHEN", help="Only since then: 24h, 7d, or 2026-11-22T10:00.")]
Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Write one web page that needs nothing else.")]


def report(since: Since = "", html: Html = None, state: State = None, config: ConfigFile = None) -> None:
    """Show the agent's records: how it is now, what went wrong and when, how long answers took."""
    from netprobe.cli.recalling import recall

    recall(since, html, state, config)
