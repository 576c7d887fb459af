"""Makes what the layout says out of the kernel: namespaces, wires, routes, rules; and changes them when faults do."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from socket import AF_INET
from typing import Any

from netprobe.sim import firewall
from netprobe.sim.cards import Card, Cards
from netprobe.sim.devices import (
    CLIENT_FILES,
    IFF_TUN,
    OWN_NETWORK,
    highest_group,
    no_ipv6,
    open_device,
    set_kernel,
)
from netprobe.sim.kernel import queues, rules, translation
from netprobe.sim.kernel.bird import Birds, birds
from netprobe.sim.kernel.detour import Detour
from netprobe.sim.kernel.layout import NO_ROUTE_EXIT, SERVERS, SILENT_EXIT, UNOWNED_EXIT, Hop, Layout
from netprobe.sim.leases import Leases
from netprobe.sim.namespaces import (
    LabError,
    bring_up,
    enter_new_mounts,
    enter_new_network,
    new_network,
    visiting,
)
from netprobe.sim.records import Fault, Router, Scenario
from netprobe.sim.routing import CLIENT, clients, directions

_LOOPBACK = 1  # its index, in each namespace
_TABLE_LOCAL, _TABLE_DETOUR, _TABLE_LOOP, _TABLE_LEGS = 255, 100, 101, 200
_SCOPE_LINK = 253


class Built:
    """A network that exists: `networks` are the descriptors of its namespaces, `detours` those of its routers.

    `netem` is whether the kernel has that, so that wires take their time.
    """

    def __init__(self, scenario: Scenario, layout: Layout) -> None:
        self.networks: dict[str, int] = {}
        self.kernels: dict[str, Any] = {}  # pyroute2's IPRoute, one a namespace
        self.detours: dict[str, Detour] = {}
        self.netem = False
        self._scenario = scenario
        self._layout = layout
        self._indices: dict[tuple[str, str], int] = {}
        self._routes: dict[str, dict[str, Hop]] = {}
        self._rules: dict[str, str] = {}
        self._loads: dict[tuple[str, str], float] = {}
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
        self._fill(on)
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

    def _fill(self, on: tuple[Fault, ...]) -> None:
        """Leave our packets what others leave of the links that they load."""
        loads = {ends: f.load for f in on if f.kind == "congestion" for ends in directions(f)}
        for near, far in loads.keys() | self._loads.keys():
            load = loads.get((near, far), 0.0)
            if load != self._loads.get((near, far), 0.0):
                wire = self._wires[self._layout.wire(near, far).ends]
                queues.load(self.kernels[near], self.index(near, wire.device(near)), wire.leaving(near), load)
        self._loads = loads

    def _plug(self, card: Card, *, up: bool) -> None:
        """Put the cable of one of the client's cards in, or pull it."""
        gateway = card.gateway
        index = self.index(gateway, self._layout.wire(gateway, card.node).device(gateway))
        self.kernels[gateway].link("set", index=index, state="up" if up else "down")
        if up:
            self._routes.pop(gateway, None)

    def _answer_arp(self, card: Card, *, alive: bool) -> None:
        """A dead gateway answers no ARP; lines between routers have none in life."""
        gateway = card.gateway
        device = self._layout.wire(gateway, card.node).device(gateway)
        with visiting(self.networks[gateway]):
            set_kernel("ipv4/conf/all/arp_ignore", "0" if alive else "8")  # ip-sysctl: 8 is to answer for no address
            set_kernel(f"ipv4/conf/{device}/proxy_arp", "1" if alive else "0")


def _metric(hop: Hop) -> dict[str, int]:
    return {"priority": hop.metric} if hop.metric else {}


@contextlib.contextmanager
def build(scenario: Scenario, layout: Layout, folder: str, seed: int) -> Iterator[Built]:
    """The network of `scenario`, and this process at its client. Raises `LabError` when the kernel does not want to."""
    from pyroute2 import IPRoute  # noqa: PLC0415  # slow to import

    firewall.library()  # said before anything is made
    enter_new_network()  # a user namespace around it all where there is no root
    built = Built(scenario, layout)
    with contextlib.ExitStack() as stack:
        for node in (*layout.routers, SERVERS):
            built.networks[node] = new_network()
            stack.callback(os.close, built.networks[node])
            with visiting(built.networks[node]):
                no_ipv6()
                bring_up("lo")
                built.kernels[node] = stack.enter_context(IPRoute())
        built.kernels |= dict.fromkeys(clients(scenario), stack.enter_context(IPRoute()))
        no_ipv6()
        built.netem = queues.has_netem(built.kernels[CLIENT], _LOOPBACK)
        try:
            _join(layout, built, built.cards)
            for router in scenario.routers:
                with visiting(built.networks[router.name]):
                    _make_router(built, layout, router)
                    if any(router.name in f.at and rules.takes_a_detour(f) for f in scenario.faults):
                        built.detours[router.name] = _make_detour(built, router.name, seed)
                        stack.callback(os.close, built.detours[router.name].device)
            for fault in scenario.faults:
                if fault.kind == "loop":
                    _make_loop(built, layout, (fault.at[0], fault.at[1]))
            with visiting(built.networks[SERVERS]):
                _make_servers(built, layout)
            _make_client(built)
        except OSError as error:
            msg = f"the kernel does not make the network: {error.strerror or error}"
            raise LabError(msg) from error
        built.birds = stack.enter_context(birds(layout, folder, built.networks, built.kernels))
        enter_new_mounts({path: Path(folder, name) for path, name in CLIENT_FILES.items()})
        yield built


def _join(layout: Layout, built: Built, cards: Cards) -> None:
    """Make the wires, each end in its namespace, up. All are made before any is looked up: one question a namespace."""
    for wire in layout.wires:
        (near, far), (device, other) = wire.ends, wire.devices
        home = os.open(OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
        try:
            place = built.networks.get(far, home)
            built.kernels[near].link(
                "add", ifname=device, kind="veth", mtu=wire.mtu, peer={"ifname": other, "net_ns_fd": place}
            )
        finally:
            os.close(home)
    for router in layout.routers:
        # Packets go in at either end, and the rules see to it that none comes out.
        built.kernels[router].link("add", ifname=SILENT_EXIT, kind="veth", peer={"ifname": UNOWNED_EXIT})
        exits = [SILENT_EXIT, UNOWNED_EXIT]
        if layout.domains.used:
            built.kernels[router].link(
                "add", ifname=NO_ROUTE_EXIT, kind="veth", peer={"ifname": f"{NO_ROUTE_EXIT}-end"}
            )
            exits += [NO_ROUTE_EXIT, f"{NO_ROUTE_EXIT}-end"]
        for exit_ in exits:
            built.kernels[router].link("set", index=built.index(router, exit_), state="up")
    macs = {card.node: card.mac for card in cards.all}
    for wire in layout.wires:
        for node in wire.ends:
            index = built.index(node, wire.device(node))
            address = {"address": macs[node].hex(":")} if node == wire.card else {}
            # One segment a packet, as on a wire: rules look at the sizes of packets.
            segments = {"gso_max_segs": 1, "gro_max_size": wire.mtu}
            built.kernels[node].link("set", index=index, state="up", mtu=wire.mtu, **segments, **address)
            queues.make(built.kernels[node], index, wire, node, netem=built.netem)
    if built.netem:
        _introduce(layout, built)


def _introduce(layout: Layout, built: Built) -> None:
    """Where netem loses packets, tell both ends who is there: it would lose ARP too, which these lines have none of."""
    for wire in layout.wires:
        if any(queues.loses(state, node) for state in layout.states(wire) for node in wire.ends):
            indices = [built.index(node, wire.device(node)) for node in wire.ends]
            links = [built.kernels[node].get_links(index) for node, index in zip(wire.ends, indices, strict=True)]
            cards = [link.get_attr("IFLA_ADDRESS") for (link,) in links]
            for node, index, card in zip(wire.ends, indices, reversed(cards), strict=True):
                (address, *_) = layout.here(wire.other(node))
                built.kernels[node].neigh("replace", dst=address, lladdr=card, ifindex=index, state="permanent")


def _make_router(built: Built, layout: Layout, record: Router) -> None:
    router = record.name
    kernel = built.kernels[router]
    for scope in ("all", "default"):
        for setting, value in (("rp_filter", "0"), ("send_redirects", "0"), ("accept_redirects", "0")):
            set_kernel(f"ipv4/conf/{scope}/{setting}", value)
    set_kernel("ipv4/ip_forward", "1")
    set_kernel("ipv4/fib_multipath_hash_policy", "1")  # over the five-tuple
    set_kernel("ipv4/icmp_ratelimit", "0")  # what limits errors is in the scenario
    set_kernel("ipv4/icmp_msgs_per_sec", "1000000")
    set_kernel("ipv4/icmp_msgs_burst", "1000000")
    set_kernel("ipv4/ip_default_ttl", str(record.icmp_ttl))
    for address in filter(None, (record.address, record.icmp_source, record.nat and record.nat.address)):
        kernel.addr("add", index=_LOOPBACK, address=address, prefixlen=32)
    for name, value in translation.settings(record.nat):
        set_kernel(name, value)
    for wire in layout.wires:
        if router in wire.ends:
            for setting in ("rp_filter", "send_redirects"):
                set_kernel(f"ipv4/conf/{wire.device(router)}/{setting}", "0")
            if wire.card:  # others of the home network hang on this router
                set_kernel(f"ipv4/conf/{wire.device(router)}/proxy_arp", "1")


def _make_loop(built: Built, layout: Layout, ends: tuple[str, str]) -> None:
    """What the rules mark at the farther router goes back to the nearer one."""
    near, far = layout.farther(ends)
    kernel = built.kernels[far]
    way = {"oif": built.index(far, layout.wire(near, far).device(far)), "flags": ["onlink"]}
    kernel.route("replace", dst="0.0.0.0/0", gateway=layout.here(near)[0], table=_TABLE_LOOP, **way)
    kernel.rule("add", priority=50, fwmark=rules.LOOP_MARK, table=_TABLE_LOOP, family=AF_INET)


def _make_detour(built: Built, router: str, seed: int) -> Detour:
    kernel = built.kernels[router]
    device = open_device(rules.DETOUR, IFF_TUN)
    index = built.index(router, rules.DETOUR)
    set_kernel(f"ipv4/conf/{rules.DETOUR}/rp_filter", "0")
    kernel.link("set", index=index, state="up", mtu=65535)
    kernel.route("add", dst="0.0.0.0/0", oif=index, table=_TABLE_DETOUR)
    kernel.rule("add", priority=40, fwmark=rules.DETOUR_MARK, table=_TABLE_DETOUR, family=AF_INET)
    return Detour(router, device, seed)


def _make_servers(built: Built, layout: Layout) -> None:
    """One machine of many addresses: what it sends from one of them leaves by the leg that this address hangs on."""
    kernel = built.kernels[SERVERS]
    for scope in ("all", "default"):
        set_kernel(f"ipv4/conf/{scope}/rp_filter", "0")
        set_kernel(f"ipv4/conf/{scope}/accept_local", "1")  # a forwarder and its upstream are both here
    set_kernel("ipv4/icmp_ratelimit", "0")
    for address in layout.here(SERVERS):
        kernel.addr("add", index=_LOOPBACK, address=address, prefixlen=32)
    for number, wire in enumerate(layout.legs()):
        router = wire.other(SERVERS)
        device, table = wire.device(SERVERS), _TABLE_LEGS + number
        for setting in ("rp_filter", "accept_local"):
            set_kernel(f"ipv4/conf/{device}/{setting}", "0" if setting == "rp_filter" else "1")
        (gateway,) = layout.here(router)
        way = {"oif": built.index(SERVERS, device), "flags": ["onlink"]}
        kernel.route("add", dst="0.0.0.0/0", gateway=gateway, table=table, **way)
        kernel.rule("add", priority=10, iifname=device, table=_TABLE_LOCAL, family=AF_INET)
        for address in layout.served_at(router):
            kernel.rule("add", priority=30, src=f"{address}/32", table=table, family=AF_INET)
    kernel.rule("add", priority=20, dst="127.0.0.0/8", table=_TABLE_LOCAL, family=AF_INET)
    kernel.rule("del", priority=0, table=_TABLE_LOCAL, family=AF_INET)


def _make_client(built: Built) -> None:
    kernel = built.kernels[CLIENT]
    set_kernel("ipv4/ping_group_range", f"0 {highest_group()}")
    bring_up("lo")
    built.leases = Leases(built.cards, kernel)
    built.leases.change(0.0)
