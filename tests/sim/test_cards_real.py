"""The client's cards in real kernels: leases that come and go, cables that are pulled, processes that have to wait."""

import json
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from netprobe.sim.world import Fidelity, World, run_in_world
from tests.sim.small import SERVER, fault, line
from tests.sim.test_cards import STICK, two

pytestmark = pytest.mark.packets

PATIENCE_S = 20.0
LONGEST_GAP = """
import time
longest, before, until = 0.0, time.monotonic(), time.monotonic() + 3.0
while before < until:
    time.sleep(0.01)
    now = time.monotonic()
    longest, before = max(longest, now - before), now
print(longest)
"""


def addresses(world: World, device: str) -> list[str]:
    """The IPv4 addresses of a device of the client's."""
    rows = json.loads(world.run(["ip", "-j", "-4", "address", "show", device]).stdout or "[]")
    return [found["local"] for row in rows for found in row.get("addr_info", ())]


def next_hop(world: World) -> str:
    """The way of packets to the server; empty: the kernel says that there is none."""
    done = world.run(["ip", "-j", "route", "get", SERVER])
    return str(json.loads(done.stdout)[0]["gateway"]) if done.returncode == 0 else ""


def wait_for(what: Callable[[], object], value: object) -> None:
    """Until `what` is `value`, which a busy machine may take its time for."""
    until = time.monotonic() + PATIENCE_S
    while what() != value and time.monotonic() < until:
        time.sleep(0.05)
    assert what() == value


@pytest.mark.parametrize("fidelity", Fidelity)
def test_a_lease_that_ends_takes_address_and_route_and_one_that_begins_brings_them(fidelity: Fidelity) -> None:
    """In between the device has the address that it made up, and what is sent fails at once."""
    lost = fault("no_lease", "client", begin_s=1.0, end_s=6.0, addresses=("169.254.7.9",))
    with World(line(lost), fidelity=fidelity) as world:
        wait_for(lambda: addresses(world, "eth0"), ["169.254.7.9"])
        assert next_hop(world) == ""
        assert "unreachable" in world.run(["ping", "-c", "1", SERVER], stderr=subprocess.STDOUT).stdout
        wait_for(lambda: addresses(world, "eth0"), ["192.168.1.23"])
        wait_for(lambda: next_hop(world), "192.168.1.1")
        assert world.run(["ping", "-c", "1", "-W", "5", SERVER]).returncode == 0


@pytest.mark.parametrize("fidelity", Fidelity)
def test_the_other_card_carries_what_the_first_cannot(fidelity: Fidelity) -> None:
    """With the address the route goes, and the next metric counts."""
    with World(two(fault("no_lease", "client")), fidelity=fidelity) as world:
        assert (addresses(world, "eth0"), addresses(world, "wwan0")) == ([], ["192.168.8.100"])
        assert next_hop(world) == STICK
        assert world.run(["ping", "-c", "1", "-W", "5", SERVER]).returncode == 0


@pytest.mark.parametrize("fidelity", Fidelity)
def test_a_cable_that_is_pulled_leaves_the_route_where_it_is(fidelity: Fidelity) -> None:
    """That is Linux's way: packets go nowhere, unless they are bound to the other card."""
    with World(two(fault("down", "client")), fidelity=fidelity) as world:
        assert next_hop(world) == "192.168.1.1"
        assert world.run(["ping", "-c", "1", "-W", "1", SERVER]).returncode != 0
        assert world.run(["ping", "-c", "1", "-W", "5", "-I", "wwan0", SERVER]).returncode == 0


@pytest.mark.parametrize("fidelity", Fidelity)
def test_processes_of_a_busy_client_wait_for_their_turn(fidelity: Fidelity) -> None:
    """As long as the scenario says, and no more when that is over."""
    scenario = line(fault("busy", "client", delay_ms=600.0))
    done = run_in_world(scenario, [sys.executable, "-c", LONGEST_GAP], fidelity=fidelity, capture=True)
    assert 0.55 < float(done.stdout) < 5.0
