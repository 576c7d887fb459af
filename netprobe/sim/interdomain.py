"""Which way packets take where a fault is about routes between networks: prefixes are announced, heard and chosen.

A small BGP (RFC 4271), used for the prefixes that a fault names and no others. Routers of one `asn` that links join are
one network. Of the routes to a prefix a router takes the one with the fewest networks on its way, of those the one with
the smallest sum of costs; packets follow the longest prefix. Nobody asks who is whose customer. Within the network that
owns an address they go as ever, and so they do at routers of the client's home, which have a default route; and every
router knows those at the other ends of its links.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from itertools import count
from typing import NamedTuple
from zlib import crc32

from netprobe.sim.autonomous import Network, homes, neighbours, numbers, own_prefixes, routes
from netprobe.sim.ends import End
from netprobe.sim.packet import NET_UNREACHABLE
from netprobe.sim.records import Fault, Scenario
from netprobe.sim.routing import Routing

ROUTING_KINDS = frozenset({"withdraw", "hijack", "leak"})
_PRIVATE_AS = 4_200_000_000  # RFC 6996
_LONGEST = {
    4: 24,
    6: 48,
}  # what is still heard everywhere: what a machine's network announces if no [[route]] says more
_FINEST_COST, _MOST_COST, _TIES = 100, 200_000, 1000


class Announcement(NamedTuple):
    """What `router` says that it leads to; `kind` is "own" or that of the fault that makes it say so.

    `behind` are the networks that it says are on the way there, for a leak: they do not listen to it.
    """

    prefix: str
    router: str
    kind: str = "own"
    behind: tuple[int, ...] = ()


class Choice(NamedTuple):
    """The route that a router takes: over so many networks, of so much cost, by the neighbour `towards`.

    Where `towards` is empty, the router has made the announcement itself.
    """

    networks: int
    cost: int
    towards: str
    of: Announcement


#: For each prefix the choice of each router that has one.
Tables = Mapping[str, Mapping[str, Choice]]


class Walk(NamedTuple):
    """The nodes that a packet comes to, and how it ends at the last, if that is not whom it is for."""

    nodes: tuple[str, ...]
    end: End | None = None


class Interdomain:
    """The networks of a scenario, and what they announce. `numbers` are the AS numbers of routers that take part.

    All is of one version of IP, `over_v6` or not, as `routing` is.
    """

    def __init__(self, scenario: Scenario, routing: Routing, *, over_v6: bool = False) -> None:
        self._routing = routing
        self._over_v6 = over_v6
        self._cells: list[Network] = []
        self.prefixes: tuple[str, ...] = ()
        named = [(fault, ip_network(prefix)) for fault in scenario.faults for prefix in self._named(fault)]
        self.numbers = numbers(scenario) if named else {}
        if not named:
            return
        self._default = {net.version: route for net, route in routes(scenario) if not net.prefixlen}
        self._links = {
            here: tuple(there for there in others if routing.joins(here, there))
            for here, others in neighbours(scenario, self.numbers).items()
        }
        self._own = own_prefixes(scenario, self.numbers)
        self._homes = homes(scenario, self.numbers)
        self._own = [(net, at) for net, at in self._own if any(net.overlaps(n) for _, n in named if _same(net, n))]
        cells = {net for net, _ in self._own}
        for fault, net in named:
            if fault.kind != "withdraw":
                cells.update(_said(fault.kind, net))
        self._cells = sorted(cells, key=lambda net: -net.prefixlen)
        self.prefixes = tuple(map(str, self._cells))

    def _named(self, fault: Fault) -> list[str]:
        """The prefixes of a fault that are of the version of IP that this is about."""
        return [prefix for prefix in fault.prefix if (":" in prefix) is self._over_v6]

    @property
    def used(self) -> bool:
        """Whether any fault is about it."""
        return bool(self._cells)

    def has_default(self, prefix: str) -> bool:
        """Whether what has no route goes somewhere all the same."""
        return ip_network(prefix).version in self._default

    def cell(self, address: str) -> str:
        """The longest prefix with `address` that anybody may announce; empty: packets to it go as ever."""
        if not self._cells:
            return ""
        number = ip_address(address)
        for net in self._cells:
            if net.version == number.version and number in net:
                home, owner = self._homes.get(address), self.owner(str(net))
                return str(net) if home is None or home == owner else ""
        return ""

    def around(self, prefix: str) -> str:
        """The longest prefix around all of `prefix` that anybody may announce; empty: there is none."""
        inner = ip_network(prefix)
        return next((str(net) for net in self._cells if _within(inner, net)), "")

    def owner(self, prefix: str) -> int:
        """The AS number of who owns it; 0: nobody."""
        net = ip_network(prefix)
        mine = [(own.prefixlen, self.numbers[at]) for own, at in self._own if _within(net, own)]
        return max(mine, default=(0, 0))[1]

    def announcements(self, on: Iterable[Fault], gone: frozenset[str] = frozenset()) -> tuple[Announcement, ...]:
        """Who says what while the faults `on` are; the routers `gone` say and hear nothing."""
        on = [fault for fault in on if fault.kind in ROUTING_KINDS]
        withdrawn = [
            (ip_network(prefix), self.numbers.get(at))
            for fault in on
            if fault.kind == "withdraw"
            for prefix in self._named(fault)
            for at in fault.at
        ]
        said = [
            Announcement(str(own), at)
            for own, at in self._own
            if not any(self.numbers[at] == number and _within(own, net) for net, number in withdrawn)
        ]
        for fault in on:
            if fault.kind == "hijack":
                said += [Announcement(str(ip_network(p)), at, "hijack") for p in self._named(fault) for at in fault.at]
        before = self._tables(said, gone)
        for fault in on:
            if fault.kind == "leak":
                for at in fault.at:
                    said += list(self._leaked(at, self._named(fault), before))
        return tuple(said)

    def _leaked(self, at: str, prefixes: Iterable[str], tables: Tables) -> Iterator[Announcement]:
        """What a leak says: the halves of a prefix, which everybody prefers, with the way that they really have."""
        for prefix in map(ip_network, prefixes):
            around = [str(net) for net in self._cells if _within(prefix, net)]
            if self.choice(at, tables, around) is None:
                continue
            # Its routers may leave it by different ways: who is on any of them would get its packets back.
            inside = [at, *(router for router, number in self.numbers.items() if number == self.numbers[at])]
            found = [(router, self.choice(router, tables, around)) for router in inside]
            ways = [_along(router, tables[choice.of.prefix]) for router, choice in found if choice is not None]
            behind = dict.fromkeys(self.numbers[router] for way in ways for router in way)
            del behind[self.numbers[at]]
            for half in _said("leak", prefix):
                yield Announcement(str(half), at, "leak", tuple(behind))

    def tables(self, on: Iterable[Fault], gone: frozenset[str] = frozenset()) -> Tables:
        """What each router chooses while the faults `on` are, without the routers `gone`."""
        return self._tables(self.announcements(on, gone), gone)

    def _tables(self, said: Sequence[Announcement], gone: frozenset[str]) -> Tables:
        by_prefix: dict[str, list[Announcement]] = {}
        for one in said:
            if one.router not in gone:
                by_prefix.setdefault(one.prefix, []).append(one)
        return {prefix: self._spread(several, gone) for prefix, several in by_prefix.items()}

    def _spread(self, said: Sequence[Announcement], gone: frozenset[str]) -> dict[str, Choice]:
        """Who takes which of the announcements of one prefix, and by whom: Dijkstra from all of them."""
        order = count()
        queue = [(len(a.behind), 0, next(order), a.router, Choice(len(a.behind), 0, "", a)) for a in said]
        heapq.heapify(queue)
        chosen: dict[str, Choice] = {}
        while queue:
            networks, cost, _, here, choice = heapq.heappop(queue)
            if here in chosen:
                continue
            chosen[here] = choice
            for near in self._links[here]:
                if near not in gone and near not in chosen and self.listens(near, choice.of):
                    more = networks + (self.numbers[near] != self.numbers[here])
                    total = cost + self.cost(near, here)
                    heapq.heappush(queue, (more, total, next(order), near, Choice(more, total, here, choice.of)))
        return chosen

    def listens(self, router: str, said: Announcement) -> bool:
        """Whether the network of `router` believes it: not of its own addresses, nor what it stands in the way of."""
        number = self.numbers[router]
        return number == self.numbers[said.router] or not (number in said.behind or number == self.owner(said.prefix))

    def uses(self, router: str, said: Announcement) -> bool:
        """Whether `router` sends packets where it says: a network that leaks sends them on by its own route."""
        return said.kind != "leak" or self.numbers[router] != self.numbers[said.router]

    def cost(self, near: str, far: str) -> int:
        """Of the link from `near` to `far`, as a whole number; no two ways cost the same."""
        units = min(_MOST_COST, round(self._routing.cost(near, far) * _FINEST_COST))
        return units * _TIES + crc32(f"{near}>{far}".encode()) % _TIES

    def neighbours(self, router: str) -> tuple[str, ...]:
        """The routers that it exchanges routes with."""
        return self._links.get(router, ())

    def choice(self, router: str, tables: Tables, prefixes: Iterable[str]) -> Choice | None:
        """What `router` does with packets to where `prefixes` are, the longest first."""
        for prefix in prefixes:
            found = tables.get(prefix, {}).get(router)
            if found is not None and self.uses(router, found.of):
                return found
        return None

    def walk(self, origin: str, node: str, cell: str, tables: Tables, gone: frozenset[str]) -> Walk:
        """The way of a packet from `origin` to an address of `node` in the cell `cell`."""
        inside = ip_network(cell)
        prefixes = [str(net) for net in self._cells if _within(inside, net)]
        owner = self.owner(cell)
        default = self._default.get(inside.version)
        nodes = [origin]
        while (here := nodes[-1]) != node:
            if node in self._links.get(here, ()):
                onward = node
            elif self.numbers.get(here, owner) == owner:
                onward = self._as_ever(here, node, gone)
            elif (choice := self.choice(here, tables, prefixes)) is not None:
                if not choice.towards:
                    return Walk(tuple(nodes), End(here, owned=False, silent=True))
                onward = choice.towards
            elif default is None:
                return Walk(tuple(nodes), End(here, owned=False, code=NET_UNREACHABLE))
            elif here == default.to:
                return Walk(tuple(nodes), End(here, owned=False, silent=default.silent))
            else:
                onward = self._as_ever(here, default.to, gone)
            if not onward or onward in nodes:
                return Walk(tuple(nodes), End(here, owned=False, silent=True))
            nodes.append(onward)
        return Walk(tuple(nodes))

    def _as_ever(self, here: str, node: str, gone: frozenset[str]) -> str:
        """The next node on the cheapest way; empty where there is none."""
        way = self._routing.way(here, node, gone) or self._routing.way(here, node)
        return "" if way is None else (*way.hops, node)[0]


def complaint(fault: Fault, scenario: Scenario) -> str:
    """What makes no sense about a fault of routes; empty when nothing does."""
    if not fault.prefix:
        return "'prefix' is missing: which one is it about?"
    asns = numbers(scenario)
    own = own_prefixes(scenario, asns)
    for at in fault.at:
        if at not in asns:
            return f"'at': '{at}' is in the client's home, and no network's: it announces nothing"
    mine = {asns[at] for at in fault.at}
    for prefix in map(ip_network, fault.prefix):
        within = [net for net, at in own if asns[at] in mine and _within(net, prefix)]
        around = [at for net, at in own if asns[at] not in mine and _within(prefix, net)]
        if fault.kind == "withdraw" and not within:
            known = sorted(str(net) for net, at in own if asns[at] in mine)
            return f"'prefix': nothing in {prefix} is announced there, but {', '.join(known) or 'nothing at all'}"
        if fault.kind != "withdraw" and not around:
            return f"'prefix': {prefix} lies in nothing that another network announces: a [[route]] of its says what"
        if fault.kind == "leak" and prefix.prefixlen == prefix.max_prefixlen:
            return f"'prefix': a leak says both halves of a prefix, and {prefix} has none"
    several: dict[Network, set[int]] = {}
    for net, at in own:
        if any(_same(net, named) and net.overlaps(named) for named in map(ip_network, fault.prefix)):
            several.setdefault(net, set()).add(asns[at])
    shared = [net for net, numbers in several.items() if len(numbers) > 1]
    return f"'prefix': two networks announce {shared[0]}: let a [[route]] say what each has of it" if shared else ""


def _along(router: str, choices: Mapping[str, Choice]) -> Iterator[str]:
    """The routers from `router` to the one that has made the announcement."""
    while router:
        yield router
        router = choices[router].towards


def _said(kind: str, prefix: Network) -> list[Network]:
    """The prefixes that a fault announces."""
    return list(prefix.subnets()) if kind == "leak" else [prefix]


def _same(one: Network, other: Network) -> bool:
    return one.version == other.version


def _within(inner: Network, outer: Network) -> bool:
    return _same(inner, outer) and inner.subnet_of(outer)  # type: ignore[arg-type]  # of one version, as just seen
