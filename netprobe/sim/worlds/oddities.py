"""Things that are wrong too and change nothing for the platform: what makes a healthy network look ill."""

import msgspec

from netprobe.sim.records import Fault, Match, Scenario
from netprobe.sim.worlds.access import ETHERNET_MTU
from netprobe.sim.worlds.far import broken_servers
from netprobe.sim.worlds.plan import WorldPlan

_DEAD_CONTROL = 0.2
_BLOCKED_CONTROL = 0.07
_LITTLE_LOSS = 0.12
_SLOW = 0.1
_LIMITED = 0.12
_NO_PINGS = 0.06  # of the healthy ones
_NO_OTHER_RESOLVERS = 0.06  # of the healthy ones


def odd(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario:
    """The network with some oddities beside what is wrong with it, which is `cause`."""
    found = [*_controls(world, cause), *_carriage(world)]
    if cause.startswith("none"):
        found += _filters(world)
    return msgspec.structs.replace(scenario, faults=(*scenario.faults, *found))


def _controls(world: WorldPlan, cause: str) -> list[Fault]:
    """An unrelated service that fails, or that the ISP blocks. A vendor's outage is told by its other customers."""
    draw = world.draw
    customers = {server for place in world.places for server in place.customers}
    others = [s.name for s in world.scenario.servers if s.name not in world.platform and s.name not in customers]
    if draw.random() < _DEAD_CONTROL:
        vendor_matters = cause.startswith("platform.")
        return [broken_servers(world, (draw.choice(others if vendor_matters else [*others, *sorted(customers)]),))]
    if draw.random() < _BLOCKED_CONTROL:
        match = Match(destination=world.addresses((draw.choice(others),)))
        return [Fault("drop", (draw.choice(world.trunk),), match=match)]
    return []


def _carriage(world: WorldPlan) -> list[Fault]:
    """A little loss, a slow line, servers that limit their answers to pings."""
    draw = world.draw
    found: list[Fault] = []
    if draw.random() < _LITTLE_LOSS:
        found.append(Fault("drop", (world.trunk[0],), fraction=round(draw.uniform(0.003, 0.02), 4)))
    if draw.random() < _SLOW:
        found.append(Fault("delay", (world.trunk[0],), delay_ms=round(draw.uniform(20.0, 80.0), 1)))
    if draw.random() < _LIMITED:
        servers = draw.sample(world.platform, draw.randint(1, len(world.platform)))
        found.append(Fault("rate_limit", tuple(sorted(servers)), rate=1.0, burst=draw.randint(1, 5)))
    return found


def _filters(world: WorldPlan) -> list[Fault]:
    """A network where pings and their errors die, or where nobody may ask other resolvers than its own."""
    draw = world.draw
    narrow = any(link.mtu < ETHERNET_MTU for link in world.scenario.links)  # its router's word must get through
    if draw.random() < _NO_PINGS and not narrow:
        return [Fault("drop", (world.trunk[0],), match=Match(protocol="icmp"))]
    if draw.random() < _NO_OTHER_RESOLVERS and world.asks_isp:
        public = tuple(
            f"{r.address}/32" for r in world.scenario.resolvers if not r.upstream and not r.name.startswith("isp-")
        )
        return [Fault("drop", (world.trunk[-1],), match=Match(protocol="udp", port=53, destination=public))]
    return []
