"""The hop at which a name is minded, in simulated networks: by virtual time, and with real connections over TUN."""

import sys

import pytest

from netprobe.diagnosis.signals import interferer
from netprobe.model.record import from_json
from netprobe.model.report import Report
from netprobe.model.services import Handshaken
from netprobe.probing.interference import Interference, Manner, interference
from netprobe.probing.locate import HOP_OF_NAME, HOP_OF_OTHER, locate
from netprobe.probing.run import run
from netprobe.sim.network import Network
from netprobe.sim.records import Scenario
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import run_in_world
from netprobe.sim.worlds import generate
from tests.scenarios import load

NAME, OTHER = "www.tiktok.com", "example.com"
WORLDS = range(1, 800)  # so many that one device in thirty that works by chance may be missed
_MOST_WRONG = 0.03


def address_of(scenario: Scenario) -> str:
    """Where the platform's page is."""
    return scenario.names[NAME].addresses[0]


def found_in(scenario: Scenario, seed: int = 0) -> Interference:
    """What asking hop by hop shows."""
    vantage = VirtualVantage(scenario, seed)
    observations = run(locate(address_of(scenario), NAME, OTHER), vantage)
    facts = [(o.purpose, o.fact) for o in observations if isinstance(o.fact, Handshaken)]
    return interference([f for p, f in facts if p == HOP_OF_NAME], [f for p, f in facts if p == HOP_OF_OTHER])


def hop_behind(scenario: Scenario) -> int:
    """The hop behind the first router on the way that does something about the name: it does so when it forwards."""
    minding = {router for fault in scenario.faults if fault.match.server_name for router in fault.at}
    ways = [router.name for router in Network(scenario).hops(address_of(scenario))]
    return next((index + 2 for index, name in enumerate(ways) if name in minding), 0)


@pytest.mark.parametrize(
    ("name", "manner", "passes"),
    [
        ("sni-reset", Manner.RESET, False),
        ("sni-drop", Manner.SILENCE, False),
        ("sni-fin", Manner.FIN, False),
        ("sni-reset-injected", Manner.RESET, True),
        ("mobile-sni-reset", Manner.RESET, False),
    ],
)
def test_each_manner_at_its_hop(name: str, manner: Manner, passes: bool) -> None:  # noqa: FBT001  # a table's column
    """The hop behind the router that minds the name, whatever it does about it."""
    scenario = load(name)
    found = found_in(scenario)
    assert (found.manner, found.ttl, found.nearest, found.passes) == (manner, *[hop_behind(scenario)] * 2, passes)


@pytest.mark.parametrize(
    "name", ["healthy", "mobile-healthy", "transit-lossy", "isp-line-lossy", "certificate-expired"]
)
def test_nobody_is_found_where_nobody_is(name: str) -> None:
    """Health, loss and a server with a certificate of its own mind no name."""
    for seed in range(5):
        assert found_in(load(name), seed).manner in {Manner.NONE, Manner.UNCLEAR}, seed


@pytest.mark.slow
def test_generated_worlds() -> None:
    """Right to the hop, or as closely as silent routers allow, in 97 % of all worlds with such a device; never nobody."""
    right = [
        found.nearest <= hop_behind(world) <= found.ttl and found.manner is not Manner.NONE
        for world in map(generate, WORLDS)
        if world.expect.cause.startswith("policy.tls.sni") and hop_behind(world)
        for found in [found_in(world)]
    ]
    assert len(right) > 20
    assert right.count(False) <= _MOST_WRONG * len(right)


@pytest.mark.packets
@pytest.mark.patient
@pytest.mark.parametrize(("name", "state"), [("sni-reset", "provider"), ("sni-drop", "provider"), ("healthy", "")])
def test_a_diagnosis_with_real_packets_places_it(name: str, state: str) -> None:
    """Kernel connections with a small TTL: routers' words and forged ends are heard, and the evidence says where."""
    scenario = load(name)
    command = [sys.executable, "-m", "netprobe", "diagnose", "--json", "--locate"]
    report = from_json(run_in_world(scenario, command, capture=True).stdout, Report)
    (evidence,) = [one for one in report.verdict.evidence if one.id == "tls.place"]
    assert evidence.state == state
    if state:
        seen = [o.fact for o in report.observations if o.purpose == HOP_OF_NAME and isinstance(o.fact, Handshaken)]
        other = [o.fact for o in report.observations if o.purpose == HOP_OF_OTHER and isinstance(o.fact, Handshaken)]
        assert interference(seen, other).ttl == hop_behind(scenario)
        assert interferer.SIGNALS[0].id == evidence.id
