"""From the computer to the ISP's borders: the home, the line, shared addresses, the ISP's own network."""

from dataclasses import dataclass

import msgspec

from netprobe.sim.records import Client, Nat, Resolver, Router
from netprobe.sim.routing import CLIENT
from netprobe.sim.worlds.atlas import Isp, Line, atlas
from netprobe.sim.worlds.ground import RACK_MS, Ground

ISP = "isp"
ETHERNET_MTU = 1500
HOME_ROUTER = "home-router"
HOME_RESOLVER = "home-resolver"

_QUIET = 0.05  # part of the home routers that never say that a TTL ran out
_BRIDGED = 0.07  # part of the homes where the computer itself has the public address
_TWICE = 0.15  # part of the others with a second router of their own behind the ISP's
_UNNUMBERED = 0.1  # part of the ISP's inner routers that answer from private addresses
_COUNTRY_MS = (0.2, 3.0)  # one way between two routers of an ISP
_SHARED = {"lte": 0.8}  # part of the lines behind carrier-grade NAT (RFC 6598), by kind
_SHARED_ELSEWHERE = 0.2


@dataclass(slots=True, frozen=True)
class Access:
    """The near side of a world. `first` is the first router behind the home.

    `nats` are the translations of the routers that would have them; not every world is told to translate.
    """

    isp: Isp
    address: str
    gateway: str
    home: tuple[str, ...]
    first: str
    trunk: tuple[str, ...]
    borders: tuple[str, ...]
    nats: dict[str, Nat]


def build_access(ground: Ground) -> Access:
    """A home, its line, and an ISP."""
    draw = ground.draw
    isp = draw.choice(atlas().isps)
    line = draw.choice([line for line in atlas().lines if line.kind in isp.lines_of])
    if line.kind != "lte" and draw.random() < _BRIDGED:
        address, first = _bridged(ground, isp, line)
        home: tuple[str, ...] = ()
        trunk = [first]
        nats: dict[str, Nat] = {}
    else:
        address, home = _home(ground)
        shared = _shared(ground, line, home[-1])
        trunk = [] if shared else [_line(ground, f"{ISP}-1", isp.asn, isp.routers, home[-1], line)]
        first = shared[0] if shared else trunk[0]
        if shared:
            trunk.append(ground.hop(f"{ISP}-1", ISP, isp.asn, isp.routers, shared[-1], RACK_MS))
        nats = _translations(ground, isp, home, trunk[-1] if shared else "")
    for number in range(2, draw.randint(1, 6) + 1):
        private = draw.random() < _UNNUMBERED
        asn, prefixes = (0, ("10.64.0.0/12",)) if private else (isp.asn, isp.routers)
        trunk.append(ground.hop(f"{ISP}-{number}", ISP, asn, prefixes, trunk[-1], _COUNTRY_MS))
    borders = tuple(
        ground.hop(f"{ISP}-border-{number}", ISP, isp.asn, isp.routers, trunk[-1], _COUNTRY_MS)
        for number in range(1, draw.choice((1, 1, 2, 2, 3)) + 1)
    )
    return Access(isp, address, home[0] if home else first, home, first, tuple(trunk), borders, nats)


def _translations(ground: Ground, isp: Isp, home: tuple[str, ...], carrier: str) -> dict[str, Nat]:
    """What the home's routers and the ISP's, where it shares addresses, would translate to."""
    draw = ground.draw
    outer = ("100.64.0.0/10",) if carrier else isp.lines
    nats = {home[-1]: Nat(ground.address(outer))}
    if len(home) > 1 and draw.random() < 0.5:
        nats[home[0]] = Nat(ground.address(("192.168.0.0/16",)))
    if carrier:
        nats[carrier] = Nat(ground.address(isp.lines), draw.choice((0, 0, 512, 2048)))
    return nats


def _home(ground: Ground) -> tuple[str, tuple[str, ...]]:
    """The computer's address, and one or two routers of the home's own."""
    draw = ground.draw
    inner, outer = draw.sample(range(256), 2)
    ground.add(Router(HOME_ROUTER, f"192.168.{inner}.1", icmp_ttl=64, silent=draw.random() < _QUIET))
    wireless = draw.random() < 0.5
    ground.link(
        CLIENT,
        HOME_ROUTER,
        (0.3, 3.0),
        (0.3, 2.0) if wireless else (0.02, 0.2),
        loss=draw.choice((0.0, 0.001, 0.003)) if wireless else 0.0,
    )
    home: tuple[str, ...] = (HOME_ROUTER,)
    if draw.random() < _TWICE:
        ground.add(Router("home-router-2", f"192.168.{outer}.1", icmp_ttl=64, silent=draw.random() < _QUIET))
        ground.link(HOME_ROUTER, "home-router-2", (0.1, 1.0))
        home = (HOME_ROUTER, "home-router-2")
    return f"192.168.{inner}.{draw.randrange(20, 250)}/24", home


def _bridged(ground: Ground, isp: Isp, line: Line) -> tuple[str, str]:
    """A modem that only converts: the ISP's router is the computer's gateway."""
    address = ground.address(isp.lines)
    first = ground.add(Router(f"{ISP}-1", f"{address.rpartition('.')[0]}.1", isp.asn, icmp_delay_ms=0.6))
    ground.link(CLIENT, first, line.delay_ms, line.jitter_ms, loss=line.loss)
    return f"{address}/24", first


def _shared(ground: Ground, line: Line, before: str) -> tuple[str, ...]:
    """Routers between the line and the ISP's NAT, if it has one."""
    draw = ground.draw
    if draw.random() >= _SHARED.get(line.kind, _SHARED_ELSEWHERE):
        return ()
    routers = [_line(ground, "isp-shared-1", 0, (draw.choice(("10.128.0.0/11", "100.64.0.0/10")),), before, line)]
    if draw.random() < 0.5:
        routers.append(ground.hop("isp-shared-2", ISP, 0, ("100.64.0.0/10",), routers[-1], RACK_MS))
    return tuple(routers)


def _line(ground: Ground, name: str, asn: int, prefixes: tuple[str, ...], before: str, line: Line) -> str:
    """The router at the far end of the line. At a narrow one it says what fits: silence there would be a black hole."""
    mtu = ground.draw.choice(line.mtus)
    ground.router(name, asn, prefixes)
    if mtu < ETHERNET_MTU:
        router = ground.routers[name]
        ground.routers[name] = msgspec.structs.replace(router, silent=False, rate_limit=None)
    ground.link(before, name, line.delay_ms, line.jitter_ms, loss=line.loss, mtu=mtu)
    return name


def build_resolvers(
    ground: Ground, access: Access, public: dict[str, Resolver]
) -> tuple[str, Client, tuple[Resolver, ...]]:
    """The ISP's resolvers, the public ones, maybe one at home; which layout it is, and the client that asks them."""
    draw = ground.draw
    layout = draw.choices(("home", "home-public", "isp", "public"), (55, 10, 25, 10))[0]
    if not access.home and layout.startswith("home"):
        layout = "isp"
    own = ground.neighbours((access.isp.resolvers,), draw.randint(1, 2))
    resolvers = [
        Resolver(f"isp-resolver-{number}", address, draw.choice(access.trunk), access.isp.asn)
        for number, address in enumerate(own, 1)
    ]
    resolvers += public.values()
    asked = own
    if layout.startswith("home"):
        upstream = "isp-resolver-1" if layout == "home" else draw.choice(sorted(public))
        forwarder = ground.routers[draw.choice(access.home)]
        resolvers.append(Resolver(HOME_RESOLVER, forwarder.address, forwarder.name, upstream=upstream))
        asked = (forwarder.address,)
    elif layout == "public":
        asked = tuple(draw.sample(sorted(r.address for r in public.values()), draw.randint(1, 2)))
    return layout, Client(access.address, access.gateway, asked), tuple(resolvers)
