"""Compares a scenario's fidelities observation by observation: `python -m tests.sim.fidelities [NAME...]` (make fidelities).

Without names every built-in scenario is run behind devices and out of the kernel's routers, several at a time, and
what differs from virtual time is printed; the exit code is 1 if anything does that nobody has explained.

What is compared:

- The questions in their order, and to each the answer without its times, one by one.
- Where chance decides (`drawn`) or something is told late (`told_late`), no two runs ask the same. Then what is *said*
  is compared (`claims`): every address at a hop, status, certificate or address of a name that real packets show is one
  that virtual time shows too, with one of several seeds. Silence is no claim.
- The verdict that follows from the observations.

A machine that is busy may be late for a reply, so what differs is looked at once more: what differs both times counts.
"""

import concurrent.futures
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path as File
from typing import NamedTuple

import msgspec

from netprobe.diagnosis import diagnose
from netprobe.engine import select_targets
from netprobe.model.announcements import Announced
from netprobe.model.host import HostState
from netprobe.model.probes import FlowTest, Multipath, Path, PathMtu, RateTest, Train
from netprobe.model.record import from_json
from netprobe.model.report import AnyFact, Observation
from netprobe.model.services import Answer, Handshaken, QuicHandshaken, Response
from netprobe.model.verdict import Verdict
from netprobe.probing.run import run
from netprobe.probing.survey import survey
from netprobe.sim import library
from netprobe.sim.records import Scenario
from netprobe.sim.routing import CLIENT, Routing, node_addresses
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, run_in_world
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform
from tests.scenarios import load

Observations = tuple[Observation, ...]
Claims = dict[tuple[str, str, str], set[object]]

SEED = 1
#: Seeds of virtual time that together show what chance may bring.
CHANCES = tuple(range(1, 13))
JOBS = 6  # scenarios at a time: they mostly wait


def drawn(scenario: Scenario) -> bool:
    """Whether chance decides what is asked, so that no two runs put the same questions: loss, limits and balancing.

    Also where many places are one in truth, by a redirect: of two connections from one port the first is served; and
    where much is lost in front of a throttle: how much comes through it in a time is up to the sender.
    """
    return (
        any(link.leaving(near).loss for link in scenario.links for near in link.ends)
        or any(fault.kind == "link" and 0 < fault.loss < 1 for fault in scenario.faults)
        or any(router.balance for router in scenario.routers)
        or any(
            fault.fraction < 1.0 or fault.kind in {"congestion", "overload", "redirect", "throttle"}
            for fault in scenario.faults
        )
        or any(f.kind == "rate_limit" and set(f.at) & {s.name for s in scenario.servers} for f in scenario.faults)
    )


def told_late(scenario: Scenario) -> bool:
    """Whether a real vantage looks at more than one in virtual time, and comes to the same answer all the same.

    What the own firewall drops is told late by the tap on the wire; and what the kernel says of a neighbour that is
    silent comes after three seconds, when it is chance who still waits for it.
    """
    own = {CLIENT, scenario.client.gateway, *(name for link in scenario.uplinks for name in (link.name, link.gateway))}
    return any(f.kind == "firewall" or (f.kind == "down" and own & set(f.at)) for f in scenario.faults)


def kind_of(fact: AnyFact) -> object:  # one a fact
    """What a fact says, apart from how long it took."""
    match fact:
        case Answer():
            connection = kind_of(fact.connection) if fact.connection else None
            more = fact.servers, fact.scope, fact.authoritative, fact.status, connection
            return fact.rcode, fact.error, fact.addresses, fact.aliases, more
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
        case Announced():
            return msgspec.structs.replace(fact, entries=()), [entry.title for entry in fact.entries]
        case PathMtu():
            return fact.mtu, fact.told, fact.black_hole
        case RateTest() | FlowTest() | Multipath():
            return fact.flow
        case HostState():
            # Whom nobody has asked over IPv6 for a while the kernel forgets, and says nothing of.
            over_v6 = (
                fact.global_link_v6,
                fact.address_v6,
                fact.gateway_v6,
                _confirmed(fact.neighbour_v6) or "reachable",
            )
            return fact.default_link, fact.gateway, _confirmed(fact.neighbour), fact.resolvers, over_v6


def _confirmed(neighbour: str) -> str:
    """A neighbour's state without its age: an entry that was confirmed is asked for again after 15 to 45 s, at random."""
    return "reachable" if neighbour in {"stale", "delay", "probe"} else neighbour  # RFC 4861, 7.3.2


def said_of(fact: AnyFact) -> Iterator[tuple[str, object]]:
    """What a fact claims, piece by piece: nothing of what it did not hear."""
    match fact:
        case Answer() if not fact.error:
            yield "answer", (fact.rcode, fact.addresses, fact.aliases)
        case Train():
            yield "destination", fact.destination
            yield from ((f"ttl of {x.reply.kind}", x.reply.ttl) for x in fact.exchanges if x.reply)
        case Path():
            for hop in fact.hops:
                yield from ((_hop(hop.ttl, fact.flow.destination), address) for address in hop.addresses)
        case Handshaken() if fact.tls_version:
            yield "handshake", (fact.tls_version, fact.detail)
        case Response() if fact.status:
            yield "response", (fact.status, fact.title, fact.handshaken.tls_version)
        case Announced() if not fact.error:
            yield "announced", tuple(entry.title for entry in fact.entries)
        case HostState():
            yield "host", (fact.default_link, fact.gateway, fact.resolvers)


def _hop(ttl: int, destination: str) -> str:
    return f"hop {ttl} of {destination}"


def claims(seen: Iterable[Observation]) -> Claims:
    """All claims, by what was asked."""
    found: Claims = defaultdict(set)
    for observation in seen:
        for about, claim in said_of(observation.fact):
            found[observation.purpose, observation.subject, about].add(claim)
    return found


def in_virtual_time(scenario: Scenario, seed: int = SEED) -> Observations:
    """What a diagnosis sees in virtual time."""
    platform = load_platform()
    targets = select_targets(platform, scenario.symptom)
    plan = survey(platform, targets, symptom=scenario.symptom, announcements=scenario.client.announcements)
    return run(plan, VirtualVantage(scenario, seed))


def for_real(scenario: Scenario, fidelity: Fidelity) -> Observations:
    """What it sees with real packets. Raises `RuntimeError` with the last line of what it said instead."""
    command = [sys.executable, str(File(__file__).with_name("measure.py")), scenario.symptom]
    command += scenario.client.announcements
    done = run_in_world(scenario, command, seed=SEED, fidelity=fidelity, capture=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition("\n")[2])
    return from_json(done.stdout, Observations)


@cache
def _networks() -> AsnTable:
    return AsnTable.open()


class Explained(NamedTuple):
    """Something that differs on purpose: in which scenarios, where, how the line of the difference begins, and why.

    With `when_late` only on a machine that was late itself.
    """

    applies: Callable[[Scenario], bool]
    fidelity: Fidelity
    begins: tuple[str, ...]
    why: str
    when_late: bool = False


def _lies(scenario: Scenario) -> bool:
    return any(fault.kind == "dns" for fault in scenario.faults)


_PLACED_BY_TIME = ("verdict: virtual policy: policy.dns.tampering", "verdict: virtual home: home.dns.blocklist")
_PATHS = tuple(f"{over}{what}.path " for over in ("", "v6.") for what in ("edge", "control"))
_LATE_S = 0.01
_OF_TIMES = (".delay", ".delay.path")
_NOBODY_HAS = re.compile(r"^np[\d-]+[a-z]*(?=\.)")  # a name made of the hour, which differs


def _limits(scenario: Scenario) -> bool:
    """Whether a fault lets a router answer one probe at once."""
    return any(fault.kind == "rate_limit" and fault.burst == 1 for fault in scenario.faults)


#: All that may differ. What scenarios/README.md says that the kernel's routers do otherwise shows here where it counts.
EXPLAINED = (
    Explained(
        _lies,
        Fidelity.KERNEL,
        _PLACED_BY_TIME,
        "whether a wrong answer was made at home or further on shows in the time it took, and without netem wires take none",
    ),
    Explained(
        _lies,
        Fidelity.TUN,
        _PLACED_BY_TIME,
        "the same: on a machine that is late by more than the few milliseconds of a line, nobody can tell it",
        when_late=True,
    ),
    Explained(
        _limits,
        Fidelity.KERNEL,
        _PATHS,
        "without netem wires take no time, so that probes of two traces come to a limiter that answers one at once closer together",
    ),
    Explained(
        _limits,
        Fidelity.TUN,
        _PATHS,
        "the same: a machine that is late sends what it should have sent earlier closer together",
        when_late=True,
    ),
)


def calm(seen: Observations) -> Observations:
    """What was seen, as if this machine had had nothing else to do: a diagnosis does not believe one that was busy."""
    return tuple(
        msgspec.structs.replace(o, fact=msgspec.structs.replace(o.fact, late_s=0.0))
        if isinstance(o.fact, HostState)
        else o
        for o in seen
    )


def judged(scenario: Scenario, seen: Observations) -> Verdict:
    """The verdict that follows from what was seen."""
    return diagnose(calm(seen), load_platform(), _networks().lookup, symptom=scenario.symptom)


def verdict_of(scenario: Scenario, seen: Observations) -> str:
    """Its component and its cause."""
    verdict = judged(scenario, seen)
    return f"{verdict.component.value}: {verdict.cause}"


def one_by_one(virtual: Observations, real: Observations) -> list[str]:
    """A line for each question that is answered otherwise; where the questions differ, which ones.

    Whether round trips are looked into hangs on these alone, and a busy machine's are not those of a calm one.
    """
    virtual, real = (tuple(o for o in seen if not o.purpose.endswith(_OF_TIMES)) for seen in (virtual, real))
    asked = [[(o.purpose, _NOBODY_HAS.sub("np", o.subject)) for o in seen] for seen in (virtual, real)]
    if asked[0] != asked[1]:
        only = [sorted({*asked[n]} - {*asked[1 - n]}) for n in (0, 1)]
        return [
            f"other questions: {len(asked[0])} against {len(asked[1])}; only virtual {only[0]}; only real {only[1]}"
        ]
    return [
        f"{v.purpose} {v.subject}: virtual {kind_of(v.fact)}; real {kind_of(r.fact)}"
        for v, r in zip(virtual, real, strict=True)
        if kind_of(v.fact) != kind_of(r.fact)
    ]


def _balanced_hops(scenario: Scenario, destinations: Iterable[str]) -> dict[str, set[object]]:
    """Who may answer at each hop to a destination, by all ways that routers choose from: no few seeds take them all."""
    routing, owner = Routing(scenario, SEED), node_addresses(scenario)
    address = {router.name: router.icmp_source or router.address for router in scenario.routers}
    found: dict[str, set[object]] = defaultdict(set)
    for destination in destinations:
        for way in routing.ways(CLIENT, owner[destination]) if destination in owner else ():
            for ttl, name in enumerate(way.hops, 1):
                found[_hop(ttl, destination)].add(address[name])
    return found


def claimed_alone(scenario: Scenario, virtual: Iterable[Observations], real: Observations) -> list[str]:
    """A line for each claim of real packets that virtual time never makes where it claims anything."""
    possible: Claims = defaultdict(set)
    for seen in virtual:
        for key, said in claims(seen).items():
            possible[key] |= said
    if any(router.balance for router in scenario.routers):
        ways = _balanced_hops(scenario, {o.fact.flow.destination for o in real if isinstance(o.fact, Path)})
        for purpose, subject, about in possible:
            possible[purpose, subject, about] |= ways.get(about, set())
    return [
        f"{purpose} {subject}: {about}: virtual {sorted(map(str, possible[purpose, subject, about]))}; real {claim}"
        for (purpose, subject, about), said in claims(real).items()
        for claim in sorted(said, key=str)
        if possible[purpose, subject, about] and claim not in possible[purpose, subject, about]
    ]


def explained(scenario: Scenario, fidelity: Fidelity, real: Observations) -> tuple[str, ...]:
    """How lines begin that may differ here."""
    late = any(isinstance(o.fact, HostState) and o.fact.late_s > _LATE_S for o in real)
    rows = [row for row in EXPLAINED if row.fidelity is fidelity and row.applies(scenario)]
    return tuple(begin for row in rows for begin in row.begins if late or not row.when_late)


def runs_of(scenario: Scenario) -> list[Observations]:
    """What a diagnosis sees in virtual time: once, or as chance has it where it matters."""
    seeds = CHANCES if drawn(scenario) or told_late(scenario) else (SEED,)
    return [in_virtual_time(scenario, seed) for seed in seeds]


def compare_once(scenario: Scenario, fidelity: Fidelity, runs: list[Observations]) -> list[str]:
    """A line for each thing that `fidelity` says otherwise than the `runs` in virtual time."""
    try:
        real = for_real(scenario, fidelity)
    except RuntimeError as error:
        return [f"no observations: {error}"]
    found = one_by_one(runs[0], real) if len(runs) == 1 else claimed_alone(scenario, runs, real)
    expected = {verdict_of(scenario, seen) for seen in runs}
    if (said := verdict_of(scenario, real)) not in expected:
        found.append(f"verdict: virtual {' or '.join(sorted(expected))}; real {said}")
    return [line for line in found if not line.startswith(explained(scenario, fidelity, real))]


def differences(name: str, fidelity: Fidelity) -> list[str]:
    """What `fidelity` says otherwise than virtual time, twice, and nobody has explained."""
    scenario = load(name)
    one_address = {
        name: msgspec.structs.replace(entry, addresses=entry.addresses[:1], aaaa=entry.aaaa[:1])
        for name, entry in scenario.names.items()
    }
    scenario = msgspec.structs.replace(scenario, names=one_address)  # servers may shuffle several
    runs = runs_of(scenario)
    found = compare_once(scenario, fidelity, runs)
    if found:
        again = {_about(line) for line in compare_once(scenario, fidelity, runs)}
        found = [line for line in found if _about(line) in again]
    return found


def _about(line: str) -> str:
    return line.partition(": virtual")[0].partition(": ")[0]


def main(names: list[str]) -> int:
    """Compare; print what differs."""
    rows = [(name, fidelity) for name in names or library.names() for fidelity in Fidelity]
    bad = 0
    with concurrent.futures.ProcessPoolExecutor(int(os.environ.get("JOBS", JOBS))) as pool:
        for (name, fidelity), found in zip(rows, pool.map(differences, *zip(*rows, strict=True)), strict=True):
            bad += bool(found)
            how = f"{len(found)} differences" if found else "the same"
            how += ", as far as chance lets it" if not found and (drawn(load(name)) or told_late(load(name))) else ""
            print(f"{name:<40} {fidelity.value:<7} {how}", flush=True)
            for row in dict.fromkeys(found):
                print(f"    {row}", flush=True)
    print(f"{len(rows)} comparisons, {bad} with differences", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
