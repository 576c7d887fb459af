"""What a server or a resolver says at a given time: a scenario's tables read with its faults. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from html import escape
from http import HTTPStatus

import msgspec

from netprobe.sim import prefixes
from netprobe.sim.balancing import hash_of
from netprobe.sim.feeds import CONTENT_TYPES, written
from netprobe.sim.middlebox import name_pattern
from netprobe.sim.records import Entry, Fault, Resolver, Scenario, Server

FORWARDER_ATTEMPTS_S = (0.8, 1.6)  # how long a forwarder waits for its upstream, attempt by attempt

ALT_SVC = 'h3=":443"; ma=86400'  # RFC 7838: who speaks HTTP/3 says so with every page
MOST_ALIASES = 8  # RFC 1034, 5.2.2: chains must end somewhere
_NEGATIVE_TTL_S = 60
_CHECKS = {  # what devices ask to learn whether there is an Internet: anybody who serves pages says the same
    "/generate_204": (HTTPStatus.NO_CONTENT, ""),
    "/library/test/success.html": (HTTPStatus.OK, "Success"),
}
_NO_BODY = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Condition(StrEnum):
    """What is right or wrong with a certificate."""

    VALID = "valid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    UNKNOWN_ISSUER = "unknown_issuer"
    SELF_SIGNED = "self_signed"


class Shown(msgspec.Struct, frozen=True):
    """What a server proves about itself in its first flight: its certificate's names, and what is wrong with it."""

    names: tuple[str, ...]
    condition: Condition = Condition.VALID


@dataclass(slots=True, frozen=True)
class Page:
    """An HTTP answer: `delay_s` is the time until its first byte leaves, `title` what its HTML says it is.

    Its body is filled up to `body_bytes`. `document` is what it has instead.
    """

    status: int
    headers: dict[str, str]
    title: str
    delay_s: float
    body_bytes: int = 0
    document: bytes = b""

    @property
    def body(self) -> bytes:
        """The page, in HTML unless it is a document; empty where the status allows none (RFC 9110, 6.4.1)."""
        if self.status in _NO_BODY:
            return b""
        if self.document:
            return self.document
        text = escape(self.title)
        page = f"<!doctype html><html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>\n"
        return page.encode().ljust(self.body_bytes)


@dataclass(slots=True, frozen=True)
class Records:
    """A DNS answer: its response code's name, the alias chain as (owner, target), and the addresses at its end.

    `scope` is the prefix length of the region that it is for (RFC 7871, 7.2.1); 0: for everybody. `servers` are the
    names of the name's own servers, where it is a zone; `authoritative`: it is one of them that says all this.
    """

    rcode: str
    aliases: tuple[tuple[str, str], ...] = ()
    addresses: tuple[str, ...] = ()
    ttl_s: int = _NEGATIVE_TTL_S
    aaaa: tuple[str, ...] = ()
    scope: int = 0
    servers: tuple[str, ...] = ()
    authoritative: bool = False

    @property
    def owner(self) -> str:
        """The name that owns the addresses; empty: the one that was asked for."""
        return self.aliases[-1][1] if self.aliases else ""


def active(scenario: Scenario, kind: str, at: str, now: float) -> Iterator[Fault]:
    """The faults of `kind` that are on at node `at`, in the file's order."""
    return (fault for fault in scenario.faults if fault.kind == kind and at in fault.at and fault.active(now))


def _covers(patterns: tuple[str, ...], name: str) -> bool:
    return not patterns or bool(name_pattern(patterns).match(name))


def page(  # what was asked for, where and when
    scenario: Scenario, server: Server, host: str, path: str, now: float, clock_s: float = 0.0, *, plain: bool = False
) -> Page:
    """What `server` answers to a request for `path` at `host` (lower case, without a port) at `now`.

    On port 80 (`plain`) it knows the names that it serves, no others, and leads them to its port of TLS if it
    `upgrades`. Everybody else's clock shows `clock_s` (Unix time) then.
    """
    status, delay_ms, title = server.status, server.delay_ms, ""
    headers = ({"alt-svc": ALT_SVC} if server.quic else {}) | server.headers
    size = server.body_bytes
    if status != HTTPStatus.OK:
        pass  # whoever says something of its own says that to everybody
    elif plain and _is_name(host) and not _covers(server.serves, host):
        status = HTTPStatus.NOT_FOUND
    elif (check := path.partition("?")[0]) in _CHECKS:
        status, title = _CHECKS[check]
    elif plain and server.upgrades:
        status, title = HTTPStatus.MOVED_PERMANENTLY, _reason(HTTPStatus.MOVED_PERMANENTLY)
        headers = headers | {"location": f"https://{host}{path}"}
    for fault in active(scenario, "http", server.name, now):
        if _covers(fault.server_name, host):
            status = fault.status or status
            headers |= fault.headers
            delay_ms += fault.delay_ms
            title = fault.title or title
            size = max(size, fault.body_bytes)
    title = title or (_reason(status) if status >= HTTPStatus.BAD_REQUEST else host)
    document = b""
    if server.feed and path == server.feed.path and status == HTTPStatus.OK:
        headers = {"content-type": CONTENT_TYPES[server.feed.format]} | headers
        document = written(server.feed, host, clock_s - now)
    return Page(status, headers, title, delay_ms / 1e3, size, document)


def _is_name(host: str) -> bool:
    """Whether it is no address, nor nothing."""
    return any(letter.isalpha() for letter in host) and ":" not in host


def _reason(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:  # some vendors have numbers of their own (520, 530)
        return str(status)


def certificate(scenario: Scenario, server: Server, name: str, now: float) -> Shown:
    """What `server` shows to a client that asks for `name` at `now`."""
    for fault in active(scenario, "certificate", server.name, now):
        if _covers(fault.server_name, name):
            wrong = next((c for c in Condition if getattr(fault, c, False)), Condition.VALID)
            return Shown((fault.wrong_name,) if fault.wrong_name else server.serves, wrong)
    return Shown(server.serves)


def accept_s(scenario: Scenario, server: Server, now: float) -> float:
    """How long a connection of `server` waits until somebody takes it: the handshake is over, and nothing is read."""
    return sum(fault.delay_ms for fault in active(scenario, "overload", server.name, now)) / 1e3


def cookies(scenario: Scenario, server: Server, now: float) -> bool:
    """Whether `server` answers SYNs with cookies (RFC 4987, 3.6)."""
    return any(fault.cookies for fault in active(scenario, "overload", server.name, now))


def hangup(scenario: Scenario, server: Server, when: str, name: str, flow: str, now: float) -> Fault | None:
    """The fault that ends a connection of `server` at the moment `when`, if one does.

    `name` is what the client asked for (lower case; empty where it has not said it yet). Of a partial fault it is the
    text `flow` that decides: what happens to a connection once happens to it again.
    """
    for number, fault in enumerate(scenario.faults):
        if fault.kind != "hangup" or fault.when != when or server.name not in fault.at or not fault.active(now):
            continue
        if _covers(fault.server_name, name) and drawn(f"{number}/{flow}", fault.fraction):
            return fault
    return None


def drawn(text: str, fraction: float) -> bool:
    """Whether the chance `fraction` takes the one that is called `text`."""
    return fraction >= 1.0 or hash_of(text) < fraction * 2**32


def thinking_s(scenario: Scenario, resolver: Resolver, name: str, now: float) -> float:
    """How long `resolver` takes before it answers, or forwards, a question about `name` (lower case)."""
    slow = (f.delay_ms for f in active(scenario, "dns", resolver.name, now) if _covers(f.names, name))
    return (resolver.delay_ms + sum(slow)) / 1e3


def mute(scenario: Scenario, resolver: Resolver, now: float) -> bool:
    """Whether a fault makes `resolver` say nothing at all, whatever it is asked."""
    return any(fault.silence and not fault.names for fault in active(scenario, "dns", resolver.name, now))


def tampered(scenario: Scenario, resolver: Resolver, name: str, now: float) -> Records | None:
    """What a fault makes `resolver` say about `name` (lower case); None when it is left alone.

    An empty response code means that it says nothing at all.
    """
    for fault in active(scenario, "dns", resolver.name, now):
        if _covers(fault.names, name) and (fault.silence or fault.rcode or fault.addresses):
            if fault.missing and resolve(scenario, name).rcode != "NXDOMAIN":
                continue
            if fault.silence:
                return Records("")
            addresses, aaaa = of_both_versions(fault.addresses)
            return Records(fault.rcode or "NOERROR", addresses=addresses, aaaa=aaaa)
    return None


def truncates(scenario: Scenario, resolver: Resolver, name: str, now: float) -> bool:
    """Whether a fault makes `resolver` say that its answer about `name` is too long for a datagram."""
    return any(f.truncate and _covers(f.names, name) for f in active(scenario, "dns", resolver.name, now))


def asker(resolver: Resolver, subnet: str = "") -> str:
    """The address by which authorities choose a region: the resolver's own, or one of the client's subnet.

    A resolver that does ECS (RFC 7871) tells them the `subnet` of the question, else the one of the scenario.
    """
    return (subnet or resolver.ecs).partition("/")[0] if resolver.ecs else resolver.address


def resolve(scenario: Scenario, name: str, asked_by: str = "") -> Records:
    """What the world's DNS knows of `name` (lower case), and tells who asks from the address `asked_by`."""
    chain: list[tuple[str, str]] = []
    owner = name
    entry: Entry | None = None
    while (found := scenario.names.get(owner)) is not None and len(chain) < MOST_ALIASES:
        entry = found
        targets = entry.aliases or ((entry.alias,) if entry.alias else ())
        if not targets:
            break
        for target in targets[: MOST_ALIASES - len(chain)]:
            chain.append((owner, target.lower()))
            owner = target.lower()
    servers = tuple(r.host for r in scenario.resolvers if name in r.zones)
    if entry is None:
        host = next((r for r in scenario.resolvers if name and r.host == name), None)
        if host is not None:
            addresses, aaaa = of_both_versions(host.addresses)
            return Records("NOERROR", addresses=addresses, aaaa=aaaa)
        names_below = not name or servers or any(known.endswith(f".{name}") for known in scenario.names)
        # RFC 8020: a name with names below it exists
        return Records("NOERROR" if names_below else "NXDOMAIN", servers=servers)
    addresses, aaaa, scope = _for_region(entry, asked_by)
    return Records("NOERROR", tuple(chain), addresses, entry.ttl_s, aaaa, scope, servers)


def own_word(scenario: Scenario, resolver: Resolver, name: str) -> Records | None:
    """What a zone's own server says of `name` (lower case); None where `resolver` is none."""
    if not resolver.zones:
        return None
    if not any(name == zone or name.endswith(f".{zone}") for zone in resolver.zones):
        return Records("REFUSED")
    return replace(resolve(scenario, name), authoritative=True)


def of_both_versions(addresses: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The addresses of IPv4, and those of IPv6."""
    return tuple(a for a in addresses if ":" not in a), tuple(a for a in addresses if ":" in a)


def _for_region(entry: Entry, asked_by: str) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """The addresses for who asks, of both versions, and the length of the prefix that they are for.

    Of a version that a region has none of, they are everybody's.
    """
    for prefix, row in sorted(entry.regions.items(), key=lambda r: -prefixes.length(r[0])) if asked_by else ():
        if prefixes.within(asked_by, (prefixes.mask(prefix),)):
            addresses, aaaa = of_both_versions(row)
            return addresses or entry.addresses, aaaa or entry.aaaa, prefixes.length(prefix)
    return entry.addresses, entry.aaaa, 0
