"""What a generated world looks like to whoever wants to break it."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from netprobe.model.targets import Target
from netprobe.sim.prefixes import around
from netprobe.sim.records import Fault, Link, Match, Nat, Router, Scenario, Server
from netprobe.sim.routing import CLIENT, Routing

T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class Diamond:
    """Parallel ways between two routers: a router of `owner` balances flows over `members`."""

    owner: str
    members: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class Place:
    """A vendor's servers at one place, behind `routers`: `servers` are the platform's, `customers` controls'."""

    vendor: str
    routers: tuple[str, ...]
    servers: tuple[str, ...]
    customers: tuple[str, ...] = ()


@dataclass(frozen=True)
class WorldPlan:
    """A whole network without faults, and the places in it.

    `home` are the home's routers, none where the computer has a public address of its own; `first` is the first one
    behind them. `trunk` are the ISP's routers that all ways to the platform and to most others cross, from the access
    on; `borders` its last ones. `carriers` are the transits' routers, by name, from the ISP on, `exchanges` those in
    a peering LAN. `asn` is the ISP's, `spare` are addresses of its routers that nobody has, and `nats` are what its and
    the home's routers translate to, if they do.
    """

    draw: random.Random
    scenario: Scenario
    targets: tuple[Target, ...]
    home: tuple[str, ...]
    first: str
    trunk: tuple[str, ...]
    borders: tuple[str, ...]
    carriers: dict[str, tuple[str, ...]]
    places: tuple[Place, ...]
    diamonds: tuple[Diamond, ...] = ()
    exchanges: dict[str, tuple[str, ...]] = field(default_factory=dict)
    layout: str = ""
    asn: int = 0
    spare: tuple[str, ...] = ()
    nats: dict[str, Nat] = field(default_factory=dict)
    crossed: dict[str, frozenset[str]] = field(default_factory=dict)

    def broken(self, *faults: Fault) -> Scenario:
        """The network with these faults."""
        return msgspec.structs.replace(self.scenario, faults=(*self.scenario.faults, *faults))

    def relinked(self, link: Link, scenario: Scenario | None = None) -> Scenario:
        """The network, or `scenario` of it, with another wire between the ends of `link`."""
        return with_rows(scenario or self.scenario, links=(link,))

    def translated(self) -> Scenario:
        """The network in which all who may do translate addresses."""
        routers = [r for r in self.scenario.routers if r.name in self.nats]
        return with_rows(self.scenario, routers=[msgspec.structs.replace(r, nat=self.nats[r.name]) for r in routers])

    def with_pages(self, size: int) -> Scenario:
        """The network in which the platform's pages are so many bytes."""
        servers = [server for server in self.scenario.servers if server.name in self.platform]
        return with_rows(self.scenario, servers=[msgspec.structs.replace(s, body_bytes=size) for s in servers])

    @cached_property
    def line(self) -> Link:
        """The wire from the home, or from the computer itself, to the ISP."""
        return next(link for link in self.scenario.links if link.ends[1] == self.first)

    def resolvers(self, kind: str = "") -> tuple[str, ...]:
        """Names of the resolvers: all, or those whose name begins with `kind`."""
        return tuple(r.name for r in self.scenario.resolvers if r.name.startswith(kind))

    def client_at(self, router: str) -> tuple[str, ...]:
        """The client's addresses as `router` sees them, behind those who translate IPv4's; as prefixes."""
        way = self._routing.way(CLIENT, router)
        crossed = way.hops if way else ()
        seen = [r.nat.address for name in crossed for r in self.scenario.routers if r.name == name and r.nat]
        _, *over_v6 = self.scenario.client_addresses
        return (f"{(seen or [self.scenario.client_address])[-1]}/32", *(f"{address}/128" for address in over_v6))

    def from_client(self, router: str) -> Match:
        """What the client sends, as `router` sees it."""
        return Match(source=self.client_at(router))

    @cached_property
    def core(self) -> tuple[str, ...]:
        """The ISP's routers that everything crosses, without the one that the line ends at."""
        return tuple(router for router in self.trunk if router != self.first)

    @cached_property
    def cached(self) -> bool:
        """Whether something essential is served from inside the ISP's network."""
        return any(not any(self.needs(border) & {server} for border in self.borders) for server in self.essential)

    def addresses(self, servers: Iterable[str]) -> tuple[str, ...]:
        """The addresses of some servers, as prefixes."""
        wanted = set(servers)
        found = [a for server in self.scenario.servers if server.name in wanted for a in server.addresses]
        return tuple(around(address, 32, 128) for address in found)

    @cached_property
    def asks_isp(self) -> bool:
        """Whether what the client asks ends at the ISP's resolvers."""
        asked = [r for r in self.scenario.resolvers if r.address in self.scenario.client.resolvers]
        return any((resolver.upstream or resolver.name).startswith("isp-") for resolver in asked)

    @cached_property
    def platform(self) -> tuple[str, ...]:
        """The platform's servers."""
        return tuple(server for place in self.places for server in place.servers)

    @property
    def speaks_quic(self) -> bool:
        """Whether something essential is served over QUIC too."""
        return any(server.quic and server.name in self.essential for server in self.scenario.servers)

    @cached_property
    def owner(self) -> dict[str, Server]:
        """Whose an address is."""
        return {address: server for server in self.scenario.servers for address in server.addresses}

    @cached_property
    def essential(self) -> frozenset[str]:
        """The servers that the names which every diagnosis asks lead to first."""
        names = [target.name for target in self.targets if target.essential]
        return frozenset(self.owner[self.scenario.names[name].addresses[0]].name for name in names)

    def vendor_of(self, server: str) -> str:
        """Who runs one of the platform's servers."""
        return next(place.vendor for place in self.places if server in place.servers)

    def needs(self, router: str) -> frozenset[str]:
        """The essential servers whose way leads over `router`, whichever way flows are balanced."""
        return frozenset(server for server in self.essential if router in self._crossed(server))

    def adjacent(self, one: str, other: str) -> bool:
        """Whether a wire joins two routers."""
        return any({one, other} == set(link.ends) for link in self.scenario.links)

    def usual_ms(self, one: str, other: str) -> float:
        """About what the way from one node to another takes."""
        way = self._routing.way(one, other)
        return way.arrive_s[-1] * 1e3 if way else 0.0

    def _crossed(self, server: str) -> frozenset[str]:
        if server not in self.crossed:
            ways = self._routing.ways(CLIENT, server)
            self.crossed[server] = frozenset.intersection(*(frozenset(way.hops) for way in ways))
        return self.crossed[server]

    @cached_property
    def _routing(self) -> Routing:
        return Routing(self.scenario, 0)


def with_rows(
    scenario: Scenario, *, routers: Sequence[Router] = (), servers: Sequence[Server] = (), links: Sequence[Link] = ()
) -> Scenario:
    """The network with these rows instead of those of the same names or ends, and those that are new."""
    return msgspec.structs.replace(
        scenario,
        routers=_merged(scenario.routers, {row.name: row for row in routers}, lambda row: row.name),
        servers=_merged(scenario.servers, {row.name: row for row in servers}, lambda row: row.name),
        links=_merged(scenario.links, {row.ends: row for row in links}, lambda row: row.ends),
    )


def _merged(rows: tuple[T, ...], again: dict[Any, T], key: Callable[[T], Any]) -> tuple[T, ...]:
    if not again:
        return rows
    kept = tuple(again.pop(key(row), row) for row in rows)
    return (*kept, *again.values())
