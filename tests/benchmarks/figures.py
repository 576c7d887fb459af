"""What a measurement gives: a figure with its bar, beside that of another tool; and how often something is measured."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from netprobe.model.record import Record


class Figure(Record, frozen=True):
    """One figure of netprobe. `bar` is what it may be at most, `beside` the figure of `tool` in the same network."""

    row: str
    what: str
    netprobe: float
    unit: str
    bar: float | None = None
    beside: float | None = None
    tool: str = ""
    note: str = ""

    @property
    def held(self) -> bool | None:
        """Whether the bar is; None without one."""
        return None if self.bar is None else self.netprobe <= self.bar

    @property
    def ratio(self) -> float | None:
        """To the figure beside it; nothing to compare with: None."""
        return self.netprobe / self.beside if self.beside else None


def timed(action: Callable[[], object]) -> float:
    """Seconds that `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def median_s(action: Callable[[], object], times: int) -> float:
    """Seconds that `action` takes, the median of `times`."""
    return statistics.median(timed(action) for _ in range(times))


def in_turns(actions: Mapping[str, Callable[[], object]], times: int, once: Sequence[str] = ()) -> dict[str, float]:
    """The median seconds of each of `actions`, taken in turns: a busy machine is as busy for all of them.

    Those that are named in `once` are slow and steady: their first turn is enough.
    """
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(times):
        for name, action in actions.items():
            if turn == 0 or name not in once:
                taken[name].append(timed(action))
    return {name: statistics.median(seconds) for name, seconds in taken.items()}
