"""The simulated Internet numbers its networks as the real one does."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netprobe.topology.addresses import is_public
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform, vendor_of

SCENARIOS = Path(__file__).parents[2] / "scenarios"
FILES = sorted(SCENARIOS.rglob("*.toml"))


def _numbered(document: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """(name, address, AS number) of everything in a file that says which network it belongs to."""
    for row in (*document.get("router", ()), *document.get("resolver", ()), *document.get("server", ())):
        for address in (*row.get("addresses", ()), *(row[key] for key in ("address", "address6") if key in row)):
            yield row["name"], address, row.get("asn", 0)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SCENARIOS)))
def test_addresses_belong_to_the_networks_that_they_claim(path: Path) -> None:
    """What a scenario calls AS3320 is AS3320 in the table too; only the LAN of an exchange is numbered by a third."""
    with AsnTable.open() as table:
        for name, address, asn in _numbered(tomllib.loads(path.read_text(encoding="utf-8"))):
            origin = table.lookup(address)
            if asn and origin and origin.exchange:
                continue
            if asn or is_public(address):
                assert origin is not None, f"{name} {address}: claims AS{asn}, the table knows nobody"
                # A resolver need not repeat the number of the host that it runs on.
                assert asn in {0, origin.asn}, f"{name} {address}: claims AS{asn}, the table says AS{origin.asn}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SCENARIOS)))
def test_vendors_are_those_of_the_catalogue(path: Path) -> None:
    """A server that a scenario gives to a vendor stands in one of that vendor's networks."""
    platform = load_platform()
    for server in tomllib.loads(path.read_text(encoding="utf-8")).get("server", ()):
        if server.get("vendor"):
            assert vendor_of(platform, server["asn"]) == server["vendor"], server["name"]


def test_the_typical_world_knows_every_name() -> None:
    """Every name of the catalogue resolves in the typical network, on a server of the vendor that it names."""
    platform = load_platform()
    world = tomllib.loads((SCENARIOS / "networks" / "typical.toml").read_text(encoding="utf-8"))
    owner = {address: server for server in world["server"] for address in server["addresses"]}
    for target in platform.targets:
        entry = world["names"][target.name]
        addresses = entry["addresses"] if isinstance(entry, dict) else entry
        vendors = {owner[address].get("vendor", "") for address in addresses}
        assert vendors == {target.vendor or vendors.copy().pop()}, target.name
    assert {control.name for control in platform.controls} <= set(world["names"])
