"""A row of the tables of what can be wrong, and what several of its makers share."""

from collections.abc import Callable
from dataclasses import dataclass

from netprobe.sim.records import Fault, Scenario
from netprobe.sim.worlds.plan import WorldPlan

#: The platform's zones; a censor's list has the first two and some of the rest.
ZONES = (
    "*.tiktok.com",
    "*.tiktokv.com",
    "*.tiktokcdn.com",
    "*.tiktokcdn-us.com",
    "*.tiktokv.eu",
    "*.byteicdn.com",
    "*.ibytedtos.com",
    "*.tiktokapis.com",
    "*.ttwstatic.com",
    "*.ttlivecdn.com",
    "*.byteoversea.com",
)

Maker = Callable[[WorldPlan], Scenario | None]


@dataclass(slots=True, frozen=True)
class Trouble:
    """One thing that can be wrong: `make` breaks a world with it, or says None where it does not fit.

    `also` are components besides its own whose blame would not be wrong: who enforces a policy in the ISP's network is
    rightly found there.
    """

    cause: str
    weight: float
    sentence: str
    make: Maker
    also: tuple[str, ...] = ()


def carried(world: WorldPlan) -> list[str]:
    """The transits' routers that essential servers of the platform are behind."""
    return [hop for hops in world.carriers.values() for hop in hops if world.needs(hop)]


def dead_ways(world: WorldPlan, *, transit: bool) -> Scenario | None:
    """A quarter to a half of some parallel ways, the ISP's or a transit's, swallow what the client sends."""
    found = [
        diamond
        for diamond in world.diamonds
        if (diamond.owner in world.carriers if transit else diamond.owner == "isp")
        and world.needs(diamond.members[0].rpartition("-way-")[0])
    ]
    if not found:
        return None
    members = world.draw.choice(found).members
    count = world.draw.randint(-(-len(members) // 4), len(members) // 2)
    dead = tuple(sorted(world.draw.sample(members, count)))
    return world.broken(Fault("drop", dead, match=world.from_client))
