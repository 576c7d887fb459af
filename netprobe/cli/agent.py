"""`netprobe agent`: measure on a schedule and keep what was found."""

from typing import Annotated

import typer

from netprobe.cli.options import CaFile, ConfigFile, State

Once = Annotated[bool, typer.Option("--once", help="Measure once and end.")]
Every = Annotated[str, typer.Option(metavar="INTERVAL", help="How often: 30s, 5m, 1h (5m).")]


def agent(
    once: Once = False,
    every: Every = "",
    state: State = None,
    config: ConfigFile = None,
    ca_file: CaFile = "",
) -> None:
    """Diagnose on a schedule, keep facts and verdicts, and notice when an incident begins and ends.

    Runs in the foreground until SIGTERM or Ctrl-C; packaging/systemd has a unit for it.
    """
    from netprobe.cli.resident import start

    start(once=once, every=every, state=state, config=config, ca_file=ca_file)
