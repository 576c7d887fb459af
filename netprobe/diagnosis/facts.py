"""An index of observations: what was asked of whom and what came back. Nothing here says what it means."""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TypeVar

from msgspec import structs

from netprobe.model.announcements import Announced
from netprobe.model.host import HostState
from netprobe.model.probes import FlowTest, Path, PathMtu, Protocol, RateTest, ReplyKind, Train
from netprobe.model.report import Observation
from netprobe.model.rungs import Footing
from netprobe.model.services import Answer, Handshaken, QuicHandshaken, Response
from netprobe.model.targets import Control, Platform, Target
from netprobe.model.unsent import NOT_CARRIED
from netprobe.probing import plain, regions, zones
from netprobe.probing.constancy import RECHECKS
from netprobe.probing.locate import HOP_OF_NAME, HOP_OF_OTHER
from netprobe.probing.names_again import AGAIN, SECURE
from netprobe.topology.addresses import is_of_homes, is_private, is_public
from netprobe.topology.asn import Origin
from netprobe.topology.platform import vendor_of

T = TypeVar("T")
Found = tuple[int, T]  # the observation's index, and its fact
OriginOf = Callable[[str], Origin | None]

UPLINK = "uplink."  # what the purposes of observations over another uplink begin with
_UNNAMED = "AS"  # begins the name of a network that is no delivery network's
_QUIC = ("edge.quic", "edge.quic.again", "control.quic", "control.quic.again", "quic.other", "quic.elsewhere")
ON_LINK_PREFIX = 24  # the home network's assumed width where the host gives an address without one


class Reach(StrEnum):
    """What the network layers of a destination did with everything that was sent to it."""

    OPEN = "open"  # a connection was accepted, or (where TCP was never tried) an echo answered
    REFUSING = "refusing"  # only resets
    SILENT = "silent"
    UNKNOWN = "unknown"  # nothing was sent, or nothing left this machine


@dataclass(slots=True)
class Destination:
    """One address of the platform or of a control, with all that was measured there.

    `network` is who delivers it (a CDN vendor's key, `own`, `AS<number>`, or empty where nobody knows); `claimed` who
    the catalogue says that it is, which differs where a CDN's server stands in somebody else's network. `family` is the
    control's. `customer_of` marks a control that is another customer of one of the platform's vendors.
    """

    address: str
    platform: bool
    network: str = ""
    claimed: str = ""
    family: str = ""
    customer_of: str = ""
    names: list[str] = field(default_factory=list)
    trains: list[Found[Train]] = field(default_factory=list)
    paths: list[Found[Path]] = field(default_factory=list)
    fetches: list[Found[Response]] = field(default_factory=list)

    @property
    def deliverer(self) -> str:
        """Whose server it is: a CDN's that stands in an access network's rooms is the CDN's."""
        return self.claimed if self.claimed and self.network.startswith(_UNNAMED) else self.network

    @property
    def facts(self) -> tuple[int, ...]:
        """The indices of everything that was measured here."""
        return tuple(sorted(i for i, _ in (*self.trains, *self.paths, *self.fetches)))

    @property
    def reach(self) -> Reach:
        """Judged by TCP wherever TCP was tried: a host that answers echoes but no SYN serves nobody."""
        tcp = [t for _, t in self.trains if t.protocol is Protocol.TCP]
        shaken = [r.handshaken for _, r in self.fetches if r.handshaken.error != "local"]
        ways = [p for _, p in self.paths if p.flow.protocol is Protocol.TCP and _set_out(p)]
        kinds = {x.reply.kind for t in tcp for x in t.exchanges if x.reply}
        kinds |= {x.reply.kind for p in ways for h in p.hops for x in h.exchanges if x.reply}
        if ReplyKind.SYN_ACK in kinds or any(h.connect_s is not None or h.phase != "connect" for h in shaken):
            return Reach.OPEN
        if ReplyKind.RST in kinds or any(h.error == "refused" for h in shaken):
            return Reach.REFUSING
        if any(_left(t) for t in tcp) or shaken or ways:
            return Reach.SILENT
        if any(_left(t) for _, t in self.trains):
            return Reach.OPEN if self.echoes else Reach.SILENT
        return Reach.UNKNOWN

    @property
    def echoes(self) -> bool:
        """Whether it answered ICMP echo."""
        icmp = [t for _, t in self.trains if t.protocol is Protocol.ICMP]
        return any(t.accepted for t in icmp) or any(
            p.reached for _, p in self.paths if p.flow.protocol is Protocol.ICMP
        )

    @property
    def answers(self) -> bool:
        """Whether anything at all came back from it."""
        return self.reach in {Reach.OPEN, Reach.REFUSING} or self.echoes

    @property
    def served(self) -> bool:
        """Whether any fetch here got an HTTP answer over a verified connection."""
        return any(r.status and r.handshaken.done for _, r in self.fetches)


def _left(train: Train) -> bool:
    """Whether any probe of it left this machine."""
    return any(x.reply is None or x.reply.kind is not ReplyKind.SEND_FAILED for x in train.exchanges)


def _set_out(path: Path) -> bool:
    """Whether any probe of it left this machine."""
    return any(x.reply is None or x.reply.kind is not ReplyKind.SEND_FAILED for h in path.hops for x in h.exchanges)


class Facts:
    """All observations of one survey, by what they were measured for.

    What was measured over IPv6 stands apart, in Facts of its own: `facts_v6`.
    """

    over = ""  # what stands before the purposes of these observations

    def __init__(self, observations: Sequence[Observation], platform: Platform, origin: OriginOf) -> None:
        self.observations = tuple(observations)
        self.platform = platform
        self._origin = origin
        self._indices: dict[str, list[int]] = {}  # of the observations of each purpose
        for i, o in enumerate(self.observations):
            self._indices.setdefault(o.purpose, []).append(i)
        self.hosts = self._hosts()
        self.gateway = self._of("gateway", Train)
        self.platform_answers = self._of("lookup.platform", Answer)
        self.control_answers = self._of("lookup.control", Answer)
        self.resolver_trains = self._of("resolver.train", Train)
        self.resolver_paths = self._of("resolver.path", Path)
        self.missing = self._of("lookup.missing", Answer)
        self.fresh_platform = self._of("lookup.fresh.platform", Answer)
        self.fresh_control = self._of("lookup.fresh.control", Answer)
        self.names_again = self._of(AGAIN, Answer)
        self.secure_fetches = self._of(SECURE, Response)
        self.zone_servers = self._of(zones.SERVERS, Answer)
        self.zone_answers = self._of(zones.LOOKUP, Answer)
        self.region_answers = self._of(regions.LOOKUP, Answer)
        self.region_fetches = self._of(regions.FETCH, Response)
        self.small_fetches = [*self._of("edge.fetch.small", Response), *self._of("control.fetch.small", Response)]
        self.unchecked = [f for what in ("edge", "control") for f in self._of(f"{what}.fetch.unchecked", Response)]
        self.plain = {p: self._of(p, Response) for p in plain.PURPOSES}
        self.fitting_fetches = [*self._of("edge.fetch.fit", Response), *self._of("control.fetch.fit", Response)]
        self.sizes = [*self._of("edge.mtu", PathMtu), *self._of("control.mtu", PathMtu)]
        self.losses = [f for what in ("gateway", "edge", "control") for f in self._of(f"{what}.loss", Train)]
        self.loss_paths = [*self._of("edge.loss.path", Path), *self._of("control.loss.path", Path)]
        self.flow_tests = [*self._of("edge.flows", FlowTest), *self._of("control.flows", FlowTest)]
        self.branches = [*self._of("edge.branch", Path), *self._of("control.branch", Path)]
        delays = [f for what in ("gateway", "edge", "control") for f in self._of(f"{what}.delay", Train)]
        self.delays = [*self.losses, *delays]
        self.delay_paths = [f for what in ("edge", "control") for f in self._of(f"{what}.delay.path", Path)]
        self.delay_paths += self.loss_paths
        self.speeds = {p: self._of(p, Response) for p in ("edge.speed", "edge.speed.other", "control.speed")}
        self.rates = [f for what in ("gateway", "edge", "control") for f in self._of(f"{what}.rate", RateTest)]
        self.rechecks = sorted(i for what in RECHECKS for i in self._indices.get(what, ()))
        self.resolver_selves = self._of("resolver.self", Answer)
        self.quic = {p: self._of(p, QuicHandshaken) for p in _QUIC}
        self.quic_probes = [*self._of("edge.quic.probe", Train), *self._of("control.quic.probe", Train)]
        self.quic_paths = [*self._of("edge.quic.path", Path), *self._of("control.quic.path", Path)]
        self.announced = self._of("announced", Announced)
        self.targets: dict[str, Target] = {t.name: t for t in platform.targets}
        self.control_rows: dict[str, Control] = {c.name: c for c in platform.controls}

    def _of(self, purpose: str, kind: type[T]) -> list[Found[T]]:
        """Those that were measured, in order of time, whatever the order of the observations."""
        facts = [(i, self.observations[i].fact) for i in self._indices.get(self.over + purpose, ())]
        found = [(i, fact) for i, fact in facts if isinstance(fact, kind) and _carried(fact)]
        return sorted(found, key=lambda f: (self.observations[f[0]].at_s, self.subject(f[0])))

    def _hosts(self) -> list[Found[HostState]]:
        return self._of("host", HostState)

    @cached_property
    def other_links(self) -> tuple[str, ...]:
        """The interfaces over which something was asked beside the one that the routes lead to."""
        return tuple(dict.fromkeys(o.link for o in self.observations if o.link))

    def bound_to(self, link: str) -> "Facts":
        """What was measured over `link`, as if by a machine that has no other; the indices stay what they are."""
        replaced = structs.replace
        own = []
        for o in self.observations:
            if o.link == link:
                own.append(replaced(o, purpose=o.purpose.removeprefix(UPLINK), link=""))
            else:
                own.append(o if o.purpose == "host" else replaced(o, purpose="", link=o.link or "-"))
        return Facts(own, self.platform, self._origin)

    def subject(self, index: int) -> str:
        """What observation `index` is about."""
        return self.observations[index].subject

    def origin(self, address: str) -> Origin | None:
        """Whose network announces `address`."""
        return self._origin(address) if address else None

    def asn(self, address: str) -> int | None:
        """The number of the network that announces `address`; None for exchanges, which carry the routers of others."""
        origin = self.origin(address)
        return origin.asn if origin and not origin.exchange else None

    @cached_property
    def host(self) -> HostState | None:
        """The own machine as it was at the start."""
        return self.hosts[0][1] if self.hosts else None

    @cached_property
    def footing(self) -> Footing:
        """By which rung of the ladder probes left this machine; empty where nobody looked."""
        return self.host.footing if self.host else {}

    @cached_property
    def own_addresses(self) -> frozenset[str]:
        """The machine's own addresses, without prefix lengths."""
        return frozenset(a.split("/")[0] for _, h in self.hosts for link in h.links for a in link.addresses)

    @cached_property
    def configured(self) -> tuple[str, ...]:
        """The machine's own resolvers, in the order of resolv.conf, those that were asked."""
        asked = {a.lookup.resolver for _, a in (*self.platform_answers, *self.control_answers)}
        return tuple(r for r in dict.fromkeys(self.host.resolvers if self.host else ()) if r in asked)

    @cached_property
    def independent(self) -> tuple[str, ...]:
        """Resolvers that were asked although the machine does not use them."""
        asked = [a.lookup.resolver for _, a in (*self.platform_answers, *self.control_answers)]
        return tuple(r for r in sorted(set(asked)) if r not in self.configured)

    def at_home(self, address: str) -> bool:
        """Whether `address` is this machine, the home router, on the same link, or like a second router at home.

        What a machine that is `attached` to its provider has on its link is the provider's.
        """
        gateway = self.host.gateway if self.host else ""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if parsed.is_loopback or address in self.own_addresses:
            return True
        if self.attached and is_public(address) and parsed.version == 4:
            return False
        if address == gateway:
            return True
        if is_of_homes(address) and is_private(gateway):
            return True
        return any(parsed in net for net in self._home_networks)

    @cached_property
    def own_mbit(self) -> tuple[float | None, float | None]:
        """What the link that counts sent and received a second, between the first and the last look at the machine.

        In Mbit/s; None where the kernel did not say, or nobody looked twice. The probes are little of it.
        """
        if len(self.hosts) < 2:
            return None, None
        (first, before), (last, after) = self.hosts[0], self.hosts[-1]
        took_s = self.observations[last].at_s - self.observations[first].at_s
        one, other = before.link, after.link
        if took_s <= 0 or one is None or other is None:
            return None, None
        counts = ((one.tx_bytes, other.tx_bytes), (one.rx_bytes, other.rx_bytes))
        sent, received = (None if a is None or b is None else 8e-6 * (b - a) / took_s for a, b in counts)
        return sent, received

    @cached_property
    def attached(self) -> bool:
        """Whether the next hop is the provider's: it and this machine have public addresses, so none translates."""
        return self.host is not None and is_public(self.host.gateway) and any(map(is_public, self.own_addresses))

    @cached_property
    def _home_networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        networks = []
        for _, host in self.hosts:
            for link in host.links:
                for text in link.addresses:
                    wide = text if "/" in text or ":" in text else f"{text}/{ON_LINK_PREFIX}"
                    try:
                        networks.append(ipaddress.ip_network(wide, strict=False))
                    except ValueError:
                        continue
        return networks

    @cached_property
    def edges(self) -> dict[str, Destination]:
        """The platform's addresses."""
        found = self._destinations("edge", platform=True)
        for edge in found.values():
            vendors = [self.targets[n].vendor for n in edge.names if n in self.targets]
            edge.claimed = next((v for v in vendors if v), "")
            edge.network = self.network(edge.address) or edge.claimed
        return found

    @cached_property
    def controls(self) -> dict[str, Destination]:
        """The controls' addresses."""
        found = self._destinations("control", platform=False)
        for control in found.values():
            rows = [self.control_rows[n] for n in control.names if n in self.control_rows]
            control.family = rows[0].family if rows else control.names[0]
            network = self.network(control.address)
            control.claimed = next((r.vendor for r in rows if r.vendor), "")
            control.network = network or control.claimed
            control.customer_of = control.network if control.network in self.vendors else ""
        return found

    @cached_property
    def vendors(self) -> frozenset[str]:
        """Who delivers the platform, by the edges that were found."""
        return frozenset(e.network for e in self.edges.values() if e.network)

    def network(self, address: str) -> str:
        """Who delivers what is at `address`, by its AS; empty where nobody knows."""
        asn = self.asn(address)
        if asn is None:
            return ""
        return vendor_of(self.platform, asn) or f"{_UNNAMED}{asn}"

    def filters_attacks(self, router: str) -> bool:
        """Whether a router belongs to a network that filters attacks, and so stands in front of whoever hired it."""
        return self.network(router) in self.platform.scrubbing

    def _destinations(self, what: str, *, platform: bool) -> dict[str, Destination]:
        found: dict[str, Destination] = {}

        def at(address: str, index: int) -> Destination:
            destination = found.setdefault(address, Destination(address, platform))
            if self.subject(index) not in destination.names:
                destination.names.append(self.subject(index))
            return destination

        for i, train in self._of(f"{what}.train", Train):
            at(train.destination, i).trains.append((i, train))
        for i, path in self._of(f"{what}.path", Path):
            at(path.flow.destination, i).paths.append((i, path))
        for purpose in (f"{what}.fetch", f"{what}.fetch.again"):
            for i, response in self._of(purpose, Response):
                at(response.fetch.handshake.address, i).fetches.append((i, response))
        return dict(sorted(found.items()))

    @cached_property
    def handshakes(self) -> dict[str, list[Found[Handshaken]]]:
        """The handshakes that vary name and address, by purpose."""
        purposes = ("sni.target", "sni.control", "sni.elsewhere", HOP_OF_NAME, HOP_OF_OTHER)
        return {p: self._of(p, Handshaken) for p in purposes}

    @cached_property
    def all_paths(self) -> list[Found[Path]]:
        """Every path of this version of IP, whatever it was for."""
        return [
            (i, o.fact)
            for i, o in enumerate(self.observations)
            if isinstance(o.fact, Path) and (":" in o.fact.flow.destination) == bool(self.over)
            if _carried(o.fact) and not o.link
        ]


def best_fetch(fetches: Iterable[Found[Response]]) -> Found[Response] | None:
    """Of several fetches of one page the one that got farthest: what worked once was not broken."""
    return max(fetches, key=lambda found: (_depth(found[1]), -found[0]), default=None)


def _depth(response: Response) -> int:
    """How far a fetch got: 0 no connection, 1 no handshake, 2 no answer, 3 a server's error, 4 an answer."""
    if response.status:
        return 3 if response.status >= 500 else 4
    return {"connect": 0, "tls": 1}.get(response.handshaken.phase, 2)


def _carried(fact: object) -> bool:
    """Whether this machine could send at least some of its probes: what no rung carries was not measured."""
    match fact:
        case Train():
            exchanges = fact.exchanges
        case Path():
            exchanges = tuple(x for hop in fact.hops for x in hop.exchanges)
        case PathMtu():
            exchanges = tuple(sized.exchange for sized in fact.exchanges)
        case QuicHandshaken():
            return fact.error != "local"
        case _:
            return True
    return not exchanges or any(x.reply is None or x.reply.error != NOT_CARRIED for x in exchanges)
