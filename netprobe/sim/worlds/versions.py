"""IPv6 over a network that is drawn: some homes have it, and then most others have it too, over the same wires."""

import random
from collections.abc import Iterator
from ipaddress import IPv6Address

from msgspec.structs import replace

from netprobe.sim.records import Entry, Resolver, Route, Router, Scenario, Server
from netprobe.sim.worlds.atlas import atlas

_DUAL = 0.4  # part of the homes: a little less than Google sees of its users, because each takes longer to diagnose
_UNNUMBERED = 0.06  # part of the routers that are silent in IPv6
_SERVED = 0.85  # part of the servers that have it, of those who are not the platform itself
_OWN = "own"
_SITE, _LAN = 1 << 72, 1 << 64  # addresses of a /56, what a home gets (RFC 6177), and of a /64
_MOST_HOSTS = 1 << 16
_ETHERNET_MTU = 1500
_ONE_VERSION = frozenset({"redirect", "exhausted"})  # kinds of faults that are IPv4's alone


def over_both(scenario: Scenario, isp: int, home: tuple[str, ...], draw: random.Random) -> Scenario:
    """`scenario` with IPv6, or without: that is drawn. `isp` is the ISP's AS number, `home` are the home's routers."""
    if isp not in atlas().ipv6 or draw.random() >= _DUAL:
        return scenario
    given = _Addresses(draw)
    site = given.block(isp, _SITE)
    lans = {name: site + number * _LAN + 1 for number, name in enumerate(home)}
    narrow = {end for link in scenario.links if link.mtu < _ETHERNET_MTU for end in link.ends}
    routers = tuple(
        _router(router, str(IPv6Address(lans[router.name])))
        if router.name in lans
        else _router(router, given.router(router, isp, always=router.name in narrow))
        for router in scenario.routers
    )
    servers = tuple(_server(server, given) for server in scenario.servers)
    return replace(
        scenario,
        client=replace(scenario.client, address6=f"{IPv6Address(site + draw.randrange(2, _MOST_HOSTS))}/64"),
        routers=routers,
        servers=servers,
        resolvers=tuple(_resolvers(scenario, routers, servers, given)),
        routes=(*scenario.routes, *(Route("::/0", route.to, route.silent) for route in scenario.routes[:1])),
        names={name: _entry(entry, given.beside) for name, entry in scenario.names.items()},
    )


def of_both_versions(scenario: Scenario) -> Scenario:
    """The same without IPv6 at the client where something is wrong that IPv6 would simply pass by."""
    if any(fault.kind in _ONE_VERSION for fault in scenario.faults):
        return replace(scenario, client=replace(scenario.client, address6=""))
    return scenario


class _Addresses:
    """Addresses that nobody has yet; `beside` are those of servers, by the one of IPv4 that the same machine has."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._used: set[int] = set()
        self.beside: dict[str, str] = {}

    def has(self, asn: int) -> bool:
        """Whether the atlas knows a prefix of a network."""
        return asn in atlas().ipv6

    def block(self, asn: int, size: int) -> int:
        """The first address of so many in a network's prefix."""
        network = atlas().ipv6[asn]
        while True:
            first = int(network.network_address) + self._draw.randrange(network.num_addresses // size) * size
            if first not in self._used:
                self._used.add(first)
                return first

    def router(self, router: Router, isp: int, *, always: bool) -> str:
        """What it answers from: of its own network, or of the ISP's where it has a private address of IPv4."""
        asn = router.asn or isp
        if not self.has(asn) or (not always and self._draw.random() < _UNNUMBERED):
            return ""
        return str(IPv6Address(self.block(asn, _LAN) + self._draw.randrange(1, _MOST_HOSTS)))

    def server(self, server: Server) -> tuple[str, ...]:
        """As many as it has of IPv4, in one network; an anycast one is known."""
        known = [c.address6 for c in atlas().controls if c.address6 and c.name == server.name]
        if not known:
            if server.vendor == _OWN or not self.has(server.asn) or self._draw.random() >= _SERVED:
                return ()
            first = self.block(server.asn, _LAN) + self._draw.randrange(1, _MOST_HOSTS)
            known = [str(IPv6Address(first + number)) for number in range(len(server.addresses))]
        self.beside |= zip(server.addresses, known, strict=False)
        return tuple(known)


def _router(router: Router, address: str) -> Router:
    return replace(router, address6=address) if address else router


def _server(server: Server, given: _Addresses) -> Server:
    return replace(server, addresses=(*server.addresses, *given.server(server)))


def _resolvers(
    scenario: Scenario, routers: tuple[Router, ...], servers: tuple[Server, ...], given: _Addresses
) -> Iterator[Resolver]:
    """Those that share a machine with a router or a server have its address, others one of their own network."""
    beside = given.beside | {router.address: router.address6 for router in routers if router.address6}
    taken = {a for router in routers for a in router.addresses} | {a for server in servers for a in server.addresses}
    for resolver in scenario.resolvers:
        address = beside.get(resolver.address, "")
        if not address and resolver.address not in taken and given.has(resolver.asn):
            address = str(IPv6Address(given.block(resolver.asn, _LAN) + 53))
        yield replace(resolver, address6=address) if address else resolver


def _entry(entry: Entry, beside: dict[str, str]) -> Entry:
    return replace(entry, aaaa=tuple(beside[address] for address in entry.addresses if address in beside))
