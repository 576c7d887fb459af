"""The simulated network behind real devices: a TAP that is the client's Ethernet card, a TUN that leads to the servers.

The process that runs this module makes two network namespaces, carries packets between them through the `Network`, and
ends when its standard input does.
"""

import contextlib
import ctypes
import gc
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from pathlib import Path
from socket import AF_INET, AF_INET6
from typing import Any

from netprobe.sim import ethernet, wiring
from netprobe.sim.devices import (
    CLIENT_DEVICE,
    CLIENT_FILES,
    CLIENT_MAC,
    IFF_TAP,
    IFF_TUN,
    OWN_NETWORK,
    end_inhabitants,
    highest_group,
    open_device,
    set_carrier,
    set_ipv6,
    set_kernel,
)
from netprobe.sim.firewall import ClientFirewall
from netprobe.sim.namespaces import LabError, bring_up, enter_new_mounts, enter_new_network, own_environment
from netprobe.sim.network import SERVERS, Network
from netprobe.sim.packet import Packet
from netprobe.sim.records import GATEWAY6, Scenario
from netprobe.sim.routing import CLIENT

SERVER_DEVICE = "tun0"

_PR_SET_TIMERSLACK = 29
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


class Bridge:
    """Carries packets between the devices and the network, each at its time. `began` is the network's zero."""

    def __init__(self, network: Network, client: int, servers: int, began: float) -> None:
        scenario = network.scenario
        self._network = network
        self._client = client
        self._servers = servers
        self._began = began
        self._link_up = network.link_up(0.0)
        self._waited_s = 0.0
        self._firewall = ClientFirewall(scenario)
        self._edges = sorted({t for f in scenario.faults if CLIENT in f.at for t in (f.begin_s, f.end_s)})
        self._initial_ttl = {a: s.initial_ttl for s in scenario.servers for a in s.addresses}
        self._gateway = ethernet.neighbours(scenario)
        pack = ethernet.HEADER.pack
        self._header = pack(CLIENT_MAC, ethernet.GATEWAY_MAC, ethernet.TYPE_IPV4)
        self._header_v6 = pack(CLIENT_MAC, ethernet.GATEWAY_MAC, ethernet.TYPE_IPV6)

    def run(self, until: int) -> None:
        """Work until descriptor `until` is readable, which is how its writer's end shows."""
        devices = (self._client, self._servers, until)
        while True:
            now = self._now()
            for delivery in self._network.advance(now + _WRITE_S):
                self._emit(delivery.node, delivery.packet)
            self._set_carrier(now)
            self._firewall.change(now)
            before = self._now()
            readable, _, _ = select.select(devices, (), (), self._idle_s(before))
            if until in readable:
                return
            self._waited_s = _WAKE_S if self._now() - before > _WAKE_S else 0.0
            if self._client in readable:
                self._read(self._client, self._from_client)
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

    def _set_carrier(self, now: float) -> None:
        up = self._network.link_up(now)
        if up != self._link_up:
            self._link_up = up
            set_carrier(self._client, up=up)

    def _read(self, device: int, take: Callable[[bytes], None]) -> None:
        for _ in range(_BATCH):
            try:
                data = os.read(device, _FRAME_LIMIT)
            except OSError:  # nothing more, or the device is down
                return
            take(data)
            self._waited_s = 0.0

    def _from_client(self, frame: bytes) -> None:
        if len(frame) < ethernet.HEADER.size:
            return
        destination, _, kind = ethernet.HEADER.unpack_from(frame)
        now = self._now() - self._waited_s
        reply = ethernet.answer(frame, self._gateway)
        if reply is not None:
            if self._network.gateway_alive(now):
                self._write(self._client, reply)
        elif destination == ethernet.GATEWAY_MAC:
            packet = frame[ethernet.HEADER.size :]
            # RFC 791, 3.1; RFC 8200, 3: what follows is Ethernet's padding.
            if kind == ethernet.TYPE_IPV4:
                self._inject(packet[: int.from_bytes(packet[2:4])], CLIENT, now)
            elif kind == ethernet.TYPE_IPV6:
                self._inject(packet[: 40 + int.from_bytes(packet[4:6])], CLIENT, now)

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
        if node == CLIENT:
            self._write(self._client, (self._header_v6 if ":" in packet.source else self._header) + packet.to_bytes())
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


def _make_client(scenario: Scenario, folder: str, *, plugged: bool) -> int:
    """The client's side: one Ethernet card, a default route, resolvers; its own view of a few files."""
    from pyroute2 import IPRoute  # noqa: PLC0415  # as above

    enter_new_network()
    set_ipv6(on=bool(scenario.client.address6))
    device = open_device(CLIENT_DEVICE, IFF_TAP)
    set_kernel("ipv4/ping_group_range", f"0 {highest_group()}")
    address = IPv4Interface(scenario.client.address)
    gateway = scenario.gateway.address
    mtu = scenario.own_mtu
    bring_up("lo")
    with IPRoute() as kernel:
        (index,) = kernel.link_lookup(ifname=CLIENT_DEVICE)
        kernel.link("set", index=index, address=CLIENT_MAC.hex(":"), mtu=mtu, txqlen=_WAITING)
        kernel.link("set", index=index, state="up")
        if plugged:
            kernel.link("set", index=index, operstate="UP")  # a TAP says "unknown" by itself
        else:
            set_carrier(device, up=False)
            _wait_until_down(kernel, index)
        kernel.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen)
        if IPv4Address(gateway) not in address.network:
            kernel.route("add", dst=f"{gateway}/32", oif=index, scope=253)  # 253: link, it is on the wire
        kernel.route("add", dst="0.0.0.0/0", gateway=gateway, oif=index)
        if scenario.client.address6:
            own = IPv6Interface(scenario.client.address6)
            kernel.addr("add", index=index, address=str(own.ip), prefixlen=own.network.prefixlen)
            kernel.route("add", dst="::/0", gateway=GATEWAY6, oif=index, family=AF_INET6)
    enter_new_mounts({path: Path(folder, name) for path, name in CLIENT_FILES.items()})
    return device


def _wait_until_down(kernel: Any, index: int) -> None:
    """The kernel takes up to a second to draw its conclusions from a lost carrier (net/core/link_watch.c)."""
    until = time.monotonic() + _LINK_WATCH_S
    while time.monotonic() < until and kernel.get_links(index)[0].get_attr("IFLA_OPERSTATE") != "DOWN":
        time.sleep(0.01)


def _be_punctual() -> None:
    """Wake up on time: no timer slack, and where allowed ahead of the load that a measurement makes."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    gc.freeze()


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
        client_device = _make_client(scenario, setup.folder, plugged=network.link_up(0.0))
        try:
            wiring.receive(servers.stdout, wiring.Ready)
        except EOFError:
            msg = "the servers of the simulated network ended at their start; their error is above"
            raise LabError(msg) from None
        _be_punctual()
        began = time.monotonic()
        wiring.send(servers.stdin, wiring.Ready(began))
        wiring.send(sys.stdout.buffer, wiring.Ready(began))
        try:
            Bridge(network, client_device, servers_device, began).run(sys.stdin.fileno())
        finally:
            end_inhabitants(outside)
            servers.kill()  # they have nothing to save, and their own end would take longer


if __name__ == "__main__":
    wiring.hold(_live)
