"""Virtual time, real packets and the kernel's own routers tell the same story, observation by observation."""

import sys
from pathlib import Path as File

import msgspec
import pytest

from netprobe.lab.score import run_real
from netprobe.model.host import HostState
from netprobe.model.probes import FlowTest, Multipath, Path, PathMtu, RateTest, Train
from netprobe.model.record import from_json
from netprobe.model.report import AnyFact, Observation
from netprobe.model.services import Answer, Handshaken, Response
from netprobe.probing.run import run
from netprobe.probing.survey import survey
from netprobe.sim import library
from netprobe.sim.records import Scenario
from netprobe.sim.scenario import load
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, run_in_world
from netprobe.topology.platform import load_platform

#: A busy machine may be late for a reply or two; it may not see something else.
TOLERATED = 2

#: Scenarios in which chance decides which packets get lost, so that no two runs see the same trains and paths.
BY_CHANCE = {"healthy-lossy"}
#: Scenarios in which chance decides even what is asked: no two runs put the same questions.
DRAWN = {
    *("healthy-lossy", "home-wifi-lossy", "isp-line-lossy", "transit-lossy", "cdn-lossy", "healthy-limited-pings"),
    *("healthy-balanced", "isp-dead-branch", "transit-dead-branch"),
}

#: What the own firewall drops is told late by the tap on the wire, so that the real vantage looks at more; and what the
#: kernel says of a neighbour that is silent comes after three seconds, when it is chance who still waits for it.
TOLD_LATE = ("home-firewall", "home-firewall-platform", "gateway-dead", "own-link-down")

BEHIND_DEVICES = (
    "healthy",
    "sni-reset",
    "dns-tampering",
    "home-blocklist",
    "local-resolver-down",
    "routing-loop",
    "maintenance",
    "certificate-expired",
    "home-clock-wrong",
    "mobile-healthy",
    "mobile-sni-reset",
)


def kind_of(fact: AnyFact) -> object:  # one a fact
    """What a fact says, apart from how long it took."""
    match fact:
        case Answer():
            return fact.rcode, fact.error, fact.addresses, fact.aliases
        case Train():
            return fact.destination, [(x.reply.kind, x.reply.ttl) if x.reply else None for x in fact.exchanges]
        case Path():
            return fact.flow.destination, fact.reached, [hop.addresses for hop in fact.hops]
        case Handshaken():
            return fact.phase, fact.error, fact.detail, fact.tls_version
        case Response():
            return fact.status, fact.error, kind_of(fact.handshaken), sorted(fact.headers), fact.title, fact.body_bytes
        case PathMtu():
            return fact.mtu, fact.told, fact.black_hole
        case RateTest() | FlowTest() | Multipath():
            return fact.flow
        case HostState():
            return fact.default_link, fact.gateway, fact.neighbour, fact.resolvers


def virtual(scenario: Scenario) -> tuple[Observation, ...]:
    platform = load_platform()
    targets = [target for target in platform.targets if target.essential]
    return run(survey(platform, targets), VirtualVantage(scenario, 1))


def real(scenario: Scenario, fidelity: Fidelity) -> tuple[Observation, ...]:
    command = [sys.executable, str(File(__file__).with_name("measure.py"))]
    done = run_in_world(scenario, command, seed=1, fidelity=fidelity, capture=True)
    assert done.returncode == 0, done.stderr
    return from_json(done.stdout, tuple[Observation, ...])


@pytest.mark.packets
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "fidelity"),
    [(name, Fidelity.TUN) for name in BEHIND_DEVICES]
    + [(name, Fidelity.KERNEL) for name in library.names() if name not in DRAWN.union(TOLD_LATE)],
)
def test_all_see_the_same(name: str, fidelity: Fidelity) -> None:
    """The same questions in the same order, and to each the same kind of answer."""
    scenario = load(name)
    one_address = {n: msgspec.structs.replace(e, addresses=e.addresses[:1]) for n, e in scenario.names.items()}
    scenario = msgspec.structs.replace(scenario, names=one_address)  # servers may shuffle several
    pairs = list(zip(virtual(scenario), real(scenario, fidelity), strict=True))
    assert [(v.purpose, v.subject) for v, _ in pairs] == [(r.purpose, r.subject) for _, r in pairs]
    different = [
        (v.purpose, v.subject, kind_of(v.fact), kind_of(r.fact))
        for v, r in pairs
        if kind_of(v.fact) != kind_of(r.fact) and not (name in BY_CHANCE and isinstance(v.fact, Train | Path))
    ]
    assert len(different) <= TOLERATED, different


@pytest.mark.packets
@pytest.mark.slow
@pytest.mark.parametrize("name", TOLD_LATE)
@pytest.mark.parametrize("fidelity", list(Fidelity), ids=str)
def test_all_come_to_the_same_answer(name: str, fidelity: Fidelity) -> None:
    """Where the questions differ, what is expected is said all the same."""
    expect = load(name).expect
    verdict = run_real(load(name), 1, fidelity).verdict
    assert (verdict.component, verdict.cause) == (expect.component, expect.cause)
