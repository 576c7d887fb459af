"""One scenario file is the same network twice: in virtual time and with real packets."""

from collections import defaultdict

import pytest

from netprobe.lab.score import run_tun, run_virtual
from netprobe.model.probes import Path, Train
from netprobe.model.report import AnyFact, Report
from netprobe.model.services import Answer, Handshaken, Response
from netprobe.sim.scenario import load
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform


def gist(fact: AnyFact) -> object:
    """What a fact says apart from times."""
    match fact:
        case Answer():
            return fact.lookup.resolver, fact.rcode, fact.addresses, fact.aliases, fact.error
        case Train():
            return fact.protocol, fact.destination, fact.answered, fact.accepted
        case Path():
            return fact.flow.protocol, fact.flow.destination, fact.reached, tuple(hop.addresses for hop in fact.hops)
        case Handshaken():
            return fact.handshake.address, fact.phase, fact.error
        case Response():
            return fact.handshaken.phase, fact.handshaken.error, fact.status, fact.error, fact.title, len(fact.headers)
        case _:
            return fact.links, fact.gateway, fact.neighbour, fact.resolvers


def gists(report: Report) -> dict[tuple[str, str], list[str]]:
    """What was found, by purpose and subject."""
    found = defaultdict(list)
    for observation in report.observations:
        found[observation.purpose, observation.subject].append(repr(gist(observation.fact)))
    return {key: sorted(values) for key, values in found.items()}


@pytest.mark.packets
@pytest.mark.parametrize("name", ["healthy", "sni-reset", "own-link-down"])
def test_both_fidelities_show_the_same(name: str) -> None:
    """Every question of a diagnosis has the same answer, and the verdict is the same, whichever way it was asked."""
    scenario = load(name)
    with AsnTable.open(None) as table:
        virtual = run_virtual(scenario, 1, load_platform("tiktok"), table.lookup)
    real = run_tun(scenario, 1)
    assert gists(real) == gists(virtual)
    assert (real.verdict.component, real.verdict.cause) == (virtual.verdict.component, virtual.verdict.cause)
