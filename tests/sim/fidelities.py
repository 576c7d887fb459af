"""Compares a scenario's fidelities observation by observation: `python -m tests.sim.fidelities [NAME...]` (make fidelities).

Without names every built-in scenario is run out of the kernel's routers and behind devices, and what differs from
virtual time is printed; the exit code is 1 if more differs than a busy machine explains.
"""

import sys
from pathlib import Path as File

import msgspec

from netprobe.lab.score import run_real
from netprobe.model.host import HostState
from netprobe.model.probes import FlowTest, Multipath, Path, PathMtu, RateTest, Train
from netprobe.model.record import from_json
from netprobe.model.report import AnyFact, Observation
from netprobe.model.services import Answer, Handshaken, QuicHandshaken, Response
from netprobe.probing.run import run
from netprobe.probing.survey import survey
from netprobe.sim import library
from netprobe.sim.records import Scenario
from netprobe.sim.routing import CLIENT
from netprobe.sim.scenario import load
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, run_in_world
from netprobe.topology.platform import load_platform

#: A busy machine may be late for a reply or two; it may not see something else.
TOLERATED = 2


def drawn(scenario: Scenario) -> bool:
    """Whether chance decides what is asked, so that no two runs put the same questions: loss, limits and balancing.

    Also where many places are one in truth, by a redirect: of two connections from one port the first is served.
    """
    return (
        any(link.leaving(near).loss for link in scenario.links for near in link.ends)
        or any(fault.kind == "link" and fault.loss for fault in scenario.faults)
        or any(router.balance for router in scenario.routers)
        or any(
            fault.fraction < 1.0 or fault.kind in {"congestion", "overload", "redirect"} for fault in scenario.faults
        )
        or any(f.kind == "rate_limit" and set(f.at) & {s.name for s in scenario.servers} for f in scenario.faults)
    )


def told_late(scenario: Scenario) -> bool:
    """Whether a real vantage looks at more than one in virtual time, and comes to the same answer all the same.

    What the own firewall drops is told late by the tap on the wire; and what the kernel says of a neighbour that is
    silent comes after three seconds, when it is chance who still waits for it.
    """
    own = {CLIENT, scenario.client.gateway}
    return any(f.kind == "firewall" or (f.kind == "down" and own & set(f.at)) for f in scenario.faults)


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
        case QuicHandshaken():
            return fact.phase, fact.error, fact.detail, fact.code, fact.version, fact.alpn
        case Response():
            return fact.status, fact.error, kind_of(fact.handshaken), sorted(fact.headers), fact.title, fact.body_bytes
        case PathMtu():
            return fact.mtu, fact.told, fact.black_hole
        case RateTest() | FlowTest() | Multipath():
            return fact.flow
        case HostState():
            over_v6 = (fact.global_link_v6, fact.address_v6, fact.gateway_v6, fact.neighbour_v6)
            return fact.default_link, fact.gateway, fact.neighbour, fact.resolvers, over_v6


def in_virtual_time(scenario: Scenario) -> tuple[Observation, ...]:
    """What the survey of the essential targets sees in virtual time."""
    platform = load_platform()
    targets = [target for target in platform.targets if target.essential]
    return run(survey(platform, targets), VirtualVantage(scenario, 1))


def for_real(scenario: Scenario, fidelity: Fidelity) -> tuple[Observation, ...]:
    """What it sees with real packets. Raises `RuntimeError` with the last line of what it said instead."""
    command = [sys.executable, str(File(__file__).with_name("measure.py"))]
    done = run_in_world(scenario, command, seed=1, fidelity=fidelity, capture=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
    return from_json(done.stdout, tuple[Observation, ...])


def differences(scenario: Scenario, fidelity: Fidelity) -> list[str]:
    """A line for each thing that `fidelity` says otherwise than virtual time."""
    one_address = {n: msgspec.structs.replace(e, addresses=e.addresses[:1]) for n, e in scenario.names.items()}
    scenario = msgspec.structs.replace(scenario, names=one_address)  # servers may shuffle several
    virtual, real = in_virtual_time(scenario), for_real(scenario, fidelity)
    asked = [[(seen.purpose, seen.subject) for seen in observations] for observations in (virtual, real)]
    if asked[0] != asked[1]:
        only = [sorted({*asked[n]} - {*asked[1 - n]}) for n in (0, 1)]
        # More than is tolerated, whatever it is: where the questions differ, so does the way to the answer.
        said = f"other questions: {len(asked[0])} against {len(asked[1])}; only virtual {only[0]}; only real {only[1]}"
        return [said] * (TOLERATED + 1)
    return [
        f"{v.purpose} {v.subject}: virtual {kind_of(v.fact)}; real {kind_of(r.fact)}"
        for v, r in zip(virtual, real, strict=True)
        if kind_of(v.fact) != kind_of(r.fact)
    ]


def other_answer(scenario: Scenario, fidelity: Fidelity) -> str:
    """How the verdict with real packets differs from the one that is expected; empty if it does not."""
    verdict = run_real(scenario, 1, fidelity).verdict
    if (verdict.component, verdict.cause) == (scenario.expect.component, scenario.expect.cause):
        return ""
    return f"answered {verdict.cause}, expected {scenario.expect.cause}"


def main(names: list[str]) -> int:
    """Compare; print what differs."""
    bad = 0
    for name in names or library.names():
        scenario = load(name)
        for fidelity in Fidelity:
            try:
                found: list[str] = []
                if drawn(scenario):
                    how = "chance asks other questions each time: not compared"
                elif told_late(scenario):
                    found = [said] * (TOLERATED + 1) if (said := other_answer(scenario, fidelity)) else []
                    how = "the same answer" if not found else "another answer"
                else:
                    found = differences(scenario, fidelity)
                    how = f"{len(found)} differences" if found else "the same"
            except RuntimeError as error:
                found, how = [str(error)] * (TOLERATED + 1), "no report"
            bad += len(found) > TOLERATED
            print(f"{name:<40} {fidelity.value:<7} {how}", flush=True)
            for row in dict.fromkeys(found):
                print(f"    {row}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
