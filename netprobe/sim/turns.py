"""When a process of a busy client gets the processor: it runs for a turn, and then waits for others.

In virtual time the vantage wakes up late by it; with real packets the client's processes are stopped and continued.
"""

from netprobe.sim.records import Fault, Scenario

TURN_S = 0.2  # what a process gets at a time: more than a scheduler's slice, so that few switches make the same wait


class Turns:
    """The faults `busy` of a scenario. Times are seconds since the start."""

    def __init__(self, scenario: Scenario) -> None:
        self._busy = tuple(fault for fault in scenario.faults if fault.kind == "busy")

    def __bool__(self) -> bool:
        return bool(self._busy)

    def runs(self, now: float) -> bool:
        """Whether a process has the processor at `now`."""
        return self.wakes(now) <= now

    def wakes(self, now: float) -> float:
        """When a process that wants to run at `now` does so: then, or when its next turn comes."""
        return max((_next_turn(fault, now) for fault in self._busy if fault.active(now)), default=now)

    def changes(self, now: float) -> float:
        """When it next gets the processor, or loses it."""
        times = [t for fault in self._busy for t in (fault.begin_s, fault.end_s, *_ends(fault, now)) if t > now]
        return min(times, default=float("inf"))


def _next_turn(fault: Fault, now: float) -> float:
    period = TURN_S + fault.delay_ms / 1e3
    into = (now - fault.begin_s) % period
    return now if into < TURN_S else min(now - into + period, fault.end_s)


def _ends(fault: Fault, now: float) -> tuple[float, ...]:
    """The end of the present turn and of the present wait."""
    if not fault.active(now):
        return ()
    period = TURN_S + fault.delay_ms / 1e3
    begin = now - (now - fault.begin_s) % period
    return begin + TURN_S, begin + period
