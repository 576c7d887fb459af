"""Networks for measuring, made of records: a straight path of so many hops, and a tree with the edges at its leaves."""

from itertools import pairwise

from netprobe.sim.records import Client, Expect, Link, Router, Scenario, Server

_CLIENT = "192.168.1.23/24"
_FIRST = "192.168.1.1"
#: The tree: routers that all paths share, then so many branches of so many routers each, then sites of each branch.
_TRUNK, _BRANCHES, _BRANCH_HOPS, _SITES, _SITE_HOPS, _EDGES = 4, 5, 4, 5, 4, 10


def straight(hops: int, rtt_ms: float) -> Scenario:
    """A path of `hops` hops, the destination being the last, `rtt_ms` away."""
    names = [f"r{ttl}" for ttl in range(1, hops)]
    routers = [Router(name, _router(number)) for number, name in enumerate(names)]
    links = _chain(["client", *names], rtt_ms / 2 / len(names))
    return _scenario("straight", routers, links, [Server("edge", ("203.0.113.1",), names[-1])])


def tree(rtt_ms: float = 52.0) -> Scenario:
    """250 edges, 13 hops and `rtt_ms` away, ten behind each of 25 sites, five sites behind each of 5 branches."""
    trunk = ["client", *(f"trunk{n}" for n in range(_TRUNK))]
    delay_ms = rtt_ms / 2 / (_TRUNK + _BRANCH_HOPS + _SITE_HOPS)
    links = _chain(trunk, delay_ms)
    servers = []
    for branch in range(_BRANCHES):
        way = [trunk[-1], *(f"branch{branch}.{n}" for n in range(_BRANCH_HOPS))]
        links += _chain(way, delay_ms)
        for site in range(_SITES):
            place = f"site{branch}.{site}"
            inside = [way[-1], *(f"{place}.{n}" for n in range(_SITE_HOPS))]
            links += _chain(inside, delay_ms)
            addresses = tuple(f"198.18.{branch * _SITES + site}.{n + 1}" for n in range(_EDGES))
            servers.append(Server(place, addresses, inside[-1]))
    names = dict.fromkeys(name for link in links for name in link.ends if name != "client")
    return _scenario("tree", [Router(name, _router(n)) for n, name in enumerate(names)], links, servers)


def edges(scenario: Scenario) -> list[str]:
    """The addresses of all servers, site by site."""
    return [address for server in scenario.servers for address in server.addresses]


def _router(number: int) -> str:
    return f"10.{number // 250}.{number % 250}.1" if number else _FIRST


def _chain(names: list[str], delay_ms: float) -> list[Link]:
    return [Link(ends, delay_ms, jitter_ms=0.02) for ends in pairwise(names)]


def _scenario(name: str, routers: list[Router], links: list[Link], servers: list[Server]) -> Scenario:
    return Scenario(
        name=name,
        sentence="A network to measure in.",
        expect=Expect("none", "none.app_device"),
        client=Client(_CLIENT, routers[0].name, (_FIRST,)),
        routers=tuple(routers),
        links=tuple(links),
        servers=tuple(servers),
    )
