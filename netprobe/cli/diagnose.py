"""`netprobe diagnose`: measure, and say whose fault it is."""

from pathlib import Path
from typing import Annotated

import typer

from netprobe.cli.options import AsJson, CaFile, ConfigFile, Pcap

Symptom = Annotated[
    str,
    typer.Option(
        metavar="S", help="What you see: open, slow, upload, feed, error or live. It decides what is tried first."
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the measurements too: ways, names, pages.")]
Locate = Annotated[
    bool,
    typer.Option(
        "--locate",
        help="Where a name is blocked, find the hop that does it. The name is asked for some twenty times: "
        "think twice where asking for it may bring you trouble.",
    ),
]
Announcements = Annotated[
    list[str] | None,
    typer.Option(
        "--announcements",
        metavar="URL|FILE",
        help="Listen to what is announced, too: the https address of a feed (RSS, Atom, JSON Feed) or a file that "
        "holds one, in place of those of the configuration. May be given several times. Announcements accuse nobody: "
        "they say more about a trouble that was measured.",
    ),
]
Html = Annotated[Path | None, typer.Option(metavar="FILE", help="Write the answer as a web page, one file.")]


def diagnose(
    symptom: Symptom = "",
    as_json: AsJson = False,
    html: Html = None,
    verbose: Verbose = False,
    locate: Locate = False,
    announcements: Announcements = None,
    pcap: Pcap = None,
    config: ConfigFile = None,
    ca_file: CaFile = "",
) -> int:
    """Find out whose fault it is that TikTok does not work: yours, your provider's, a block's, or TikTok's own.

    The exit code is the answer: 0 nothing wrong on the network, 10 home, 11 provider, 12 networks in between,
    13 blocked, 14 platform, 20 cannot tell or cannot measure, 2 wrong usage.
    """
    from netprobe.cli.announcements import OPTION, gather
    from netprobe.cli.measuring import check_ca_file, check_symptom, instruments, measure
    from netprobe.cli.output import Output
    from netprobe.cli.settings import load
    from netprobe.cli.showing import present
    from netprobe.cli.watch import watching
    from netprobe.report.words import platform_name
    from netprobe.topology.platform import load_platform

    settings = load(config)
    check_symptom(symptom)
    check_ca_file(ca_file)
    platform = load_platform(settings.platform)
    heard = gather(announcements, OPTION) if announcements else gather(settings.announcements, "'announcements'")
    with (
        Output.open("--html", html) as page,
        Output.open("--pcap", pcap) as packets,
        instruments(settings, platform, ca_file=ca_file, feeds=bool(heard)) as opened,
    ):
        with watching(platform_name(platform.name), quiet=as_json) as progress:
            report = measure(
                settings,
                platform,
                opened,
                symptom=symptom,
                pcap=packets,
                progress=progress,
                locating=locate,
                all_uplinks=settings.all_uplinks,
                sources=heard.sources(platform),
            )
        return present(report, opened.table, as_json=as_json, html=page, verbose=verbose)
