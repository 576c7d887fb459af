"""What can be wrong with a generated world, each with the cause that a perfect diagnosis names.

One row a trouble. Its maker returns the faults, or None where the trouble does not fit the world.
"""

from collections.abc import Callable
from dataclasses import dataclass

from netprobe.sim.records import Fault, Match
from netprobe.sim.worldplan import WorldPlan

BLAMABLE = ("home", "isp", "transit", "policy", "platform")
PLATFORM = ("akamai-fra", "akamai-ams", "fastly-tiktok", "cdn77-tiktok", "bytedance-api", "bytedance-upload")
VENDORS = {"akamai": ("akamai-fra", "akamai-ams", "akamai-apple"), "fastly": ("fastly-tiktok", "fastly-python")}
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
#: Names whose answers an edge cannot cache.
ORIGIN = ("www.*", "m.*", "api*", "login.*", "frontier.*", "webcast*", "dm16*", "*.tiktokapis.com", "passport*")

Maker = Callable[[WorldPlan], tuple[Fault, ...] | None]


@dataclass(slots=True, frozen=True)
class Trouble:
    """One thing that can be wrong."""

    cause: str
    weight: float
    sentence: str
    make: Maker


def _nothing(world: WorldPlan) -> tuple[Fault, ...]:
    del world
    return ()


def _gateway(world: WorldPlan) -> tuple[Fault, ...]:
    return (Fault("down", (world.scenario.client.gateway,)),)


def _own_link(world: WorldPlan) -> tuple[Fault, ...]:
    del world
    return (Fault("down", ("client",)),)


def _home_resolver(world: WorldPlan) -> tuple[Fault, ...] | None:
    if world.layout != "home":
        return None
    return (Fault(world.draw.choice(("down", "refuse")), ("home-resolver",)),)


def _home_blocklist(world: WorldPlan) -> tuple[Fault, ...] | None:
    if world.layout != "home":
        return None
    return (Fault("dns", ("home-resolver",), names=ZONES, addresses=("0.0.0.0",)),)  # noqa: S104  # what blocklists say


def _access(world: WorldPlan) -> tuple[Fault, ...]:
    """The first router behind the home one."""
    first = next(link.ends[1] for link in world.scenario.links if link.ends[0] == "home-router")
    return (Fault("down", (first,)),)


def _black_hole(world: WorldPlan) -> tuple[Fault, ...] | None:
    """A router of the ISP's core that everything crosses, not its first one: that would be the access."""
    if len(world.trunk) < 2:
        return None
    return (Fault(world.draw.choice(("drop", "drop", "down")), (world.draw.choice(world.trunk[1:]),)),)


def _isp_loop(world: WorldPlan) -> tuple[Fault, ...] | None:
    if len(world.trunk) < 2:
        return None
    first = world.draw.randrange(len(world.trunk) - 1)
    return (Fault("loop", world.trunk[first : first + 2]),)


def _swallows_large(world: WorldPlan) -> tuple[Fault, ...] | None:
    """Inside the ISP, behind its first router: before that it could be the line."""
    if len(world.trunk) < 3:
        return None
    where = world.draw.choice(world.trunk[1:-1])
    return (Fault("drop", (where,), match=Match(larger_than=world.draw.choice((1280, 1400, 1420)))),)


def _lossy_line(world: WorldPlan) -> tuple[Fault, ...]:
    first = next(link.ends[1] for link in world.scenario.links if link.ends[0] == "home-router")
    return (Fault("drop", (first,), fraction=world.draw.uniform(0.08, 0.2)),)


def _lossy_transit(world: WorldPlan) -> tuple[Fault, ...]:
    hops = world.carriers[world.draw.choice(("transit-a", "transit-b"))]
    return (Fault("drop", (hops[0],), fraction=world.draw.uniform(0.08, 0.2)),)


def _isp_resolver(world: WorldPlan) -> tuple[Fault, ...] | None:
    if world.layout == "public":
        return None
    rcode = world.draw.choice(("SERVFAIL", "REFUSED", ""))
    return (Fault("dns", world.resolvers("isp-"), rcode=rcode, silence=not rcode),)


def _transit(world: WorldPlan) -> tuple[Fault, ...]:
    """Mostly a router that still answers itself, or one behind the first: the break shows inside the transit."""
    hops = world.carriers[world.draw.choice(("transit-a", "transit-b"))]
    if len(hops) > 1 and world.draw.random() < 0.4:
        return (Fault("down", (hops[1],)),)
    return (Fault(world.draw.choice(("drop", "drop", "drop", "down")), (hops[0],)),)


def _transit_loop(world: WorldPlan) -> tuple[Fault, ...] | None:
    hops = world.carriers[world.draw.choice(("transit-a", "transit-b"))]
    return (Fault("loop", hops[:2]),) if len(hops) > 1 else None


def _censored(world: WorldPlan, kind: str) -> tuple[Fault, ...]:
    names = (*ZONES[:2], *world.draw.sample(ZONES[2:], world.draw.randint(2, len(ZONES) - 2)))
    where = world.draw.choice((*world.trunk, world.borders[0]) if len(world.borders) == 1 else world.trunk)
    return (Fault(kind, (where,), match=Match(protocol="tcp", server_name=names)),)


def _sni_reset(world: WorldPlan) -> tuple[Fault, ...]:
    return _censored(world, "reset")


def _sni_drop(world: WorldPlan) -> tuple[Fault, ...]:
    return _censored(world, "drop")


def _lying_resolver(world: WorldPlan) -> tuple[Fault, ...] | None:
    if world.layout == "public":
        return None
    address = world.draw.choice(("", "127.0.0.1", "10.10.34.35"))
    rcode = "" if address else "NXDOMAIN"
    addresses = (address,) if address else ()
    return (Fault("dns", world.resolvers("isp-"), names=ZONES, rcode=rcode, addresses=addresses),)


def _blocked_addresses(world: WorldPlan) -> tuple[Fault, ...]:
    addresses = [a for server in world.scenario.servers if server.name in PLATFORM for a in server.addresses]
    where = world.draw.choice(world.trunk)
    return (Fault("drop", (where,), match=Match(destination=tuple(f"{address}/32" for address in addresses))),)


def _withdrawn(world: WorldPlan) -> tuple[Fault, ...]:
    del world
    return (Fault("http", PLATFORM, status=451),)


def _vendor(world: WorldPlan) -> tuple[Fault, ...]:
    servers = VENDORS[world.draw.choice(sorted(VENDORS))]
    return (_broken(world, servers),)


def _edge(world: WorldPlan) -> tuple[Fault, ...]:
    return (Fault(world.draw.choice(("down", "refuse")), (world.draw.choice(("akamai-ams", "akamai-fra")),)),)


def _broken(world: WorldPlan, servers: tuple[str, ...]) -> Fault:
    kind = world.draw.choice(("down", "refuse", "http"))
    return Fault(kind, servers, status=world.draw.choice((502, 503)) if kind == "http" else 0)


def _origin_error(world: WorldPlan) -> tuple[Fault, ...]:
    return (Fault("http", PLATFORM, server_name=ORIGIN, status=world.draw.choice((500, 502, 503, 504))),)


def _origin_slow(world: WorldPlan) -> tuple[Fault, ...]:
    return (Fault("http", PLATFORM, server_name=ORIGIN, delay_ms=world.draw.uniform(2500.0, 4000.0)),)


def _maintenance(world: WorldPlan) -> tuple[Fault, ...]:
    return (Fault("http", PLATFORM, status=503, headers={"retry-after": world.draw.choice(("600", "3600", "7200"))}),)


def _authoritative(world: WorldPlan) -> tuple[Fault, ...]:
    public_and_isp = tuple(name for name in world.resolvers() if name != "home-resolver")
    silence = world.draw.random() < 0.3
    return (Fault("dns", public_and_isp, names=ZONES, rcode="" if silence else "SERVFAIL", silence=silence),)


def _certificates(world: WorldPlan) -> tuple[Fault, ...]:
    del world
    return (Fault("certificate", PLATFORM, expired=True),)


TROUBLES = (
    Trouble("none.app_device", 4, "Nothing is wrong with the network or the platform.", _nothing),
    Trouble("home.gateway.dead", 1, "The home router hangs.", _gateway),
    Trouble("home.link.down", 0.5, "The own link has no carrier.", _own_link),
    Trouble("home.dns.resolver_down", 1, "The home router's DNS service has stopped.", _home_resolver),
    Trouble("home.dns.blocklist", 0.5, "A blocklist at home answers for the platform's names.", _home_blocklist),
    Trouble("isp.access.outage", 1, "The ISP's first router is down.", _access),
    Trouble("isp.core.blackhole", 2, "A router of the ISP's core swallows everything.", _black_hole),
    Trouble("isp.routing.loop", 1, "Two routers of the ISP hand packets back to each other.", _isp_loop),
    Trouble("isp.mtu.blackhole", 1, "A router of the ISP swallows large packets.", _swallows_large),
    Trouble("isp.access.loss", 1, "The ISP's line loses packets.", _lossy_line),
    Trouble("transit.loss", 1, "A transit loses packets.", _lossy_transit),
    Trouble("isp.dns.failure", 1, "The ISP's resolvers fail.", _isp_resolver),
    Trouble("transit.outage", 2, "A transit is down.", _transit),
    Trouble("transit.routing.loop", 1, "Two routers of a transit hand packets back to each other.", _transit_loop),
    Trouble("policy.tls.sni_reset", 1.5, "The ISP resets connections that name the platform.", _sni_reset),
    Trouble("policy.tls.sni_drop", 1.5, "The ISP drops ClientHellos that name the platform.", _sni_drop),
    Trouble("policy.dns.tampering", 1, "The ISP's resolvers lie about the platform's names.", _lying_resolver),
    Trouble("policy.ip.block", 1, "The ISP drops packets to the platform's addresses.", _blocked_addresses),
    Trouble("policy.geo.withdrawn", 1, "The platform refuses to serve this country.", _withdrawn),
    Trouble("platform.cdn.vendor_outage", 2, "A CDN is down for all its customers.", _vendor),
    Trouble("platform.cdn.edge_down", 1, "One edge of a CDN is down.", _edge),
    Trouble("platform.origin.error", 1.5, "The platform's origin fails.", _origin_error),
    Trouble("platform.origin.slow", 1, "The platform's origin is overloaded.", _origin_slow),
    Trouble("platform.maintenance", 1, "The platform is under maintenance.", _maintenance),
    Trouble("platform.dns.authoritative", 1, "The platform's own name servers fail.", _authoritative),
    Trouble("platform.certificate", 0.5, "The platform's certificates have expired.", _certificates),
)


def decoys(world: WorldPlan, cause: str) -> tuple[Fault, ...]:
    """Things that are wrong too and change nothing: a broken control, a little loss, a slow line."""
    draw = world.draw
    found: list[Fault] = []
    if draw.random() < 0.25:
        control = draw.choice(("quad9-dns", "wikimedia-text", "google-www", "fastly-python", "akamai-apple"))
        vendor_matters = cause.startswith("platform.cdn") and control in {"fastly-python", "akamai-apple"}
        if not vendor_matters:
            found.append(_broken(world, (control,)))
    if draw.random() < 0.15:
        found.append(Fault("drop", (world.trunk[0],), fraction=draw.uniform(0.003, 0.02)))
    if draw.random() < 0.1:
        found.append(Fault("delay", (world.trunk[0],), delay_ms=draw.uniform(20.0, 80.0)))
    return tuple(found)
