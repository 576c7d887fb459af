"""Generated worlds, measured again under disturbances that change nobody's fault: `python -m tests.lab.disturbed N SEED`.

A control is missing, a target is missing, one packet in a hundred gets lost on the line each way, nothing of ICMP comes
through, and chance falls otherwise (twenty times). Printed is how many answers were right, wrong or none of each kind,
and whom an undisturbed diagnosis does not blame; the exit code is 1 when a disturbance made one blame somebody wrongly.
"""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from msgspec.structs import replace

from netprobe.lab.score import Run, run_virtual, runs
from netprobe.model.report import Report
from netprobe.model.targets import Platform
from netprobe.sim.records import Fault, Match, Scenario
from netprobe.sim.worlds import generated
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform

LOSS = 0.01  # each way: two probes of a hundred stay without an answer
REPEATS = 20
_NEAR = ("client", "home", "isp")  # what the names of nodes begin with that all ways lead over

Situation = tuple[Scenario, Platform]


class Disturbance(NamedTuple):
    """What is changed, by the name of it."""

    name: str
    change: Callable[[Scenario, Platform, random.Random], Situation]


def _without_a_control(world: Scenario, platform: Platform, draw: random.Random) -> Situation:
    gone = draw.choice(platform.controls)
    return world, replace(platform, controls=tuple(c for c in platform.controls if c is not gone))


def _without_a_target(world: Scenario, platform: Platform, draw: random.Random) -> Situation:
    gone = draw.choice(platform.targets)
    return world, replace(platform, targets=tuple(t for t in platform.targets if t is not gone))


def _lossy_line(world: Scenario, platform: Platform, draw: random.Random) -> Situation:
    """The loss is on the links of the home router but for those to its own devices. One that loses already is let be."""
    del draw
    router = world.client.gateway
    if any(0.0 < f.fraction < 1.0 or f.loss for f in world.faults if f.at[0].startswith(_NEAR)):
        return world, platform
    links = tuple(
        replace(link, loss=1.0 - (1.0 - link.loss) * (1.0 - LOSS))
        if router in link.ends and "client" not in link.ends
        else link
        for link in world.links
    )
    return replace(world, links=links), platform


def _without_icmp(world: Scenario, platform: Platform, draw: random.Random) -> Situation:
    """The provider's first router drops it in either direction, so that the home router alone answers."""
    del draw
    first = next(router.name for router in world.routers if router.name.startswith("isp"))
    drop = Fault("drop", (first,), match=Match(protocol="icmp"))
    return replace(world, faults=(*world.faults, drop)), platform


DISTURBANCES = (
    Disturbance("a control less", _without_a_control),
    Disturbance("a target less", _without_a_target),
    Disturbance("1 % lost each way", _lossy_line),
    Disturbance("no ICMP", _without_icmp),
)


class Outcome(NamedTuple):
    """One world: the run as it is, each disturbed one by its name, and the causes that other seeds gave."""

    plain: Run
    disturbed: dict[str, Run]
    causes: Counter[str]


def outcomes(count: int, seed: int, *, repeats: int = 0) -> Iterator[Outcome]:
    """Each settled world of `count` from number `seed` on, as it is and disturbed; `repeats`: with so many seeds more."""
    platform = load_platform()
    with AsnTable.open() as networks:

        def run(situation: Situation, number: int) -> Run:
            def measure(scenario: Scenario, number: int) -> Report:
                return run_virtual(scenario, number, situation[1], networks.lookup)

            return next(iter(runs([situation[0]], [number], measure)))

        for world in generated(seed, count):
            if world.expect.open:
                continue
            draw = random.Random(world.name)  # a choice to measure with, no secret
            plain = run((world, platform), seed)
            disturbed = {d.name: run(d.change(world, platform, draw), seed) for d in DISTURBANCES}
            causes = Counter(run((world, platform), number).cause for number in range(1, repeats + 1))
            yield Outcome(plain, disturbed, causes)


def misled(outcome: Outcome) -> dict[str, str]:
    """The disturbances under which somebody is blamed wrongly who is not without them, and who that is."""
    if outcome.plain.wrong_blame or outcome.plain.blames_innocent:
        return {}
    return {name: run.cause for name, run in outcome.disturbed.items() if run.wrong_blame or run.blames_innocent}


def main(count: int, seed: int) -> int:
    """Print a line for each that was misled, then the table."""
    kinds: dict[str, Counter[str]] = {}
    asked = flipped = wrong = 0
    for outcome in outcomes(count, seed, repeats=REPEATS):
        for name, run in {"as it is": outcome.plain, **outcome.disturbed}.items():
            kind = "wrong" if run.wrong_blame or run.blames_innocent else "right" if run.right else "no answer"
            kinds.setdefault(name, Counter())[kind] += 1
        for name, cause in misled(outcome).items():
            wrong += 1
            sys.stdout.write(f"{outcome.plain.scenario}: {outcome.plain.expected_cause}, {name}: {cause}\n")
        asked += REPEATS
        flipped += REPEATS - max(outcome.causes.values())
    for name, counts in kinds.items():
        sys.stdout.write(f"{name:<20} " + ", ".join(f"{count} {kind}" for kind, count in counts.items()) + "\n")
    sys.stdout.write(f"{flipped} of {asked} verdicts of other seeds are not the usual one of their world\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
