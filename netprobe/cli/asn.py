"""`netprobe asn`: whose network an address is, and importing a newer table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netprobe.cli.options import AsJson, ConfigFile

if TYPE_CHECKING:
    from netprobe.topology.asn import About
    from netprobe.topology.asn_sources import Built

app = typer.Typer(
    help="The offline table of networks: look an address up, or import a newer table.", no_args_is_help=True
)

Addresses = Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="IPv4 and IPv6 addresses.")]
Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="CSV or TSV rows of address ranges (ip-location-db, iptoasn), prefixes with AS numbers (pfx2as), or a "
        "MaxMind DB; IPv4, IPv6 or both.",
    ),
]
Out = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="The table to write; name it as asn_table in the configuration.")
]


Date = Annotated[str, typer.Option(metavar="DATE", help="The day that the data are of, as in 2026-11-29.")]


@app.command()
def about(config: ConfigFile = None) -> None:
    """Say what the table is: of which day, how large, and whose data it was made from."""
    from netprobe.cli.settings import load
    from netprobe.topology.asn import DATA, AsnTable

    own = load(config).asn_table
    with AsnTable.open(own or None) as table:
        it = table.about
    typer.echo(f"data of {it.date or 'a day that was not told'}: {_ranges(it)}, {it.systems} networks, {it.size} bytes")
    if own:
        typer.echo(f"{own}: imported; its licence is that of what it was imported from")
    else:
        typer.echo((DATA / "NOTICE").read_text(encoding="utf-8").rstrip())


@app.command()
def lookup(addresses: Addresses, as_json: AsJson = False, config: ConfigFile = None) -> None:
    """Say which network announces an address."""
    import ipaddress

    from netprobe.cli.console import show_json
    from netprobe.cli.settings import load
    from netprobe.model.record import to_json
    from netprobe.topology.asn import AsnTable

    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            msg = f"'{address}' is not an IP address"
            raise typer.BadParameter(msg) from None
    with AsnTable.open(load(config).asn_table or None) as table:
        for address in addresses:
            origin = table.lookup(address)
            if as_json:
                show_json(to_json({"address": address, "asn": origin and origin.asn, "name": origin and origin.name}))
            elif origin:
                exchange = " (an Internet exchange)" if origin.exchange else ""
                typer.echo(f"{address}  {origin.label}{exchange}")
            else:
                typer.echo(f"{address}  private, not announced, or not in the table")


@app.command(name="import")
def import_(sources: Sources, out: Out, date: Date = "") -> None:
    """Make a table out of files that say who announces which addresses."""
    from datetime import date as day

    from netprobe.topology.asn_sources import build

    try:
        number = int(day.fromisoformat(date).strftime("%Y%m%d")) if date else 0
    except ValueError:
        msg = f"--date: '{date}' is not a day as in 2026-11-29"
        raise typer.BadParameter(msg) from None
    built = build(sources, out, date=number)
    typer.echo(f"{out}: {_ranges(built)}, {built.systems} networks, {built.size} bytes")


def _ranges(counted: "About | Built") -> str:
    return f"{counted.ranges} ranges of IPv4 and {counted.ranges_v6} of IPv6"
