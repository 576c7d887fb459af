"""The atlas: every row holds together, and its networks are those of the AS table."""

import random
from ipaddress import IPv4Network

import pytest

from netprobe.sim.worlds.atlas import atlas, cable_ms
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform, vendor_of

ATLAS = atlas()
NUMBERED = [
    *((isp.name, isp.asn, (*isp.routers, *isp.lines, isp.resolvers)) for isp in ATLAS.isps),
    *((transit.name, transit.asn, transit.routers) for transit in ATLAS.transits),
    *((f"{site.vendor} AS{site.asn}", site.asn, (*site.routers, *site.hosts)) for site in ATLAS.sites),
    *((c.name, c.asn, (*c.routers, *c.hosts, *([f"{c.address}/32"] if c.address else []))) for c in ATLAS.controls),
]


@pytest.mark.parametrize(("asn", "prefixes"), [row[1:] for row in NUMBERED], ids=[row[0] for row in NUMBERED])
def test_every_prefix_is_announced_by_its_network(asn: int, prefixes: tuple[str, ...]) -> None:
    """All /24s of it, so that whatever is drawn from it belongs to the network."""
    with AsnTable.open() as table:
        for prefix in prefixes:
            for block in blocks(prefix):
                origin = table.lookup(str(block[block.num_addresses // 2]))
                assert origin is not None, block
                assert (origin.asn, origin.exchange) == (asn, False), block


@pytest.mark.parametrize("asn", ATLAS.ipv6)
def test_every_prefix_of_ipv6_is_announced_by_its_network(asn: int) -> None:
    """Wherever one looks, and it is one of the networks of the other rows; so are the well-known addresses."""
    draw, network = random.Random(asn), ATLAS.ipv6[asn]
    known = [c.address6 for c in ATLAS.controls if c.asn == asn and c.address6]
    with AsnTable.open() as table:
        for address in [*(str(network[draw.randrange(network.num_addresses)]) for _ in range(64)), *known]:
            origin = table.lookup(address)
            assert origin is not None, address
            assert (origin.asn, origin.exchange) == (asn, False), address
    assert asn in {row[1] for row in NUMBERED}


def test_the_lans_of_exchanges_are_known_as_such() -> None:
    """A router that answers from there belongs to one of those who meet."""
    with AsnTable.open() as table:
        for exchange in ATLAS.exchanges:
            for prefix in exchange.lan:
                origins = [table.lookup(str(block[9])) for block in blocks(prefix)]
                assert all(origin is not None and origin.exchange for origin in origins), exchange.name


def test_vendors_are_those_of_the_catalogue() -> None:
    """With the AS numbers that the catalogue knows them by, and a place each."""
    platform = load_platform()
    assert {site.vendor for site in ATLAS.sites} == {vendor.key for vendor in ATLAS.vendors}
    assert all(vendor_of(platform, site.asn) == site.vendor for site in ATLAS.sites)
    controls = {control.name for control in platform.controls}
    served = {name.replace("*", "www") for control in ATLAS.controls for name in control.serves}
    assert controls <= served | {name for vendor in ATLAS.vendors for name in vendor.customers}


def test_every_city_is_on_the_map() -> None:
    """Of every row that names one; and a kind of line is there for every ISP."""
    named = {isp.city for isp in ATLAS.isps} | {exchange.city for exchange in ATLAS.exchanges}
    named |= {city for site in ATLAS.sites for city in site.cities}
    named |= {city for control in ATLAS.controls for city in control.cities}
    assert named <= ATLAS.places.keys()
    assert {kind for isp in ATLAS.isps for kind in isp.lines_of} == {line.kind for line in ATLAS.lines}


def test_cables_take_what_they_take() -> None:
    """One way, by public measurements: Frankfurt - London 5 to 7 ms, London - New York 34 to 45 ms."""
    assert cable_ms("Paris", "Paris") == 0
    assert 4 < cable_ms("Frankfurt", "London") < 7
    assert 34 < cable_ms("London", "New York") < 45
    assert cable_ms("Tokyo", "Sydney") == pytest.approx(cable_ms("Sydney", "Tokyo"))


def blocks(prefix: str) -> list[IPv4Network]:
    """The /24s of a prefix, or the prefix itself where it is narrower."""
    network = IPv4Network(prefix)
    return list(network.subnets(new_prefix=24)) if network.prefixlen < 24 else [network]
