"""What a scenario says: the records of a network, its faults and the verdict that is expected.

The schema in words is scenarios/README.md. Times are seconds since the start, delays are milliseconds as in the file.
"""

import math

import msgspec

from netprobe.model.host import GivenFacts
from netprobe.model.record import Record
from netprobe.sim.feeds import Feed

#: The client's next hop in IPv6: a router says who it is from its link-local address (RFC 4861, 4.2).
GATEWAY6 = "fe80::1"


class Client(Record, frozen=True):
    """The machine that netprobe runs on: `address` with its prefix length, `gateway` a router, resolvers' addresses.

    `address6` is one of IPv6 with its prefix length, empty: it has none; its next hop is the gateway's link-local one,
    `GATEWAY6`. `hosts` are the names that its hosts file overrides. Its clock is ahead of everybody else's by
    `clock_ahead_s`. `facts` are told of it without being measured. `metric` is its default route's: of several
    the smallest counts. `announcements` are the feeds that its netprobe is told of.
    """

    address: str
    gateway: str
    resolvers: tuple[str, ...] = ()
    hosts: dict[str, str] = {}
    clock_ahead_s: float = 0.0
    facts: GivenFacts = GivenFacts()
    address6: str = ""
    metric: int = 0
    announcements: tuple[str, ...] = ()


class Uplink(Record, frozen=True):
    """A further network card of the client, a node of the network by its `name`, which is its device's too.

    It has an address of its own and a default route to the router `gateway`, with a `metric`.
    """

    name: str
    address: str
    gateway: str
    metric: int = 700


class RateLimit(Record, frozen=True):
    """A token bucket over ICMP errors: `rate` a second after a burst of `burst`.

    `per` "router": one for all; "peer": one for each address that errors go to, as Linux's icmp_ratelimit. `total_rate`
    and `total_burst` are one more over all peers (Linux: icmp_msgs_per_sec, icmp_msgs_burst); a rate of 0: none.
    """

    rate: float
    burst: int = 6
    per: str = "router"
    total_rate: float = 0.0
    total_burst: int = 50


class Nat(Record, frozen=True):
    """Translation of what leaves towards the Internet to `address`, for at most `ports` connections (0: no limit).

    A connection is forgotten when it was idle for `tcp_s`, `udp_s` or `icmp_s` seconds (RFC 5382, 4787, 5508).
    """

    address: str
    ports: int = 0
    tcp_s: float = 7440.0
    udp_s: float = 120.0
    icmp_s: float = 60.0


class Router(Record, frozen=True):
    """A hop. `asn` 0 is private. `quote` limits what its errors quote behind the IP header, 0 for all (RFC 1812).

    `balance` spreads packets over ways that cost the same: by `flow` (RFC 2992: a hash over the five-tuple), or by
    `packet`; empty: all take one. Errors come from `icmp_source` where it is given, and have the fields `mangle` of the
    quoted IP header garbled. `mpls` are the labels that packets come to it with, being in the middle of a label
    switched path: its time exceeded shows them (RFC 4950), saying where by `extension` (RFC 4884). Unless
    `propagate_ttl` the path does not count the IP TTL down, and nobody sees the router (RFC 3443, pipe model).

    With `interfaces` its time exceeded also tells by which interface a packet came (RFC 5837).
    `nat` translates addresses; `mss_clamp` bounds the MSS of SYNs that pass (in IPv6 20 bytes less), 0 does not.

    `address6` is the source of what it says in IPv6. Without one it forwards and is silent: what Linux would say came
    from a link-local address, and routers pass none of those on (RFC 4291, 2.5.6). Unless `ipv6` it forwards no IPv6.
    """

    name: str
    address: str
    asn: int = 0
    icmp_delay_ms: float = 0.3
    icmp_jitter_ms: float = 0.1
    icmp_ttl: int = 255
    silent: bool = False
    rate_limit: RateLimit | None = None
    quote: int = 0
    balance: str = ""
    icmp_source: str = ""
    mangle: tuple[str, ...] = ()
    mpls: tuple[int, ...] = ()
    propagate_ttl: bool = True
    extension: str = "rfc4884"
    interfaces: bool = False
    nat: Nat | None = None
    mss_clamp: int = 0
    address6: str = ""
    ipv6: bool = True

    @property
    def addresses(self) -> tuple[str, ...]:
        """Those at which it answers, without the one that `nat` lends others."""
        return (self.address, self.address6) if self.address6 else (self.address,)


class Back(Record, frozen=True):
    """What is different about a link from its second end to its first; None: nothing."""

    delay_ms: float | None = None
    jitter_ms: float | None = None
    loss: float | None = None
    loss_burst: float | None = None
    rate_mbit: float | None = None
    queue_ms: float | None = None
    cost: float | None = None


class Link(Record, frozen=True):
    """A wire between two nodes: one-way delay, exponential jitter added to it, loss each way.

    `loss_burst` is the mean number of packets that are lost in a row, 1 for chance alone. `rate_mbit` (of IP packets;
    0: no limit) has a queue of `queue_ms` in front of it, which drops what comes when it is full. Ways are chosen by
    the sum of `cost`, which is `delay_ms` unless given. `back` is what differs from the second end to the first.
    Unless `ipv6` it carries no IPv6.
    """

    ends: tuple[str, str]
    delay_ms: float
    jitter_ms: float = 0.0
    loss: float = 0.0
    mtu: int = 1500
    loss_burst: float = 1.0
    rate_mbit: float = 0.0
    queue_ms: float = 50.0
    cost: float | None = None
    back: Back | None = None
    ipv6: bool = True

    def leaving(self, near: str) -> "Link":
        """The link as it is for what leaves its end `near`."""
        if self.back is None or near == self.ends[0]:
            return self
        other = {key: value for key, value in msgspec.structs.asdict(self.back).items() if value is not None}
        return msgspec.structs.replace(self, **other)


class Server(Record, frozen=True):
    """A machine that answers echo requests and serves `serves` over TLS (443) and HTTP (80).

    `addresses` are of IPv4 and of IPv6. `serves` are names, `*.` for one more label; a server without any answers no
    TCP. `delay_ms` is its thinking time. Its pages are filled up to `body_bytes`. With `quic` it speaks HTTP/3 too,
    over UDP port 443, and says so. If it `upgrades`, its port 80 leads to its port 443, as most do today. It may have a
    `feed`, at one path.
    """

    name: str
    addresses: tuple[str, ...]
    at: str
    asn: int = 0
    vendor: str = ""
    serves: tuple[str, ...] = ()
    status: int = 200
    headers: dict[str, str] = {}
    delay_ms: float = 1.0
    initial_ttl: int = 64
    body_bytes: int = 0
    quic: bool = False
    feed: Feed | None = None
    upgrades: bool = False


class Resolver(Record, frozen=True):
    """A DNS server on port 53. `upstream` names the resolver it forwards to, empty when it knows `names` itself.

    `address` is of either version; with one of IPv4 it may have `address6` beside it, on the same machine. `ecs` is the
    client subnet that it tells the authorities about (RFC 7871); empty: it keeps that to itself. With `zones` it is
    their own server, called `host`: it knows the names of those alone, and asks nobody.
    """

    name: str
    address: str
    at: str
    asn: int = 0
    upstream: str = ""
    delay_ms: float = 1.0
    ecs: str = ""
    address6: str = ""
    zones: tuple[str, ...] = ()
    host: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """All that it answers at."""
        return (self.address, self.address6) if self.address6 else (self.address,)


class Route(Record, frozen=True):
    """Where packets to addresses that nobody owns end: at router `to`, which says host unreachable unless `silent`."""

    prefix: str
    to: str
    silent: bool = False


class Entry(Record, frozen=True):
    """What the world's DNS knows of a name; `alias` is the CNAME that leads to the addresses, or `aliases`, a chain.

    `addresses` are those of IPv4, `aaaa` those of IPv6. `regions` are other addresses, of either version, for who asks
    from a prefix: a resolver's address, or the subnet that it tells (RFC 7871).
    """

    addresses: tuple[str, ...] = ()
    alias: str = ""
    ttl_s: int = 300
    aliases: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    regions: dict[str, tuple[str, ...]] = {}


class Match(Record, frozen=True):
    """Which packets a fault is about; every key that is given must hold.

    `port` is either end's; `icmp` is ICMPv6 too. `source` and `destination` are prefixes of either version.
    `server_name` looks into the TLS ClientHello (or the Host of plain HTTP), `query_name` into a DNS question; both are
    patterns with `*`. `larger_than` is about whole IP packets in bytes.
    """

    protocol: str = ""
    port: int = 0
    source: tuple[str, ...] = ()
    destination: tuple[str, ...] = ()
    server_name: tuple[str, ...] = ()
    query_name: tuple[str, ...] = ()
    larger_than: int = 0


class Fault(Record, frozen=True):
    """Something that is wrong at `at` from `begin_s` to `end_s`. Which of the other keys count depends on `kind`."""

    kind: str
    at: tuple[str, ...]
    begin_s: float = 0.0
    end_s: float = math.inf
    match: Match = Match()
    fraction: float = 1.0
    reroute: bool = False
    rate: float = 1.0
    burst: int = 6
    per: str = "router"
    load: float = 0.0
    towards: str = ""
    delay_ms: float = 0.0
    status: int = 0
    headers: dict[str, str] = {}
    server_name: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    rcode: str = ""
    addresses: tuple[str, ...] = ()
    silence: bool = False
    expired: bool = False
    unknown_issuer: bool = False
    injected: bool = False
    fin: bool = False
    separate: bool = False
    rate_kbit: float = 0.0
    burst_kb: float = 8.0
    queue_ms: float = 0.0
    after_bytes: int = 0
    after_packets: int = 0
    title: str = ""
    body: str = ""
    idle_s: float = math.inf
    to: str = ""
    not_yet_valid: bool = False
    self_signed: bool = False
    wrong_name: str = ""
    missing: bool = False
    syn_loss: float = 0.0
    cookies: bool = False
    truncate: bool = False
    body_bytes: int = 0
    when: str = ""
    how: str = ""
    loss: float = 0.0
    loss_burst: float = 0.0
    jitter_ms: float = 0.0
    rate_mbit: float = 0.0
    prefix: tuple[str, ...] = ()

    def active(self, now: float) -> bool:
        """Whether it is on at `now` seconds since the start."""
        return self.begin_s <= now < self.end_s


class Expect(Record, frozen=True):
    """The verdict of a perfect diagnosis, and the components that must never be blamed.

    `also` are further causes at the same time; `cause` is the nearest to the user. `open` says why today's diagnosis
    does not find this truth yet: which evidence is missing. Empty: it does, and tests hold it to it. `mistaken_for` are
    causes that this situation is easily taken for.
    """

    component: str
    cause: str
    never: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    mistaken_for: tuple[str, ...] = ()
    open: str = ""


class Scenario(Record, frozen=True):
    """One situation: a network, what is wrong with it, and what should be said about it.

    `symptom` is what the user sees, for a diagnosis that is asked with it; empty for one that is not. `incident` is the
    documented outage or block that it replays.
    """

    name: str
    sentence: str
    expect: Expect
    client: Client
    uplinks: tuple[Uplink, ...] = msgspec.field(name="uplink", default=())
    routers: tuple[Router, ...] = msgspec.field(name="router", default=())
    links: tuple[Link, ...] = msgspec.field(name="link", default=())
    servers: tuple[Server, ...] = msgspec.field(name="server", default=())
    resolvers: tuple[Resolver, ...] = msgspec.field(name="resolver", default=())
    routes: tuple[Route, ...] = msgspec.field(name="route", default=())
    names: dict[str, Entry] = {}
    faults: tuple[Fault, ...] = msgspec.field(name="fault", default=())
    symptom: str = ""
    incident: str = ""

    @property
    def client_address(self) -> str:
        """The client's address without its prefix length."""
        return self.client.address.partition("/")[0]

    @property
    def client_addresses(self) -> tuple[str, ...]:
        """The client's addresses, IPv4's first, without their prefix lengths."""
        return tuple(address.partition("/")[0] for address in (self.client.address, self.client.address6) if address)

    @property
    def gateway(self) -> Router:
        """The client's next hop."""
        return next(router for router in self.routers if router.name == self.client.gateway)

    @property
    def own_mtu(self) -> int:
        """The MTU of the client's own link."""
        ends = {"client", self.client.gateway}
        return next((link.mtu for link in self.links if set(link.ends) == ends), 1500)
