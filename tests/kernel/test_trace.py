"""`netprobe trace` through Linux routers: all ways, loss that they make, limits that are no loss.

client 192.0.2.2 -- 192.0.2.1 first 198.51.100.1 -- 198.51.100.2 second 203.0.113.1 -- server 203.0.113.2
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netprobe.live.host import inspect
from netprobe.model.record import from_json
from netprobe.report.trace_line import TraceLine
from netprobe.sim.namespaces import own_environment
from tests.live.live_network import CLIENT, HOPS, HOPS_V6, SERVER, SERVER_V6, Network, network_of_routers

pytestmark = pytest.mark.packets
ROOT = Path(__file__).parents[2]
TRACE = (sys.executable, "-m", "netprobe", "trace")


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with network_of_routers() as made:
        yield made


def traced(network: Network, *words: str) -> list[dict[str, Any]]:
    """What `netprobe trace --json` says on the client, each line checked against the schema."""
    command = network.client.command(*TRACE, "--json", *words)
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110, env=own_environment()
    )
    assert done.returncode == 0, done.stderr
    assert all(from_json(row, TraceLine) for row in done.stdout.splitlines())
    return [json.loads(row) for row in done.stdout.splitlines()]


def test_all_ways_through_kernel_routers() -> None:
    """Two ways by ports (policy 1) are found by SYNs, within what Linux answers; echo requests see one of them."""
    ecmp = (sys.executable, "-m", "tests.kernel.ecmp", "2", "--")
    found = {}
    for method in ("syn", "icmp"):
        words = (*ecmp, *TRACE, "--json", "--paths", "--method", method, "203.0.113.1")
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
        assert done.returncode == 0, done.stderr
        row, kept_back = done.stdout.splitlines()
        assert from_json(row, TraceLine).paths is not None
        assert kept_back == "kept back: 0"
        found[method] = json.loads(row)["paths"]
        hops = json.loads(row)["hops"]
        answered = {(hop["ttl"], reply["address"]) for hop in hops for reply in hop["replies"]}
        assert answered == {(vertex["ttl"], vertex["address"]) for vertex in found[method]["vertices"]}
    ways = {branch["far"] for branch in found["syn"]["branches"] if branch["near"] == "192.0.2.1"}
    assert ways == {"10.1.0.2", "10.1.1.2"}
    assert found["syn"]["complete"]
    assert found["syn"]["per_packet"] == []
    assert len({branch["far"] for branch in found["icmp"]["branches"] if branch["near"] == "192.0.2.1"}) == 1


@pytest.mark.patient
def test_loss_that_a_router_makes_begins_behind_it(network: Network) -> None:
    """Packets that the first router loses: it answers all itself, and the second hop and the server show the loss."""
    with network.first.firewall("forward numgen random mod 100 < 12 drop"):
        (line,) = traced(network, "--rounds", "150", "--interval", "0.2", SERVER)
    loss = line["loss"]["path"]
    assert (loss["after"], loss["agreeing"], loss["only_destination"]) == (1, [2], False)
    assert loss["fraction"] == pytest.approx(1 - 0.88**2, abs=0.12)  # the way there and back cross it
    assert line["loss"]["hops"][0]["lost"] == 0
    assert line["loss"]["destination"]["sent"] - 151 in {0, 1}  # the first pass asks twice who stays silent


@pytest.mark.patient
def test_limits_of_linux_are_no_loss(network: Network) -> None:
    """One error a second from the first router and from the server itself, whose answers to datagrams are errors."""
    limits = {"icmp_ratelimit": 1000}
    network.first.sysctl(**limits)
    network.server.sysctl(**limits)
    try:
        (line,) = traced(network, "--method", "udp", "--rounds", "60", "--interval", "0.2", SERVER)
    finally:
        network.first.sysctl(icmp_ratelimit=0)
        network.server.sysctl(icmp_ratelimit=0)
    assert line["loss"]["path"] is None
    assert line["loss"]["destination"]["silence"] in {"limiter", "both"}
    first, second = line["loss"]["hops"]
    assert first["silence"] in {"limiter", "both"}
    assert first["answers_per_s"] == pytest.approx(1.0, abs=0.4)
    assert (second["lost"], "silence" in second) == (0, False)


def test_the_family_is_the_system_s(network: Network) -> None:
    """Addresses of both families are traced side by side, and a wrong one is refused before anything is sent."""
    four, six = traced(network, SERVER, SERVER_V6)
    assert [hop["replies"][0]["address"] for hop in four["hops"]] == [*HOPS, SERVER]
    assert [hop["replies"][0]["address"] for hop in six["hops"]] == [*HOPS_V6, SERVER_V6]
    refused = subprocess.run(
        network.client.command(*TRACE, "-6", CLIENT), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert f"'{CLIENT}' is an IPv4 address, and -6 asks for IPv6" in refused.stderr


def test_the_machine_knows_whether_it_has_global_ipv6(network: Network) -> None:
    """An address that is valid on the Internet and a route there; without the route there is none."""
    traced(network, SERVER_V6)  # so that the kernel has asked for its neighbour
    with network.client.inside():
        state = inspect()
        assert (state.global_link_v6, state.gateway_v6) == ("uplink", HOPS_V6[0])
        assert state.neighbour_v6 in {"reachable", "stale", "delay", "probe"}
        assert any(address.startswith(f"{state.address_v6}/") for link in state.links for address in link.addresses)
    with network.second.inside():
        state = inspect()
        assert (state.global_link_v6, state.address_v6, state.gateway_v6) == ("", "", "")
