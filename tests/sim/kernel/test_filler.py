"""A link that others keep full: its queue takes its time out of the kernel's routers too."""

import math
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from netprobe.sim.links import others_wait_s, phase
from netprobe.sim.namespaces import own_environment
from netprobe.sim.records import Fault, Scenario
from netprobe.sim.world import Fidelity, World
from tests.sim.real_scenario import EDGE, EDGE_V6, dual

RATE_MBIT, QUEUE_MS, LOAD = 100.0, 100.0, 1.25
COUNT = 200
SEED = 3


def full(folder: Path, end_s: float = math.inf, queue_ms: float = QUEUE_MS) -> Scenario:
    """The network with a full link between the provider's two routers, on the way there."""
    network = dual(folder)
    links = tuple(
        replace(link, rate_mbit=RATE_MBIT, queue_ms=queue_ms) if set(link.ends) == {"access", "core"} else link
        for link in network.links
    )
    fault = Fault("congestion", ("access", "core"), load=LOAD, towards="core", end_s=end_s)
    return replace(network, links=links, faults=(fault,))


def waits_ms(world: World, address: str, count: int = COUNT) -> list[float]:
    """How long echo replies take."""
    said = world.run(["ping", "-n", "-c", str(count), "-i", "0.01", "-W", "3", address]).stdout
    return [float(found) for found in re.findall(r"time=([\d.]+)", said)]


@pytest.mark.packets
def test_a_full_queue_takes_its_time_and_loses_what_has_no_room(tmp_path: Path) -> None:
    """As in virtual time: nearly the whole queue, and one packet in five; its links take no time here."""
    with World(full(tmp_path), fidelity=Fidelity.KERNEL) as world:
        for address in (EDGE, EDGE_V6):
            waits = waits_ms(world, address)
            assert 0.7 * QUEUE_MS < statistics.median(waits) < 1.1 * QUEUE_MS
            assert abs(len(waits) / COUNT - 1 / LOAD) < 0.12  # four standard deviations
        assert statistics.median(waits_ms(world, "87.186.224.94", 20)) < 0.3 * QUEUE_MS  # what lies before it


@pytest.mark.packets
def test_a_queue_is_empty_again_when_others_have_gone(tmp_path: Path) -> None:
    """At once, and nothing is lost any more."""
    with World(full(tmp_path, end_s=1.0), fidelity=Fidelity.KERNEL) as world:
        while world.now() < 1.0 + 3 * QUEUE_MS / 1e3:
            waits_ms(world, EDGE, 5)
        waits = waits_ms(world, EDGE, 50)
    assert len(waits) == 50
    assert statistics.median(waits) < 0.3 * QUEUE_MS


@pytest.mark.packets
def test_what_others_have_left_behind_goes_in_its_time(tmp_path: Path) -> None:
    """A jam that is shorter than the queue: who comes after it waits for what is left, as in virtual time."""
    queue_s, end_s = 2.0, 0.2
    with World(full(tmp_path, end_s, queue_s * 1e3), SEED, fidelity=Fidelity.KERNEL) as world:
        while (before := world.now()) < end_s:
            time.sleep(0.01)
        (waited,) = waits_ms(world, EDGE, 1)
        empty = end_s + others_wait_s(end_s, queue_s, phase(SEED, ("access", "core")))
        assert 200.0 < waited < (empty - before) * 1e3 + 100.0
        while world.now() < empty:
            time.sleep(0.01)
        assert waits_ms(world, EDGE, 1)[0] < 200.0


#: A lab with a full link and with networks that announce routes; says what a ping there says.
PROGRAM = """
from netprobe.sim.scenario import load
from netprobe.sim.world import Fidelity, World
with World(load("route-leaked"), fidelity=Fidelity.KERNEL) as world:
    print(world.run(["ping", "-n", "-c", "1", "-W", "2", "1.1.1.1"]).stdout)
"""


@pytest.mark.packets
def test_it_needs_no_right_on_the_machine() -> None:
    """Who is root in a user namespace of their own alone gets full queues, bird and IPv6 all the same."""
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=own_environment())
    assert " 1 received" in done.stdout, done.stderr
