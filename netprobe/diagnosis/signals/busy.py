"""Was this computer itself too busy to measure?

A process that does not get the processor reads answers late and finds time-outs over: its losses may be its own.
"""

from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal

LATE_S = 0.15  # from there on times, and silence that is counted, are not what the network did
STARVED_S = 0.5  # half of a probe's time-out: from there on any silence may be this computer's own


def busy(view: View) -> Finding | None:
    """How late was the measurement at worst?"""
    if len(view.facts.hosts) < 2:
        return None
    indices = tuple(i for i, _ in view.facts.hosts[1:])
    late_s = max(host.late_s for _, host in view.facts.hosts[1:])
    late = f"late by {1000 * late_s:.0f} ms" if late_s < 1.0 else f"late by {late_s:.1f} s"
    if late_s >= STARVED_S:
        return Finding("starved", f"This computer was too busy ({late}).", indices)
    if late_s >= LATE_S:
        return Finding("late", f"This computer was too busy ({late}).", indices)
    return Finding("no", f"This computer was not too busy to measure (at worst {late}).", indices)


SIGNALS = (Signal("host.busy", "busy", ("no", "late", "starved"), busy, good=("no",)),)
