"""What is wrong with a generated world, with the cause that a perfect diagnosis names.

A row a trouble, in four tables: near.py, over_v6.py, between.py and far.py.
"""

import msgspec

from netprobe.sim.records import Scenario
from netprobe.sim.worlds.between import BETWEEN
from netprobe.sim.worlds.far import FAR
from netprobe.sim.worlds.near import NEAR
from netprobe.sim.worlds.over_v6 import OVER_V6
from netprobe.sim.worlds.plan import WorldPlan
from netprobe.sim.worlds.trouble import Trouble

_ATTEMPTS = 100  # a trouble that does not fit a world is drawn again
_TWICE = 0.15  # part of the troubles that hide all behind them and do hide another one

HEALTHY = Trouble(
    "none.app_device", 5, "Nothing is wrong with the network or the platform.", lambda world: world.scenario
)
TROUBLES = (HEALTHY, *NEAR, *OVER_V6, *BETWEEN, *FAR)

#: Troubles through which nothing can be seen of others behind them: whatever else is wrong, the answer is this one.
HIDING = frozenset({"home.link.down", "home.link.no_lease", "home.gateway.dead", "isp.access.outage"})


def pick(world: WorldPlan, only: str = "") -> tuple[Trouble, Scenario]:
    """A trouble that fits, and the world with it; with `only`, one with that cause, or none at all."""
    if only:
        return _draw(world, tuple(row for row in TROUBLES if row.cause == only))
    trouble, broken = _draw(world, TROUBLES)
    if trouble.cause in HIDING and world.draw.random() < _TWICE:
        second, more = _draw(world, FAR)
        faults = (*broken.faults, *more.faults)
        behind = second.sentence[:1].lower() + second.sentence[1:]
        trouble = Trouble(
            trouble.cause,
            trouble.weight,
            f"{trouble.sentence} Behind it, {behind}",
            trouble.make,
            (*trouble.also, second.cause.partition(".")[0]),
            trouble.open,
        )
        broken = msgspec.structs.replace(broken, faults=faults)
    return trouble, broken


def _draw(world: WorldPlan, rows: tuple[Trouble, ...]) -> tuple[Trouble, Scenario]:
    for _ in range(_ATTEMPTS):
        trouble = world.draw.choices(rows, [row.weight for row in rows])[0]
        broken = trouble.make(world)
        if broken is not None:
            return trouble, broken
    return HEALTHY, world.scenario
