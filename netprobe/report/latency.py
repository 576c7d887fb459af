"""How long answers took in one report: one number for each part of the way, comparable between reports."""

from collections.abc import Iterable
from statistics import median

from netprobe.model.probes import Train
from netprobe.model.report import Observation, Report
from netprobe.model.services import Answer

#: What is plotted, in order from near to far; the keys are kept in the agent's records.
SERIES: dict[str, str] = {
    "gateway": "home router",
    "lookup": "name service",
    "control": "other services",
    "edge": "{platform}",
}


def latencies(report: Report) -> dict[str, float]:
    """The median answer time in seconds of each of SERIES; what did not answer is left out."""
    found: dict[str, list[float]] = {key: [] for key in SERIES}
    for observation in report.observations:
        key = observation.purpose.partition(".")[0]
        if key in found:
            found[key] += _times(observation)
    return {key: median(times) for key, times in found.items() if times}


def _times(observation: Observation) -> Iterable[float]:
    match observation.fact:
        case Train() as train:
            times = [x.reply.rtt_s for x in train.exchanges if x.reply and x.reply.from_destination]
            return [median(times)] if times else []
        case Answer(rtt_s=float() as rtt_s):
            return [rtt_s]
    return []
