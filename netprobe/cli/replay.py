"""`netprobe replay`: the verdict of a recorded measurement, derived anew."""

from pathlib import Path
from typing import Annotated

import typer

from netprobe.cli.options import AsJson, ConfigFile

Recorded = Annotated[Path, typer.Argument(metavar="FILE", help="What `netprobe diagnose --json` printed.")]
Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the answer as a web page, one file.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the measurements too.")]


def replay(
    file: Recorded,
    as_json: AsJson = False,
    html: Html = None,
    verbose: Verbose = False,
    config: ConfigFile = None,
) -> int:
    """Read a recorded report and say what today's rules make of the same observations. Sends nothing."""
    import msgspec

    from netprobe.cli.output import Output
    from netprobe.cli.reading import read_report
    from netprobe.cli.settings import load
    from netprobe.cli.showing import present
    from netprobe.diagnosis import diagnose as judge
    from netprobe.topology.asn import AsnTable
    from netprobe.topology.platform import load_platform

    settings = load(config)
    recorded = read_report(file)
    with Output.open("--html", html) as page, AsnTable.open(settings.asn_table or None) as table:
        platform = load_platform(settings.platform)
        verdict = judge(recorded.observations, platform, table.lookup, symptom=recorded.symptom)
        report = msgspec.structs.replace(recorded, verdict=verdict)
        return present(report, table, as_json=as_json, html=page, verbose=verbose)
