"""`netprobe lab`: simulated networks in which the truth is known."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from netprobe.cli.options import AsJson, ConfigFile

app = typer.Typer(help="Simulated networks in which the truth is known.", no_args_is_help=True)


class RunFidelity(StrEnum):
    """How real a network is that a command runs in."""

    TUN = "tun"
    KERNEL = "kernel"


class ScoreFidelity(StrEnum):
    """How real the networks are that are scored."""

    VIRTUAL = "virtual"
    TUN = "tun"
    KERNEL = "kernel"


Name = Annotated[str, typer.Argument(metavar="NAME", help="A scenario (see: netprobe lab list), or a file.")]
NameOrFile = Annotated[
    str, typer.Argument(metavar="NAME_OR_FILE", help="A scenario (see: netprobe lab list), or a file.")
]
Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="[-- COMMAND...]", help="What to run inside; without it: netprobe diagnose."),
]
Seed = Annotated[int, typer.Option(metavar="S", help="Chance: the same seed, the same network.")]
Paths = Annotated[
    list[str] | None, typer.Argument(metavar="[PATH...]", help="Scenarios: names, files or folders; all without.")
]
Repeat = Annotated[
    int, typer.Option(metavar="N", min=1, max=10_000, help="Runs of each scenario, each with a seed of its own.")
]
Pcap = Annotated[
    Path | None,
    typer.Option(
        "--pcap",
        metavar="FILE",
        help="Write what passes the client's card to FILE, for tcpdump and Wireshark; replaces what is there.",
    ),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show the measurements too.")]


@app.command(name="list")
def list_(as_json: AsJson = False) -> None:
    """Name every scenario and what happens in it."""
    from netprobe.cli.laboratory import list_scenarios

    list_scenarios(as_json=as_json)


@app.command()
def show(name: Name, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Draw a scenario's network, and say what is wrong with it and what should be said."""
    from netprobe.cli.laboratory import show_scenario

    show_scenario(name, config, as_json=as_json)


@app.command()
def run(
    name: NameOrFile,
    command: Command = None,
    fidelity: Annotated[
        RunFidelity,
        typer.Option(help="tun: our network behind real devices, with its delays; kernel: Linux's own routers."),
    ] = RunFidelity.TUN,
    seed: Seed = 1,
    pcap: Pcap = None,
    as_json: AsJson = False,
    verbose: Verbose = False,
) -> int:
    """Run a command inside a simulated network; without one, diagnose it.

    Real packets and real servers, in namespaces that nothing leaves. The exit code is the command's.
    """
    from netprobe.cli.laboratory import run_inside

    flags = [flag for flag, wanted in (("--json", as_json), ("--verbose", verbose)) if wanted]
    if command and flags:
        msg = f"{flags[0]} is for the diagnosis that runs without a COMMAND; write it behind the command"
        raise typer.BadParameter(msg)
    return run_inside(name, command or (), flags, seed, fidelity.value, pcap)


@app.command()
def score(
    paths: Paths = None,
    fidelity: Annotated[
        ScoreFidelity,
        typer.Option(help="virtual: in memory, without a packet; tun: real packets; kernel: Linux's own routers too."),
    ] = ScoreFidelity.VIRTUAL,
    worlds: Annotated[
        int, typer.Option(metavar="N", min=0, max=1_000_000, help="N generated worlds instead of files.")
    ] = 0,
    only: Annotated[
        str, typer.Option(metavar="CAUSE", help="Only worlds with this cause (docs/causes.md lists them).")
    ] = "",
    repeat: Repeat = 1,
    seed: Annotated[int, typer.Option(metavar="S", help="The first seed; of worlds, the first world too.")] = 1,
    pcap: Pcap = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
) -> int:
    """Diagnose scenarios and compare with the truth.

    The exit code is 1 if anybody was blamed wrongly; scenarios whose truth is not found yet (open) only count where
    somebody innocent was blamed.
    """
    from netprobe.cli.laboratory import draw_worlds, score_scenarios

    if worlds and paths:
        msg = "--worlds generates networks instead of reading them; leave the PATHs out"
        raise typer.BadParameter(msg)
    if only and not worlds:
        msg = "--only chooses among generated worlds; say how many of them: --worlds N"
        raise typer.BadParameter(msg)
    seeds = range(seed, seed + repeat)
    real = "" if fidelity is ScoreFidelity.VIRTUAL else fidelity.value
    drawn = draw_worlds(seed, worlds, only)
    return score_scenarios(paths or [], drawn, seeds, config, real=real, pcap=pcap, as_json=as_json)
