"""Generated worlds: another network, another fault and another truth for each number.

A world is drawn from the atlas (data/atlas.toml): a home and its line, an ISP, transits, exchanges and private
peerings, vendors with their places and the names that they serve, and those who have nothing to do with the platform.
What is wrong with it is drawn from troubles.py, together with what a perfect diagnosis says about it.
"""

import itertools
import random
from collections.abc import Iterator
from functools import cache

import msgspec

from netprobe.model.hint import hint
from netprobe.model.targets import Target
from netprobe.sim import checks
from netprobe.sim.records import Expect, Route, Scenario
from netprobe.sim.worlds.access import build_access, build_resolvers
from netprobe.sim.worlds.backbone import Backbone
from netprobe.sim.worlds.delivery import Delivery
from netprobe.sim.worlds.ground import Ground
from netprobe.sim.worlds.oddities import odd
from netprobe.sim.worlds.plan import WorldPlan
from netprobe.sim.worlds.troubles import TROUBLES, pick
from netprobe.sim.worlds.uplinks import beside
from netprobe.sim.worlds.versions import of_both_versions, over_both
from netprobe.topology.platform import load_platform

_TRANSLATED = 0.25  # part of the worlds whose routers translate addresses: each packet costs more there
BLAMABLE = ("home", "isp", "transit", "policy", "platform")


def generated(first: int, count: int, only: str = "") -> Iterator[Scenario]:
    """`count` worlds from number `first` on; with `only`, those that can have that cause, and all of them have it.

    Raises `ValueError` where no world has that cause.
    """
    causes = sorted({row.cause for row in TROUBLES})
    if only and only not in causes:
        msg = f"no generated world has the cause '{only}'; {hint(only, causes)}"
        raise ValueError(msg)
    drawn = (generate(number, only) for number in itertools.count(first))
    yield from itertools.islice((world for world in drawn if only in {"", world.expect.cause}), count)


def generate(seed: int, only: str = "") -> Scenario:
    """World number `seed`: always the same for the same number; with `only`, what is wrong is that, where it fits."""
    world = lay_out(random.Random(f"world/{seed}"), random.Random(f"world/{seed}/v6"))
    trouble, broken = pick(world, only)
    component = trouble.cause.partition(".")[0]
    spared = {component, *trouble.also}
    never = tuple(name for name in BLAMABLE if name not in spared)
    scenario = msgspec.structs.replace(
        of_both_versions(beside(random.Random(f"world/{seed}/uplink"), world, odd(world, broken, trouble.cause))),
        name=f"world-{seed}",
        sentence=trouble.sentence,
        expect=Expect(component, trouble.cause, never, open=trouble.open),
    )
    checks.check(scenario)
    return scenario


def lay_out(draw: random.Random, draw_v6: random.Random | None = None) -> WorldPlan:
    """A whole network without faults. What of it has IPv6 is drawn from `draw_v6`; without, nothing has."""
    targets = _targets()
    ground = Ground(draw)
    access = build_access(ground)
    backbone = Backbone(ground, access)
    delivery = Delivery(ground, access, backbone, targets)
    layout, client, resolvers = build_resolvers(ground, access, delivery.public)
    if draw.random() < _TRANSLATED:
        for name, nat in access.nats.items():
            ground.routers[name] = msgspec.structs.replace(ground.routers[name], nat=nat)
    spare = ground.neighbours(access.isp.routers, 2)
    end = draw.choice([*access.borders, *(hops[-1] for hops in backbone.carriers.values())])
    scenario = Scenario(
        name="",
        sentence="",
        expect=Expect("none", "none.app_device"),
        client=client,
        routers=tuple(ground.routers.values()),
        links=tuple(ground.links),
        servers=tuple(delivery.servers),
        resolvers=resolvers,
        routes=(Route("0.0.0.0/0", end, silent=draw.random() < 0.5),),
        names=delivery.names,
    )
    if draw_v6 is not None:
        scenario = over_both(scenario, access.isp.asn, access.home, draw_v6)
    return WorldPlan(
        draw=draw,
        scenario=scenario,
        targets=targets,
        home=access.home,
        first=access.first,
        trunk=access.trunk,
        borders=access.borders,
        carriers={name: tuple(hops) for name, hops in backbone.carriers.items()},
        exchanges={name: tuple(routers) for name, routers in backbone.exchanges.items()},
        places=tuple(delivery.places),
        diamonds=tuple(ground.diamonds),
        layout=layout,
        asn=access.isp.asn,
        nats=access.nats,
        spare=spare,
    )


@cache
def _targets() -> tuple[Target, ...]:
    return load_platform().targets
