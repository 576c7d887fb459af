"""A row of the tables of what can be wrong, and what several of its makers share."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from netprobe.sim.records import Fault, Link, Scenario
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

UNWEIGHED = "The evidence that tells it from its look-alike is not weighed yet."

Maker = Callable[[WorldPlan], Scenario | None]


@dataclass(slots=True, frozen=True)
class Trouble:
    """One thing that can be wrong: `make` breaks a world with it, or says None where it does not fit.

    `also` are components besides its own whose blame would not be wrong: who enforces a policy in the ISP's network is
    rightly found there. `open` says why today's diagnosis does not name it, empty where it does.
    """

    cause: str
    weight: float
    sentence: str
    make: Maker
    also: tuple[str, ...] = ()
    open: str = ""


def busy(world: WorldPlan, link: Link) -> Scenario:
    """A link of a home's kind whose rate others use up: all the time, or at an hour that begins in the measurement."""
    draw = world.draw
    rate, queue = draw.choice((10.0, 25.0, 50.0, 100.0)), round(draw.uniform(50.0, 200.0), 1)
    begin = 0.0 if draw.random() < 0.7 else round(draw.uniform(0.5, 2.0), 1)
    load = round(draw.uniform(1.05, 1.25), 3)
    fault = Fault("congestion", link.ends, begin_s=begin, end_s=begin + draw.choice((3600.0, 7200.0)), load=load)
    return world.relinked(msgspec.structs.replace(link, rate_mbit=rate, queue_ms=queue), world.broken(fault))


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
    return world.broken(Fault("drop", dead, match=world.from_client(dead[0])))
