"""`netprobe config`: is the configuration file good, and what is in force?"""

from pathlib import Path
from typing import Annotated

import typer

from netprobe.cli.options import ConfigFile

app = typer.Typer(help="Check the configuration file, or show what is in force.", no_args_is_help=True)

File = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The file; without it the one that would be used.")]


@app.command()
def check(file: File = None) -> None:
    """Read a configuration file strictly and say what is wrong with it."""
    from netprobe.cli.announcements import gather
    from netprobe.cli.settings import DEFAULT_FILE, load
    from netprobe.topology.asn import AsnTable
    from netprobe.topology.platform import load_platform

    settings = load(file)
    load_platform(settings.platform)
    gather(settings.announcements, "'announcements'")
    AsnTable.open(settings.asn_table or None).close()
    used = file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    typer.echo(f"{used}: good" if used else f"no configuration file ({DEFAULT_FILE}): the defaults are in force")


@app.command()
def show(config: ConfigFile = None) -> None:
    """Print the configuration in force, defaults included, as a file that can be edited."""
    from netprobe.cli.settings import load, to_toml

    typer.echo(to_toml(load(config)), nl=False)
