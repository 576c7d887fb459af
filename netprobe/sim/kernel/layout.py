"""Which namespaces a scenario needs, which wire joins which, and who sends what where. Pure: nothing is made here.

Every router is a namespace with an address of each version of IP, its own. Wires have none (RFC 1812, 2.2.7: unnumbered
lines), so that whatever a router says comes from the address that the scenario gives it; but link-local ones, by which
neighbours find each other in IPv6. All servers and resolvers that are no router live in one namespace more, with a leg
to each router that one of them hangs on.
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv6Interface, ip_network
from typing import NamedTuple

from msgspec.structs import replace

from netprobe.sim import edges, prefixes
from netprobe.sim.devices import CLIENT_DEVICE
from netprobe.sim.ends import NEIGHBOURHOOD
from netprobe.sim.interdomain import Interdomain
from netprobe.sim.records import GATEWAY6, Fault, Link, Scenario
from netprobe.sim.routing import CLIENT, RACK, Routing, clients, during, has_v6_everywhere, moved, node_addresses

SERVERS = "servers"
#: Where packets to addresses that nobody owns leave a router: without a word, or with a "host unreachable".
SILENT_EXIT, UNOWNED_EXIT = "silent", "unowned"
#: Where what no network announces leaves a router that has no default, and what IPv6 does not get to: with a "net
#: unreachable", a "no route".
NO_ROUTE_EXIT = "no-route"
_LAST = 1000  # the metric of a way that anything else is preferred to
_DEVICE_NAME = 15  # IFNAMSIZ without its final zero


class Wire(NamedTuple):
    """A pair of Ethernet devices in two namespaces; `link` is what the scenario says of it, `moved` by the seed."""

    ends: tuple[str, str]
    devices: tuple[str, str]
    mtu: int
    link: Link
    moved: float = 1.0
    card: str = ""  # the end that is one of the client's cards

    def device(self, node: str) -> str:
        """The device at `node`."""
        return self.devices[self.ends.index(node)]

    def other(self, node: str) -> str:
        """The node at the other end."""
        return self.ends[1 - self.ends.index(node)]

    def leaving(self, node: str) -> Link:
        """What becomes of what leaves `node` over it."""
        return self.link.leaving(node)

    def during(self, on: Iterable[Fault]) -> "Wire":
        """The wire while the faults `on` are."""
        return self._replace(link=during(self.link, on))

    def delay_ms(self, node: str) -> float:
        """What the way from `node` to the other end takes."""
        return self.leaving(node).delay_ms * self.moved


class Hop(NamedTuple):
    """Packets to `prefix` leave by `device`, to the neighbour `via`; empty: whoever owns the address is right there.

    `also` are the devices and neighbours over which flows are balanced as well. Of several routes to one prefix the
    kernel takes the one with the smallest `metric`.
    """

    prefix: str
    device: str
    via: str = ""
    also: tuple[tuple[str, str], ...] = ()
    metric: int = 0

    @property
    def ways(self) -> tuple[tuple[str, str], ...]:
        """The devices and neighbours, all of them."""
        return ((self.device, self.via), *self.also)


class Layout:
    """The namespaces and wires of `scenario`, and the routes over them."""

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        self._scenario = scenario
        self._seed = seed
        self._routing = Routing(scenario, seed)
        self.domains = Interdomain(scenario, self._routing)
        self.over_v6 = bool(scenario.client.address6)
        whole = not self.over_v6 or has_v6_everywhere(scenario)
        self._routing_v6 = self._routing if whole else Routing(scenario, seed, over_v6=True)
        self.domains_v6 = Interdomain(scenario, self._routing_v6, over_v6=True)
        self._owner = node_addresses(scenario)
        self._address = {router.name: router.address for router in scenario.routers}
        self._without_v6 = {router.name for router in scenario.routers if not (self.over_v6 and router.ipv6)}
        self._addresses = {r.name: r.addresses[: 1 if r.name in self._without_v6 else 2] for r in scenario.routers}
        self.routers = tuple(self._address)
        self._clients = clients(scenario)
        self._place = {s.name: s.at for s in scenario.servers} | {r.name: r.at for r in scenario.resolvers}
        self.wires = tuple(self._wires())
        self._number = {wire.ends: number for number, wire in enumerate(self.wires, 2)}
        self._between = {pair: wire for wire in self.wires for pair in (wire.ends, (wire.ends[1], wire.ends[0]))}

    def legs(self) -> tuple[Wire, ...]:
        """The wires of the servers' namespace."""
        return tuple(wire for wire in self.wires if SERVERS in wire.ends)

    def here(self, node: str) -> tuple[str, ...]:
        """The addresses of a router, IPv4's first, or of everything in the servers' namespace."""
        if node != SERVERS:
            return self._addresses[node]
        machines = (address for address, owner in self._owner.items() if self._is_machine(owner))
        return tuple(address for address in machines if self.over_v6 or ":" not in address)

    def has_v6(self, node: str) -> bool:
        """Whether the namespace of a node forwards IPv6, or speaks it."""
        return self.over_v6 and node not in self._without_v6

    def link_local(self, wire: Wire, node: str) -> str:
        """The address by which the other end of `wire` finds `node` in IPv6; empty: the client has its own."""
        if wire.card:
            return "" if node == wire.card else GATEWAY6
        return f"fe80::{self._number[wire.ends]:x}:{wire.ends.index(node) + 1}"

    def at_home(self) -> tuple[str, ...]:
        """The addresses of IPv6 in the client's own network that others have."""
        if not self.over_v6:
            return ()
        home, own = str(IPv6Interface(self._scenario.client.address6).network), self._scenario.client_addresses
        within = (prefixes.mask(home),)
        return tuple(a for a in self._owner if ":" in a and a not in own and prefixes.within(a, within))

    def machines(self, node: str) -> tuple[str, ...]:
        """The servers and resolvers that run in the namespace `node`."""
        everything = [(s.name, s.addresses[0]) for s in self._scenario.servers if s.addresses]
        everything += [(r.name, r.address) for r in self._scenario.resolvers]
        return tuple(name for name, address in everything if self._namespace(self._owner[address]) == node)

    def outer(self, router: str) -> tuple[str, ...]:
        """The devices of a router that translates addresses by which packets leave the client's side of it."""
        outside = edges.outside(self._scenario, self._routing, self._owner)[router]
        wires = [wire for wire in self.wires if router in wire.ends]
        return tuple(w.device(router) for w in wires if w.other(router) == SERVERS or w.other(router) in outside)

    def served_at(self, router: str) -> tuple[str, ...]:
        """The addresses in the servers' namespace that hang on `router`."""
        owner = self._owner
        return tuple(a for a in self.here(SERVERS) if self._place[owner[a]] == router)

    def wire(self, one: str, other: str) -> Wire:
        """The wire between two neighbours."""
        return self._between[one, other]

    def states(self, wire: Wire) -> tuple[Wire, ...]:
        """The wire as it usually is, and as each fault makes it."""
        faults = [fault for fault in self._scenario.faults if set(fault.at) == set(wire.ends)]
        return (wire, *(wire.during((fault,)) for fault in faults))

    def farther(self, routers: tuple[str, str]) -> tuple[str, str]:
        """Two neighbours, the one that is nearer to the client first."""
        one, other = routers
        ways = [way for card in self._clients if (way := self._routing.way(card, other))]
        nearest = min(ways, key=lambda way: len(way.hops))
        return (one, other) if one in nearest.hops else (other, one)

    def routes(self, router: str, without: frozenset[str] = frozenset()) -> tuple[Hop, ...]:
        """Where `router` sends what; the routers in `without` are known to be gone and are avoided.

        What other networks have to announce is left to those who hear it, but for what then has no route.
        """
        heard = [prefix for prefix in self.domains.prefixes if self._is_told(router, prefix)]
        hops: list[Hop | None] = [
            self._towards(router, owner, f"{address}/32", without)
            for address, owner in self._owner.items()
            if ":" not in address and owner != router and not self._is_told(router, self.domains.cell(address))
        ]
        for prefix, node, silent in self._unowned(over_v6=False):
            if self._is_told(router, self.domains.around(prefix)):
                continue
            if node == router:
                hops.append(Hop(prefix, SILENT_EXIT if silent else UNOWNED_EXIT))
            else:
                hops.append(self._towards(router, node, prefix, without))
        if router in self.domains.numbers:
            hops += [
                Hop(f"{address}/32", self.wire(router, owner).device(router), self._address[owner])
                for address, owner in self._owner.items()
                if owner in self.domains.neighbours(router) and self._is_told(router, self.domains.cell(address))
            ]
        hops += [Hop(prefix, NO_ROUTE_EXIT, metric=_LAST) for prefix in heard]
        found = _aggregated({hop.prefix: hop for hop in reversed(hops) if hop is not None})
        return (
            *(hop for hop in found if not hop.metric or not self.domains.has_default(hop.prefix)),
            *(self._routes_v6(router, without) if self.has_v6(router) else ()),
        )

    def _routes_v6(self, router: str, without: frozenset[str]) -> tuple[Hop, ...]:
        domains, hops = self.domains_v6, []
        for address, owner in self._owner.items():
            if ":" not in address or owner == router:
                continue
            if not self._is_told(router, domains.cell(address)):
                hops.append(self._towards_v6(router, owner, f"{address}/128", without))
            elif owner in domains.neighbours(router):
                wire = self.wire(router, owner)
                hops.append(Hop(f"{address}/128", wire.device(router), self.link_local(wire, owner)))
        for prefix, node, silent in self._unowned(over_v6=True):
            if self._is_told(router, domains.around(prefix)):
                continue
            if node == router:
                hops.append(Hop(prefix, SILENT_EXIT if silent else UNOWNED_EXIT))
            else:
                hops.append(self._towards_v6(router, node, prefix, without))
        heard = [prefix for prefix in domains.prefixes if self._is_told(router, prefix)]
        hops += [Hop(prefix, NO_ROUTE_EXIT, metric=_LAST) for prefix in heard]
        found = _aggregated({hop.prefix: hop for hop in reversed(hops)})
        return tuple(hop for hop in found if not hop.metric or not domains.has_default(hop.prefix))

    def _towards_v6(self, router: str, node: str, prefix: str, without: frozenset[str]) -> Hop:
        """By a way of IPv6; where there is none, as far as it gets on IPv4's."""
        routing = self._routing_v6
        ways = routing.ways(router, node, without) or routing.ways(router, node)
        nodes = dict.fromkeys((*way.hops, node)[0] for way in ways)
        if not nodes:
            way = self._routing.way(router, node)
            onward = (*way.hops, node)[0] if way else node
            nodes = {onward: None} if routing.joins(router, onward) else {}
        wires = [self.wire(router, self._namespace(onward)) for onward in nodes]
        hops = [(wire.device(router), self.link_local(wire, wire.other(router))) for wire in wires]
        return Hop(prefix, *hops[0], tuple(hops[1:])) if hops else Hop(prefix, NO_ROUTE_EXIT)

    def _is_told(self, router: str, cell: str) -> bool:
        """Whether other routers tell `router` where what is in the prefix `cell` goes; not if that is empty."""
        domains = self.domains_v6 if ":" in cell else self.domains
        return bool(cell) and router in domains.numbers and domains.numbers[router] != domains.owner(cell)

    def _towards(self, router: str, node: str, prefix: str, without: frozenset[str]) -> Hop | None:
        ways = self._routing.ways(router, node, without) or self._routing.ways(router, node)
        neighbours = dict.fromkeys(way.hops[0] if way.hops else self._namespace(node) for way in ways)
        hops = [(self.wire(router, n).device(router), self._address.get(n, "")) for n in neighbours]
        return Hop(prefix, *hops[0], tuple(hops[1:])) if hops else None

    def _unowned(self, *, over_v6: bool) -> Iterator[tuple[str, str, bool]]:
        """Prefixes in which addresses end that nobody owns: at which router, and whether that is silent."""
        for route in self._scenario.routes:
            if (":" in route.prefix) is over_v6:
                yield str(ip_network(route.prefix)), route.to, route.silent
        for server in self._scenario.servers:
            for address in server.addresses:
                if (":" in address) is over_v6:
                    yield prefixes.around(address, *NEIGHBOURHOOD), server.at, True

    def _is_machine(self, owner: str) -> bool:
        return owner not in self._clients and owner not in self._address

    def _namespace(self, owner: str) -> str:
        return SERVERS if self._is_machine(owner) else owner

    def _wires(self) -> Iterator[Wire]:
        taken: set[tuple[str, str]] = set()

        def device(node: str, other: str) -> str:
            if node in self._clients:
                return CLIENT_DEVICE if node == CLIENT else node
            name = f"to-{other}"[:_DEVICE_NAME]
            number = 1
            while (node, name) in taken:
                number += 1
                name = f"to-{other}"[: _DEVICE_NAME - 3] + f"-{number}"
            taken.add((node, name))
            return name

        for link in self._scenario.links:
            one, other = link.ends
            devices = (device(one, other), device(other, one))
            card = next((end for end in link.ends if end in self._clients), "")
            yield Wire(link.ends, devices, link.mtu, link, moved(self._seed, one, other), card)
        hung = (self._place[owner] for owner in self._owner.values() if self._is_machine(owner))
        for router in dict.fromkeys(hung):
            ends = (router, SERVERS)
            rack = replace(RACK, ends=ends)
            yield Wire(ends, (device(router, SERVERS), device(SERVERS, router)), rack.mtu, rack)


def _aggregated(hops: Mapping[str, Hop]) -> tuple[Hop, ...]:
    """The same routing in fewer routes: one that says what the next wider one says is left out; all of one version."""
    widest_first = sorted((prefixes.mask(prefix), hop) for prefix, hop in hops.items())
    kept: list[Hop] = []
    around: list[tuple[tuple[int, int], Hop]] = []  # the prefixes that contain the present one, the widest first
    for (first, bits), hop in widest_first:
        while around and first & around[-1][0][1] != around[-1][0][0]:
            around.pop()
        if not around or around[-1][1].ways != hop.ways:
            kept.append(hop)
        around.append(((first, bits), hop))
    return tuple(kept)
