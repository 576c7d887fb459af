"""Things that are wrong or odd too and change nothing for the platform: what makes a healthy network look ill.

A row an oddity: how often, beside which causes, and a function that adds it to a world or says that it does not fit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address

from msgspec.structs import replace

from netprobe.sim.extensions import EXTENSIONS, MANGLES
from netprobe.sim.prefixes import around
from netprobe.sim.records import Back, Fault, Link, Match, RateLimit, Router, Scenario
from netprobe.sim.routing import CLIENT
from netprobe.sim.servers.answers import ALT_SVC
from netprobe.sim.worlds.access import ETHERNET_MTU, HOME_ROUTER
from netprobe.sim.worlds.far import broken_servers
from netprobe.sim.worlds.plan import WorldPlan, with_rows

_FAR = 900.0  # a cost that nobody pays
_TCP_HEADERS = 40
_AT_THE_ENDS = ("none", "platform")  # where nothing is wrong between home and platform


@dataclass(slots=True, frozen=True)
class Oddity:
    """One of them: `make` gets the world, the network with what is wrong with it, and the cause of that.

    `beside` are the components whose causes it does not touch: all, or some.
    """

    chance: float
    make: Callable[[WorldPlan, Scenario, str], Scenario | None]
    beside: tuple[str, ...] = ("home", "isp", "transit", "policy", "platform", "none")


def odd(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario:
    """The network with some oddities beside what is wrong with it, which is `cause`."""
    for row in ODDITIES:
        if cause.partition(".")[0] in row.beside and world.draw.random() < row.chance:
            scenario = row.make(world, scenario, cause) or scenario
    return scenario


def _also(scenario: Scenario, *faults: Fault) -> Scenario:
    return replace(scenario, faults=(*scenario.faults, *faults))


# --- others who are ill: an unrelated service that fails, or that the ISP blocks


def _others(world: WorldPlan) -> tuple[list[str], list[str]]:
    """Servers that have nothing to do with the platform, and those of its vendors' other customers."""
    customers = {server for place in world.places for server in place.customers}
    others = [s.name for s in world.scenario.servers if s.name not in world.platform and s.name not in customers]
    return others, sorted(customers)


def _dead_control(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario:
    """A vendor's outage is told by its other customers."""
    others, customers = _others(world)
    vendor_matters = cause.startswith("platform.")
    return _also(
        scenario, broken_servers(world, (world.draw.choice(others if vendor_matters else others + customers),))
    )


def _blocked_control(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario:
    del cause
    others, _ = _others(world)
    match = Match(destination=world.addresses((world.draw.choice(others),)))
    return _also(scenario, Fault("drop", (world.draw.choice(world.trunk),), match=match))


# --- carriage: a little loss, slow and narrow lines, ways that differ there and back


def _little_loss(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario:
    del cause
    return _also(scenario, Fault("drop", (world.trunk[0],), fraction=round(world.draw.uniform(0.003, 0.02), 4)))


def _little_bursts(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario | None:
    """The same, several in a row, on a wire inside the ISP's network."""
    del cause
    draw = world.draw
    ends = [pair for pair in zip(world.trunk, world.trunk[1:], strict=False) if world.adjacent(*pair)]
    if not ends:
        return None
    loss, burst = round(draw.uniform(0.002, 0.008), 4), round(draw.uniform(2.0, 5.0), 1)
    return _also(scenario, Fault("link", draw.choice(ends), loss=loss, loss_burst=burst))


def _slow(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario:
    del cause
    return _also(scenario, Fault("delay", (world.trunk[0],), delay_ms=round(world.draw.uniform(20.0, 80.0), 1)))


def _rated_line(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario | None:
    """A line with a rate and a long queue that nobody fills; at some hours others take a part of it."""
    draw = world.draw
    line = next(link for link in scenario.links if link.ends == world.line.ends)
    if line.rate_mbit or cause.endswith(("congested", "saturated")):
        return None
    up, down = draw.choice(((2.0, 16.0), (10.0, 50.0), (40.0, 100.0)))
    queue = round(draw.uniform(50.0, 800.0), 1)
    back = Back(rate_mbit=down, queue_ms=round(draw.uniform(20.0, 300.0), 1))
    scenario = with_rows(scenario, links=(replace(line, rate_mbit=up, queue_ms=queue, back=back),))
    if draw.random() < 0.5:
        begin = round(draw.uniform(0.0, 6.0), 1)
        load = Fault(
            "congestion",
            line.ends,
            begin_s=begin,
            end_s=begin + round(draw.uniform(3.0, 3600.0), 1),
            load=round(draw.uniform(0.2, 0.7), 2),
        )
        scenario = _also(scenario, load)
    return scenario


def _clamped(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario | None:
    """A line that is narrower than Ethernet and says so to nobody; the home router makes connections keep to it."""
    del cause
    line = next(link for link in scenario.links if link.ends == world.line.ends)
    if not world.home or any(link.mtu < ETHERNET_MTU for link in scenario.links):
        return None
    mtu = world.draw.choice((1430, 1492))
    home = next(router for router in scenario.routers if router.name == HOME_ROUTER)
    clamp = replace(home, mss_clamp=mtu - _TCP_HEADERS)
    narrow = replace(line, mtu=mtu)
    return _also(with_rows(scenario, routers=(clamp,), links=(narrow,)), Fault("silent", (world.first,)))


def _other_way_back(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario | None:
    """What a far place sends comes back over a router that nothing crosses on its way there."""
    del cause
    draw = world.draw
    near, far = draw.choice(world.borders), draw.choice([place for place in world.places if place.servers]).routers[-1]
    usual = world.usual_ms(far, near)
    if usual < 1.0:
        return None
    detour = Router("back-1", world.spare[0], world.asn)
    links = (
        Link((far, detour.name), round(usual * draw.uniform(0.5, 3.0), 2), 0.1, cost=usual / 2, back=Back(cost=_FAR)),
        Link((detour.name, near), 0.4, 0.05, cost=0.01, back=Back(cost=_FAR)),
    )
    return with_rows(scenario, routers=(detour,), links=links)


# --- routers with a mind of their own


def _limited(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario:
    """Servers that limit their answers to pings."""
    del cause
    servers = world.draw.sample(world.platform, world.draw.randint(1, len(world.platform)))
    return _also(scenario, Fault("rate_limit", tuple(sorted(servers)), rate=1.0, burst=world.draw.randint(1, 5)))


def _some(world: WorldPlan, scenario: Scenario, most: int) -> list[Router]:
    """A few of the routers that have public addresses."""
    public = [router for router in scenario.routers if router.asn]
    return world.draw.sample(public, min(len(public), world.draw.randint(1, most)))


def _garbled_quotes(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario:
    del cause
    draw = world.draw
    rows = [
        replace(router, mangle=tuple(draw.sample(MANGLES, draw.randint(1, 3))), quote=quote)
        for router in _some(world, scenario, 4)
        for quote in (draw.choice((0, 8, 28, 128)),)
    ]
    return with_rows(scenario, routers=rows)


def _talkative(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario:
    """Routers that tell their interfaces (RFC 5837)."""
    del cause
    rows = [replace(router, interfaces=True) for router in _some(world, scenario, 4)]
    return with_rows(scenario, routers=rows)


def _limits_each(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario:
    """Limits of errors as Linux has them: one for each peer and one over all. Not where a line is narrow."""
    del cause
    limit = RateLimit(1.0, 6, "peer", 1000.0, 50)
    narrow = {end for link in scenario.links if link.mtu < ETHERNET_MTU for end in link.ends}
    some = [router for router in _some(world, scenario, 5) if router.name not in narrow]
    return with_rows(scenario, routers=[replace(router, rate_limit=limit) for router in some])


def _label_switched(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario | None:
    """The inside of a transit, or of the ISP, is a label switched path; some hide it where nothing is wrong there."""
    draw = world.draw
    # Where a path begins packets have no label yet: a transit's first router, the one that lines end at.
    paths = [inside for inside in (*(hops[1:-1] for hops in world.carriers.values()), world.core) if inside]
    if not paths:
        return None
    inside = draw.choice(paths)
    hidden = cause.startswith(_AT_THE_ENDS) and draw.random() < 0.4
    routers = {router.name: router for router in scenario.routers}
    form = draw.choice(EXTENSIONS)
    rows = [
        replace(
            routers[name],
            mpls=tuple(draw.randrange(16, 1 << 20) for _ in range(draw.randint(1, 2))),
            propagate_ttl=not hidden,
            extension=form,
        )
        for name in inside
    ]
    return with_rows(scenario, routers=rows)


def _cookies(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario:
    """Servers that answer all SYNs with cookies, and serve all the same."""
    del cause
    place = world.draw.choice([place for place in world.places if place.servers])
    return _also(scenario, Fault("overload", (*place.servers, *place.customers), cookies=True))


# --- IPv6 that some do not answer, or that leads nowhere and that nobody tries; QUIC that is announced and closed


def _quiet_over_v6(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario | None:
    """One or two who have nothing to do with the platform do not answer over IPv6."""
    del cause
    names, _ = _others(world)
    dual = [s for s in scenario.servers if s.name in names and any(":" in address for address in s.addresses)]
    quiet = world.draw.sample(dual, min(len(dual), world.draw.randint(1, 2)))
    addresses = tuple(around(a, 32, 128) for server in quiet for a in server.addresses if ":" in a)
    if not (addresses and scenario.client.address6):
        return None
    return _also(scenario, Fault("drop", tuple(sorted({s.at for s in quiet})), match=Match(destination=addresses)))


def _own_v6_only(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario | None:
    """A home whose provider has no IPv6, and whose router gives out private addresses of it (RFC 4193)."""
    del cause
    if scenario.client.address6 or not world.home:
        return None
    prefix = (0xFD << 120) + (world.draw.getrandbits(40) << 80)
    address = IPv6Address(prefix + world.draw.randrange(2, 1 << 16))
    return replace(scenario, client=replace(scenario.client, address6=f"{address}/64"))


def _quic_closed(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario | None:
    """A vendor's place announces HTTP/3, and its QUIC port is closed: who tries hears so, and uses TCP."""
    places = [p for p in world.places if any(s.quic for s in scenario.servers if s.name in p.servers)]
    if not places or ".quic." in cause:
        return None
    here = world.draw.choice(places).servers
    rows = [
        replace(server, quic=False, headers={"alt-svc": ALT_SVC, **server.headers})
        for server in scenario.servers
        if server.name in here
    ]
    return with_rows(scenario, servers=rows)


# --- a computer that has a little to do, and is in time all the same


def _other_work(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario | None:
    if cause == "home.device.busy":
        return None
    facts = replace(scenario.client.facts, load=round(world.draw.uniform(0.8, 1.4), 1))
    little = Fault("busy", (CLIENT,), delay_ms=round(world.draw.uniform(5.0, 40.0), 1))
    return replace(_also(scenario, little), client=replace(scenario.client, facts=facts))


# --- filters, where nothing else is wrong: a network where pings die, or where nobody may ask other resolvers


def _no_pings(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario | None:
    """Its router's word must get through where a line is narrow."""
    del cause
    if any(link.mtu < ETHERNET_MTU for link in scenario.links):
        return None
    return _also(scenario, Fault("drop", (world.trunk[0],), match=Match(protocol="icmp")))


def _no_other_resolvers(world: WorldPlan, scenario: Scenario, cause: str) -> Scenario | None:
    del cause
    if not world.asks_isp:
        return None
    theirs = [r for r in scenario.resolvers if not r.upstream and not r.name.startswith("isp-")]
    public = tuple(around(address, 32, 128) for resolver in theirs for address in resolver.addresses)
    return _also(scenario, Fault("drop", (world.trunk[-1],), match=Match(protocol="udp", port=53, destination=public)))


ODDITIES = (
    Oddity(0.2, _dead_control),
    Oddity(0.05, _blocked_control),
    Oddity(0.08, _little_loss),
    Oddity(0.05, _little_bursts),
    Oddity(0.1, _slow),
    Oddity(0.08, _rated_line),
    Oddity(0.1, _clamped, _AT_THE_ENDS),
    Oddity(0.12, _other_way_back, _AT_THE_ENDS),
    Oddity(0.12, _limited),
    Oddity(0.12, _garbled_quotes),
    Oddity(0.06, _talkative),
    Oddity(0.08, _limits_each),
    Oddity(0.15, _label_switched),
    Oddity(0.06, _cookies),
    Oddity(0.1, _quiet_over_v6),
    Oddity(0.06, _own_v6_only),
    Oddity(0.06, _quic_closed, ("home", "isp", "transit", "platform", "none")),
    Oddity(0.05, _other_work),
    Oddity(0.06, _no_pings, ("none",)),
    Oddity(0.06, _no_other_resolvers, ("none",)),
)
