"""Middleboxes and servers that contradict themselves: what is wrong with one, in words with a hint."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NamedTuple

from netprobe.sim import interdomain
from netprobe.sim.interception import behind
from netprobe.sim.middlebox import QUIC
from netprobe.sim.quic import headers
from netprobe.sim.records import Fault, Router, Scenario
from netprobe.sim.routing import CLIENT, Routing, clients, node_addresses

_LEAST_MSS = 28  # of the 68 bytes that every link carries whole
_MOST_PORTS = 65536 - 1024
_MADE_UP = IPv4Network("169.254.0.0/16")

#: What can be wrong with a certificate: one of these.
CERTIFICATES = ("expired", "not_yet_valid", "unknown_issuer", "self_signed", "wrong_name")
#: At which moment of a connection a server hangs up, and how.
HANGUP_WHEN = ("accepted", "hello", "upload", "request", "answer")
HANGUP_HOW = ("reset", "close", "silence")


class _Contradiction(NamedTuple):
    """Faults of `kinds` for which `holds` are refused, because of `key`: `text` says why and what to do."""

    kinds: tuple[str, ...]
    key: str
    text: str
    holds: Callable[[Fault, Scenario], bool]


def _at_router(fault: Fault, scenario: Scenario) -> bool:
    return bool(set(fault.at) & {router.name for router in scenario.routers})


def _machines(scenario: Scenario) -> dict[str, str]:
    """The addresses of servers and resolvers, and who has them."""
    found = {address: server.name for server in scenario.servers for address in server.addresses}
    return {address: resolver.name for resolver in scenario.resolvers for address in resolver.addresses} | found


def _comes_back(scenario: Scenario, address: str, router: str) -> bool:
    """Whether what the machine at `address` sends to the client crosses `router` before anybody translates it."""
    node = node_addresses(scenario)[address]
    over_v6 = ":" in address
    routing = Routing(scenario, 0, over_v6=over_v6)
    ways = [way for card in clients(scenario) if (way := routing.way(node, card)) and router in way.hops]
    translating = {r.name for r in scenario.routers if r.nat}
    crossed = [way.hops[: way.hops.index(router) + 1] for way in ways]
    homes = (scenario.client.address, *(uplink.address for uplink in scenario.uplinks))
    at_home = over_v6 or any(IPv4Address(address) in IPv4Interface(home).network for home in homes)
    return any(at_home or not translating.intersection(hops) for hops in crossed)


CONTRADICTIONS = (
    _Contradiction(
        ("no_lease",),
        "addresses",
        "a device makes itself one address, and that is of 169.254.0.0/16 (RFC 3927)",
        lambda f, _: len(f.addresses) > 1 or any(IPv4Address(a) not in _MADE_UP for a in f.addresses),
    ),
    _Contradiction(
        ("busy",),
        "delay_ms",
        "how long does a process wait for its turn?",
        lambda f, _: f.delay_ms <= 0,
    ),
    _Contradiction(
        ("certificate",),
        "at",
        "with [[uplink]] a server would show it to all of them: put it at a server, or at the client",
        lambda f, s: bool(s.uplinks) and _at_router(f, s),
    ),
    _Contradiction(
        ("dns",),
        "at",
        "a router forges answers: for silence or delay use the kinds 'drop' and 'delay'",
        lambda f, s: (f.silence or f.delay_ms > 0) and _at_router(f, s),
    ),
    _Contradiction(
        ("dns",),
        "separate",
        "an answer for each address is for two addresses or more, and for routers: a resolver answers once",
        lambda f, s: f.separate and (len(f.addresses) < 2 or not _at_router(f, s)),
    ),
    _Contradiction(
        ("dns",),
        "missing",
        "names that do not exist get 'addresses', and a resolver gives them",
        lambda f, s: f.missing and (not f.addresses or _at_router(f, s)),
    ),
    _Contradiction(
        ("dns",),
        "truncate",
        "it is a resolver that says that its answer is too long",
        lambda f, s: f.truncate and _at_router(f, s),
    ),
    _Contradiction(
        ("throttle",),
        "rate_kbit",
        "nothing passes at 0 kbit/s: give a rate, or use the kind 'drop'",
        lambda f, _: f.rate_kbit <= 0,
    ),
    _Contradiction(
        ("throttle",),
        "burst_kb",
        "a bucket that holds no whole packet lets none pass: 1.5 is the least",
        lambda f, _: f.burst_kb < 1.5,
    ),
    _Contradiction(
        ("cutoff",),
        "after_bytes",
        "cut off after how much? Give after_bytes, after_packets, or use the kind 'drop'",
        lambda f, _: not f.after_bytes and not f.after_packets,
    ),
    _Contradiction(
        ("block_page",),
        "body",
        "'body' is the whole page and has a title of its own: give one of the two",
        lambda f, _: bool(f.title and f.body),
    ),
    _Contradiction(
        ("block_page",),
        "title",
        "the page says nothing: give 'title', 'body', or 'headers' with a location",
        lambda f, _: not (f.title or f.body or f.headers),
    ),
    _Contradiction(
        ("block_page",),
        "status",
        "an answer with this status has no page (RFC 9110, 15.3.5)",
        lambda f, _: f.status in {204, 304} or 0 < f.status < 200,
    ),
    _Contradiction(
        ("stateful",),
        "idle_s",
        "a firewall that forgets at once lets no connection live",
        lambda f, _: f.idle_s <= 0,
    ),
    _Contradiction(
        ("certificate",),
        "at",
        "no server is reached through it, so it breaks nothing open",
        lambda f, s: not all(behind(s, at) for at in f.at if at == CLIENT or at in {r.name for r in s.routers}),
    ),
    _Contradiction(
        ("redirect",),
        "to",
        "it is the address of no [[server]] and no [[resolver]]: who should answer?",
        lambda f, s: f.to not in _machines(s),
    ),
    _Contradiction(
        ("redirect",),
        "to",
        "what it answers does not come back through the router that redirects: let it hang there, or beyond",
        lambda f, s: not all(_comes_back(s, f.to, at) for at in f.at),
    ),
    _Contradiction(
        ("redirect",),
        "match",
        "a connection is redirected from its beginning, before anybody says a name",
        lambda f, _: bool(f.match.server_name or f.match.query_name) or f.match.protocol == "icmp",
    ),
    _Contradiction(
        ("exhausted",),
        "at",
        "only a router with 'nat' has ports that can run out",
        lambda f, s: any(router.nat is None for router in s.routers if router.name in f.at),
    ),
    _Contradiction(
        ("reset", "block_page", "stateful"),
        "match",
        "this kind is about TCP only",
        lambda f, _: f.match.protocol not in {"", "tcp"} or bool(f.match.query_name),
    ),
    _Contradiction(
        ("drop", "delay", "throttle", "cutoff", "redirect"),
        "match",
        "QUIC is on UDP port 443 here, and has no DNS questions in it",
        lambda f, _: f.match.protocol == QUIC and (f.match.port not in {0, headers.PORT} or bool(f.match.query_name)),
    ),
    _Contradiction(
        ("firewall", "loop"),
        "match",
        "this kind looks at addresses and ports only: for QUIC use protocol 'udp' with port 443",
        lambda f, _: f.match.protocol == QUIC,
    ),
    _Contradiction(
        ("certificate",),
        "expired",
        f"one thing is wrong with it: {', '.join(CERTIFICATES)}",
        lambda f, _: sum(bool(getattr(f, key)) for key in CERTIFICATES) != 1,
    ),
    _Contradiction(
        ("overload",),
        "syn_loss",
        "it is a fraction, 1 at most",
        lambda f, _: f.syn_loss > 1,
    ),
    _Contradiction(
        ("overload",),
        "syn_loss",
        "an overload shows: give syn_loss, cookies, or delay_ms",
        lambda f, _: not (f.syn_loss or f.cookies or f.delay_ms),
    ),
    _Contradiction(
        ("hangup",), "when", f"it is one of {', '.join(HANGUP_WHEN)}", lambda f, _: f.when not in HANGUP_WHEN
    ),
    _Contradiction(("hangup",), "how", f"it is one of {', '.join(HANGUP_HOW)}", lambda f, _: f.how not in HANGUP_HOW),
    _Contradiction(
        ("hangup",),
        "server_name",
        "nobody has said a name yet when a connection is accepted",
        lambda f, _: f.when == "accepted" and bool(f.server_name),
    ),
    _Contradiction(
        ("hangup",),
        "after_bytes",
        "it counts bytes of an upload or an answer",
        lambda f, _: f.after_bytes > 0 and f.when not in {"upload", "answer"},
    ),
)


def complaint(fault: Fault, scenario: Scenario) -> str:
    """What is wrong with `fault`; empty when nothing is."""
    if fault.kind in interdomain.ROUTING_KINDS and (wrong := interdomain.complaint(fault, scenario)):
        return f"[[fault]] '{fault.kind}': {wrong}"
    for row in CONTRADICTIONS:
        if fault.kind in row.kinds and row.holds(fault, scenario):
            return f"'{row.key}' in [[fault]] '{fault.kind}': {row.text}"
    return ""


def router_complaint(router: Router, outside: frozenset[str]) -> str:
    """What is wrong with what `router` does to packets; `outside` are the nodes that it hides the client from."""
    where = f"[[router]] '{router.name}'"
    if 0 < router.mss_clamp < _LEAST_MSS:
        return f"'mss_clamp' in {where}: {router.mss_clamp} is below {_LEAST_MSS}, which fits any link (RFC 791)"
    nat = router.nat
    if nat is None:
        return ""
    if not outside:
        return f"'nat' in {where}: nobody is behind it, seen from the client, so it has nothing to translate"
    if nat.ports > _MOST_PORTS:
        return f"'ports' in nat of {where}: an address has {_MOST_PORTS} ports above 1023"
    if min(nat.tcp_s, nat.udp_s, nat.icmp_s) < 1:
        return f"'nat' in {where}: what is forgotten in less than a second is not translated back"
    return ""
