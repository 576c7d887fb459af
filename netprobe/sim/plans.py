"""Which way a packet takes in the present epoch, and who acts on it there."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from netprobe.sim.balancing import five_tuple, hash_of
from netprobe.sim.edges import Edges
from netprobe.sim.ends import End
from netprobe.sim.faults import Epoch, Hook
from netprobe.sim.interdomain import Interdomain, Tables
from netprobe.sim.links import Gate
from netprobe.sim.packet import Packet
from netprobe.sim.records import Router, Scenario
from netprobe.sim.routing import Ends, Nodes, Routing, Way, clients

_FLOWS = 4096  # whose ways are remembered


@dataclass(slots=True, frozen=True)
class Tunnel:
    """Where a router stands in a label switched path: `place` is 1 for the first, `egress` the hop at which it ends."""

    place: int
    egress: int


@dataclass(slots=True, frozen=True)
class Plan:
    """A way with what the present epoch does to it.

    `dead_at` is the index of the first hop that is down, len(hops) + 1 when none is. `ticks` are the indices of the
    hops that count the TTL down, None for all. `gates` are the indices of the links on which packets wait or get lost
    in turn: 0 is the one to the first hop. `nat` is the index of the first hop that gives packets its own address.
    `end` is how they end at the far end if that is not whom they are for.
    """

    way: Way
    dead_at: int
    hooks: tuple[tuple[int, Hook], ...]
    mtu: int
    ticks: tuple[int, ...] | None
    gates: tuple[int, ...]
    tunnels: dict[int, Tunnel]
    nat: int | None
    end: End | None = None

    def stop(self, ttl: int) -> int:
        """The index of the place that a packet with `ttl` gets to: a hop's, or len(hops)."""
        last = len(self.way.hops)
        if self.ticks is None:
            return ttl - 1 if ttl <= last else last
        return self.ticks[ttl - 1] if ttl <= len(self.ticks) else last

    def spent(self, index: int) -> int:
        """How much of its TTL a packet has spent when it comes to the place `index`."""
        return index if self.ticks is None else sum(tick < index for tick in self.ticks)


@dataclass(slots=True)
class _Fork:
    """The router `at`, the node `place` of the ways, chooses one of `branches`, for each flow or for each packet.

    Where there are further forks on a branch is found out when the first packet takes it.
    """

    at: str
    place: int
    by_packet: bool
    branches: "list[list[Nodes] | _Fork | Plan]"
    flows: dict[str, Plan] = field(default_factory=dict)  # what was found from here before


class Plans:
    """The plans between any two nodes, of one version of IP; those of one epoch are kept.

    `edges` is None for IPv6, which nobody translates. What shares wires shares `gates`.
    """

    def __init__(
        self,
        scenario: Scenario,
        routing: Routing,
        edges: Edges | None,
        domains: Interdomain,
        seed: int,
        draw: random.Random,
        gates: Mapping[Ends, Gate],
    ) -> None:
        self._routing = routing
        self._domains = domains
        self._tables: Tables = {}
        self._edges = edges
        self._seed = seed
        self._draw = draw
        self._balance = {router.name: router.balance for router in scenario.routers if router.balance}
        self._clients = clients(scenario)
        self._switching = {router.name: router for router in scenario.routers if router.mpls}
        self._gates = gates
        self._epoch: Epoch | None = None
        self._choices: dict[tuple[str, str, str], Plan | _Fork | None] = {}  # by origin, end and neighbour
        self._found: dict[tuple[str, str], Plan | None] = {}

    def plan(self, origin: str, end: End, epoch: Epoch, packet: Packet | None = None, via: str = "") -> Plan | None:
        """The way that `packet` takes, by the neighbour `via` where it is given; the first of several without one."""
        if epoch is not self._epoch:
            self._enter(epoch)
        if end.cell:
            return self._announced(origin, end, epoch)
        key = (origin, end.node, via)
        try:
            choice = self._choices[key]
        except KeyError:
            choice = self._choices[key] = self._choose(*key, epoch)
        return self._balanced(choice, packet, epoch) if isinstance(choice, _Fork) else choice

    def _announced(self, origin: str, end: End, epoch: Epoch) -> Plan | None:
        """The way to an address that networks have to announce."""
        key = (origin, f"{end.node} {end.cell}")
        if key not in self._found:
            if not self._tables:
                self._tables = self._domains.tables(epoch.routing, epoch.rerouted)
            walk = self._domains.walk(origin, end.node, end.cell, self._tables, epoch.rerouted)
            plan = self._make(self._routing.along(walk.nodes, epoch.wires), origin, walk.nodes[-1], epoch)
            self._found[key] = replace(plan, end=walk.end)
        return self._found[key]

    def through(self, router: str, node: str, epoch: Epoch) -> Plan | None:
        """What `router` alone does to packets that go through it to `node`."""
        if epoch is not self._epoch:
            self._enter(epoch)
        key = (f"through {router}", node)
        if key not in self._found:
            way = self._routing.way(router, node)
            mtu = way.mtu[0] if way else 0
            alone = Way((router,), (0.0, 0.0), (0.0, 0.0), (1.0, 1.0), (65535, mtu))
            self._found[key] = replace(self._make(alone, router, node, epoch), gates=()) if way else None
        return self._found[key]

    def _lies_beyond(self, node: str, router: str, origin: str) -> bool:
        """Whether packets of the client for `node` cross `router`: of its card that is on the way from `origin`."""
        card = self._clients[0]
        if len(self._clients) > 1:
            card = min(self._clients, key=lambda one: min(self._hops(one, origin), self._hops(one, node)))
        way = self._routing.way(card, node)
        return way is not None and router in way.hops

    def _hops(self, card: str, node: str) -> float:
        way = self._routing.way(card, node) if card != node else None
        return 0.0 if card == node else len(way.hops) + 1.0 if way else float("inf")

    def _enter(self, epoch: Epoch) -> None:
        """From now on `epoch` is the present one."""
        self._epoch = epoch
        self._choices.clear()
        self._found.clear()
        self._tables = {}

    def _choose(self, origin: str, node: str, via: str, epoch: Epoch) -> "Plan | _Fork | None":
        """What packets from `origin` to `node` have to choose from."""
        ways = self._routing.all_nodes(origin, node, epoch.rerouted) or self._routing.all_nodes(origin, node)
        if via and len(ways) > 1:
            ways = tuple(nodes for nodes in ways if nodes[1] == via) or ways
        return self._fork(ways, 0, epoch) if ways else None

    def _fork(self, ways: Sequence[Nodes], place: int, epoch: Epoch) -> "Plan | _Fork":
        """The first choice that a router has, where `ways` are the same up to the node `place`."""
        while len(ways) > 1:
            branches: dict[str, list[Nodes]] = {}
            for nodes in ways:
                branches.setdefault(nodes[place + 1], []).append(nodes)
            if len(branches) > 1:
                at = ways[0][place]
                by_packet = self._balance.get(at) == "packet"
                return _Fork(at, place, by_packet, [branches[name] for name in sorted(branches)])
            place += 1
        nodes = ways[0]
        return self._make(self._routing.along(nodes, epoch.wires), nodes[0], nodes[-1], epoch)

    def _balanced(self, first: _Fork, packet: Packet | None, epoch: Epoch) -> Plan:
        """Which of several ways: each router on it that has a choice makes its own; without a packet the first."""
        flow = five_tuple(packet) if packet else ""
        if flow in first.flows:
            return first.flows[flow]
        choice: Plan | _Fork = first
        again = True  # the same way for the next packet of this flow
        while isinstance(choice, _Fork):
            fork = choice
            if not packet:
                number = 0
            elif fork.by_packet:
                again, number = False, self._draw.getrandbits(32)
            else:
                number = hash_of(f"{self._seed}/{fork.at}/{flow}")
            branch = fork.branches[number % len(fork.branches)]
            if isinstance(branch, list):
                branch = fork.branches[number % len(fork.branches)] = self._fork(branch, fork.place + 1, epoch)
            choice = branch
        if again:
            if len(first.flows) >= _FLOWS:
                first.flows.clear()
            first.flows[flow] = choice
        return choice

    def _make(self, way: Way, origin: str, node: str, epoch: Epoch) -> Plan:
        places = (*way.hops, node)
        dead_at = next((i for i, name in enumerate(places) if name in epoch.down), len(places))
        hooks = tuple(
            (index, hook)
            for index, name in enumerate(way.hops)
            for hook in epoch.hooks.get(name, ())
            # A loop closes where a packet for somewhere beyond has crossed one of the two and comes to the other.
            if hook.kind != "loop"
            or (hook.other in (origin, *way.hops[:index]) and self._lies_beyond(node, hook.at, origin))
        )
        links = pairwise((origin, *places))
        gates = tuple(i for i, ends in enumerate(links) if ends in self._gates) if self._gates else ()
        mtu = min(way.mtu[1:], default=65535)
        ticks, tunnels = switched(way.hops, self._switching) if self._switching else (None, {})
        nat = self._edges.crossed(way.hops, origin, node) if self._edges else None
        return Plan(way, dead_at, hooks, mtu, ticks, gates, tunnels, nat)


def switched(hops: Sequence[str], switching: dict[str, Router]) -> tuple[tuple[int, ...] | None, dict[int, Tunnel]]:
    """Which hops count the TTL down, and which ones stand in label switched paths."""
    ticks = tuple(i for i, name in enumerate(hops) if name not in switching or switching[name].propagate_ttl)
    tunnels: dict[int, Tunnel] = {}
    begin = None
    for index, name in enumerate((*hops, "")):
        if name in switching:
            begin = index if begin is None else begin
        elif begin is not None:
            egress = min(index, len(hops) - 1)
            tunnels |= {i: Tunnel(i - begin + 1, egress) for i in range(begin, index)}
            begin = None
    return (None if len(ticks) == len(hops) else ticks), tunnels
