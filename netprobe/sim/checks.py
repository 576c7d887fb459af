"""What the types of records cannot say: names that dangle, faults that make no sense, routers that nobody reaches."""

from collections import Counter
from collections.abc import Iterable
from ipaddress import IPv6Interface, ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from netprobe.model.hint import hint
from netprobe.model.host import GivenFacts
from netprobe.probing.announced import SourceError, place_of
from netprobe.sim import lines
from netprobe.sim.contradictions import CERTIFICATES, complaint, router_complaint
from netprobe.sim.edges import outside
from netprobe.sim.feeds import FORMATS
from netprobe.sim.lines import WrongError, check_numbers
from netprobe.sim.middlebox import PROTOCOLS
from netprobe.sim.records import Entry, Fault, Scenario, Server
from netprobe.sim.routing import CLIENT, LINK_KEYS, Routing, clients, node_addresses
from netprobe.sim.servers.answers import MOST_ALIASES
from netprobe.sim.truths import ExpectationError, check_expect

__all__ = ["KINDS", "WrongError", "check"]

#: Fault kinds: where one may be, and which keys say more about it (besides kind, at, begin_s, end_s).
KINDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "down": (("router", "server", "resolver", "client", "uplink"), ("reroute",)),
    "no_lease": (("client", "uplink"), ("addresses",)),
    "busy": (("client",), ("delay_ms",)),
    "drop": (("router",), ("match", "fraction")),
    "reset": (("router",), ("match", "fraction", "injected", "fin")),
    "loop": (("router",), ("match", "fraction")),
    "delay": (("router",), ("match", "fraction", "delay_ms")),
    "throttle": (("router",), ("match", "rate_kbit", "burst_kb", "queue_ms")),
    "cutoff": (("router",), ("match", "after_bytes", "after_packets")),
    "block_page": (("router",), ("match", "status", "headers", "title", "body")),
    "redirect": (("router",), ("match", "to")),
    "exhausted": (("router",), ("fraction",)),
    "stateful": (("router",), ("match", "idle_s")),
    "firewall": (("client",), ("match",)),
    "withdraw": (("router",), ("prefix",)),
    "hijack": (("router",), ("prefix",)),
    "leak": (("router",), ("prefix",)),
    "silent": (("router",), ()),
    "congestion": (("router", "client", "uplink"), ("load", "towards")),
    "link": (("router", "client", "uplink"), (*LINK_KEYS, "towards")),
    "rate_limit": (("router", "server"), ("rate", "burst", "per")),
    "refuse": (("server", "resolver"), ()),
    "http": (("server",), ("status", "headers", "delay_ms", "server_name", "title", "body_bytes")),
    "overload": (("server",), ("syn_loss", "cookies", "delay_ms")),
    "certificate": (("server", "router", "client"), (*CERTIFICATES, "server_name")),
    "hangup": (("server",), ("when", "how", "after_bytes", "server_name", "fraction")),
    "dns": (
        ("resolver", "router"),
        ("rcode", "addresses", "silence", "names", "delay_ms", "separate", "missing", "truncate"),
    ),
}
_COMMON_KEYS = frozenset({"kind", "at", "begin_s", "end_s"})
_TWO = 2
_ENDS = {"loop": "routers", "congestion": "neighbours", "link": "neighbours"}
_FAINTEST_DBM = -110
_PLACES = ("uplink", "router", "server", "resolver")
_RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED")  # RFC 1035, 4.1.1


def check(scenario: Scenario) -> None:
    """Raise `WrongError` for the first thing that makes no sense."""
    _check_names(scenario)
    _check_addresses(scenario)
    _check_places(scenario)
    _check_expect(scenario)
    for fault in scenario.faults:
        _check_fault(scenario, fault)
    _check_connected(scenario)


def _names(scenario: Scenario, *places: str) -> list[str]:
    """The names of all that may be called one of `places`."""
    names = {
        "uplink": [uplink.name for uplink in scenario.uplinks],
        "router": [router.name for router in scenario.routers],
        "server": [server.name for server in scenario.servers],
        "resolver": [resolver.name for resolver in scenario.resolvers],
        CLIENT: [CLIENT],
    }
    return [name for place in places for name in names[place]]


def _check_names(scenario: Scenario) -> None:
    twice = [name for name, count in Counter([CLIENT, *_names(scenario, *_PLACES)]).items() if count > 1]
    if twice:
        msg = f"the name '{twice[0]}' is used twice: routers, servers and resolvers need names of their own"
        raise WrongError(msg)


def _check_addresses(scenario: Scenario) -> None:
    lines.check_cards(scenario)
    _check_client_v6(scenario)
    owned = [("router", r.name, a, _check_address) for r in scenario.routers for a in (r.address, r.icmp_source) if a]
    owned += [("router", r.name, r.nat.address, _check_address) for r in scenario.routers if r.nat]
    owned += [("router", r.name, r.address6, _check_address_v6) for r in scenario.routers if r.address6]
    owned += [("server", s.name, address, _check_either) for s in scenario.servers for address in s.addresses]
    seen: dict[str, str] = dict.fromkeys(scenario.client_addresses, "[client]")
    seen |= {uplink.address.partition("/")[0]: f"[[uplink]] '{uplink.name}'" for uplink in scenario.uplinks}
    for kind, name, address, check_address in owned:
        where = f"[[{kind}]] '{name}'"
        check_address(address, where)
        if address in seen:
            msg = f"{where} has the address {address} of {seen[address]}"
            raise WrongError(msg)
        seen[address] = where
    for resolver in scenario.resolvers:
        _check_either(resolver.address, f"[[resolver]] '{resolver.name}'")
        if resolver.address6:
            _check_address_v6(resolver.address6, f"'address6' in [[resolver]] '{resolver.name}'")
    for address in scenario.client.resolvers:
        _check_either(address, "'resolvers' in [client]")
    _check_facts(scenario.client.facts)
    for address in scenario.client.hosts.values():
        _check_either(address, "'hosts' in [client]")
    for url in scenario.client.announcements:
        try:
            place_of(url)
        except SourceError as error:
            msg = f"'announcements' in [client]: '{url}': {error}"
            raise WrongError(msg) from None
    for name, entry in scenario.names.items():
        _check_entry(entry, f"[names] '{name}'")


def _check_client_v6(scenario: Scenario) -> None:
    """A client with an address of IPv6 has a way out of its computer."""
    client, where = scenario.client, "'address6' in [client]"
    if not client.address6:
        return
    try:
        IPv6Interface(client.address6)
    except ValueError:
        msg = f"{where}: '{client.address6}' is not an IPv6 address with a prefix length"
        raise WrongError(msg) from None
    _check_address_v6(client.address6.partition("/")[0], where)
    link = next((link for link in scenario.links if set(link.ends) == {CLIENT, client.gateway}), None)
    gateway = next((router for router in scenario.routers if router.name == client.gateway), None)
    if (link and not link.ipv6) or (gateway and not gateway.ipv6):
        msg = f"{where}: nobody is there to send to, because the gateway, or the link to it, has 'ipv6 = false'"
        raise WrongError(msg)


def _check_facts(facts: GivenFacts) -> None:
    where = "[client.facts]"
    for key in ("retries", "speed_mbit", "rx_errors", "tx_errors", "tx_mbit", "rx_mbit", "load"):
        value = getattr(facts, key)
        if value is not None and value < 0:
            msg = f"'{key}' in {where}: {value:g} is below 0"
            raise WrongError(msg)
    if facts.retries is not None and facts.retries > 1:
        msg = f"'retries' in {where}: {facts.retries:g} is not between 0 and 1"
        raise WrongError(msg)
    if facts.signal_dbm is not None and not _FAINTEST_DBM <= facts.signal_dbm < 0:
        msg = f"'signal_dbm' in {where}: {facts.signal_dbm:g} dBm is no signal that a radio hears"
        raise WrongError(msg)
    if not facts.wireless and (facts.signal_dbm is not None or facts.retries is not None):
        msg = f"{where}: only a wireless link has a signal and retries: add 'wireless = true'"
        raise WrongError(msg)
    if facts.wireless and facts.speed_mbit is not None:
        msg = f"'speed_mbit' in {where}: it is a cable's, and the link is wireless"
        raise WrongError(msg)
    if facts.tunnel == "":
        msg = f"'tunnel' in {where}: it is the name of an interface"
        raise WrongError(msg)


def _check_entry(entry: Entry, where: str) -> None:
    for address in entry.addresses:
        _check_address(address, where)
    for address in (address for row in entry.regions.values() for address in row):
        _check_either(address, where)
    _check_prefixes(entry.regions, f"'regions' in {where}")
    for address in entry.aaaa:
        _check_address_v6(address, f"'aaaa' in {where}")
    if entry.alias and entry.aliases:
        msg = f"{where} has an alias and aliases: write the whole chain into 'aliases'"
        raise WrongError(msg)
    if len(entry.aliases) > MOST_ALIASES:
        msg = f"'aliases' in {where}: no resolver follows a chain of more than {MOST_ALIASES}"
        raise WrongError(msg)


def _check_address(address: str, where: str) -> None:
    try:
        inet_pton(AF_INET, address)
    except (OSError, ValueError):
        msg = f"{where}: '{address}' is not an IPv4 address"
        raise WrongError(msg) from None


def _check_address_v6(address: str, where: str) -> None:
    """It is one of IPv6, written as everybody writes it: addresses are compared as text."""
    try:
        usual = inet_ntop(AF_INET6, inet_pton(AF_INET6, address))
    except OSError:
        msg = f"{where}: '{address}' is not an IPv6 address"
        raise WrongError(msg) from None
    if address != usual:
        msg = f"{where}: write '{address}' as '{usual}' (RFC 5952)"
        raise WrongError(msg)


def _check_either(address: str, where: str) -> None:
    (_check_address_v6 if ":" in address else _check_address)(address, where)


def _check_prefixes(prefixes: Iterable[str], where: str) -> None:
    for prefix in prefixes:
        try:
            ip_network(prefix)
        except ValueError:
            msg = f"{where}: '{prefix}' is not a prefix of IPv4 or IPv6"
            raise WrongError(msg) from None


def _check_places(scenario: Scenario) -> None:
    routers = [router.name for router in scenario.routers]
    ends = [*clients(scenario), *routers]
    _known(scenario.client.gateway, routers, "router", "'gateway' in [client]")
    for uplink in scenario.uplinks:
        _known(uplink.gateway, routers, "router", f"'gateway' in [[uplink]] '{uplink.name}'")
    for link in scenario.links:
        where = f"[[link]] {link.ends[0]} - {link.ends[1]}"
        check_numbers(link, where)
        for end in link.ends:
            _known(end, ends, "router", f"'ends' in {where}")
        lines.check_link(link, where)
    for router in scenario.routers:
        check_numbers(router, f"[[router]] '{router.name}'")
        lines.check_router(router, f"[[router]] '{router.name}'")
    for server in scenario.servers:
        check_numbers(server, f"[[server]] '{server.name}'")
        _known(server.at, routers, "router", f"'at' in [[server]] '{server.name}'")
        _check_speech(server)
    for resolver in scenario.resolvers:
        _known(resolver.at, routers, "router", f"'at' in [[resolver]] '{resolver.name}'")
        _check_prefixes((resolver.ecs,) if resolver.ecs else (), f"'ecs' in [[resolver]] '{resolver.name}'")
        if bool(resolver.zones) != bool(resolver.host) or (resolver.zones and resolver.upstream):
            msg = f"[[resolver]] '{resolver.name}': 'zones' and 'host' go together, and without 'upstream'"
            raise WrongError(msg)
        if resolver.upstream:
            others = [other.name for other in scenario.resolvers if other is not resolver]
            _known(resolver.upstream, others, "resolver", f"'upstream' in [[resolver]] '{resolver.name}'")
            upstream = next(other for other in scenario.resolvers if other.name == resolver.upstream)
            if (":" in upstream.address) != (":" in resolver.address):
                msg = f"'upstream' in [[resolver]] '{resolver.name}': its 'address' is of the other version of IP"
                raise WrongError(msg)
    for route in scenario.routes:
        _check_prefixes((route.prefix,), "'prefix' in [[route]]")
        _known(route.to, routers, "router", f"'to' in [[route]] '{route.prefix}'")


def _check_speech(server: Server) -> None:
    """What a server says beside pages takes a certificate."""
    if server.quic and not server.serves:
        msg = f"'quic' in [[server]] '{server.name}': it has no certificate for any name: give it some in 'serves'"
        raise WrongError(msg)
    if server.feed is not None:
        where = f"'feed' in [[server]] '{server.name}'"
        lines.check_choice(server.feed.format, FORMATS, f"'format' of {where}")
        if not server.feed.path.startswith("/") or not server.serves:
            msg = f"{where}: its 'path' begins with /, and the server has a name in 'serves'"
            raise WrongError(msg)


def _known(name: str, known: list[str], what: str, where: str) -> None:
    if name not in known:
        msg = f"{where}: there is no {what} '{name}' ({hint(name, known)})"
        raise WrongError(msg)


def _check_expect(scenario: Scenario) -> None:
    try:
        check_expect(scenario.expect)
    except ExpectationError as error:
        msg = f"[expect]: {error}"
        raise WrongError(msg) from None


def _check_fault(scenario: Scenario, fault: Fault) -> None:
    where = f"[[fault]] '{fault.kind}'"
    if fault.kind not in KINDS:
        msg = f"unknown fault kind '{fault.kind}' ({hint(fault.kind, KINDS)})"
        raise WrongError(msg)
    places, keys = KINDS[fault.kind]
    default = Fault(fault.kind, fault.at)
    for key in Fault.__struct_fields__:
        if key not in _COMMON_KEYS and key not in keys and getattr(fault, key) != getattr(default, key):
            msg = f"key '{key}' means nothing in {where} (its keys: {', '.join(keys) or 'none'})"
            raise WrongError(msg)
    _check_fault_place(scenario, fault, where, places)
    check_numbers(fault, where)
    lines.check_choice(fault.per, lines.PER, f"'per' in {where}")
    if not 0 <= fault.begin_s < fault.end_s:
        msg = f"{where} begins at {fault.begin_s:g} s and ends at {fault.end_s:g} s"
        raise WrongError(msg)
    if fault.rcode and fault.rcode not in _RCODES:
        msg = f"'rcode' in {where}: there is no response code '{fault.rcode}' ({hint(fault.rcode, _RCODES)})"
        raise WrongError(msg)
    _check_prefixes((*fault.match.source, *fault.match.destination), f"'match' in {where}")
    check_numbers(fault.match, f"'match' of {where}")
    if fault.match.protocol and fault.match.protocol not in PROTOCOLS:
        msg = f"'match' in {where}: unknown protocol '{fault.match.protocol}' ({hint(fault.match.protocol, PROTOCOLS)})"
        raise WrongError(msg)
    for address in fault.addresses:
        _check_either(address, f"'addresses' in {where}")
    _check_prefixes(fault.prefix, f"'prefix' in {where}")
    if wrong := complaint(fault, scenario):
        raise WrongError(wrong)


def _check_fault_place(scenario: Scenario, fault: Fault, where: str, places: tuple[str, ...]) -> None:
    known = _names(scenario, *places)
    for at in fault.at:
        _known(at, known, " or ".join(places), f"'at' in {where}")
    if not fault.at or (fault.kind in _ENDS and len(set(fault.at)) != _TWO):
        msg = f"'at' in {where}: " + (
            f"a {fault.kind} is between two {_ENDS[fault.kind]}" if fault.at else "it is nowhere"
        )
        raise WrongError(msg)
    if fault.kind in lines.AT_LINKS:
        lines.AT_LINKS[fault.kind](scenario, fault, where)


def _check_connected(scenario: Scenario) -> None:
    routing = Routing(scenario, 0)
    for router in scenario.routers:
        if not routing.nodes(CLIENT, router.name):
            msg = f"no [[link]] leads from the client to [[router]] '{router.name}'"
            raise WrongError(msg)
    lines.check_wires(scenario)
    hidden = outside(scenario, routing, node_addresses(scenario))
    for router in scenario.routers:
        if router.nat:
            check_numbers(router.nat, f"nat of [[router]] '{router.name}'")
        if wrong := router_complaint(router, hidden.get(router.name, frozenset())):
            raise WrongError(wrong)
