"""What can be wrong at home and at the ISP."""

import msgspec

from netprobe.sim.records import Back, Fault, Match, Scenario, Server
from netprobe.sim.routing import CLIENT
from netprobe.sim.worlds.access import HOME_RESOLVER, HOME_ROUTER
from netprobe.sim.worlds.plan import WorldPlan, with_rows
from netprobe.sim.worlds.trouble import UNWEIGHED, ZONES, Trouble, busy, dead_ways

_YEAR_S = 365.0 * 86400
_LOSS = (0.08, 0.2)
_IN_BURSTS = 0.3  # part of the lines and radios that lose several packets in a row
_LATE = "A computer that is late by less than half a second is not weighed yet."
_PORTAL = "login.hotel.example"
_LOGIN = 511  # RFC 6585, 6: what a portal may say in a redirect's stead
_SHOWS = 0.2  # part of the portals that show their page in everybody's name


def _own_link(world: WorldPlan) -> Scenario:
    return world.broken(Fault("down", (CLIENT,)))


def _no_lease(world: WorldPlan) -> Scenario | None:
    """Nobody gives the computer an address; most make one up for themselves."""
    if not world.home:
        return None
    draw = world.draw
    made_up = (f"169.254.{draw.randrange(1, 255)}.{draw.randrange(256)}",) if draw.random() < 0.7 else ()
    return world.broken(Fault("no_lease", (CLIENT,), addresses=made_up))


def _too_busy(world: WorldPlan) -> Scenario:
    return _waiting(world, 550.0, 1500.0)


def _rather_busy(world: WorldPlan) -> Scenario:
    return _waiting(world, 300.0, 480.0)


def _waiting(world: WorldPlan, least_ms: float, most_ms: float) -> Scenario:
    """Other processes have the processor, again and again for so long."""
    draw = world.draw
    facts = msgspec.structs.replace(world.scenario.client.facts, load=round(draw.uniform(4.0, 16.0), 1))
    busy = world.broken(Fault("busy", (CLIENT,), delay_ms=round(draw.uniform(least_ms, most_ms), 1)))
    return msgspec.structs.replace(busy, client=msgspec.structs.replace(busy.client, facts=facts))


def _gateway(world: WorldPlan) -> Scenario | None:
    return world.broken(Fault("down", (HOME_ROUTER,))) if world.home else None


def _lossy_wireless(world: WorldPlan) -> Scenario | None:
    if not world.home:
        return None
    link = next(link for link in world.scenario.links if CLIENT in link.ends)
    loss, burst = _some_loss(world)
    return world.relinked(msgspec.structs.replace(link, loss=loss, loss_burst=burst))


def _some_loss(world: WorldPlan) -> tuple[float, float]:
    """How much gets lost each way, and how many in a row."""
    draw = world.draw
    burst = round(draw.uniform(1.5, 4.0), 1) if draw.random() < _IN_BURSTS else 1.0
    return round(draw.uniform(*_LOSS), 3), burst


def _saturated(world: WorldPlan) -> Scenario | None:
    """Somebody at home sends all that the line takes, and its queue is long."""
    if not world.home:
        return None
    draw = world.draw
    up, down = draw.choice(((1.0, 16.0), (2.0, 16.0), (10.0, 50.0)))
    queue = round(draw.uniform(250.0, 900.0), 1)
    line = msgspec.structs.replace(world.line, rate_mbit=up, queue_ms=queue, back=Back(rate_mbit=down, queue_ms=100.0))
    load = round(draw.uniform(1.0, 1.04), 3)
    return world.relinked(line, world.broken(Fault("congestion", line.ends, towards=world.first, load=load)))


def _portal(world: WorldPlan) -> Scenario | None:
    """A hotel's router leads what is asked for in plain HTTP to its own page until somebody has logged in.

    What is encrypted it drops, ends, or answers with a certificate that fits nobody; some let nothing else pass at all.
    """
    if not world.home:
        return None
    draw = world.draw
    router = next(router for router in world.scenario.routers if router.name == HOME_ROUTER)
    address = f"{router.address.rpartition('.')[0]}.251"
    page = Server("portal", (address,), HOME_ROUTER, serves=(_PORTAL,), status=302)
    leads = {"location": f"{draw.choice(('http', 'https'))}://{draw.choice((_PORTAL, address))}/login"}
    shows = draw.random() < _SHOWS
    page = msgspec.structs.replace(page, status=_LOGIN if shows else 302, headers={} if shows else leads)
    web, tls = Match(protocol="tcp", port=80), Match(protocol="tcp", port=443)
    what = draw.choice(("redirect", "drop", "drop", "reset", "wall"))
    faults = [Fault("redirect", (HOME_ROUTER,), match=Match(protocol="tcp") if what == "redirect" else web, to=address)]
    if what != "redirect":
        faults.append(Fault("reset" if what == "reset" else "drop", (HOME_ROUTER,), match=tls))
        faults.append(Fault("drop", (HOME_ROUTER,), match=Match(protocol="udp", port=443)))
    if what == "wall":
        faults.append(Fault("drop", (HOME_ROUTER,), match=Match(protocol="icmp")))
    return with_rows(world.broken(*faults), servers=(page,))


def _firewall(world: WorldPlan) -> Scenario:
    """Everything that comes in, or what the platform's addresses answer."""
    if world.draw.random() < 0.5:
        return world.broken(Fault("firewall", (CLIENT,)))
    return world.broken(Fault("firewall", (CLIENT,), match=Match(source=world.addresses(world.platform))))


def _hosts(world: WorldPlan) -> Scenario:
    essential = [target.name for target in world.targets if target.essential]
    names = world.draw.sample(essential, world.draw.randint(2, len(essential)))
    address = world.draw.choice(("127.0.0.1", "0.0.0.0"))  # noqa: S104  # what hosts files say
    client = msgspec.structs.replace(world.scenario.client, hosts=dict.fromkeys(sorted(names), address))
    return msgspec.structs.replace(world.scenario, client=client)


def _clock(world: WorldPlan) -> Scenario:
    client = msgspec.structs.replace(world.scenario.client, clock_ahead_s=_YEAR_S * world.draw.randint(1, 4))
    return msgspec.structs.replace(world.scenario, client=client)


def _interception(world: WorldPlan) -> Scenario:
    return world.broken(Fault("certificate", tuple(s.name for s in world.scenario.servers), unknown_issuer=True))


def _narrow_line(world: WorldPlan) -> Scenario | None:
    """The line is narrower than the home router makes connections keep to, and the ISP's end keeps quiet."""
    if not world.home:
        return None
    broken = world.broken(
        Fault("drop", (world.first,), match=Match(larger_than=1492, destination=world.client_at(world.first)))
    )
    return world.relinked(msgspec.structs.replace(world.line, mtu=1492), broken)


def _home_resolver(world: WorldPlan) -> Scenario | None:
    if not world.layout.startswith("home"):
        return None
    return world.broken(Fault(world.draw.choice(("down", "refuse")), (HOME_RESOLVER,)))


def _home_blocklist(world: WorldPlan) -> Scenario | None:
    if not world.layout.startswith("home"):
        return None
    addresses = ("0.0.0.0",)  # noqa: S104  # what blocklists say
    return world.broken(Fault("dns", (HOME_RESOLVER,), names=ZONES, addresses=addresses))


def _access(world: WorldPlan) -> Scenario | None:
    """The first router behind the home one. Where that is the gateway, nothing could tell it from a modem at home."""
    return world.broken(Fault("down", (world.first,))) if world.home else None


def _lossy_line(world: WorldPlan) -> Scenario | None:
    """At the line's end, or on the wire, by chance alone or in bursts; now and then only after a while.

    Without a home router that wire is the computer's own cable too, and nobody could say which of both it is.
    """
    if not world.home:
        return None
    begin = 0.0 if world.draw.random() < 0.8 else round(world.draw.uniform(0.5, 2.0), 1)
    if world.draw.random() < 0.5:
        fraction = round(world.draw.uniform(*_LOSS), 3)
        return world.broken(Fault("drop", (world.first,), begin_s=begin, fraction=fraction))
    loss, burst = _some_loss(world)
    return world.broken(Fault("link", world.line.ends, begin_s=begin, loss=loss, loss_burst=burst))


def _congested_line(world: WorldPlan) -> Scenario:
    return busy(world, world.line)


def _exhausted(world: WorldPlan) -> Scenario | None:
    """Of new connections only some find a port at the router that shares an address among customers."""
    carrier = next((name for name in world.nats if name.startswith("isp-")), None)
    if carrier is None:
        return None
    scarce = Fault("exhausted", (carrier,), fraction=round(world.draw.uniform(0.5, 0.9), 2))
    scenario = world.translated()
    return msgspec.structs.replace(scenario, faults=(scarce,))


def _black_hole(world: WorldPlan) -> Scenario | None:
    """A router of the ISP's core, not its first one: that would be the access. Sometimes a border that some need."""
    borders = [border for border in world.borders if world.needs(border)]
    places = borders if borders and world.draw.random() < 0.25 else world.core
    if not places:
        return None
    return world.broken(Fault(world.draw.choice(("drop", "drop", "down")), (world.draw.choice(places),)))


def _core_branch(world: WorldPlan) -> Scenario | None:
    return dead_ways(world, transit=False)


def _loop(world: WorldPlan) -> Scenario | None:
    pairs = [pair for pair in zip(world.trunk, world.trunk[1:], strict=False) if world.adjacent(*pair)]
    return world.broken(Fault("loop", world.draw.choice(pairs))) if pairs else None


def _swallows_large(world: WorldPlan) -> Scenario | None:
    """Well inside the ISP's network; in both directions, or of what comes back."""
    inside = world.core[:-1]
    if not inside:
        return None
    place = world.draw.choice(inside)
    back = world.client_at(place) if world.draw.random() < 0.3 else ()
    match = Match(larger_than=world.draw.choice((1280, 1400, 1420)), destination=back)
    return world.broken(Fault("drop", (place,), match=match))


def _no_quic_at_home(world: WorldPlan) -> Scenario | None:
    """At the home router, or at the computer itself."""
    if not (world.home and world.speaks_quic):
        return None
    kind, at = world.draw.choice((("drop", HOME_ROUTER), ("firewall", CLIENT)))
    return world.broken(Fault(kind, (at,), match=Match(protocol="udp", port=443)))


def _no_quic_at_isp(world: WorldPlan) -> Scenario | None:
    if not world.speaks_quic:
        return None
    match = world.draw.choice((Match(protocol="quic"), Match(protocol="udp", port=443)))
    return world.broken(Fault("drop", (world.draw.choice(world.trunk),), match=match))


def _isp_resolver(world: WorldPlan) -> Scenario | None:
    if not world.asks_isp:
        return None
    rcode = world.draw.choice(("SERVFAIL", "REFUSED", ""))
    return world.broken(Fault("dns", world.resolvers("isp-"), rcode=rcode, silence=not rcode))


NEAR = (
    Trouble("home.link.down", 0.5, "The own link has no carrier.", _own_link),
    Trouble("home.link.no_lease", 0.5, "The home network gives the computer no address.", _no_lease),
    Trouble("home.device.busy", 0.3, "The computer has more work than it can do.", _too_busy),
    Trouble("home.device.busy", 0.1, "The computer has a little too much to do.", _rather_busy, open=_LATE),
    Trouble("home.gateway.dead", 1, "The home router hangs.", _gateway),
    Trouble("home.link.loss", 1, "The Wi-Fi at home loses packets.", _lossy_wireless),
    Trouble("home.firewall.block", 0.5, "The computer's own firewall drops what comes in.", _firewall),
    Trouble("home.hosts.override", 0.3, "The hosts file sends the platform's names elsewhere.", _hosts),
    Trouble("home.clock.wrong", 0.3, "The computer's clock is years ahead.", _clock),
    Trouble("home.tls.interception", 0.3, "A virus scanner breaks all TLS open.", _interception),
    Trouble("home.mtu.blackhole", 0.5, "Large packets die on the line, unannounced.", _narrow_line, also=("isp",)),
    Trouble("home.line.saturated", 0.4, "Somebody at home fills the line.", _saturated),
    Trouble("home.portal.captive", 0.4, "A captive portal wants a login first.", _portal),
    Trouble("home.dns.resolver_down", 1, "The home router's DNS service has stopped.", _home_resolver),
    Trouble("home.dns.blocklist", 0.5, "A blocklist at home answers for the platform's names.", _home_blocklist),
    Trouble("isp.access.outage", 1, "The ISP's first router is down.", _access),
    Trouble("isp.access.loss", 1, "The ISP's line loses packets.", _lossy_line),
    Trouble("isp.access.congested", 0.4, "The ISP's line is overloaded by others.", _congested_line),
    Trouble("isp.nat.exhausted", 0.8, "The ISP's shared addresses are used up.", _exhausted, open=UNWEIGHED),
    Trouble("isp.core.blackhole", 2, "A router of the ISP's core swallows everything.", _black_hole),
    Trouble("isp.core.branch", 1, "Some of the ISP's parallel ways are dead.", _core_branch),
    Trouble("isp.routing.loop", 1, "Two routers of the ISP hand packets back to each other.", _loop),
    Trouble("isp.mtu.blackhole", 1, "A router of the ISP swallows large packets.", _swallows_large),
    Trouble("home.quic.blocked", 0.4, "A firewall at home stops QUIC.", _no_quic_at_home),
    Trouble("isp.quic.blocked", 0.4, "The ISP stops QUIC.", _no_quic_at_isp),
    Trouble("isp.dns.failure", 1, "The ISP's resolvers fail.", _isp_resolver),
)
