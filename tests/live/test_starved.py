"""A diagnosis that is kept from the processor, in a network in which nothing is wrong."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from netprobe.sim.scenario import load
from netprobe.sim.world import run_in_world

pytestmark = pytest.mark.packets

STARVE = str(Path(__file__).with_name("starve.py"))
DIAGNOSE = [sys.executable, "-m", "netprobe", "diagnose", "--json"]


def verdict(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output)["verdict"]
    return found


def state(found: dict[str, Any]) -> str:
    return str(next(e["state"] for e in found["evidence"] if e["id"] == "host.busy"))


@pytest.mark.parametrize(("seconds", "times"), [(1.2, 4), (5.5, 2)])
def test_starvation_blames_nobody(seconds: float, times: int) -> None:
    """Stopped for longer than a time-out, again and again, it says so and blames no network."""
    done = run_in_world(load("healthy"), [sys.executable, STARVE, str(seconds), str(times), *DIAGNOSE], capture=True)
    found = verdict(done.stdout)
    # Where others want the processor too, as on a full machine, that is the trouble: the network is innocent in any case.
    assert state(found) in {"starved", "overloaded"}
    assert found["component"] in {"none", "undetermined"} or found["cause"] == "home.device.busy", found["cause"]


def test_busy_machine_gets_its_verdict() -> None:
    """Four loops that want all of the processor, but politely, take the verdict from nobody."""
    loops = [subprocess.Popen(["nice", "-n", "19", sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        done = run_in_world(load("isp-core-black-hole"), DIAGNOSE, capture=True)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
    found = verdict(done.stdout)
    assert found["component"] in {"isp", "undetermined"} or found["cause"] == "home.device.busy"
    assert found["component"] == "isp" or state(found) in {"starved", "overloaded"}
