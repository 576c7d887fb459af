"""What a scenario's faults are in nftables' words, one ruleset a namespace and stretch of time. Pure text.

What nftables cannot do - read a name, forge an answer, hold a packet up - is marked, and a rule of the routing sends it
through a device behind which a process of ours stands (`detour`).
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from netprobe.sim.boxes import BOTH_WAYS, BOXES, LONGER_HEADER
from netprobe.sim.firewall import DISCOVERY, match_words, table
from netprobe.sim.kernel.layout import NO_ROUTE_EXIT, SERVERS, SILENT_EXIT, UNOWNED_EXIT, Layout, Wire
from netprobe.sim.kernel.queues import loses
from netprobe.sim.kernel.speech import DEVICE as SPEECH
from netprobe.sim.kernel.speech import HIGHEST_TTL, speaks_otherwise
from netprobe.sim.kernel.translation import BEHIND_TRANSLATION, translation_rules
from netprobe.sim.links import transitions
from netprobe.sim.middlebox import QUIC
from netprobe.sim.records import Fault, Match, RateLimit, Router, Scenario
from netprobe.sim.routing import directions

DETOUR = "detour"
DETOUR_MARK, LOOP_MARK, SPEECH_MARK = 1, 2, 3
_CHANCES = 100_000
_ERRORS = "icmp type { destination-unreachable, time-exceeded }"
_ERRORS_V6 = "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded }"
_WORDS = "icmp type { destination-unreachable, time-exceeded, echo-reply }"
_WORDS_V6 = "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, echo-reply }"
_DNS_PORT = 53
_LOSING, _PEERS = "losing", "peers"  # sets: the devices that are losing in a burst, the buckets of peers
_PEERS_V6, _ALL, _TOTAL = "peers6", "errors", "all-errors"  # and limits
_TTL_LIMIT, _SERVICE_TTL = 255, 64
_PASSING = (
    f'iifname != {{ "{DETOUR}", "{SPEECH}" }} fib daddr type != local'  # what is here for the first time, to go on
)


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
        f'oifname "{UNOWNED_EXIT}" reject with icmpx type host-unreachable',
        f'oifname "{NO_ROUTE_EXIT}" reject with icmpx type no-route',
    ]
    out = ["drop"] if dead else [f"{_WORDS} drop", f"{_WORDS_V6} drop"] if silent else []
    if limit is not None:
        out += _limited(limit)
    if record.icmp_source:
        out.append(f"{_ERRORS} ip saddr {record.address} ip saddr set {record.icmp_source}")
    # Its kernel has one TTL for all that it sends, and the scenario's is that of its ICMP messages.
    out += [f"meta l4proto {{ tcp, udp }} {ttl} set {_SERVICE_TTL}" for ttl in ("ip ttl", "ip6 hoplimit")]
    if layout.has_v6(router):
        # What it says without an address comes from one that leads nowhere; and hosts are told of no better routers.
        out += ["icmpv6 type nd-redirect drop", *([] if record.address6 else [f"{_WORDS_V6} drop"])]
    talk = _routing_protocol(layout, router)
    first = [f'iifname "{wire.device(router)}" drop' for wire in wires if dead and wire.card]
    first += [DISCOVERY, *talk]
    leaving = [
        rule
        for number, wire in enumerate(wires)
        if wire.other(router) in {wire.card, SERVERS}  # who is no router has no rules
        for rule in _lost(wire, router, f'oifname "{wire.device(router)}"', len(wires) + number, on, netem=netem)
    ]
    sets = [f"{_LOSING}-{n} {{ type iface_index; flags dynamic; size 8; }}" for n in range(2 * len(wires))]
    used = [text for n, text in enumerate(sets) if any(f"@{_LOSING}-{n} " in rule for rule in (*early, *leaving))]
    if limit is not None and limit.per == "peer":
        keys = ((_PEERS, "ipv4_addr"), (_PEERS_V6, "ipv6_addr"))
        used += [f"{name} {{ type {kind}; flags dynamic; size 65535; timeout 1h; }}" for name, kind in keys]
    rules = table(
        used,
        prerouting_priority=BEHIND_TRANSLATION if record.nat else "raw",
        family="inet",
        limits=_buckets(limit),
        prerouting=[*first, *(["drop"] if dead else early)],
        forward=passing,
        input=_services(scenario, on, layout.here(router)),
        output=[DISCOVERY, *talk, *out],
        postrouting=leaving,
    )
    if speaks_otherwise(record):
        rules += _speech(record)
    return rules + translation_rules(
        scenario, layout, record, on, DETOUR, [words for words in _detour_words(mine) if "ip6 " not in words]
    )


def server_rules(scenario: Scenario, layout: Layout, on: Sequence[Fault]) -> str:
    """The ruleset of the servers' namespace."""
    dead = [a for s in scenario.servers for a in s.addresses if _is("down", s.name, on)]
    shared = {address for server in scenario.servers for address in server.addresses}
    down = [a for r in scenario.resolvers if _is("down", r.name, on) for a in r.addresses]
    here = set(layout.here(SERVERS))
    gone = [address for address in (*dead, *(a for a in down if a not in shared)) if address in here]
    ttls = [
        f"{words} {ttl} 64 {ttl} set {server.initial_ttl}"
        for server in scenario.servers
        if server.initial_ttl != 64
        for words in _ends("saddr", server.addresses)
        for ttl in ("ip6 hoplimit" if words.startswith("ip6") else "ip ttl",)
    ]
    few = [(server, f) for server in scenario.servers for f in on if f.kind == "rate_limit" and server.name in f.at]
    return table(
        family="inet",
        limits=[f"echoes-{n} {{ {_over(RateLimit(f.rate, f.burst))} }}" for n, (_, f) in enumerate(few)],
        prerouting=[f"{words} drop" for words in _ends("daddr", gone)],
        input=[*_services(scenario, on, layout.here(SERVERS)), *_lost_syns(scenario, on)],
        output=[
            *(f"{words} drop" for words in _ends("saddr", gone)),
            *(
                f'{words} {echo} echo-reply limit name "echoes-{n}" drop'
                for n, (server, _) in enumerate(few)
                for words in _ends("saddr", server.addresses)
                for echo in ("icmpv6 type" if words.startswith("ip6") else "icmp type",)
            ),
        ],
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


def _speech(record: Router) -> str:
    """A table of its own that sends a router's errors through `speech`.

    A TTL that could not be put up there is put up here; one less than that nobody wants of this router.
    """
    lines = ["chain output { type route hook output priority mangle;"]
    lines += [f"{errors} meta mark set {SPEECH_MARK}" for errors in (_ERRORS, _ERRORS_V6)]
    lines += ["}", "chain forward { type filter hook forward priority mangle;"]
    if record.icmp_ttl == HIGHEST_TTL:
        ttls = ("ip ttl", "ip6 hoplimit")
        lines += [f'iifname "{SPEECH}" {ttl} {HIGHEST_TTL - 1} {ttl} set {HIGHEST_TTL}' for ttl in ttls]
    return "\n".join(["table inet speech", "delete table inet speech", "table inet speech {", *lines, "}", "}", ""])


def _routing_protocol(layout: Layout, router: str) -> list[str]:
    """What routers say to each other of routes comes before all else (RFC 4594, 3.2): no fault is about it."""
    peers = [layout.here(peer)[0] for peer in layout.domains.neighbours(router)] if layout.domains.used else []
    ends = _set((*peers, *layout.here(router)[:1]))
    talk = [f"meta l4proto tcp ip saddr {ends} ip daddr {ends} accept"] if peers else []
    return [*talk, "meta l4proto tcp ip6 saddr fe80::/10 accept"] if layout.domains_v6.used else talk


def _uncounted() -> Iterator[str]:
    """Put up what forwarding is about to count down: who does not see the router shall not count it either."""
    yield "fib daddr type local accept"
    for ttl in range(1, _TTL_LIMIT):
        yield f"ip ttl {ttl} ip ttl set {ttl + 1} accept"
        yield f"ip6 hoplimit {ttl} ip6 hoplimit set {ttl + 1} accept"


def _limited(limit: RateLimit) -> Iterator[str]:
    """Errors above the limit, in one bucket for both versions of IP."""
    errors = (_ERRORS, _ERRORS_V6)
    if limit.per == "peer":
        yield f"{_ERRORS} update @{_PEERS} {{ ip daddr limit {_over(limit)} }} drop"
        yield f"{_ERRORS_V6} update @{_PEERS_V6} {{ ip6 daddr limit {_over(limit)} }} drop"
    else:
        yield from (f'{words} limit name "{_ALL}" drop' for words in errors)
    if limit.total_rate:
        yield from (f'{words} limit name "{_TOTAL}" drop' for words in errors)


def _buckets(limit: RateLimit | None) -> Iterator[str]:
    """The limits that several rules share."""
    if limit is not None and limit.per != "peer":
        yield f"{_ALL} {{ {_over(limit)} }}"
    if limit is not None and limit.total_rate:
        yield f"{_TOTAL} {{ {_over(RateLimit(limit.total_rate, limit.total_burst))} }}"


def _dropped(mine: Iterable[Fault]) -> Iterator[str]:
    """What vanishes, before the kernel looks whether the next link carries it; who runs out of TTL is still told."""
    for fault in mine:
        if fault.kind == "drop" and not takes_a_detour(fault):
            for words in match_words(fault.match):
                for ttl in ("ip ttl > 1", "ip6 hoplimit > 1"):
                    family = words.partition(" ")[0]
                    if family not in {"ip", "ip6"} or ttl.startswith(f"{family} "):
                        yield f"{_PASSING} {ttl} {words}{_chance(fault.fraction)} drop"


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
    for version, most in (("ipv4", limit), ("ipv6", limit - LONGER_HEADER)) if limit else ():
        words = f"meta nfproto {version} tcp flags syn tcp option maxseg size"
        yield f"{words} > {most} tcp option maxseg size set {most}"


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
        for address in {*resolver.addresses} & {*here}:
            (words,) = _ends("daddr", (address,))
            words += f" th dport {_DNS_PORT}"
            if _is("down", resolver.name, on):
                yield f"meta l4proto {{ tcp, udp }} {words} drop"
            if _is("refuse", resolver.name, on):
                yield from _refusal(words)
    for server in scenario.servers:
        if _is("refuse", server.name, on):
            for address in server.addresses:
                names = any(address in resolver.addresses for resolver in scenario.resolvers)
                spared = f" th dport != {_DNS_PORT}" if names and address in shared else ""
                (words,) = _ends("daddr", (address,))
                yield from _refusal(f"{words}{spared}")


def _refusal(words: str) -> Iterator[str]:
    yield f"meta l4proto tcp {words} reject with tcp reset"
    yield f"meta l4proto udp {words} reject with icmpx type port-unreachable"


def _is(kind: str, name: str, on: Iterable[Fault]) -> bool:
    return any(fault.kind == kind and name in fault.at for fault in on)


def _chance(fraction: float) -> str:
    return "" if fraction >= 1.0 else f" numgen random mod {_CHANCES} < {round(fraction * _CHANCES)}"


def _lost_syns(scenario: Scenario, on: Sequence[Fault]) -> Iterator[str]:
    """Servers without room for all connections."""
    for server in scenario.servers:
        for fault in on:
            if fault.kind == "overload" and server.name in fault.at and fault.syn_loss:
                for words in _ends("daddr", server.addresses):
                    yield f"{words} tcp flags & (syn | ack) == syn{_chance(fault.syn_loss)} drop"


def _over(limit: RateLimit) -> str:
    """What exceeds a token bucket; nftables wants whole numbers."""
    for unit, seconds in (("second", 1), ("minute", 60), ("hour", 3600)):
        number = limit.rate * seconds
        if number >= 1 and (abs(number - round(number)) < 1e-9 or unit == "hour"):
            return f"rate over {round(number)}/{unit} burst {limit.burst} packets"
    return f"rate over 1/day burst {limit.burst} packets"


def _ends(side: str, addresses: Iterable[str]) -> list[str]:
    """That a packet's `side` (saddr, daddr) is one of `addresses`, in words for each version of IP."""
    members = tuple(dict.fromkeys(addresses))
    families = (("ip", [a for a in members if ":" not in a]), ("ip6", [a for a in members if ":" in a]))
    return [f"{family} {side} {_set(ours) if len(ours) > 1 else ours[0]}" for family, ours in families if ours]


def _set(members: Iterable[str]) -> str:
    """A set of addresses or prefixes; empty text when there is none."""
    joined = ", ".join(dict.fromkeys(members))
    return f"{{ {joined} }}" if joined else ""
