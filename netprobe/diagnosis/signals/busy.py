"""Was this computer itself too busy to measure?

A process that does not get the processor reads answers late and finds time-outs over: its losses may be its own.
"""

from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal

LATE_S = 0.15  # from there on times, and silence that is counted, are not what the network did
STARVED_S = 0.5  # half of a probe's time-out: from there on any silence may be this computer's own
OVERDUE = 0.3  # of the measurement's time: who waits as long has too little of the processor, and not by accident
LOADED = 1.5  # processes that want a processor, for each: without any that do it was stopped, or the machine slept


def busy(view: View) -> Finding | None:
    """How late was the measurement at worst, and was it so because others have the processor?"""
    if len(view.facts.hosts) < 2:
        return None
    (first, _), *rest = view.facts.hosts
    indices = tuple(i for i, _ in rest)
    late_s = max(host.late_s for _, host in rest)
    late = f"late by {1000 * late_s:.0f} ms" if late_s < 1.0 else f"late by {late_s:.1f} s"
    if late_s < LATE_S:
        return Finding("no", f"This computer was not too busy to measure (at worst {late}).", indices)
    if late_s < STARVED_S:
        return Finding("late", f"This computer was too busy ({late}).", indices)
    took_s = view.facts.observations[indices[-1]].at_s - view.facts.observations[first].at_s
    overdue_s, load = sum(host.overdue_s for _, host in rest), max(host.load or 0.0 for _, host in rest)
    if overdue_s >= OVERDUE * took_s and load >= LOADED:
        told = f"{late}, overdue for {overdue_s:.1f} of {took_s:.1f} s, while {load:.1f} processes want each processor"
        return Finding("overloaded", f"This computer was too busy ({told}).", indices)
    return Finding("starved", f"This computer was too busy ({late}).", indices)


SIGNALS = (Signal("host.busy", "busy", ("no", "late", "starved", "overloaded"), busy, good=("no",)),)
