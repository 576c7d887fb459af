"""Which routers are one network (an autonomous system), and which addresses are whose.

Routers of one `asn` that links join are one network. Those of the client's home that have none take no part.
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from netprobe.sim.records import Route, Scenario
from netprobe.sim.routing import clients, node_addresses

Network = IPv4Network | IPv6Network

_PRIVATE_AS = 4_200_000_000  # RFC 6996
#: What is still heard everywhere: what a network announces of a machine of its of which no [[route]] says more.
_LONGEST = {4: 24, 6: 48}


def routes(scenario: Scenario) -> Iterator[tuple[Network, Route]]:
    """The file's [[route]]s by their prefixes."""
    for route in scenario.routes:
        yield ip_network(route.prefix), route


def numbers(scenario: Scenario) -> dict[str, int]:
    """The AS number of each router that takes part.

    Those of the client's home that have none do not. Others without one, and parts of a network that no link joins to
    its first, get numbers of their own.
    """
    asn = {router.name: router.asn for router in scenario.routers}
    cards = frozenset(clients(scenario))
    near: dict[str, list[str]] = {}
    for link in scenario.links:
        for one, other in (link.ends, link.ends[::-1]):
            near.setdefault(one, []).append(other)
    found: dict[str, int] = {}
    placed: set[str] = set()
    for router, number in asn.items():
        if router in placed:
            continue
        part, ahead = {router}, [router]
        while ahead:
            for other in near.get(ahead.pop(), ()):
                if other not in part and asn.get(other) == number:
                    part.add(other)
                    ahead.append(other)
        placed |= part
        if number or not any(cards.intersection(near.get(one, ())) for one in part):
            own = number if number and number not in found.values() else _PRIVATE_AS + len(placed)
            found |= dict.fromkeys(sorted(part), own)
    return found


def neighbours(scenario: Scenario, asns: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """The routers that each router has a link to, of those that take part."""
    found: dict[str, list[str]] = {router: [] for router in asns}
    for link in scenario.links:
        for one, other in (link.ends, link.ends[::-1]):
            if one in asns and other in asns:
                found[one].append(other)
    return {router: tuple(sorted(others)) for router, others in found.items()}


def _machines(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """The addresses of servers and resolvers, and the router that each hangs on."""
    for server in scenario.servers:
        for address in server.addresses:
            yield address, server.at
    for resolver in scenario.resolvers:
        yield resolver.address, resolver.at


def own_prefixes(scenario: Scenario, asns: Mapping[str, int]) -> list[tuple[Network, str]]:
    """What each network announces of its own, and at which router.

    That is what the file's [[route]]s lead to it, and where they say nothing of a machine of its the /24 (IPv6: the
    /48) around that.
    """
    found = {(net, route.to): None for net, route in routes(scenario) if net.prefixlen and route.to in asns}
    for address, at in _machines(scenario):
        number = ip_address(address)
        if at in asns and not any(
            net.version == number.version and number in net and asns[to] == asns[at] for net, to in found
        ):
            around: Network = ip_network(f"{address}/{_LONGEST[number.version]}", strict=False)
            found[around, at] = None
    return list(found)


def homes(scenario: Scenario, asns: Mapping[str, int]) -> dict[str, int]:
    """The AS number of the network in which the owner of each address is; without those of the client's home."""
    place = dict(_machines(scenario))
    nodes = {address: place.get(address, node) for address, node in node_addresses(scenario).items()}
    return {address: asns[node] for address, node in nodes.items() if node in asns}
