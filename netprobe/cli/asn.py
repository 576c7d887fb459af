"""`netprobe asn`: whose network an address is, and importing a newer table."""

from pathlib import Path
from typing import Annotated

import typer

from netprobe.cli.options import AsJson, ConfigFile

app = typer.Typer(
    help="The offline table of networks: look an address up, or import a newer table.", no_args_is_help=True
)

Addresses = Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="IPv4 and IPv6 addresses.")]
Sources = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...", help="CSV rows: first address, last address, AS number, name; IPv4, IPv6 or both."
    ),
]
Out = Annotated[
    Path, typer.Option("--out", metavar="FILE", help="The table to write; name it as asn_table in the configuration.")
]


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
def import_(sources: Sources, out: Out) -> None:
    """Make a table out of CSV files of address ranges."""
    from netprobe.topology.asn import build

    built = build(sources, out)
    ranges = f"{built.ranges} ranges of IPv4 and {built.ranges_v6} of IPv6"
    typer.echo(f"{out}: {ranges}, {built.systems} networks, {built.size} bytes")
