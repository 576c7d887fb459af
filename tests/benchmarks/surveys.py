"""A whole survey over TUN: where all is well, and where half of the names lead to who is silent."""

import statistics
import sys
from collections.abc import Iterator

import msgspec

from netprobe.model.probes import Train
from netprobe.model.record import from_json
from netprobe.model.report import Report
from netprobe.model.services import Response
from netprobe.sim.records import Fault, Scenario
from netprobe.sim.scenario import load
from netprobe.sim.world import World
from tests.benchmarks.figures import Figure, timed
from tests.benchmarks.others import questions

_SYMPTOM = "slow"  # the one that asks for most names
_TURNS = 5
_HEALTHY_S, _SILENT_S = 2.5, 6.0
#: Who delivers half of the names, controls included.
_HALF = ("akamai-fra", "akamai-apple", "fastly-tiktok", "fastly-python")


def survey() -> Iterator[Figure]:
    """How long it measures, start-up apart, beside a shell loop of mtr, curl and dig that asks the same."""
    healthy = load("healthy")
    half = msgspec.structs.replace(healthy, faults=(Fault(kind="down", at=_HALF),))
    yield from _measured(healthy, "a survey, healthy", _HEALTHY_S)
    yield from _measured(half, "a survey, half of the names silent", _SILENT_S)


def _measured(scenario: Scenario, what: str, bar_s: float) -> Iterator[Figure]:
    command = [sys.executable, "-m", "netprobe", "diagnose", "--json", "--symptom", _SYMPTOM]
    with World(scenario) as world:
        reports = [from_json(world.run(command).stdout, Report) for _ in range(_TURNS)]
        script = questions(reports[-1])
        beside_s = timed(lambda: world.run(["sh", "-c", "\n".join(script)]))
    took_s = statistics.median(report.timing.wall_s for report in reports)
    note = f"median of {_TURNS}; {_names(reports[-1])}; {len(script)} calls of dig, curl, ping, mtr -r -c 10"
    yield Figure("survey", what, took_s, "s", bar_s, beside_s, "shell loop", note)
    sent = statistics.median(report.timing.packets_sent for report in reports)
    yield Figure("survey", "  probes and requests sent", sent, "packets")


def _names(report: Report) -> str:
    """How many names were asked for a page, how many of them answered, and how far the farthest is."""
    served: dict[str, bool] = {}
    slowest_s = 0.0
    for observation in report.observations:
        fact = observation.fact
        if observation.purpose in {"edge.fetch", "control.fetch"} and isinstance(fact, Response):
            served[observation.subject] = served.get(observation.subject, False) or bool(fact.status)
        elif isinstance(fact, Train):
            best = min((x.reply.rtt_s for x in fact.exchanges if x.reply), default=0.0)
            slowest_s = max(slowest_s, best)
    return f"{sum(served.values())} of {len(served)} names answer, the farthest after {1000 * slowest_s:.0f} ms"
