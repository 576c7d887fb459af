"""`netprobe diagnose`: measure, and say whose fault it is."""

from pathlib import Path
from typing import Annotated

import typer

from netprobe.cli.options import AsJson, CaFile, ConfigFile

Symptom = Annotated[
    str,
    typer.Option(metavar="S", help="What you see: open, slow, upload, feed, error or live. It decides what is tried first."),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the measurements too: ways, names, pages.")]
Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the answer as a web page, one file.")]


def diagnose(  # noqa: PLR0913 - one argument an option
    symptom: Symptom = "",
    as_json: AsJson = False,  # noqa: FBT002 - a flag
    html: Html = None,
    verbose: Verbose = False,  # noqa: FBT002 - a flag
    config: ConfigFile = None,
    ca_file: CaFile = "",
) -> int:
    """Find out whose fault it is that TikTok does not work: yours, your provider's, a block's, or TikTok's own.

    The exit code is the answer: 0 nothing wrong on the network, 10 home, 11 provider, 12 networks in between, 13 blocked,
    14 platform, 20 cannot tell or cannot measure, 2 wrong usage.
    """
    from netprobe.cli.measuring import check_ca_file, check_symptom, measure  # noqa: PLC0415 - after the arguments are known to be good
    from netprobe.cli.settings import load  # noqa: PLC0415
    from netprobe.cli.showing import present  # noqa: PLC0415
    from netprobe.cli.watch import watching  # noqa: PLC0415
    from netprobe.report.words import platform_name  # noqa: PLC0415
    from netprobe.topology.platform import load_platform  # noqa: PLC0415

    settings = load(config)
    check_symptom(symptom)
    check_ca_file(ca_file)
    platform = load_platform(settings.platform)
    with watching(platform_name(platform.name), quiet=as_json) as progress:
        report = measure(settings, platform, symptom=symptom, ca_file=ca_file, progress=progress)
    return present(report, settings, as_json=as_json, html=html, verbose=verbose)
