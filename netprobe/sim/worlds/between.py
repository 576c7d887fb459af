"""What can be wrong between the ISP and the platform, and what is done on purpose."""

import msgspec

from netprobe.sim.records import Fault, Match, Scenario
from netprobe.sim.worlds.plan import WorldPlan
from netprobe.sim.worlds.trouble import UNWEIGHED, ZONES, Trouble, busy, carried, dead_ways

_LOSS = (0.08, 0.2)
_PAGES = (65536, 262144)  # bytes: an app's scripts and pictures
_READS_QUIC = 0.5  # part of the censors that read names in it too
_UNRELIABLE = 0.15  # part of the censors that miss some


def _transit(world: WorldPlan) -> Scenario | None:
    """A router that the platform is behind; mostly one that still answers itself."""
    places = carried(world)
    if not places:
        return None
    return world.broken(Fault(world.draw.choice(("drop", "drop", "drop", "down")), (world.draw.choice(places),)))


def _loop(world: WorldPlan) -> Scenario | None:
    pairs = [
        (one, other)
        for hops in world.carriers.values()
        for one in hops
        for other in hops
        if one < other and world.adjacent(one, other) and world.needs(one) & world.needs(other)
    ]
    return world.broken(Fault("loop", world.draw.choice(pairs))) if pairs else None


def _lossy(world: WorldPlan) -> Scenario | None:
    places = carried(world)
    if not places:
        return None
    return world.broken(Fault("drop", (world.draw.choice(places),), fraction=round(world.draw.uniform(*_LOSS), 3)))


def _swallows_large(world: WorldPlan) -> Scenario | None:
    places = carried(world)
    if not places:
        return None
    match = Match(larger_than=world.draw.choice((1280, 1400, 1420)))
    return world.broken(Fault("drop", (world.draw.choice(places),), match=match))


def _branch(world: WorldPlan) -> Scenario | None:
    return dead_ways(world, transit=True)


def _exchange(world: WorldPlan) -> Scenario | None:
    """The switches of an exchange are gone: nothing gets to the routers in its LAN."""
    found = [routers for routers in world.exchanges.values() if any(world.needs(router) for router in routers)]
    return world.broken(Fault("down", world.draw.choice(found))) if found else None


def _peering(world: WorldPlan) -> Scenario | None:
    """The wire from the ISP to a network that it meets itself."""
    links = [
        link
        for link in world.scenario.links
        if link.ends[0] in world.borders and link.ends[1].endswith("-hop-1") and world.needs(link.ends[1])
    ]
    return busy(world, world.draw.choice(links)) if links else None


def _throttled(world: WorldPlan) -> Scenario:
    """What names the platform is slow, with pages that show it; what is too much waits, or is lost."""
    match = Match(protocol="tcp", server_name=ZONES)
    rate, queue = world.draw.choice((32.0, 64.0, 128.0)), world.draw.choice((0.0, 500.0, 2000.0))
    fault = Fault("throttle", (world.draw.choice(world.trunk),), match=match, rate_kbit=rate, queue_ms=queue)
    return msgspec.structs.replace(world.with_pages(world.draw.choice(_PAGES)), faults=(fault,))


def _cut_off(world: WorldPlan) -> Scenario:
    """Connections to the platform's addresses die after 16 KB, as in Russia since 2025."""
    match = Match(protocol="tcp", port=443, destination=world.addresses(world.platform))
    fault = Fault("cutoff", (world.draw.choice(world.trunk),), match=match, after_bytes=16384)
    return msgspec.structs.replace(world.with_pages(world.draw.choice(_PAGES)), faults=(fault,))


def _block_page(world: WorldPlan) -> Scenario:
    """Plain HTTP shows the page, TLS cannot and is cut off."""
    at, how = (world.draw.choice(world.trunk),), world.draw.choice(("reset", "drop"))
    page = Fault(
        "block_page",
        at,
        match=Match(protocol="tcp", port=80, server_name=ZONES),
        status=world.draw.choice((200, 403, 451)),
        title="Access to this site is blocked",
    )
    return world.broken(page, Fault(how, at, match=Match(protocol="tcp", port=443, server_name=ZONES)))


def _censored(world: WorldPlan, kind: str) -> Scenario:
    names = (*ZONES[:2], *world.draw.sample(ZONES[2:], world.draw.randint(2, len(ZONES) - 2)))
    places = (*world.trunk, world.borders[0]) if len(world.borders) == 1 and not world.cached else world.trunk
    # Who drops only some would let the repetitions pass, and so nearly everything.
    unreliable = kind == "reset" and world.draw.random() < _UNRELIABLE
    fraction = round(world.draw.uniform(0.7, 0.95), 3) if unreliable else 1.0
    too = kind == "drop" and world.draw.random() < _READS_QUIC
    match = Match(protocol="" if too else "tcp", server_name=names)
    return world.broken(Fault(kind, (world.draw.choice(places),), match=match, fraction=fraction))


def _sni_reset(world: WorldPlan) -> Scenario:
    return _censored(world, "reset")


def _sni_drop(world: WorldPlan) -> Scenario:
    return _censored(world, "drop")


def _stranger(world: WorldPlan) -> Scenario:
    return world.broken(Fault("certificate", world.platform, unknown_issuer=True))


def _lying(world: WorldPlan) -> Scenario | None:
    """The ISP's resolvers, or a router that forges answers to whoever is asked."""
    draw = world.draw
    if world.layout == "public":
        fault = Fault(
            "dns", (draw.choice(world.trunk),), names=ZONES, addresses=(draw.choice(("127.0.0.1", "10.10.34.35")),)
        )
        return world.broken(fault)
    if not world.asks_isp:
        return None
    address = draw.choice(("", "127.0.0.1", "10.10.34.35"))
    rcode = "" if address else "NXDOMAIN"
    addresses = (address,) if address else ()
    return world.broken(Fault("dns", world.resolvers("isp-"), names=ZONES, rcode=rcode, addresses=addresses))


def _blocked_addresses(world: WorldPlan) -> Scenario:
    match = Match(destination=world.addresses(world.platform))
    return world.broken(Fault("drop", (world.draw.choice(world.trunk),), match=match))


def _no_quic(world: WorldPlan) -> Scenario | None:
    """QUIC to the platform, by name or by address."""
    if not world.speaks_quic:
        return None
    by_name = Match(protocol="quic", server_name=ZONES)
    by_address = Match(protocol="udp", port=443, destination=world.addresses(world.platform))
    match = world.draw.choice((by_name, by_address))
    return world.broken(Fault("drop", (world.draw.choice(world.trunk),), match=match))


def _withdrawn(world: WorldPlan) -> Scenario:
    return world.broken(Fault("http", world.platform, status=451))


_ISP = ("isp",)

BETWEEN = (
    Trouble("transit.outage", 2, "A transit is down.", _transit),
    Trouble("transit.routing.loop", 1, "Two routers of a transit hand packets back to each other.", _loop),
    Trouble("transit.loss", 1, "A transit loses packets.", _lossy),
    Trouble("transit.mtu.blackhole", 0.5, "A router of a transit swallows large packets.", _swallows_large),
    Trouble("transit.branch", 1, "Some of a transit's parallel ways are dead.", _branch),
    Trouble("transit.exchange.outage", 0.4, "An exchange is down.", _exchange, open=UNWEIGHED),
    Trouble("transit.peering.congested", 0.4, "A peering is overloaded.", _peering, ("isp",)),
    Trouble("policy.throttle.speed", 0.3, "The ISP slows the platform down.", _throttled, _ISP),
    Trouble("policy.throttle.cutoff", 0.4, "The ISP cuts connections off after 16 KB.", _cut_off, _ISP),
    Trouble("policy.http.block_page", 0.3, "The ISP shows a page that says no.", _block_page, _ISP),
    Trouble("policy.tls.sni_reset", 1.5, "The ISP resets connections that name the platform.", _sni_reset, _ISP),
    Trouble("policy.tls.sni_drop", 1.5, "The ISP drops ClientHellos that name the platform.", _sni_drop, _ISP),
    Trouble("policy.tls.interception", 0.5, "Somebody answers in the platform's place.", _stranger, _ISP),
    Trouble("policy.dns.tampering", 1, "The ISP lies about the platform's names.", _lying, _ISP),
    Trouble("policy.ip.block", 1, "The ISP drops packets to the platform's addresses.", _blocked_addresses, _ISP),
    Trouble("policy.quic.drop", 0.5, "The ISP drops QUIC to the platform.", _no_quic, _ISP),
    Trouble("policy.geo.withdrawn", 1, "The platform refuses to serve this country.", _withdrawn, _ISP),
)
