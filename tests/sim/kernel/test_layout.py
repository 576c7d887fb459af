"""Routes of kernel routers lead packets the way that the simulation sends them, in any network."""

from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest

from netprobe.sim import library
from netprobe.sim.kernel.layout import SERVERS, SILENT_EXIT, UNOWNED_EXIT, Hop, Layout
from netprobe.sim.network import Network
from netprobe.sim.records import Scenario
from netprobe.sim.routing import CLIENT
from netprobe.sim.worlds import generate
from tests.scenarios import load

NETWORKS = [load(name) for name in ("healthy", "mobile-healthy")] + [generate(number) for number in range(1, 9)]


@cache
def routes(layout: Layout, router: str) -> tuple[tuple[IPv4Network | IPv6Network, Hop], ...]:
    """The table of `router`, the longest prefixes first, which is what the kernel prefers."""
    table = [(ip_network(hop.prefix), hop) for hop in layout.routes(router)]
    return tuple(sorted(table, key=lambda row: -row[0].prefixlen))


def chosen(layout: Layout, router: str, address: str) -> Hop | None:
    """What the kernel would choose."""
    number = ip_address(address)
    return next((hop for network, hop in routes(layout, router) if number in network), None)


def walk(layout: Layout, scenario: Scenario, address: str) -> tuple[list[str], str]:
    """The routers that a packet from the client crosses, and where it ends: at a node, or by an exit of the last."""
    router = scenario.client.gateway
    crossed: list[str] = []
    while len(crossed) < len(layout.routers):
        if address in layout.here(router):
            return crossed, router
        crossed.append(router)
        hop = chosen(layout, router, address)
        if hop is None or hop.device in {SILENT_EXIT, UNOWNED_EXIT}:
            return crossed, hop.device if hop else ""
        wire = next(w for w in layout.wires if router in w.ends and w.device(router) == hop.device)
        router = wire.other(router)
        if router == SERVERS:
            return crossed, SERVERS
    return crossed, "loop"


@pytest.mark.parametrize("scenario", NETWORKS, ids=lambda s: s.name)
def test_routes_lead_where_the_simulation_leads(scenario: Scenario) -> None:
    """Every address of the network is reached over the same routers."""
    layout, network = Layout(scenario), Network(scenario, 0)
    machines = [a for s in scenario.servers for a in s.addresses]
    machines += [address for resolver in scenario.resolvers for address in resolver.addresses]
    for address in (*machines, *(address for router in scenario.routers for address in router.addresses)):
        crossed, end = walk(layout, scenario, address)
        assert crossed == [router.name for router in network.hops(address)], address
        assert end == SERVERS or address in layout.here(end)


@pytest.mark.parametrize("scenario", NETWORKS, ids=lambda s: s.name)
def test_addresses_of_nobody_end_where_the_file_says(scenario: Scenario) -> None:
    """Beside a server they end in silence, elsewhere with a word, unless the file's route says otherwise."""
    layout = Layout(scenario)
    server = scenario.servers[0]
    beside = str(IPv4Network(f"{server.addresses[0]}/24", strict=False)[250])
    crossed, end = walk(layout, scenario, beside)
    assert (crossed[-1], end) == (server.at, SILENT_EXIT)
    nobody = {"0.0.0.0/0": "203.0.113.99", "::/0": "2001:db8::99"}
    for route in scenario.routes:
        if route.prefix in nobody:
            crossed, end = walk(layout, scenario, nobody[route.prefix])
            assert (crossed[-1], end) == (route.to, SILENT_EXIT if route.silent else UNOWNED_EXIT)


def test_every_machine_lives_in_one_namespace() -> None:
    """Each server and resolver of each scenario is played once."""
    for name in library.names():
        scenario = load(name)
        layout = Layout(scenario)
        played = [machine for node in (SERVERS, *layout.routers) for machine in layout.machines(node)]
        everything = [server.name for server in scenario.servers] + [resolver.name for resolver in scenario.resolvers]
        assert sorted(played) == sorted(everything)


def test_devices_have_names_of_their_own() -> None:
    """Long names of neighbours are cut to what the kernel takes, and stay different."""
    for scenario in NETWORKS:
        layout = Layout(scenario)
        for node in (*layout.routers, SERVERS, CLIENT):
            names = [wire.device(node) for wire in layout.wires if node in wire.ends]
            assert len(set(names)) == len(names)
            assert all(len(name.encode()) < 16 for name in names)


def test_the_farther_router_of_a_loop_is_behind_the_nearer() -> None:
    """Whichever comes first in the file."""
    layout = Layout(load("routing-loop"))
    loop = next(fault.at for fault in load("routing-loop").faults if fault.kind == "loop")
    assert layout.farther((loop[0], loop[1])) == layout.farther((loop[1], loop[0]))


def test_flows_are_balanced_where_the_scenario_says_so() -> None:
    """A router that balances has both neighbours in its routes; one that does not, has one."""
    layout = Layout(load("isp-dead-branch"))
    routes = {router: layout.routes(router) for router in layout.routers}
    over = {via for hop in routes["isp-access"] if hop.also and ":" not in hop.prefix for _, via in hop.ways}
    assert over == {"217.5.116.114", "217.5.116.118"}
    assert {router for router, hops in routes.items() if any(hop.also for hop in hops)} == {"isp-access", "isp-core-2"}
    over = {device for hop in routes["isp-access"] if hop.also and ":" in hop.prefix for device, _ in hop.ways}
    assert len(over) == 2
