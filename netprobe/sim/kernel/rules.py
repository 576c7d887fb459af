"""What a scenario's faults are in nftables' words, one ruleset a namespace and stretch of time. Pure text.

What nftables cannot do - read a name, forge an answer, hold a packet up - is marked, and a rule of the routing sends it
through a device behind which a process of ours stands (`detour`).
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from netprobe.sim.boxes import BOTH_WAYS, BOXES
from netprobe.sim.firewall import match_words, table
from netprobe.sim.kernel.layout import NO_ROUTE_EXIT, SERVERS, SILENT_EXIT, UNOWNED_EXIT, Layout, Wire
from netprobe.sim.kernel.queues import loses
from netprobe.sim.kernel.translation import BEHIND_TRANSLATION, translation_rules
from netprobe.sim.links import transitions
from netprobe.sim.middlebox import QUIC
from netprobe.sim.records import Fault, Match, RateLimit, Scenario
from netprobe.sim.routing import directions

DETOUR = "detour"
DETOUR_MARK, LOOP_MARK = 1, 2
_CHANCES = 100_000
_OWN_ERRORS = "icmp type { destination-unreachable, time-exceeded }"
_OWN_WORDS = "icmp type { destination-unreachable, time-exceeded, echo-reply }"
_DNS_PORT = 53
_LOSING, _PEERS = "losing", "peers"  # sets: the devices that are losing in a burst, the buckets of peers
_TTL_LIMIT = 255
_PASSING = f'iifname != "{DETOUR}" fib daddr type != local'  # what is here for the first time, to go on


def active(scenario: Scenario, now: float) -> tuple[Fault, ...]:
    """The faults that are on at `now`."""
    return tuple(fault for fault in scenario.faults if fault.active(now))


def takes_a_detour(fault: Fault) -> bool:
    """Whether a router cannot do this by itself."""
    named = bool(fault.match.server_name or fault.match.query_name) or fault.match.protocol == QUIC
    return fault.kind in BOXES.keys() - {"drop", "loop"} or (fault.kind == "drop" and named)


def router_rules(scenario: Scenario, layout: Layout, router: str, on: Sequence[Fault], *, netem: bool = False) -> str:
    """The ruleset of `router` while the faults `on` are; with `netem` that is what loses packets between routers."""
    mine = [fault for fault in on if router in fault.at]
    record = next(r for r in scenario.routers if r.name == router)
    dead = any(fault.kind == "down" for fault in mine)
    silent = record.silent or any(fault.kind == "silent" for fault in mine)
    limits = [RateLimit(f.rate, f.burst, f.per) for f in mine if f.kind == "rate_limit"]
    limit = limits[-1] if limits else record.rate_limit
    wires = [wire.during(on) for wire in layout.wires if router in wire.ends]
    early = [*_dropped(mine), *_detoured(mine), *_looping(layout, mine, router)]
    for number, wire in enumerate(wires):
        early[:0] = _lost(wire, wire.other(router), f'iifname "{wire.device(router)}"', number, on, netem=netem)
    if not record.propagate_ttl:
        early += _uncounted()
    passing = [
        *_clamped(record.mss_clamp),
        f'oifname "{SILENT_EXIT}" drop',
        f'oifname "{UNOWNED_EXIT}" reject with icmp type host-unreachable',
        f'oifname "{NO_ROUTE_EXIT}" reject with icmp type net-unreachable',
    ]
    out = ["drop"] if dead else [f"{_OWN_WORDS} drop"] if silent else []
    if limit is not None:
        out += _limited(limit)
    if record.icmp_source:
        out.append(f"{_OWN_ERRORS} ip saddr {record.address} ip saddr set {record.icmp_source}")
    talk = _routing_protocol(layout, router)
    leaving = [
        rule
        for number, wire in enumerate(wires)
        if wire.other(router) in {wire.card, SERVERS}  # who is no router has no rules
        for rule in _lost(wire, router, f'oifname "{wire.device(router)}"', len(wires) + number, on, netem=netem)
    ]
    sets = [f"{_LOSING}-{n} {{ type iface_index; flags dynamic; size 8; }}" for n in range(2 * len(wires))]
    used = [text for n, text in enumerate(sets) if any(f"@{_LOSING}-{n} " in rule for rule in (*early, *leaving))]
    if limit is not None and limit.per == "peer":
        used.append(f"{_PEERS} {{ type ipv4_addr; flags dynamic; size 65535; timeout 1h; }}")
    rules = table(
        used,
        prerouting_priority=BEHIND_TRANSLATION if record.nat else "raw",
        prerouting=[*talk, *(["drop"] if dead else early)],
        forward=passing,
        input=_services(scenario, on, layout.here(router)),
        output=[*talk, *out],
        postrouting=leaving,
    )
    return rules + translation_rules(scenario, layout, record, on, DETOUR, _detour_words(mine))


def server_rules(scenario: Scenario, layout: Layout, on: Sequence[Fault]) -> str:
    """The ruleset of the servers' namespace."""
    dead = [a for s in scenario.servers for a in s.addresses if _is("down", s.name, on)]
    shared = {address for server in scenario.servers for address in server.addresses}
    dead += [r.address for r in scenario.resolvers if _is("down", r.name, on) and r.address not in shared]
    here = set(layout.here(SERVERS))
    gone = _set(address for address in dead if address in here)
    ttls = [
        f"ip saddr {_set(server.addresses)} ip ttl 64 ip ttl set {server.initial_ttl}"
        for server in scenario.servers
        if server.initial_ttl != 64 and server.addresses
    ]
    return table(
        prerouting=[f"ip daddr {gone} drop"] if gone else [],
        input=[*_services(scenario, on, layout.here(SERVERS)), *_lost_syns(scenario, on)],
        output=[*([f"ip saddr {gone} drop"] if gone else []), *_few_echoes(scenario, on)],
        postrouting=ttls,
    )


def _lost(wire: Wire, near: str, where: str, number: int, on: Sequence[Fault], *, netem: bool) -> list[str]:
    """What gets lost on a wire on its way from `near`, and what does not fit when others use it up."""
    link, rules = wire.leaving(near), []
    if netem and loses(wire, near):
        pass  # by itself
    elif link.loss and link.loss_burst > 1:
        enter, leave = transitions(link.loss, link.loss_burst)
        device, losing = where.split(maxsplit=1)[0].removesuffix("name"), f"{_LOSING}-{number}"
        state = f"{{ {device} }}"
        rules += [
            f"{where} {device} @{losing} {_chance(leave)} delete @{losing} {state} accept",
            f"{where} {device} @{losing} drop",
            f"{where} {_chance(enter)} add @{losing} {state} drop",
        ]
    elif link.loss:
        rules.append(f"{where}{_chance(link.loss)} drop")
    load = max((f.load for f in on if f.kind == "congestion" and (near, wire.other(near)) in directions(f)), default=0)
    if load > 1:
        rules.append(f"{where}{_chance(1 - 1 / load)} drop")
    return rules


def _routing_protocol(layout: Layout, router: str) -> list[str]:
    """What routers say to each other of routes comes before all else (RFC 4594, 3.2): no fault is about it."""
    peers = [layout.here(peer)[0] for peer in layout.domains.neighbours(router)] if layout.domains.used else []
    ends = _set((*peers, *layout.here(router)))
    return [f"meta l4proto tcp ip saddr {ends} ip daddr {ends} accept"] if peers else []


def _uncounted() -> Iterator[str]:
    """Put up what forwarding is about to count down: who does not see the router shall not count it either."""
    yield "fib daddr type local accept"
    for ttl in range(1, _TTL_LIMIT):
        yield f"ip ttl {ttl} ip ttl set {ttl + 1} accept"


def _limited(limit: RateLimit) -> Iterator[str]:
    """Errors above the limit."""
    if limit.per == "peer":
        yield f"{_OWN_ERRORS} update @{_PEERS} {{ ip daddr {_over(limit)} }} drop"
    else:
        yield f"{_OWN_ERRORS} {_over(limit)} drop"
    if limit.total_rate:
        yield f"{_OWN_ERRORS} {_over(RateLimit(limit.total_rate, limit.total_burst))} drop"


def _dropped(mine: Iterable[Fault]) -> Iterator[str]:
    """What vanishes, before the kernel looks whether the next link carries it; who runs out of TTL is still told."""
    for fault in mine:
        if fault.kind == "drop" and not takes_a_detour(fault):
            for words in match_words(fault.match):
                yield f"{_PASSING} ip ttl > 1 {words}{_chance(fault.fraction)} drop"


def _detoured(mine: Iterable[Fault]) -> Iterator[str]:
    for words in _detour_words(mine):
        yield f"{words}meta mark set {DETOUR_MARK}"


def _detour_words(mine: Iterable[Fault]) -> Iterator[str]:
    """What goes through our process, as rules without their verdict."""
    for fault in mine:
        if takes_a_detour(fault):
            match = Match(protocol="udp", port=_DNS_PORT) if fault.kind == "dns" else fault.match
            matches = [match]
            if fault.kind in BOTH_WAYS and (match.source or match.destination):
                matches.append(replace(match, source=match.destination, destination=match.source))
            if fault.kind == "redirect":
                matches.append(Match(source=(fault.to,)))
            for words in (words for match in matches for words in match_words(match)):
                yield f"{_PASSING} {words}"


def _clamped(limit: int) -> Iterator[str]:
    if limit:
        yield f"tcp flags syn tcp option maxseg size > {limit} tcp option maxseg size set {limit}"


def _looping(layout: Layout, mine: Iterable[Fault], router: str) -> Iterator[str]:
    """A packet that has crossed the nearer router and comes to the farther one is sent back."""
    for fault in mine:
        if fault.kind == "loop":
            near, far = layout.farther((fault.at[0], fault.at[1]))
            if router == far:
                device = layout.wire(near, far).device(far)
                for words in match_words(fault.match):
                    chance = _chance(fault.fraction)
                    yield f'iifname "{device}" fib daddr type != local {words}{chance} meta mark set {LOOP_MARK}'


def _services(scenario: Scenario, on: Sequence[Fault], here: Sequence[str]) -> Iterator[str]:
    """Machines that refuse, and resolvers that are dead on an address that others live at."""
    shared = {address for server in scenario.servers for address in server.addresses}
    for resolver in scenario.resolvers:
        if resolver.address in here:
            words = f"ip daddr {resolver.address} th dport {_DNS_PORT}"
            if _is("down", resolver.name, on):
                yield f"meta l4proto {{ tcp, udp }} {words} drop"
            if _is("refuse", resolver.name, on):
                yield from _refusal(words)
    for server in scenario.servers:
        if _is("refuse", server.name, on):
            for address in server.addresses:
                names = any(resolver.address == address for resolver in scenario.resolvers)
                spared = f" th dport != {_DNS_PORT}" if names and address in shared else ""
                yield from _refusal(f"ip daddr {address}{spared}")


def _refusal(words: str) -> Iterator[str]:
    yield f"meta l4proto tcp {words} reject with tcp reset"
    yield f"meta l4proto udp {words} reject with icmp type port-unreachable"


def _is(kind: str, name: str, on: Iterable[Fault]) -> bool:
    return any(fault.kind == kind and name in fault.at for fault in on)


def _chance(fraction: float) -> str:
    return "" if fraction >= 1.0 else f" numgen random mod {_CHANCES} < {round(fraction * _CHANCES)}"


def _lost_syns(scenario: Scenario, on: Sequence[Fault]) -> Iterator[str]:
    """Servers without room for all connections."""
    for server in scenario.servers:
        for fault in on:
            if fault.kind == "overload" and server.name in fault.at and fault.syn_loss:
                words = f"ip daddr {_set(server.addresses)} tcp flags & (syn | ack) == syn"
                yield f"{words}{_chance(fault.syn_loss)} drop"


def _few_echoes(scenario: Scenario, on: Sequence[Fault]) -> Iterator[str]:
    """Servers that limit their echo replies, each over all its addresses."""
    for server in scenario.servers:
        for fault in on:
            if fault.kind == "rate_limit" and server.name in fault.at:
                limit = _over(RateLimit(fault.rate, fault.burst))
                yield f"ip saddr {_set(server.addresses)} icmp type echo-reply {limit} drop"


def _over(limit: RateLimit) -> str:
    """What exceeds a token bucket; nftables wants whole numbers."""
    for unit, seconds in (("second", 1), ("minute", 60), ("hour", 3600)):
        number = limit.rate * seconds
        if number >= 1 and (abs(number - round(number)) < 1e-9 or unit == "hour"):
            return f"limit rate over {round(number)}/{unit} burst {limit.burst} packets"
    return f"limit rate over 1/day burst {limit.burst} packets"


def _set(members: Iterable[str]) -> str:
    """A set of addresses or prefixes; empty text when there is none."""
    joined = ", ".join(dict.fromkeys(members))
    return f"{{ {joined} }}" if joined else ""
