"""A small internet as a survey would see it, fact by fact, without any packet.

Change a line of this, and ask for the verdict:

    client - 192.168.1.1 - 87.0.0.1 - 87.0.0.2 - 87.0.0.3 -+- 62.0.0.1 - 62.0.0.2 - (own) 71.0.0.1, quad9, wikipedia
             home          ISP (AS 100)                    +- 4.0.0.1  - 4.0.0.2  - (akamai) 23.0.0.1, cloudflare, google, fastly
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec
from msgspec import structs

from netprobe.diagnosis import diagnose
from netprobe.model.host import HostState, Link
from netprobe.model.probes import (
    BlackHole,
    Exchange,
    Flow,
    FlowTally,
    FlowTest,
    Hop,
    Path,
    PathMtu,
    Protocol,
    RatePhase,
    RateTest,
    Reply,
    ReplyKind,
    Train,
)
from netprobe.model.report import AnyFact, Observation
from netprobe.model.services import Answer, Certificate, Fetch, Handshake, Handshaken, Lookup, Response
from netprobe.model.targets import Control, PlainPage, Platform, Target
from netprobe.model.verdict import Verdict
from netprobe.topology.asn import Origin

NOW_S = 1_790_000_000.0
DAY_S = 86400.0
HOME, ISP_RESOLVER = "192.168.1.1", "87.0.9.9"
ISP = ("87.0.0.1", "87.0.0.2", "87.0.0.3")
VIA_A, VIA_B = ("62.0.0.1", "62.0.0.2"), ("4.0.0.1", "4.0.0.2")
NETWORKS = {
    "87.": (100, "Provider"),
    "62.": (200, "Transit Alpha"),
    "4.": (300, "Beta Carrier"),
    "23.": (20940, "Akamai"),
    "151.": (54113, "Fastly"),
    "71.": (396986, "Bytedance"),
    "1.": (13335, "Cloudflare"),
    "8.": (15169, "Google"),
    "9.": (19281, "Quad9"),
    "185.": (14907, "Wikimedia"),
    "2a00:100:": (100, "Provider"),
    "2a09:": (200, "Transit Alpha"),
    "2a02:": (20940, "Akamai"),
    "2a04:": (54113, "Fastly"),
    "2606:": (13335, "Cloudflare"),
    "2001:4860:": (15169, "Google"),
    "2620:": (19281, "Quad9"),
}
PLATFORM = Platform(
    "TikTok",
    targets=(
        Target("www.tiktok.com", "web", "akamai", essential=True),
        Target("api.tiktokv.com", "api", "own", essential=True),
        Target("video.tiktokcdn.com", "video", "fastly", essential=True),
        Target("image.tiktokcdn.com", "image", "akamai", essential=True),
    ),
    controls=(
        Control("one.one.one.one", "cloudflare", "1.1.1.1", resolver=True),
        Control("dns.google", "google", "8.8.8.8", resolver=True),
        Control("dns.quad9.net", "quad9", "9.9.9.9", resolver=True),
        Control("www.wikipedia.org", "wikimedia", plain=PlainPage("/generate_204", 204)),
        Control("www.apple.com", "apple", vendor="akamai", plain=PlainPage("/success.html", title="Success")),
    ),
    zones=("tiktok.com", "tiktokv.com", "tiktokcdn.com"),
    own_asns=(396986,),
    cdn_asns={"akamai": (20940,), "fastly": (54113,)},
)
NAMES = {
    "www.tiktok.com": "23.0.1.10",
    "image.tiktokcdn.com": "23.0.1.11",
    "video.tiktokcdn.com": "151.0.1.10",
    "api.tiktokv.com": "71.0.1.10",
    "www.wikipedia.org": "185.0.1.10",
    "www.apple.com": "23.0.1.99",
}
CONTROLS = {c.name: c.address or NAMES[c.name] for c in PLATFORM.controls}
TARGETS = {t.name: NAMES[t.name] for t in PLATFORM.targets}
EVERYTHING = (*CONTROLS.values(), *TARGETS.values())
EDGES = tuple(TARGETS.values())
BEHIND_A = ("71.0.1.10", "9.9.9.9", "185.0.1.10")
LAST = {"23": "23.0.0.1", "151": "151.0.0.1", "71": "71.0.0.1"}


def origin(address: str) -> Origin | None:
    """The networks of the drawing; everything private belongs to nobody."""
    found = next((v for k, v in NETWORKS.items() if address.startswith(k)), None)
    return Origin(*found) if found else None


def nowhere(address: str) -> None:
    """No AS data at all."""
    del address


def way(address: str) -> tuple[str, ...]:
    """The routers on the way to `address`."""
    via = VIA_A if address in BEHIND_A else VIA_B
    last = LAST.get(address.split(".", maxsplit=1)[0])
    return (HOME, *ISP, *via, *((last,) if last else ()))


def ended(code: str, *, at: str = "tls") -> Callable[[Handshake], Handshaken]:
    """A handshake that ended with `code` in phase `at`."""
    return lambda h: Handshaken(h, at, code, connect_s=None if at == "connect" else 0.02)


def done(h: Handshake) -> Handshaken:
    """A handshake as it should be."""
    return Handshaken(h, "done", connect_s=0.02, tls_s=0.03, tls_version="TLSv1.3")


def certificate(begin_s: float, end_s: float) -> Callable[[Handshake], Handshaken]:
    """A certificate that was not accepted, valid from `begin_s` to `end_s` beside NOW_S."""
    shown = Certificate("CN=x", "CN=y", not_before_s=NOW_S + begin_s, not_after_s=NOW_S + end_s)
    return lambda h: Handshaken(h, "tls", "certificate", connect_s=0.02, certificate=shown)


@dataclass(frozen=True)
class Picture:
    """What is there. Every field is what a healthy network shows; `but` changes some."""

    link: bool = True
    lease: bool = True
    address: str = "192.168.1.23/24"  # of this machine
    made_up: tuple[str, ...] = ()  # addresses that the device gave itself for want of a lease
    gateway: str = HOME
    gateway_answers: bool = True
    neighbour: str = "reachable"
    resolvers: tuple[str, ...] = (HOME,)
    hosts_overrides: tuple[str, ...] = ()
    clock_off_s: float = 0.0
    platform: Platform = PLATFORM
    silent: tuple[str, ...] = ()  # addresses that answer no SYN and no echo
    refusing: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()  # addresses whose answers the own firewall drops
    forbidden: tuple[str, ...] = ()  # addresses to which the own firewall lets nothing out
    errors_dropped: bool = False  # the own firewall drops ICMP errors
    ways: dict[str, tuple[str, ...]] = field(default_factory=dict)  # where the way ends, by address; "" is a silent hop
    shaken: dict[str, Callable[[Handshake], Handshaken]] = field(default_factory=dict)  # by address
    named: Callable[[Handshake], Handshaken] | None = None  # what any handshake with a platform's name ends in
    status: dict[str, int] = field(default_factory=dict)  # by address
    headers: dict[str, str] = field(default_factory=dict)  # of the platform's answers
    offers: dict[str, str] = field(default_factory=dict)  # headers of everybody's answers
    first_byte_s: dict[str, float] = field(default_factory=dict)
    answers: dict[tuple[str, str], Answer] = field(default_factory=dict)  # (resolver, "platform" or "control")
    stale: tuple[str, ...] = ()  # the platform's names that nobody knows any more
    unmeasured: tuple[str, ...] = ()  # controls that nothing is known about
    stalled: tuple[str, ...] = ()  # addresses whose connections open and then fall silent, but in small segments
    dying: dict[str, int] = field(default_factory=dict)  # addresses whose answers end after so many bytes
    crawling: tuple[str, ...] = ()  # addresses whose answers never get through in time, but come
    late_s: float = 0.0  # how late the measurement was at worst
    overdue_s: float = 0.0  # of the 20 seconds that it takes
    load: float | None = None
    latency_s: float = 0.01  # of routers
    closer: tuple[Observation, ...] = ()  # what else a second look saw
    six: bool = False  # the machine has IPv6; what it sees over it is in `closer`

    def but(self, **changes: object) -> "Picture":
        """This picture with something else in it."""
        return replace(self, **changes)  # type: ignore[arg-type]  # names and types are the caller's

    def verdict(self, origin_of: Callable[[str], Origin | None] = origin) -> Verdict:
        """Whose fault it is."""
        return diagnose(self.observations(), self.platform, origin_of)

    def observations(self) -> tuple[Observation, ...]:
        """What a survey would have written down."""
        found: list[Observation] = [self._see("host", "self", self._host(), 0.0)]
        if self.link and self.lease:
            found += self._around()
            found += self._lookups()
            for name, address in CONTROLS.items():
                if name not in self.unmeasured:
                    found += self._place("control", name, address)
            for name, address in TARGETS.items():
                if name not in self.stale:
                    found += self._place("edge", name, address)
            found += self._second_look()
            found += self.closer
            late = structs.replace(self._host(), late_s=self.late_s, overdue_s=self.overdue_s, load=self.load)
            found.append(self._see("host", "self", late, 20.0))
        return tuple(found)

    def _see(self, purpose: str, subject: str, fact: AnyFact, at_s: float = 1.0) -> Observation:
        return Observation(at_s, purpose, subject, fact)

    def _host(self) -> HostState:
        addresses = (self.address,) if self.lease else self.made_up
        link = Link("eth0", "up" if self.link else "down", self.link, addresses)
        wall = NOW_S + self.clock_off_s
        if not (self.link and self.lease):
            return HostState((link,), wall_clock_s=wall)
        state = HostState((link,), "eth0", self.gateway, self.neighbour, self.resolvers, wall, self.hosts_overrides)
        if not self.six:
            return state
        links = (structs.replace(link, addresses=(*link.addresses, f"{SIX}/64")),)
        return structs.replace(state, links=links, global_link_v6="eth0", address_v6=SIX, gateway_v6="fe80::1")

    def _around(self) -> list[Observation]:
        reply = Reply(ReplyKind.ECHO_REPLY, self.gateway, 0.001) if self.gateway_answers else None
        train = Train(Protocol.ICMP, self.gateway, 0, tuple(Exchange(64, n, 0.1 * n, reply) for n in range(4)))
        return [self._see("gateway", self.gateway, train)]

    def _lookups(self) -> list[Observation]:
        found = []
        public = [c.address for c in self.platform.controls if c.resolver and c.address not in self.resolvers]
        for resolver in (*self.resolvers, *public):
            for kind, names in (("platform", TARGETS), ("control", ("www.wikipedia.org", "www.apple.com"))):
                found += [self._see(f"lookup.{kind}", n, self._answer(resolver, kind, n)) for n in names]
        return found

    def _answer(self, resolver: str, kind: str, name: str) -> Answer:
        asked = Lookup(name, resolver)
        given = self.answers.get((resolver, kind))
        if given is not None:
            return Answer(asked, given.rcode, given.addresses, rtt_s=given.rtt_s, error=given.error)
        if resolver in self.silent:
            return Answer(asked, error="timeout")
        if name in self.stale:
            return Answer(asked, "NXDOMAIN", rtt_s=0.02)
        return Answer(asked, "NOERROR", (NAMES[name],), rtt_s=0.02, responses=1)

    def _place(self, what: str, name: str, address: str) -> list[Observation]:
        found = [self._see(f"{what}.train", name, self._train(address, p)) for p in (Protocol.TCP, Protocol.ICMP)]
        found.append(self._see(f"{what}.path", name, self._path(address)))
        found.append(self._see(f"{what}.fetch", name, self._fetch(name, address, platform=what == "edge")))
        return found

    def _train(self, address: str, protocol: Protocol) -> Train:
        good = ReplyKind.SYN_ACK if protocol is Protocol.TCP else ReplyKind.ECHO_REPLY
        kind = ReplyKind.RST if address in self.refusing and protocol is Protocol.TCP else good
        reply = None if address in self.silent else Reply(kind, address, 0.02, dropped_locally=address in self.dropped)
        if address in self.forbidden:
            reply = Reply(ReplyKind.SEND_FAILED, "", 0.0, error="EPERM")
        port = 443 if protocol is Protocol.TCP else 0
        return Train(protocol, address, port, tuple(Exchange(64, n, 1.0, reply) for n in range(3)))

    def _path(self, address: str) -> Path:
        ends = address in self.silent
        routers = self.ways.get(address, way(address))
        kind = ReplyKind.RST if address in self.refusing else ReplyKind.SYN_ACK
        gone = self.errors_dropped
        expired = Reply(ReplyKind.TIME_EXCEEDED, "", self.latency_s, icmp_type=11, icmp_code=0, dropped_locally=gone)
        replies = [msgspec.structs.replace(expired, source=r) if r else None for r in routers]
        replies += (
            [None] * 5
            if ends
            else [Reply(kind, address, max(0.02, self.latency_s), dropped_locally=address in self.dropped)]
        )
        if address in self.forbidden:
            hop = Hop(1, (Exchange(1, 1, 1.0, Reply(ReplyKind.SEND_FAILED, "", 0.0, error="EPERM")),))
            return Path(Flow(Protocol.TCP, address, 443), (hop,), reached=False)
        hops = tuple(Hop(n, (Exchange(n, n, 1.0, reply),)) for n, reply in enumerate(replies, 1))
        return Path(Flow(Protocol.TCP, address, 443), hops, not ends, None if ends else 0.02)

    def _shake(self, address: str, name: str, *, verify: bool = True) -> Handshaken:
        asked = Handshake(address, 443, name, verify)
        if address in self.silent or address in self.dropped:
            return ended("timeout", at="connect")(asked)
        if address in self.forbidden:
            return Handshaken(asked, "connect", "local", "EPERM")
        if address in self.refusing:
            return ended("refused", at="connect")(asked)
        if address in self.stalled:
            return ended("timeout")(asked)
        if self.named is not None and name in TARGETS:
            return self.named(asked)
        return self.shaken.get(address, done)(asked)

    def _fetch(self, name: str, address: str, *, platform: bool) -> Response:
        shaken = self._shake(address, name)
        asked = Fetch(shaken.handshake)
        if not shaken.done:
            return Response(asked, shaken, 0, shaken.error)
        if address in self.dying or address in self.crawling:
            arrived, quiet_s = self.dying.get(address, 10_000), 0.1 if address in self.crawling else 4.8
            return Response(asked, shaken, 0, "timeout", arrived_bytes=arrived, quiet_s=quiet_s)
        headers = {"date": "Mon, 21 Sep 2026 14:13:20 GMT", **self.offers, **(self.headers if platform else {})}
        wait = self.first_byte_s.get(address, 0.03)
        return Response(asked, shaken, self.status.get(address, 200), first_byte_s=wait, headers=headers)

    def _second_look(self) -> list[Observation]:
        found = []
        elsewhere = "9.9.9.9"
        for name, address in TARGETS.items():
            if name in self.stale:
                continue
            first = self._fetch(name, address, platform=True)
            if first.status and first.status < 400:
                continue
            found.append(self._see("edge.fetch.again", name, first, 10.0))
            if address in self.stalled:
                small = Fetch(Handshake(address, 443, name, mss=536))
                found.append(self._see("edge.fetch.small", name, Response(small, done(small.handshake), 200), 10.0))
            if first.handshaken.phase == "tls":
                for purpose, at, sent in (
                    ("sni.target", address, name),
                    ("sni.control", address, "dns.quad9.net"),
                    ("sni.elsewhere", elsewhere, name),
                ):
                    found.append(self._see(purpose, name, self._shake(at, sent, verify=False), 10.0))
        return found


SIX = "2a00:100:1::23"  # the own address
OVER_V6 = {
    "one.one.one.one": "2606::1",
    "dns.google": "2001:4860::1",
    "dns.quad9.net": "2620::1",
    "www.tiktok.com": "2a02::10",
    "video.tiktokcdn.com": "2a04::10",
}
SIX_HOME, SIX_ISP = "2a00:100:1::1", ("2a00:100::1", "2a00:100::2", "2a00:100::3")
SIX_VIA = ("2a09::1", "2a09::2")


def over_v6(*silent: str, after: int = 9, home: tuple[str, ...] = (SIX_HOME,)) -> tuple[Observation, ...]:
    """What a survey asks over IPv6: names in `silent` do not answer, and their ways end `after` so many routers.

    The first of them are those in `home`.
    """
    found = []
    for name, address in OVER_V6.items():
        what = "v6.edge" if name in TARGETS else "v6.control"
        gone = name in silent
        reply = None if gone else Reply(ReplyKind.SYN_ACK, address, 0.02)
        train = Train(Protocol.TCP, address, 443, tuple(Exchange(64, n, 1.0, reply) for n in range(3)))
        found.append(Observation(1.0, f"{what}.train", name, train))
        last = {"2a02": ("2a02::1",), "2a04": ("2a04::1",)}.get(address.partition(":")[0], ())
        routers = (*home, *SIX_ISP, *SIX_VIA, *last)
        told = [Reply(ReplyKind.TIME_EXCEEDED, router, 0.01, icmp_type=3, icmp_code=0) for router in routers]
        replies = (*told[:after], None, None, None, None) if gone else (*told, reply)
        hops = tuple(Hop(n, (Exchange(n, n, 1.0, each),)) for n, each in enumerate(replies, 1))
        flow = Flow(Protocol.TCP, address, 443)
        found.append(Observation(2.0, f"{what}.path", name, Path(flow, hops, not gone, None if gone else 0.02)))
    return tuple(found)


def losses_over_v6(*names: str, lost: int = 10) -> tuple[Observation, ...]:
    """Fifty probes to everything over IPv6, `lost` of which nobody answered at `names`."""
    found = []
    for name, address in OVER_V6.items():
        reply = Reply(ReplyKind.SYN_ACK, address, 0.02)
        missing = lost if name in names else 0
        exchanges = tuple(Exchange(64, n, 20.0 + 0.2 * n, None if n < missing else reply) for n in range(50))
        what = "v6.edge" if name in TARGETS else "v6.control"
        found.append(Observation(20.0, f"{what}.loss", name, Train(Protocol.TCP, address, 443, exchanges)))
    return tuple(found)


def sizes(address: str, mtu: int, *, told: str = "", hole: tuple[str, str] = ("", "")) -> Observation:
    """What probes of all sizes to `address` showed: `told` by which router, `hole` between which two."""
    routers = ("", *way(address), address)
    black_hole = (
        BlackHole(mtu + 1, (routers.index(hole[0]), hole[0]), (routers.index(hole[1]), hole[1])) if hole[1] else None
    )
    said = ((told, mtu),) if told else ()
    name = next((n for n, a in TARGETS.items() if a == address), address)
    return Observation(10.0, "edge.mtu", name, PathMtu(Flow(Protocol.ICMP, address), mtu, said, black_hole, ()))


def losses(*losing: str, lost: int = 10, router: int = 0, home: str = HOME) -> tuple[Observation, ...]:
    """Fifty probes to everything, `lost` of which nobody answered at `losing`; `router` of those to the router `home`."""
    found = []
    for name, address in ((home, home), *CONTROLS.items(), *TARGETS.items()):
        missing = router if address == home else lost if address in losing else 0
        reply = Reply(ReplyKind.ECHO_REPLY, address, 0.02)
        exchanges = tuple(Exchange(64, n, 20.0 + 0.2 * n, None if n < missing else reply) for n in range(50))
        what = "gateway" if address == home else "edge" if name in TARGETS else "control"
        found.append(Observation(20.0, f"{what}.loss", name, Train(Protocol.ICMP, address, 0, exchanges)))
    return tuple(found)


def flows(address: str, parting: str, *, lost: int = 0) -> tuple[Observation, ...]:
    """Every second flow to `address` never works; its way ends at the router `parting`. The others lose `lost` of five."""
    name = next(n for n, a in TARGETS.items() if a == address)
    flow = Flow(Protocol.TCP, address, 443)
    test = FlowTest(flow, tuple(FlowTally(900 + n, 5, 0 if n % 2 else 5 - lost) for n in range(12)))
    found = [Observation(20.0, "edge.flows", name, test)]
    routers = way(address)
    for label in (900, 901):
        dead = label % 2
        shown = routers[: routers.index(parting) + 1] if dead else routers
        replies = [Reply(ReplyKind.TIME_EXCEEDED, r, 0.01, icmp_type=11, icmp_code=0) for r in shown]
        ends = [None] * 3 if dead else [Reply(ReplyKind.SYN_ACK, address, 0.02)]
        hops = tuple(Hop(n, (Exchange(n, n, 1.0, reply),)) for n, reply in enumerate([*replies, *ends], 1))
        traced = Path(Flow(Protocol.TCP, address, 443, label), hops, not dead, None if dead else 0.02)
        found.append(Observation(21.0, "edge.branch", name, traced))
    return tuple(found)


def rates(address: str, *phases: tuple[float, int, int]) -> Observation:
    """A test at (rate, sent, answered) of a destination or the home router."""
    name = next((n for n, a in TARGETS.items() if a == address), HOME)
    test = RateTest(Flow(Protocol.ICMP, address), 64, tuple(RatePhase(*phase) for phase in phases), 72)
    return Observation(30.0, "gateway.rate" if name == HOME else "edge.rate", name, test)


def cut(addresses: tuple[str, ...], after: int) -> dict[str, tuple[str, ...]]:
    """Ways to `addresses` of which only the first `after` routers answer."""
    return {address: way(address)[:after] for address in addresses}


def loops(addresses: tuple[str, ...], one: str, other: str) -> dict[str, tuple[str, ...]]:
    """Ways to `addresses` that circle between `one` and `other`."""
    found = {}
    for address in addresses:
        routers = way(address)
        found[address] = (*routers[: routers.index(one)], *((one, other) * 8))
    return found
