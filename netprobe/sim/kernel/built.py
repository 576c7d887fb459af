"""A network of kernel routers that exists, and how it changes when faults do."""

import math
from socket import AF_INET6
from typing import Any

from netprobe.sim import firewall
from netprobe.sim.cards import Card, Cards
from netprobe.sim.devices import set_kernel
from netprobe.sim.kernel import queues, rules
from netprobe.sim.kernel.bird import Birds
from netprobe.sim.kernel.detour import Detour
from netprobe.sim.kernel.filler import Filler
from netprobe.sim.kernel.layout import SERVERS, Hop, Layout, Wire
from netprobe.sim.kernel.speech import Speech
from netprobe.sim.leases import Leases
from netprobe.sim.links import jams, phase
from netprobe.sim.namespaces import visiting
from netprobe.sim.records import Fault, Scenario
from netprobe.sim.routing import directions

_SCOPE_LINK = 253
_NTF_PROXY = 8  # linux/neighbour.h


class Built:
    """A network that exists: `networks` are the descriptors of its namespaces, `detours` those of its routers.

    `netem` is whether the kernel has that, so that wires take their time.
    """

    def __init__(self, scenario: Scenario, layout: Layout, seed: int) -> None:
        self.networks: dict[str, int] = {}
        self.kernels: dict[str, Any] = {}  # pyroute2's IPRoute, one a namespace
        self.detours: dict[str, Detour] = {}
        self.speeches: dict[str, Speech] = {}
        self.fillers: dict[tuple[str, str], Filler] = {}  # by the ends of the links that they fill
        self.netem = False
        self._scenario = scenario
        self._layout = layout
        self._seed = seed
        self._indices: dict[tuple[str, str], int] = {}
        self._routes: dict[str, dict[str, Hop]] = {}
        self._rules: dict[str, str] = {}
        self._loads: dict[tuple[str, str], float] = {}
        self._empty_at: dict[tuple[str, str], float] = {}  # when nothing is left of what others had in a queue
        self._wires = {wire.ends: wire for wire in layout.wires}
        self.birds: Birds | None = None
        self.cards = Cards(scenario)
        self._unplugged: frozenset[str] = frozenset()
        self.leases: Leases | None = None
        self._client = firewall.ClientFirewall(scenario)  # this process is at the client

    def index(self, node: str, device: str) -> int:
        """The number of a device; those of a namespace are asked for at once."""
        key = (node, device)
        if key not in self._indices:
            for link in self.kernels[node].get_links():
                self._indices[node, link.get_attr("IFLA_IFNAME")] = link["index"]
        return self._indices[key]

    def change(self, now: float) -> None:
        """Let the faults that are on at `now` be on, and no others."""
        scenario, layout = self._scenario, self._layout
        on = rules.active(scenario, now)
        gone = frozenset(at for fault in on if fault.kind == "down" and fault.reroute for at in fault.at)
        dead = frozenset(at for fault in on if fault.kind == "down" for at in fault.at)
        cards = {card.node: card for card in self.cards.all}
        for node in self._unplugged - dead:
            self._plug(cards[node], up=True)  # before the routes: those over a device go down with it
        for router in layout.routers:
            self._route(router, {hop.prefix: hop for hop in layout.routes(router, gone)})
            self._rule(router, rules.router_rules(scenario, layout, router, on, netem=self.netem))
            if router in self.detours:
                numbered = {
                    n: fault
                    for n, fault in enumerate(scenario.faults)
                    if fault in on and router in fault.at and rules.takes_a_detour(fault)
                }
                self.detours[router].change(numbered)
        self._rewire(on)
        if self.birds is not None:
            self.birds.change(on, gone)
        self._fill(on, now)
        self._rule(SERVERS, rules.server_rules(scenario, layout, on))
        for node in dead.intersection(cards) - self._unplugged:
            self._plug(cards[node], up=False)
        self._unplugged = dead.intersection(cards)
        for card in self.cards.all:
            self._answer_arp(card, alive=card.gateway not in dead)
        if self.leases:
            self.leases.change(now)
        self._client.change(now)

    def _route(self, router: str, wanted: dict[str, Hop]) -> None:
        kernel, before = self.kernels[router], self._routes.get(router, {})
        for prefix in before.keys() - wanted.keys():
            kernel.route("del", dst=prefix, **_metric(before[prefix]))
        for prefix, hop in wanted.items():
            if before.get(prefix) != hop:
                kernel.route("replace", dst=prefix, **_metric(hop), **self._way(router, hop))
        self._routes[router] = wanted

    def _way(self, router: str, hop: Hop) -> dict[str, Any]:
        if hop.also:
            ways = [(self.index(router, device), via) for device, via in hop.ways]
            return {"multipath": [{"oif": index, "gateway": via, "flags": ["onlink"]} for index, via in ways]}
        index = self.index(router, hop.device)
        if ":" in hop.prefix:
            return {"oif": index, "gateway": hop.via} if hop.via else {"oif": index}
        if hop.via:
            return {"oif": index, "gateway": hop.via, "flags": ["onlink"]}
        return {"oif": index, "scope": _SCOPE_LINK}

    def _rule(self, node: str, text: str) -> None:
        if self._rules.get(node) == text:
            return
        with visiting(self.networks[node]):
            firewall.load(text, node)
        self._rules[node] = text

    def _rewire(self, on: tuple[Fault, ...]) -> None:
        """Make the links what faults want them to be."""
        for wire in self._layout.wires:
            before, now = self._wires[wire.ends], wire.during(on)
            if now != before:
                self._wires[wire.ends] = now
                for node in wire.ends:
                    index = self.index(node, wire.device(node))
                    queues.remake(self.kernels[node], index, before, now, node, netem=self.netem)
                    self._loads.pop((node, wire.other(node)), None)

    def moments(self) -> list[float]:
        """When `change` is needed: where faults begin and end, and where queues that were full are empty again."""
        edges = {t for fault in self._scenario.faults for t in (fault.begin_s, fault.end_s)}
        edges |= {t + self._queue_s(ends) for ends, times in jams(self._scenario.faults).items() for t in times}
        return sorted(t for t in edges if 0 < t < math.inf)

    def _queue_s(self, ends: tuple[str, str]) -> float:
        return self._wires[self._layout.wire(*ends).ends].leaving(ends[0]).queue_ms / 1e3

    def _fill(self, on: tuple[Fault, ...], now: float) -> None:
        """Leave our packets what others leave of the links that they load."""
        loads = {ends: f.load for f in on if f.kind == "congestion" for ends in directions(f)}
        for ends in (*self.fillers,):
            if loads.get(ends, 0.0) < 1:  # what is in the queue leaves it as fast as it would have
                self.fillers.pop(ends).close()
                self._empty_at[ends] = now + self._queue_s(ends)
        self._empty_at = {ends: at for ends, at in self._empty_at.items() if at > now and loads.get(ends, 0.0) < 1}
        loads |= {ends: self._loads[ends] for ends in self._empty_at if ends in self._loads}
        for near, far in loads.keys() | self._loads.keys():
            load = loads.get((near, far), 0.0)
            if load != self._loads.get((near, far), 0.0):
                wire = self._wires[self._layout.wire(near, far).ends]
                queues.load(self.kernels[near], self.index(near, wire.device(near)), wire.leaving(near), load)
                self._keep_full(wire, near, load)
        self._loads = loads

    def _keep_full(self, wire: Wire, near: str, load: float) -> None:
        """Have others' packets wait before ours where more comes than leaves; not where the client's tap sees them."""
        before = self.fillers.pop((near, wire.other(near)), None)
        if before is not None:
            before.close()
        if load >= 1 and near != wire.card:
            link, ends = wire.leaving(near), (near, wire.other(near))
            rate = queues.filled_mbit(link) * 1e6 / 8
            held_s = queues.held(wire, near).get("delay", 0) / 1e6 if self.netem else 0.0
            with visiting(self.networks[near]):
                filler = Filler(wire.device(near), rate, link.queue_ms / 1e3, phase(self._seed, ends), held_s)
            self.fillers[ends] = filler

    def _plug(self, card: Card, *, up: bool) -> None:
        """Put the cable of one of the client's cards in, or pull it."""
        gateway = card.gateway
        wire = self._layout.wire(gateway, card.node)
        index = self.index(gateway, wire.device(gateway))
        self.kernels[gateway].link("set", index=index, state="up" if up else "down")
        if up:
            self._routes.pop(gateway, None)
            self.answer_neighbours(wire)

    def answer_neighbours(self, wire: Wire) -> None:
        """Let a gateway answer who looks for its address, and for those beyond it, in the network of a client's card.

        They are not on the wire, so that IPv6 would not know of them there (neighbour discovery by proxy, RFC 4389). A
        device forgets all that when it goes down.
        """
        gateway, layout = wire.other(wire.card), self._layout
        if layout.has_v6(gateway):
            device, kernel = wire.device(gateway), self.kernels[gateway]
            index = self.index(gateway, device)
            kernel.addr("replace", index=index, address=layout.link_local(wire, gateway), prefixlen=64)
            with visiting(self.networks[gateway]):
                set_kernel(f"ipv6/conf/{device}/proxy_ndp", "1")
                set_kernel(f"ipv6/neigh/{device}/proxy_delay", "0")
            for address in layout.at_home():
                kernel.neigh("add", dst=address, ifindex=index, flags=_NTF_PROXY, family=AF_INET6)

    def _answer_arp(self, card: Card, *, alive: bool) -> None:
        """A dead gateway answers no ARP; lines between routers have none in life."""
        gateway = card.gateway
        device = self._layout.wire(gateway, card.node).device(gateway)
        with visiting(self.networks[gateway]):
            set_kernel("ipv4/conf/all/arp_ignore", "0" if alive else "8")  # ip-sysctl: 8 is to answer for no address
            set_kernel(f"ipv4/conf/{device}/proxy_arp", "1" if alive else "0")


def _metric(hop: Hop) -> dict[str, int]:
    return {"priority": hop.metric} if hop.metric else {}
