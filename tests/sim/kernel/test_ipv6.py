"""IPv6 of kernel routers where it is a kernel's own business: neighbours, limits, balancing, lines that come back."""

import re
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from netprobe.sim.kernel.layout import NO_ROUTE_EXIT, Layout
from netprobe.sim.records import Fault, Link, RateLimit, Router, Scenario
from netprobe.sim.world import Fidelity, World
from tests.sim.real_scenario import EDGE, EDGE_V6, HOPS_V6, dual

PATIENCE_S = 20.0


def kernel(scenario: Scenario, *faults: Fault) -> World:
    """The network with `faults` out of the kernel's routers."""
    return World(replace(scenario, faults=faults), fidelity=Fidelity.KERNEL)


def sources(world: World, *options: str, address: str = EDGE_V6) -> list[str]:
    """Who answers a traceroute, probe by probe; a star for silence."""
    said = world.run(["traceroute", "-n", "-I", "-w", "0.7", "-m", "6", *options, address]).stdout
    return re.findall(
        r"(?<= )(\*|[0-9a-f:]+:[0-9a-f:]+|\d+\.\d+\.\d+\.\d+)(?= |$)", said.partition("\n")[2], re.MULTILINE
    )


@pytest.mark.packets
def test_a_router_without_an_address_forwards_and_says_nothing(tmp_path: Path) -> None:
    """Not even from a link-local address, which the next router alone could answer."""
    network = dual(tmp_path)
    routers = tuple(replace(r, address6="") if r.name == "home" else r for r in network.routers)
    with kernel(replace(network, routers=routers)) as world:
        assert sources(world, "-q", "1") == ["*", *HOPS_V6[1:], EDGE_V6]


@pytest.mark.packets
def test_a_dead_router_is_silence(tmp_path: Path) -> None:
    """Those before it do not say that they have lost a neighbour."""
    with kernel(dual(tmp_path), Fault("down", ("core",))) as world:
        assert sources(world, "-q", "1") == [*HOPS_V6[:2], "*", "*", "*", "*"]
        time.sleep(3.5)  # longer than a kernel looks for a neighbour
        assert sources(world, "-q", "1") == [*HOPS_V6[:2], "*", "*", "*", "*"]


@pytest.mark.packets
def test_limits_are_for_both_versions(tmp_path: Path) -> None:
    """One bucket a router."""
    network = dual(tmp_path)
    limit = RateLimit(0.0005, 5)  # two an hour
    routers = tuple(replace(r, rate_limit=limit) if r.name == "access" else r for r in network.routers)
    with kernel(replace(network, routers=routers)) as world:
        found = [
            sources(world, "-q", "4", "-f", "2", "-m", "2"),
            sources(world, "-q", "4", "-f", "2", "-m", "2", address=EDGE),
        ]
    assert [row.count("*") for row in found] == [0, 3]


@pytest.mark.packets
def test_flows_are_balanced_by_their_labels_and_ports(tmp_path: Path) -> None:
    """Over two routers side by side: one flow takes one of them, many take both."""
    network = dual(tmp_path)
    beside = Router("beside", "87.186.224.95", address6="2001:db8:0:22::1")
    routers = tuple(replace(r, balance="flow") if r.name == "home" else r for r in (*network.routers, beside))
    cost = next(link.delay_ms for link in network.links if set(link.ends) == {"home", "access"})
    links = (*network.links, Link(("home", "beside"), cost), Link(("beside", "core"), 8.0))
    network = replace(network, routers=routers, links=links)
    balanced = [hop for hop in Layout(network).routes("home") if hop.also and ":" in hop.prefix]
    assert balanced
    with kernel(network) as world:
        one = [sources(world, "-q", "1", "-f", "2", "-m", "2", "-l", "7")[0] for _ in range(4)]
        many = [sources(world, "-q", "1", "-f", "2", "-m", "2", "-l", str(n))[0] for n in range(1, 25)]
    assert set(many) == {HOPS_V6[1], "2001:db8:0:22::1"}
    assert len(set(one)) <= 2  # an echo request's number is no port, but its label is what it is


@pytest.mark.packets
def test_a_cable_that_is_put_in_again_has_its_ways_back(tmp_path: Path) -> None:
    """Addresses of a device stay while it is down, its routes do not."""
    with kernel(dual(tmp_path), Fault("down", ("client",), end_s=1.5)) as world:
        until = time.monotonic() + PATIENCE_S
        while " 1 received" not in world.run(["ping", "-6", "-n", "-c", "1", "-W", "1", EDGE_V6]).stdout:
            assert time.monotonic() < until
        assert sources(world, "-q", "1") == [*HOPS_V6, EDGE_V6]


def test_what_carries_no_ipv6_is_gone_around_or_said(tmp_path: Path) -> None:
    """Where no way leads, routes follow IPv4's until somebody has none."""
    network = dual(tmp_path)
    links = tuple(replace(link, ipv6="core" not in link.ends) for link in network.links)
    layout = Layout(replace(network, links=links))
    ways = {r: {hop.device for hop in layout.routes(r) if hop.prefix.startswith(EDGE_V6[:11])} for r in layout.routers}
    assert ways["access"] == {NO_ROUTE_EXIT}
    assert ways["home"] == {"to-access"}
