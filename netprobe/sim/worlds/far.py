"""What can be wrong at the platform and its vendors."""

from netprobe.sim.records import Fault, Scenario
from netprobe.sim.worlds.delivery import OWN
from netprobe.sim.worlds.plan import WorldPlan
from netprobe.sim.worlds.trouble import UNWEIGHED, ZONES, Trouble

#: Names whose answers an edge cannot cache.
ORIGIN = ("www.*", "m.*", "api*", "login.*", "frontier.*", "webcast*", "dm16*", "*.tiktokapis.com", "passport*")
_LOSS = (0.1, 0.2)


def broken_servers(world: WorldPlan, servers: tuple[str, ...]) -> Fault:
    """Servers that are gone, refuse, or answer with errors."""
    kind = world.draw.choice(("down", "refuse", "http"))
    return Fault(kind, servers, status=world.draw.choice((502, 503)) if kind == "http" else 0)


def _hanging_up(world: WorldPlan) -> Scenario | None:
    """All servers of a vendor end connections: when TLS begins, or in the middle of an answer."""
    scenario = _vendor(world)
    if scenario is None:
        return None
    moments = (("accepted", "reset"), ("hello", "reset"), ("hello", "silence"), ("answer", "close"))
    when, how = world.draw.choice(moments)
    after = 40 if when == "answer" else 0
    fault = Fault("hangup", scenario.faults[-1].at, when=when, how=how, after_bytes=after)
    return world.broken(fault)


def _flooded(world: WorldPlan) -> Scenario:
    """All of the platform's edges have no room for connections."""
    draw = world.draw
    return world.broken(
        Fault(
            "overload",
            world.platform,
            syn_loss=round(draw.uniform(0.3, 0.6), 2),
            cookies=draw.random() < 0.5,
            delay_ms=round(draw.uniform(0.0, 2500.0), 1),
        )
    )


def _vendor(world: WorldPlan) -> Scenario | None:
    """All servers of a vendor, whoever the customer; others of the platform's vendors work."""
    used = sorted({world.vendor_of(server) for server in world.essential})
    vendors = [vendor for vendor in used if vendor != OWN]
    if len(used) < 2 or not vendors:
        return None
    vendor = world.draw.choice(vendors)
    places = [place for place in world.places if place.vendor == vendor]
    return world.broken(broken_servers(world, tuple(s for p in places for s in (*p.servers, *p.customers))))


def _edge(world: WorldPlan) -> Scenario | None:
    """One place of a vendor that serves what is essential from another as well."""
    at = {server: world.vendor_of(server) for server in sorted(world.essential)}
    edges = [server for server, vendor in at.items() if list(at.values()).count(vendor) > 1]
    if not edges:
        return None
    return world.broken(Fault(world.draw.choice(("down", "refuse")), (world.draw.choice(edges),)))


def _lossy(world: WorldPlan) -> Scenario | None:
    """The last router in front of servers of a vendor's."""
    places = [place for place in world.places if world.essential & set(place.servers)]
    place = world.draw.choice(places)
    fraction = round(world.draw.uniform(*_LOSS), 3)
    return world.broken(Fault("drop", (place.routers[-1],), fraction=fraction))


def _origin_error(world: WorldPlan) -> Scenario:
    """Errors, or connections that end where an answer should be."""
    status = world.draw.choice((500, 502, 503, 504, 0))
    if not status:
        how = world.draw.choice(("close", "reset"))
        return world.broken(Fault("hangup", world.platform, server_name=ORIGIN, when="request", how=how))
    return world.broken(Fault("http", world.platform, server_name=ORIGIN, status=status))


def _origin_slow(world: WorldPlan) -> Scenario:
    delay = round(world.draw.uniform(2500.0, 4000.0), 1)
    return world.broken(Fault("http", world.platform, server_name=ORIGIN, delay_ms=delay))


def _maintenance(world: WorldPlan) -> Scenario:
    headers = {"retry-after": world.draw.choice(("600", "3600", "7200"))}
    return world.broken(Fault("http", world.platform, status=503, headers=headers))


def _authoritative(world: WorldPlan) -> Scenario:
    """Whoever asks the platform's own name servers fails: all resolvers but a forwarder, which passes it on."""
    recursive = tuple(r.name for r in world.scenario.resolvers if not r.upstream)
    silence = world.draw.random() < 0.3
    return world.broken(Fault("dns", recursive, names=ZONES, rcode="" if silence else "SERVFAIL", silence=silence))


def _role(world: WorldPlan, role: str) -> Scenario:
    """One function of the platform fails, whoever delivers it."""
    names = tuple(target.name for target in world.targets if target.role == role)
    status = world.draw.choice((500, 502, 503))
    return world.broken(Fault("http", world.platform, server_name=names, status=status))


def _login(world: WorldPlan) -> Scenario:
    return _role(world, "login")


def _upload(world: WorldPlan) -> Scenario:
    return _role(world, "upload")


def _live(world: WorldPlan) -> Scenario:
    return _role(world, "live")


def _certificates(world: WorldPlan) -> Scenario:
    return world.broken(Fault("certificate", world.platform, expired=True))


FAR = (
    Trouble("platform.cdn.vendor_outage", 2, "A CDN is down for all its customers.", _vendor),
    Trouble("platform.cdn.vendor_outage", 0.4, "A CDN hangs up on everybody.", _hanging_up, open=UNWEIGHED),
    Trouble("platform.edge.flooded", 0.4, "The platform's edges are flooded.", _flooded, open=UNWEIGHED),
    Trouble("platform.cdn.edge_down", 1, "One edge of a CDN is down.", _edge),
    Trouble("platform.edge.loss", 1, "One edge of a CDN loses packets.", _lossy),
    Trouble("platform.origin.error", 1.5, "The platform's origin fails.", _origin_error),
    Trouble("platform.origin.slow", 1, "The platform's origin is overloaded.", _origin_slow),
    Trouble("platform.login.down", 0.3, "Logging in fails at the platform.", _login),
    Trouble("platform.upload.down", 0.3, "Uploads fail at the platform.", _upload),
    Trouble("platform.live.down", 0.3, "Live fails at the platform.", _live),
    Trouble("platform.maintenance", 1, "The platform is under maintenance.", _maintenance),
    Trouble("platform.dns.authoritative", 1, "The platform's own name servers fail.", _authoritative),
    Trouble("platform.certificate", 0.5, "The platform's certificates have expired.", _certificates),
)
