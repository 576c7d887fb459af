"""The simulated network behind real devices: a TAP that is the client's Ethernet card, a TUN that leads to the servers.

The process that runs this module makes two network namespaces, carries packets between them through the `Network`, and
ends when its standard input does.
"""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any

from netprobe.sim import ethernet, wiring
from netprobe.sim.cards import Card, Cards
from netprobe.sim.devices import (
    CLIENT_FILES,
    IFF_TAP,
    IFF_TUN,
    OWN_NETWORK,
    be_punctual,
    end_inhabitants,
    highest_group,
    open_device,
    set_carrier,
    set_ipv6,
    set_kernel,
)
from netprobe.sim.firewall import ClientFirewall
from netprobe.sim.leases import Leases
from netprobe.sim.namespaces import LabError, bring_up, enter_new_mounts, enter_new_network, own_environment
from netprobe.sim.network import SERVERS, Network
from netprobe.sim.packet import Packet
from netprobe.sim.records import Scenario

SERVER_DEVICE = "tun0"

_TABLE_LOCAL = 255
_FAMILIES = ((AF_INET, "0.0.0.0/0", "127.0.0.0/8"), (AF_INET6, "::/0", "::1/128"))  # everything, and a machine's own
_LINK_LOCAL = ("fe80:", "ff0")  # and multicast, of which there is none beyond it

_FRAME_LIMIT = 65536
_WAITING = (
    10_000  # packets that may wait at a device while others have the processor: the network loses none of its own
)
_BATCH = 16  # packets read from one device before due ones leave and the other has its turn
# Heuristics that keep simulated delays true to about 0.1 ms; measured on an idle machine, where they matter.
_EARLY_S = 0.00015  # waking up by the clock may take as long: from there on the clock is watched
_WAKE_S = 0.00005  # how long a packet has waited when its arrival ended a sleep
_WRITE_S = 0.00003  # from deciding to send until the packet is with the receiver's kernel
_DEFAULT_TTL = 64
_LINK_WATCH_S = 2.0


@dataclass(slots=True)
class _Port:
    """One of the client's cards: its device, who answers for the gateway's box, and whether its cable is in."""

    card: Card
    device: int
    neighbours: frozenset[bytes]
    up: bool
    headers: dict[bool, bytes] = field(
        init=False
    )  # what comes before each packet for the client, by whether it is IPv6

    def __post_init__(self) -> None:
        kinds = {False: ethernet.TYPE_IPV4, True: ethernet.TYPE_IPV6}
        pack, ends = ethernet.HEADER.pack, (self.card.mac, ethernet.GATEWAY_MAC)
        self.headers = {over_v6: pack(*ends, kind) for over_v6, kind in kinds.items()}


class Bridge:
    """Carries packets between the devices and the network, each at its time. `began` is the network's zero.

    `clients` are the devices of the client's cards, by their nodes; `lease` gives them what they have at a time.
    """

    def __init__(
        self,
        network: Network,
        clients: Mapping[str, int],
        servers: int,
        began: float,
        lease: Callable[[float], None] = lambda _: None,
    ) -> None:
        scenario = network.scenario
        self._network = network
        self._ports = {
            card.node: _Port(
                card, clients[card.node], ethernet.neighbours(scenario, card), network.link_up(0.0, card.node)
            )
            for card in Cards(scenario).all
        }
        self._lease = lease
        self._servers = servers
        self._began = began
        self._waited_s = 0.0
        self._firewall = ClientFirewall(scenario)
        self._edges = sorted({t for f in scenario.faults if set(self._ports) & {*f.at} for t in (f.begin_s, f.end_s)})
        self._initial_ttl = {a: s.initial_ttl for s in scenario.servers for a in s.addresses}

    def run(self, until: int) -> None:
        """Work until descriptor `until` is readable, which is how its writer's end shows."""
        ports = {port.device: port for port in self._ports.values()}
        devices = (*ports, self._servers, until)
        while True:
            now = self._now()
            for delivery in self._network.advance(now + _WRITE_S):
                self._emit(delivery.node, delivery.packet)
            self._set_carriers(now)
            self._lease(now)
            self._firewall.change(now)
            before = self._now()
            readable, _, _ = select.select(devices, (), (), self._idle_s(before))
            if until in readable:
                return
            self._waited_s = _WAKE_S if self._now() - before > _WAKE_S else 0.0
            for device, port in ports.items():
                if device in readable:
                    self._read(device, partial(self._from_client, port))
            if self._servers in readable:
                self._read(self._servers, self._from_servers)

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _idle_s(self, now: float) -> float | None:
        """How long nothing is due: none, a little less than until the next packet, or for ever."""
        edge = next((t for t in self._edges if t > now), None)
        due = self._network.next_at()
        if due is not None:
            due -= _EARLY_S
        times = [t for t in (edge, due) if t is not None and t != float("inf")]
        return max(0.0, min(times) - now) if times else None

    def _set_carriers(self, now: float) -> None:
        for node, port in self._ports.items():
            up = self._network.link_up(now, node)
            if up != port.up:
                port.up = up
                set_carrier(port.device, up=up)

    def _read(self, device: int, take: Callable[[bytes], None]) -> None:
        for _ in range(_BATCH):
            try:
                data = os.read(device, _FRAME_LIMIT)
            except OSError:  # nothing more, or the device is down
                return
            take(data)
            self._waited_s = 0.0

    def _from_client(self, port: _Port, frame: bytes) -> None:
        if len(frame) < ethernet.HEADER.size:
            return
        destination, _, kind = ethernet.HEADER.unpack_from(frame)
        now = self._now() - self._waited_s
        reply = ethernet.answer(frame, port.neighbours)
        if reply is not None:
            if self._network.gateway_alive(now, port.card.node):
                self._write(port.device, reply)
        elif destination == ethernet.GATEWAY_MAC:
            packet = frame[ethernet.HEADER.size :]
            # RFC 791, 3.1; RFC 8200, 3: what follows is Ethernet's padding.
            if kind == ethernet.TYPE_IPV4:
                self._inject(packet[: int.from_bytes(packet[2:4])], port.card.node, now)
            elif kind == ethernet.TYPE_IPV6:
                self._inject(packet[: 40 + int.from_bytes(packet[4:6])], port.card.node, now)

    def _from_servers(self, data: bytes) -> None:
        self._inject(data, SERVERS, self._now() - self._waited_s)

    def _inject(self, data: bytes, at: str, now: float) -> None:
        try:
            packet = Packet.from_bytes(data)
        except ValueError:  # something that a tool made odd on purpose: routers would drop it
            return
        if packet.destination.startswith(_LINK_LOCAL):  # what the kernel says to neighbours that it believes to have
            return
        if at == SERVERS and packet.ttl == _DEFAULT_TTL:
            packet.ttl = self._initial_ttl.get(packet.source, _DEFAULT_TTL)
        self._network.inject(packet, at, now)

    def _emit(self, node: str, packet: Packet) -> None:
        port = self._ports.get(node)
        if port:
            self._write(port.device, port.headers[":" in packet.source] + packet.to_bytes())
        else:
            self._write(self._servers, packet.to_bytes())

    @staticmethod
    def _write(device: int, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a full queue or a device that is down loses packets, as in life
            os.write(device, data)


def _make_servers(scenario: Scenario) -> int:
    """The servers' side: every address is this machine's for what comes in by the TUN, and away for what leaves."""
    from pyroute2 import IPRoute  # noqa: PLC0415  # slow to import, while the servers' process starts

    addresses = [a for s in scenario.servers for a in s.addresses]
    addresses += [address for resolver in scenario.resolvers for address in resolver.addresses]
    over_v6 = any(":" in address for address in addresses)
    set_ipv6(on=over_v6)
    device = open_device(SERVER_DEVICE, IFF_TUN)
    for scope in ("all", "default", SERVER_DEVICE):
        set_kernel(f"ipv4/conf/{scope}/rp_filter", "0")
        set_kernel(f"ipv4/conf/{scope}/accept_local", "1")  # a forwarder and its upstream are both here
    for setting in ("ipv4/icmp_ratelimit", "ipv6/icmp/ratelimit"):
        set_kernel(setting, "0")  # what limits errors is in the scenario
    with IPRoute() as kernel:
        lo, tun = (kernel.link_lookup(ifname=name)[0] for name in ("lo", SERVER_DEVICE))
        kernel.link("set", index=tun, state="up", txqlen=_WAITING)
        for address in dict.fromkeys(addresses):
            kernel.addr("add", index=lo, address=address, prefixlen=128 if ":" in address else 32)
        for family, everything, own in _FAMILIES if over_v6 else _FAMILIES[:1]:
            kernel.route("add", dst=everything, oif=tun, family=family)
            # Without the rule at 0 a server that asks another one sends the question out into the network.
            kernel.rule("add", priority=10, iifname=SERVER_DEVICE, table=_TABLE_LOCAL, family=family)
            kernel.rule("add", priority=20, dst=own, table=_TABLE_LOCAL, family=family)
            kernel.rule("del", priority=0, table=_TABLE_LOCAL, family=family)
    return device


def _make_client(cards: Cards, folder: str, plugged: Callable[[str], bool]) -> tuple[dict[str, int], Leases]:
    """The client's side: its Ethernet cards by their nodes, with what they are leased; its own view of a few files."""
    from pyroute2 import IPRoute  # noqa: PLC0415  # as above

    enter_new_network()
    over_v6 = any(card.interface_v6 for card in cards.all)
    set_ipv6(on=over_v6)
    devices = {card.node: open_device(card.device, IFF_TAP) for card in cards.all}
    set_kernel("ipv4/ping_group_range", f"0 {highest_group()}")
    bring_up("lo")
    kernel = IPRoute()  # lives as long as the network
    for card in cards.all:
        (index,) = kernel.link_lookup(ifname=card.device)
        kernel.link("set", index=index, address=card.mac.hex(":"), mtu=card.mtu, txqlen=_WAITING)
        kernel.link("set", index=index, state="up")
        if plugged(card.node):
            kernel.link("set", index=index, operstate="UP")  # a TAP says "unknown" by itself
        else:
            set_carrier(devices[card.node], up=False)
            _wait_until_down(kernel, index)
    leases = Leases(cards, kernel, over_v6=over_v6)
    leases.change(0.0)
    enter_new_mounts({path: Path(folder, name) for path, name in CLIENT_FILES.items()})
    return devices, leases


def _wait_until_down(kernel: Any, index: int) -> None:
    """The kernel takes up to a second to draw its conclusions from a lost carrier (net/core/link_watch.c)."""
    until = time.monotonic() + _LINK_WATCH_S
    while time.monotonic() < until and kernel.get_links(index)[0].get_attr("IFLA_OPERSTATE") != "DOWN":
        time.sleep(0.01)


def _live(setup: wiring.Setup) -> None:
    """Make everything, say so, and carry packets to the end."""
    scenario = setup.scenario
    outside = Path(OWN_NETWORK).stat()
    enter_new_network()
    bring_up("lo")  # makes the table of local routes, without which a bound socket would not keep its address
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "netprobe.sim.servers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=own_environment(),
    ) as servers:
        assert servers.stdin is not None  # noqa: S101  # pipes, as asked for
        assert servers.stdout is not None  # noqa: S101
        wiring.send(servers.stdin, setup)
        servers_device = _make_servers(scenario)
        network = Network(scenario, setup.seed)
        clients, leases = _make_client(Cards(scenario), setup.folder, partial(network.link_up, 0.0))
        try:
            wiring.receive(servers.stdout, wiring.Ready)
        except EOFError:
            msg = "the servers of the simulated network ended at their start; their error is above"
            raise LabError(msg) from None
        be_punctual()
        began = time.monotonic()
        wiring.send(servers.stdin, wiring.Ready(began))
        wiring.send(sys.stdout.buffer, wiring.Ready(began))
        try:
            Bridge(network, clients, servers_device, began, leases.change).run(sys.stdin.fileno())
        finally:
            end_inhabitants(outside)
            servers.kill()  # they have nothing to save, and their own end would take longer


if __name__ == "__main__":
    wiring.hold(_live)
