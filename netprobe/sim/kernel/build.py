"""Makes what the layout says out of the kernel: namespaces and wires, and what lives in them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from netprobe.sim import firewall
from netprobe.sim.cards import Cards
from netprobe.sim.devices import CLIENT_FILES, OWN_NETWORK, set_ipv6, set_kernel
from netprobe.sim.kernel import nodes, queues, rules
from netprobe.sim.kernel.bird import birds
from netprobe.sim.kernel.built import Built
from netprobe.sim.kernel.layout import NO_ROUTE_EXIT, SERVERS, SILENT_EXIT, UNOWNED_EXIT, Layout
from netprobe.sim.kernel.speech import Speech, Ways, speaks_otherwise
from netprobe.sim.namespaces import LabError, bring_up, enter_new_mounts, enter_new_network, new_network, visiting
from netprobe.sim.records import Scenario
from netprobe.sim.routing import CLIENT, clients


@contextlib.contextmanager
def build(scenario: Scenario, layout: Layout, folder: str, seed: int) -> Iterator[Built]:
    """The network of `scenario`, and this process at its client. Raises `LabError` when the kernel does not want to."""
    from pyroute2 import IPRoute  # noqa: PLC0415  # slow to import

    firewall.library()  # said before anything is made
    enter_new_network()  # a user namespace around it all where there is no root
    built = Built(scenario, layout, seed)
    with contextlib.ExitStack() as stack:
        for node in (*layout.routers, SERVERS):
            built.networks[node] = new_network()
            stack.callback(os.close, built.networks[node])
            with visiting(built.networks[node]):
                _have_ipv6(layout, scenario, node)
                bring_up("lo")
                built.kernels[node] = stack.enter_context(IPRoute())
        built.kernels |= dict.fromkeys(clients(scenario), stack.enter_context(IPRoute()))
        set_ipv6(on=layout.over_v6)
        built.netem = queues.has_netem(built.kernels[CLIENT], nodes.LOOPBACK)
        try:
            _join(layout, built, built.cards)
            ways = Ways(scenario, seed)
            for router in scenario.routers:
                with visiting(built.networks[router.name]):
                    nodes.make_router(built, layout, router)
                    if any(router.name in f.at and rules.takes_a_detour(f) for f in scenario.faults):
                        built.detours[router.name] = nodes.make_detour(built, layout, router.name, seed)
                        stack.callback(os.close, built.detours[router.name].device)
                    if speaks_otherwise(router):
                        built.speeches[router.name] = Speech(
                            router, ways, nodes.make_speech(built, layout, router.name)
                        )
                        stack.callback(os.close, built.speeches[router.name].device)
            for fault in scenario.faults:
                if fault.kind == "loop":
                    nodes.make_loop(built, layout, (fault.at[0], fault.at[1]))
            with visiting(built.networks[SERVERS]):
                nodes.make_servers(built, layout)
            nodes.make_client(built, layout)
        except OSError as error:
            msg = f"the kernel does not make the network: {error.strerror or error}"
            raise LabError(msg) from error
        built.birds = stack.enter_context(birds(layout, folder, built.networks, built.kernels))
        enter_new_mounts({path: Path(folder, name) for path, name in CLIENT_FILES.items()})
        yield built


def _have_ipv6(layout: Layout, scenario: Scenario, node: str) -> None:
    """Before there are devices: they have no addresses of IPv6 but those that they are given, and keep them."""
    set_ipv6(on=layout.has_v6(node))
    if layout.has_v6(node):
        set_kernel("ipv6/conf/default/addr_gen_mode", "1")
        set_kernel("ipv6/conf/default/keep_addr_on_down", "1")
        set_kernel("ipv6/icmp/ratelimit", "0")  # what limits errors is in the scenario
    for router in scenario.routers:
        if router.name == node and layout.has_v6(node):
            set_kernel("ipv6/conf/all/forwarding", "1")
            set_kernel("ipv6/conf/default/hop_limit", str(router.icmp_ttl))


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
        if layout.domains.used or layout.over_v6:
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
            card = {"address": macs[node].hex(":")} if node == wire.card else {}
            # One segment a packet, as on a wire: rules look at the sizes of packets.
            segments = {"gso_max_segs": 1, "gro_max_size": wire.mtu}
            built.kernels[node].link("set", index=index, state="up", mtu=wire.mtu, **segments, **card)
            queues.make(built.kernels[node], index, wire, node, netem=built.netem)
            if layout.has_v6(node) and (address := layout.link_local(wire, node)):
                built.kernels[node].addr("add", index=index, address=address, prefixlen=64)
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
                other = wire.other(node)
                known = [layout.here(other)[0]]
                known += [layout.link_local(wire, other)] if layout.has_v6(node) and layout.has_v6(other) else []
                for address in known:
                    built.kernels[node].neigh("replace", dst=address, lladdr=card, ifindex=index, state="permanent")
