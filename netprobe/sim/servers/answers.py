"""What a server or a resolver says at a given time: a scenario's tables read with its faults. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from netprobe.sim.middlebox import name_pattern
from netprobe.sim.records import Entry, Fault, Resolver, Scenario, Server

FORWARDER_ATTEMPTS_S = (0.8, 1.6)  # how long a forwarder waits for its upstream, attempt by attempt

_ALIASES = 8  # RFC 1034, 5.2.2: chains must end somewhere
_NEGATIVE_TTL_S = 60


class Condition(StrEnum):
    """What is right or wrong with a certificate."""

    VALID = "valid"
    EXPIRED = "expired"
    UNKNOWN_ISSUER = "unknown_issuer"


@dataclass(slots=True, frozen=True)
class Page:
    """An HTTP answer: `delay_s` is the time until its first byte leaves, `title` what its HTML says it is."""

    status: int
    headers: dict[str, str]
    title: str
    delay_s: float


@dataclass(slots=True, frozen=True)
class Records:
    """A DNS answer: its response code's name, the alias chain as (owner, target), and the addresses at its end."""

    rcode: str
    aliases: tuple[tuple[str, str], ...] = ()
    addresses: tuple[str, ...] = ()
    ttl_s: int = _NEGATIVE_TTL_S

    @property
    def owner(self) -> str:
        """The name that owns the addresses; empty: the one that was asked for."""
        return self.aliases[-1][1] if self.aliases else ""


def active(scenario: Scenario, kind: str, at: str, now: float) -> Iterator[Fault]:
    """The faults of `kind` that are on at node `at`, in the file's order."""
    return (fault for fault in scenario.faults if fault.kind == kind and at in fault.at and fault.active(now))


def _covers(patterns: tuple[str, ...], name: str) -> bool:
    return not patterns or bool(name_pattern(patterns).match(name))


def page(scenario: Scenario, server: Server, host: str, path: str, now: float) -> Page:
    """What `server` answers to a request for `path` at `host` (lower case, without a port) at `now`."""
    status, headers, delay_ms = server.status, dict(server.headers), server.delay_ms
    if path.partition("?")[0] == "/generate_204":  # what phones ask to learn whether there is an Internet
        status = HTTPStatus.NO_CONTENT
    for fault in active(scenario, "http", server.name, now):
        if _covers(fault.server_name, host):
            status = fault.status or status
            headers |= fault.headers
            delay_ms += fault.delay_ms
    return Page(status, headers, _reason(status) if status >= HTTPStatus.BAD_REQUEST else host, delay_ms / 1e3)


def _reason(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:  # some vendors have numbers of their own (520, 530)
        return str(status)


def condition(scenario: Scenario, server: Server, name: str, now: float) -> Condition:
    """What is wrong with the certificate that `server` shows to a client that asks for `name` at `now`."""
    for fault in active(scenario, "certificate", server.name, now):
        if _covers(fault.server_name, name):
            return Condition.UNKNOWN_ISSUER if fault.unknown_issuer else Condition.EXPIRED
    return Condition.VALID


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
            if fault.silence:
                return Records("")
            return Records(fault.rcode or "NOERROR", addresses=fault.addresses)
    return None


def resolve(scenario: Scenario, name: str) -> Records:
    """What the world's DNS knows of `name` (lower case)."""
    chain: list[tuple[str, str]] = []
    owner = name
    entry: Entry | None = None
    while (found := scenario.names.get(owner)) is not None and len(chain) < _ALIASES:
        entry = found
        if not entry.alias:
            break
        chain.append((owner, entry.alias.lower()))
        owner = entry.alias.lower()
    if entry is None:
        names_below = not name or any(known.endswith(f".{name}") for known in scenario.names)
        return Records("NOERROR" if names_below else "NXDOMAIN")  # RFC 8020: a name with names below it exists
    return Records("NOERROR", tuple(chain), entry.addresses, entry.ttl_s)
