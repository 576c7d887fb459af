"""Over IPv6 too virtual time and real packets tell the same story, check by check."""

import sys
from pathlib import Path

import msgspec
import pytest

from netprobe.model.record import from_json
from netprobe.sim.records import Scenario
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, run_in_world
from tests.sim.fidelities import kind_of
from tests.sim.over_v6 import Seen, measure
from tests.sim.real_scenario import CONTROL_V6, EDGE_V6, HOPS_V6, RESOLVER_V6, dual

NAME = "www.tiktok.com"
NOBODY = "2001:db8:dead::1"

FAULTS = {
    "none": "",
    "black hole": '[[fault]]\nkind = "drop"\nat = "core"\nmatch = { destination = ["::/0"] }\n',
    "large ones": '[[fault]]\nkind = "drop"\nat = "core"\nmatch = { destination = ["::/0"], larger_than = 1300 }\n',
    "reset": '[[fault]]\nkind = "reset"\nat = "access"\nmatch = { server_name = ["*.tiktok.com"] }\n',
    "loop": '[[fault]]\nkind = "loop"\nat = ["access", "core"]\nmatch = { destination = ["2001:db8:ed::/48"] }\n',
    "certificate": '[[fault]]\nkind = "certificate"\nat = "edge"\nself_signed = true\n',
    "refuse": '[[fault]]\nkind = "refuse"\nat = "edge"\n',
    "down": '[[fault]]\nkind = "down"\nat = "edge"\n',
    "silent": '[[fault]]\nkind = "silent"\nat = "access"\n',
    "http": '[[fault]]\nkind = "http"\nat = "edge"\nstatus = 503\n',
    "dns": '[[fault]]\nkind = "dns"\nat = "provider"\naddresses = ["10.10.10.10", "2001:db8:bad::1"]\n',
    "hangup": '[[fault]]\nkind = "hangup"\nat = "edge"\nwhen = "hello"\nhow = "close"\n',
}


def different(scenario: Scenario, fidelity: Fidelity) -> list[str]:
    """A line for each check that `fidelity` answers otherwise than virtual time."""
    asked = (RESOLVER_V6, NAME, [EDGE_V6, CONTROL_V6, HOPS_V6[1], NOBODY])
    virtual = measure(VirtualVantage(scenario, 1), *asked)
    command = [sys.executable, str(Path(__file__).with_name("over_v6.py")), *asked[:2], *asked[2]]
    done = run_in_world(scenario, command, seed=1, fidelity=fidelity, capture=True)
    assert not done.returncode, done.stderr
    real = from_json(done.stdout, Seen)
    pairs = [(kind_of(v), kind_of(r)) for v, r in zip(virtual.facts, real.facts, strict=True)]
    return [f"{number}: virtual {v}; real {r}" for number, (v, r) in enumerate(pairs) if v != r]


@pytest.mark.packets
@pytest.mark.patient
@pytest.mark.parametrize("fidelity", list(Fidelity), ids=str)
@pytest.mark.parametrize("fault", FAULTS)
def test_all_see_the_same(tmp_path: Path, fault: str, fidelity: Fidelity) -> None:
    """Lookups, trains, paths by three protocols, the path's MTU, handshakes and fetches, also to nobody."""
    assert different(dual(tmp_path, FAULTS[fault]), fidelity) == []


@pytest.mark.packets
@pytest.mark.patient
@pytest.mark.parametrize("fidelity", list(Fidelity), ids=str)
@pytest.mark.parametrize("without", ["router", "narrow"])
def test_ways_of_their_own_are_the_same(tmp_path: Path, without: str, fidelity: Fidelity) -> None:
    """Where no route of IPv6 leads on, and where a link is a tunnel's."""
    scenario = dual(tmp_path)
    replace = msgspec.structs.replace
    if without == "router":
        routers = tuple(replace(r, ipv6=r.name != "core") for r in scenario.routers)
        scenario = replace(scenario, routers=routers)
    else:
        links = tuple(replace(link, mtu=1280 if "core" in link.ends else 1500) for link in scenario.links)
        scenario = replace(scenario, links=links)
    assert different(scenario, fidelity) == []
