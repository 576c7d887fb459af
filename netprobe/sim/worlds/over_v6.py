"""What can be wrong with IPv6 alone: at home, at the ISP, on the way. IPv4 takes the same wires, and works."""

import msgspec

from netprobe.sim.records import Fault, Match, Scenario
from netprobe.sim.worlds.plan import WorldPlan
from netprobe.sim.worlds.trouble import Trouble, carried

_EVERYWHERE = ("::/0",)
_LARGE = (1300, 1400)  # bytes; what is smaller than 1280 passes wherever IPv6 does (RFC 8200, 5)
_SAYS_SO = 0.3  # part of the routers without a way that tell it


def _home(world: WorldPlan) -> Scenario | None:
    """The home's routers announce IPv6, and nothing passes them; or the line has none, and they say so."""
    if not (world.home and world.scenario.client.address6):
        return None
    if world.draw.random() < _SAYS_SO:
        return world.relinked(msgspec.structs.replace(world.line, ipv6=False))
    return world.broken(Fault("drop", (world.draw.choice(world.home),), match=Match(destination=_EVERYWHERE)))


def _isp(world: WorldPlan) -> Scenario | None:
    """A router of the ISP's swallows all of it or what is large, or has no way for it and says so."""
    # The first router is the gateway where there is none at home, and nobody could tell it from a modem's fault.
    places = world.trunk if world.home else world.core
    if not (places and world.scenario.client.address6):
        return None
    pairs = [pair for pair in zip(world.trunk, world.trunk[1:], strict=False) if world.adjacent(*pair)]
    if pairs and world.draw.random() < _SAYS_SO:
        ends = world.draw.choice(pairs)
        link = next(link for link in world.scenario.links if set(link.ends) == set(ends))
        return world.relinked(msgspec.structs.replace(link, ipv6=False))
    large = world.draw.choice(_LARGE) if world.core and world.draw.random() < 0.25 else 0
    place = world.draw.choice(world.core if large else places)
    return world.broken(Fault("drop", (place,), match=Match(destination=_EVERYWHERE, larger_than=large)))


def _transit(world: WorldPlan) -> Scenario | None:
    """A transit swallows it, and something essential that has IPv6 is behind."""
    dual = {s.name for s in world.scenario.servers if any(":" in address for address in s.addresses)}
    places = [hop for hop in carried(world) if world.needs(hop) & dual]
    if not (places and world.scenario.client.address6):
        return None
    return world.broken(Fault("drop", (world.draw.choice(places),), match=Match(destination=_EVERYWHERE)))


OVER_V6 = (
    Trouble("home.ipv6.broken", 1.5, "IPv6 is broken at home.", _home),
    Trouble("isp.ipv6.broken", 1.5, "The ISP's IPv6 is broken.", _isp),
    Trouble("transit.ipv6.broken", 2.5, "A transit swallows IPv6.", _transit),
)
