"""A second uplink of some homes: an LTE stick of another provider, with ways of its own to everybody."""

import random

import msgspec

from netprobe.sim.records import Fault, Link, Nat, Router, Scenario, Uplink
from netprobe.sim.routing import Routing, node_addresses
from netprobe.sim.worlds.atlas import atlas
from netprobe.sim.worlds.ground import Ground
from netprobe.sim.worlds.plan import WorldPlan

_HOMES = 0.12  # part of the homes that have one
_UNUSED = 0.2  # part of those that get no lease, which nobody feels who has another card
_DEVICES = ("wwan0", "usb0", "enx0c5b8f27")
_DEAR = 10_000.0  # what its provider's links to others cost: nobody else's packets take them
_LTE = "lte"


def beside(draw: random.Random, world: WorldPlan, scenario: Scenario) -> Scenario:
    """`scenario`, made of `world`, perhaps with another uplink. `draw` is its own: the rest of the world stays."""
    others = [isp for isp in atlas().isps if isp.asn != world.asn and "lte" in isp.lines_of]
    leaseless = any(fault.kind == "no_lease" for fault in scenario.faults)  # it would simply use the other one
    if draw.random() >= _HOMES or not world.home or leaseless:
        return scenario
    isp = draw.choice(others)
    ground = Ground(draw)
    ground.avoid(node_addresses(scenario))
    home = f"192.168.{draw.choice((8, 42, 225))}"  # what sticks and telephones number their networks from
    if any(address.startswith(home) for address in node_addresses(scenario)):
        return scenario
    device = draw.choice(_DEVICES)
    stick = ground.add(Router(f"{_LTE}-stick", f"{home}.1", icmp_ttl=64))
    ground.link(device, stick, (0.3, 1.0))
    shared = ground.router(f"{_LTE}-shared", 0, ("10.128.0.0/11", "100.64.0.0/10"))
    ground.link(stick, shared, (12.0, 40.0), (1.0, 6.0))
    trunk = shared
    for number in range(1, draw.randint(1, 3) + 1):
        ground.router(f"{_LTE}-{number}", isp.asn, isp.routers)
        ground.link(trunk, f"{_LTE}-{number}", (0.3, 2.0))
        trunk = f"{_LTE}-{number}"
    nats = {
        stick: Nat(ground.address(("10.0.0.0/10",))),
        shared: Nat(ground.address(isp.lines), draw.choice((0, 2048))),
    }
    routers = [msgspec.structs.replace(r, nat=nats.get(r.name), ipv6=False) for r in ground.routers.values()]
    unused = (Fault("no_lease", (device,)),) if draw.random() < _UNUSED else ()
    return msgspec.structs.replace(
        scenario,
        faults=(*scenario.faults, *unused),
        uplinks=(Uplink(device, f"{home}.{draw.randrange(2, 250)}/24", stick, draw.choice((600, 700, 1024))),),
        routers=(*scenario.routers, *routers),
        links=(*scenario.links, *ground.links, *_ways(draw, world, scenario, trunk)),
    )


def _ways(draw: random.Random, world: WorldPlan, scenario: Scenario, last: str) -> list[Link]:
    """From the provider's last router to the first one of each place, and to whoever else has a server."""
    routing = Routing(scenario, 0)
    inside = {*world.home, *world.trunk, *world.borders}
    placed = {router for place in world.places for router in place.routers}
    ends = {place.routers[0]: None for place in world.places}
    hung = [server.at for server in scenario.servers] + [resolver.at for resolver in scenario.resolvers]
    ends |= dict.fromkeys(at for at in hung if at not in placed)
    found = []
    for end in ends:
        usual = routing.way(world.borders[0], end)
        if end not in inside and usual is not None:
            delay = usual.arrive_s[-1] * 1e3 * draw.uniform(0.9, 1.3) + draw.uniform(0.5, 5.0)
            found.append(Link((last, end), round(delay, 3), 0.1, cost=_DEAR))
    return found
