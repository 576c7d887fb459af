"""Which way packets go: cheapest paths over the links, and how long a way takes up to each hop.

Nodes are the client, the routers, and the servers and resolvers that hang on a router by a short wire of their own.
Paths are found on the costs of the file, which are its delays where it gives none; only afterwards does the seed
perturb the delays, so that each seed is another network with the same truth about its hops.
"""

import heapq
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from operator import mul

import msgspec

from netprobe.sim.records import Back, Fault, Link, Scenario

CLIENT = "client"
Ends = tuple[str, str]  # the near end and the far end of one direction of a link
Nodes = tuple[str, ...]  # of a way, both ends included
#: The wire from a server to its router.
RACK = Link(ends=("", ""), delay_ms=0.1, jitter_ms=0.02)
_MOST_WAYS = 64  # between two nodes
_ROUNDING = 1e-9
_SPREAD = 0.2  # how far a seed moves a link's delay, as a fraction of it


@dataclass(slots=True, frozen=True)
class Way:
    """The routers that a packet crosses between two nodes, both ends left out, in order.

    The other tuples have one entry more than `hops`, the last being the far end: seconds until arrival there, the mean
    of the exponential jitter up to there, the probability of surviving up to there (bursts of
    loss are the gates' business), and the MTU of the link to there.
    """

    hops: tuple[str, ...]
    arrive_s: tuple[float, ...]
    jitter_s: tuple[float, ...]
    survive: tuple[float, ...]
    mtu: tuple[int, ...]


@dataclass(slots=True, frozen=True)
class Wire:
    """One direction of a link, as the seed has drawn it."""

    delay_s: float
    jitter_s: float
    loss: float
    mtu: int
    loss_burst: float
    rate_mbit: float
    queue_s: float

    @property
    def remembers(self) -> bool:
        """Whether what becomes of a packet depends on those before it."""
        return self.loss_burst > 1 or self.rate_mbit > 0


_AS_EVER: Mapping[Ends, Wire] = {}
_NOWHERE = Way((), (0.0,), (0.0,), (1.0,), (65535,))


class Routing:
    """All ways of a scenario's network, of one version of IP. `way(origin, end)` is None where there is none."""

    def __init__(self, scenario: Scenario, seed: int, *, over_v6: bool = False) -> None:
        self._seed = seed
        self._links: dict[Ends, Link] = {}  # by both directions
        self._wires: dict[Ends, Wire] = {}  # those that somebody has asked for: most are never used
        self._cost: dict[str, dict[str, float]] = {}
        self._cost_to: dict[str, dict[str, float]] = {}  # the same by the far end
        self._trees: dict[str, dict[str, str]] = {}
        self._balancing = frozenset(router.name for router in scenario.routers if router.balance)
        links: Iterable[Link] = (*scenario.links, *_racks(scenario))
        for link in _with_v6(scenario, links) if over_v6 else links:
            one, other = link.ends
            for near, far in ((one, other), (other, one)):
                self._links[near, far] = link
                way = link.leaving(near)
                cost = way.delay_ms if way.cost is None else way.cost
                self._cost.setdefault(near, {})[far] = cost
                self._cost_to.setdefault(far, {})[near] = cost
        self._cost, self._cost_to = _by_name(self._cost), _by_name(self._cost_to)
        self._costs_to: dict[str, dict[str, float]] = {}

    def joins(self, near: str, far: str) -> bool:
        """Whether a wire leads from one to the other."""
        return (near, far) in self._links

    def gated(self) -> Iterable[tuple[Ends, Wire]]:
        """The directions of links that remember what crossed them."""
        found = ((ends, link.leaving(ends[0])) for ends, link in self._links.items())
        return [(ends, self.wire(ends)) for ends, link in found if link.loss_burst > 1 or link.rate_mbit > 0]

    def wire(self, ends: Ends) -> Wire:
        """One direction of a link as it usually is."""
        try:
            return self._wires[ends]
        except KeyError:
            self._wires |= wires(self._links[ends], self._seed)
            return self._wires[ends]

    def cost(self, near: str, far: str) -> float:
        """What it costs to go from `near` to its neighbour `far`."""
        return self._cost[near][far]

    def way(
        self, origin: str, end: str, without: frozenset[str] = frozenset(), changed: Mapping[Ends, Wire] = _AS_EVER
    ) -> Way | None:
        """The way from `origin` to `end`; routers in `without` are known to be gone and are avoided.

        The wires in `changed` are otherwise than usual, and lead to where they always lead.
        """
        nodes = self.nodes(origin, end, without)
        return self.along(nodes, changed) if nodes else None

    def nodes(self, origin: str, end: str, without: frozenset[str] = frozenset()) -> Nodes:
        """The nodes of the way from `origin` to `end`; none where there is no way."""
        if without:
            before = self._tree(origin, without)
        elif origin in self._trees:
            before = self._trees[origin]
        else:
            before = self._trees[origin] = self._tree(origin, without)
        if end != origin and end not in before:
            return ()
        nodes = [end]
        while nodes[-1] != origin:
            nodes.append(before[nodes[-1]])
        nodes.reverse()
        return tuple(nodes)

    def ways(
        self, origin: str, end: str, without: frozenset[str] = frozenset(), changed: Mapping[Ends, Wire] = _AS_EVER
    ) -> tuple[Way, ...]:
        """All ways that packets may take: several where routers balance over ways that cost the same."""
        return tuple(self.along(nodes, changed) for nodes in self.all_nodes(origin, end, without))

    def all_nodes(self, origin: str, end: str, without: frozenset[str] = frozenset()) -> tuple[Nodes, ...]:
        """The nodes of all ways that packets may take, in the order of their names."""
        if not self._balancing or origin == end:
            one = self.nodes(origin, end, without)
            return (one,) if one else ()
        cost = self._costs(end, without)
        if origin not in cost or end in without:
            return ()
        found: list[Nodes] = []
        nearer: dict[str, list[str]] = {}  # several ways lead over one node
        begun: list[Nodes] = [(origin,)]
        while begun and len(found) < _MOST_WAYS:
            nodes = begun.pop()
            here = nodes[-1]
            if here == end:
                found.append(nodes)
                continue
            if here not in nearer:
                links = self._cost.get(here, {}).items()
                onward = [f for f, delay in links if f in cost and abs(cost[f] + delay - cost[here]) < _ROUNDING]
                nearer[here] = onward if here in self._balancing else onward[:1]
            begun += [(*nodes, far) for far in nearer[here]]
        return tuple(sorted(found, key=lambda nodes: nodes[1:-1]))

    def _costs(self, end: str, without: frozenset[str]) -> dict[str, float]:
        """What it costs to get from each node to `end`."""
        if without:
            return _dijkstra(self._cost_to, end, without)[0]
        if end not in self._costs_to:
            self._costs_to[end] = _dijkstra(self._cost_to, end, without)[0]
        return self._costs_to[end]

    def along(self, nodes: Sequence[str], changed: Mapping[Ends, Wire] = _AS_EVER) -> Way:
        """The way over these nodes."""
        if len(nodes) == 1:
            return _NOWHERE
        usual = self._wires
        wires = [changed.get(ends) or usual.get(ends) or self.wire(ends) for ends in pairwise(nodes)]
        return Way(
            hops=tuple(nodes[1:-1]),
            arrive_s=tuple(accumulate([wire.delay_s for wire in wires])),
            jitter_s=tuple(accumulate([wire.jitter_s for wire in wires])),
            survive=tuple(accumulate([1.0 if w.loss_burst > 1 else 1.0 - w.loss for w in wires], mul)),
            mtu=tuple([wire.mtu for wire in wires]),
        )

    def _tree(self, origin: str, without: frozenset[str]) -> dict[str, str]:
        """Each reachable node's predecessor on the cheapest path from `origin`."""
        return _dijkstra(self._cost, origin, without)[1]


@lru_cache(maxsize=1024)
def moved(seed: int, one: str, other: str) -> float:
    """The factor by which a seed moves the delays of the link between two neighbours."""
    one, other = sorted((one, other))
    return random.Random(f"{seed}/link/{one}/{other}").uniform(1 - _SPREAD, 1 + _SPREAD)  # a model


def wires(link: Link, seed: int) -> dict[Ends, Wire]:
    """Both directions of a link, as the seed draws them."""
    one, other = link.ends
    draw, found = moved(seed, one, other), {}
    for near, far in ((one, other), (other, one)):
        way = link.leaving(near)
        found[near, far] = Wire(
            way.delay_ms * draw / 1e3,
            way.jitter_ms / 1e3,
            way.loss,
            way.mtu,
            way.loss_burst,
            way.rate_mbit,
            way.queue_ms / 1e3,
        )
    return found


#: What a fault of kind `link` may say of a wire, in its place.
LINK_KEYS = ("delay_ms", "jitter_ms", "loss", "loss_burst", "rate_mbit", "queue_ms")


def during(link: Link, on: Iterable[Fault]) -> Link:
    """The link while the faults `on` are: what those of kind `link` give counts instead of its own."""
    one, other = link.ends
    mine = [fault for fault in on if fault.kind == "link" and set(fault.at) == {one, other}]
    if not mine:
        return link
    ways = {near: link.leaving(near) for near in link.ends}
    for fault in mine:
        given = {key: value for key in LINK_KEYS if (value := getattr(fault, key))}
        for near, _ in directions(fault):
            ways[near] = msgspec.structs.replace(ways[near], **given)
    back = {key: getattr(ways[other], key) for key in LINK_KEYS}
    return msgspec.structs.replace(ways[one], back=Back(**back))


def _by_name(costs: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """The neighbours of each node in the order of their names."""
    return {node: dict(sorted(links.items())) for node, links in costs.items()}


def _dijkstra(
    costs: Mapping[str, Mapping[str, float]], origin: str, without: frozenset[str]
) -> tuple[dict[str, float], dict[str, str]]:
    """What each reachable node costs from `origin`, and its predecessor; the first of a node's neighbours wins ties."""
    best: dict[str, float] = {origin: 0.0}
    before: dict[str, str] = {}
    queue = [(0.0, origin)]
    while queue:
        cost, node = heapq.heappop(queue)
        if cost > best[node]:
            continue
        for far, more in costs.get(node, {}).items():
            total = cost + more
            if far not in without and (far not in best or total < best[far]):
                best[far] = total
                before[far] = node
                if len(costs[far]) > 1:  # from a machine at the edge there is no way on
                    heapq.heappush(queue, (total, far))
    return best, before


def clients(scenario: Scenario) -> tuple[str, ...]:
    """The nodes that are the client's: one for each of its network cards, the first being CLIENT."""
    return (CLIENT, *(uplink.name for uplink in scenario.uplinks))


def node_addresses(scenario: Scenario) -> dict[str, str]:
    """Which node owns an address. A resolver at the address of a router or server is a service of that node."""
    owner = dict.fromkeys(scenario.client_addresses, CLIENT)
    owner.update((uplink.address.partition("/")[0], uplink.name) for uplink in scenario.uplinks)
    owner.update((address, router.name) for router in scenario.routers for address in router.addresses)
    owner.update((router.nat.address, router.name) for router in scenario.routers if router.nat)
    for router in scenario.routers:
        if router.icmp_source:
            owner.setdefault(router.icmp_source, router.name)
    for server in scenario.servers:
        owner.update((address, server.name) for address in server.addresses)
    for resolver in scenario.resolvers:
        owner.setdefault(resolver.address, resolver.name)
        if resolver.address6:
            owner.setdefault(resolver.address6, owner[resolver.address])
    return owner


def has_v6_everywhere(scenario: Scenario) -> bool:
    """Whether IPv6 may take every way that IPv4 may."""
    return all(router.ipv6 for router in scenario.routers) and all(link.ipv6 for link in scenario.links)


def _with_v6(scenario: Scenario, links: Iterable[Link]) -> Iterable[Link]:
    """Those over which IPv6 passes, between two who forward it."""
    without = {router.name for router in scenario.routers if not router.ipv6}
    return [link for link in links if link.ipv6 and without.isdisjoint(link.ends)]


def directions(fault: Fault) -> tuple[tuple[str, str], ...]:
    """Which ways of the link between two neighbours a fault is about: both, or the one towards `towards`."""
    one, other = fault.at
    both = ((one, other), (other, one))
    return tuple(ends for ends in both if fault.towards in {"", ends[1]})


def _racks(scenario: Scenario) -> Iterable[Link]:
    owner = node_addresses(scenario)
    for machine in scenario.servers:
        yield Link((machine.name, machine.at), RACK.delay_ms, RACK.jitter_ms)
    for resolver in scenario.resolvers:
        if owner[resolver.address] == resolver.name:
            yield Link((resolver.name, resolver.at), RACK.delay_ms, RACK.jitter_ms)
