"""Options that several commands share, each described once."""

from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, errors too.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Configuration; without it /etc/netprobe/netprobe.toml if it exists."
    ),
]
CaFile = Annotated[
    str,
    typer.Option("--ca-file", metavar="FILE", help="Trust these certificates (PEM) instead of the system's."),
]
State = Annotated[
    Path | None, typer.Option("--state", metavar="DIR", help="Where the agent keeps its records (/var/lib/netprobe).")
]
Pcap = Annotated[
    Path | None,
    typer.Option(
        "--pcap",
        metavar="FILE",
        help="Write the probes and what answers them to FILE, for tcpdump and Wireshark; replaces what is there.",
    ),
]
