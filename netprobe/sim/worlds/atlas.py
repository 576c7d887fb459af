"""The atlas that generated worlds are drawn from: places, lines, and networks with numbers and addresses really theirs.

The rows are in data/atlas.toml; whoever adds a row there adds a network to every sweep.
"""

import math
import tomllib
from functools import cache, cached_property
from ipaddress import IPv6Network
from pathlib import Path

import msgspec

from netprobe.model.record import Record

ATLAS = Path(__file__).parents[2] / "data" / "atlas.toml"

_EARTH_KM = 6371.0
_FIBRE_KM_MS = 200.0  # light in glass: two thirds of that in the void
_DETOUR = 1.5  # cables do not follow great circles


class City(Record, frozen=True):
    """A place, in degrees."""

    name: str
    north: float
    east: float


class Line(Record, frozen=True):
    """A kind of line from a home to its ISP: what is normal on it, ranges in milliseconds."""

    kind: str
    delay_ms: tuple[float, float]
    jitter_ms: tuple[float, float]
    mtus: tuple[int, ...]
    loss: float = 0.0


class Exchange(Record, frozen=True):
    """A peering LAN: a router there answers with the exchange's address."""

    name: str
    city: str
    lan: tuple[str, ...]


class Vendor(Record, frozen=True):
    """Somebody who delivers names. `customers` are controls that it delivers, with the server that says so."""

    key: str
    headers: dict[str, str] = {}
    alias: tuple[str, ...] = ()
    cache: bool = False
    customers: dict[str, str] = {}
    quic: bool = False


class Site(Record, frozen=True):
    """Cities in which a vendor has servers, numbered from the network `asn`."""

    vendor: str
    asn: int
    cities: tuple[str, ...]
    routers: tuple[str, ...]
    hosts: tuple[str, ...]


class Control(Record, frozen=True):
    """A service that has nothing to do with the platform; `resolver` is its name where it answers DNS too.

    `address6` is the anycast one of IPv6 that it is known by, beside `address`.
    """

    name: str
    serves: tuple[str, ...]
    asn: int
    cities: tuple[str, ...]
    routers: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    address: str = ""
    resolver: str = ""
    alias: str = ""
    headers: dict[str, str] = {}
    quic: bool = False
    address6: str = ""


class Prefix6(Record, frozen=True):
    """A prefix of IPv6, all of it announced by the network `asn`."""

    asn: int
    prefix: str


class Transit(Record, frozen=True):
    """Somebody who carries packets between others."""

    name: str
    asn: int
    routers: tuple[str, ...]
    group: str = ""


class Isp(Record, frozen=True):
    """Somebody who brings people to the Internet, over lines of the kinds `lines_of`."""

    name: str
    asn: int
    city: str
    routers: tuple[str, ...]
    lines: tuple[str, ...]
    resolvers: str
    group: str = ""
    lines_of: tuple[str, ...] = ("dsl", "cable", "fibre", "lte")


class Atlas(msgspec.Struct, frozen=True, dict=True, forbid_unknown_fields=True):
    """All rows."""

    cities: tuple[City, ...] = msgspec.field(name="city")
    lines: tuple[Line, ...] = msgspec.field(name="line")
    exchanges: tuple[Exchange, ...] = msgspec.field(name="exchange")
    vendors: tuple[Vendor, ...] = msgspec.field(name="vendor")
    sites: tuple[Site, ...] = msgspec.field(name="site")
    controls: tuple[Control, ...] = msgspec.field(name="control")
    transits: tuple[Transit, ...] = msgspec.field(name="transit")
    isps: tuple[Isp, ...] = msgspec.field(name="isp")
    prefixes6: tuple[Prefix6, ...] = msgspec.field(name="prefix6")

    @cached_property
    def places(self) -> dict[str, City]:
        """The cities by name."""
        return {city.name: city for city in self.cities}

    @cached_property
    def ipv6(self) -> dict[int, IPv6Network]:
        """The prefix of each network that has one, by its AS number."""
        return {row.asn: IPv6Network(row.prefix) for row in self.prefixes6}


@cache
def atlas() -> Atlas:
    """The atlas that comes with netprobe."""
    return msgspec.convert(tomllib.loads(ATLAS.read_text(encoding="utf-8")), Atlas)


@cache
def cable_ms(one: str, other: str) -> float:
    """What a cable between two cities takes, one way."""
    a, b = atlas().places[one], atlas().places[other]
    north, east = math.radians(b.north - a.north) / 2, math.radians(b.east - a.east) / 2
    part = math.cos(math.radians(a.north)) * math.cos(math.radians(b.north)) * math.sin(east) ** 2
    arc = 2 * math.asin(min(1.0, math.sqrt(math.sin(north) ** 2 + part)))  # the haversine formula
    return arc * _EARTH_KM * _DETOUR / _FIBRE_KM_MS
