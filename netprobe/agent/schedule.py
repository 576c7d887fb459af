"""When the next round is due. Pure: the time and the chance come in as arguments."""

import math
import re
from random import Random

#: Fraction of the interval by which a round may start early or late, so that many agents do not measure in step.
JITTER = 0.1
SHORTEST_S = 1.0
LONGEST_S = 7 * 86400.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_INTERVAL = re.compile(r"(?P<count>[0-9]{1,6}(?:\.[0-9]{1,3})?)(?P<unit>[smhd])")


class IntervalError(ValueError):
    """An interval that is not understood; the message says what one looks like."""


def parse_interval(text: str, longest_s: float = LONGEST_S) -> float:
    """Seconds of an interval such as `30s`, `5m`, `1h` or `1d`; from one second to `longest_s`, a week."""
    match = _INTERVAL.fullmatch(text.strip())
    if not match:
        msg = f"'{text}' is not an interval; write a number and a unit: 30s, 5m, 1h or 1d"
        raise IntervalError(msg)
    seconds = float(match["count"]) * _UNITS[match["unit"]]
    if not SHORTEST_S <= seconds <= longest_s:
        msg = f"'{text}' is out of range; an interval lies between 1s and {longest_s / 86400:g}d"
        raise IntervalError(msg)
    return seconds


def next_due(due: float, now: float, every_s: float) -> float:
    """The first place after `now` on the grid that `due` lies on, at least one interval later.

    Rounds do not drift, and places that passed while a round took longer than the interval are left out: rounds never
    queue up.
    """
    return due + max(1, math.floor((now - due) / every_s) + 1) * every_s


def next_at(due: float, now: float, every_s: float, rng: Random) -> float:
    """When the round that is due at `due` starts: within JITTER of an interval around it, and not before `now`."""
    return max(now, due + rng.uniform(-JITTER, JITTER) * every_s)
