"""TLS that somebody on the way breaks open: what such a box shows is shown as if by every server behind it.

A proxy that keeps both ends' addresses is seen by nothing but its certificates, so the servers play its part.
"""

from msgspec.structs import replace

from netprobe.sim.records import Fault, Scenario
from netprobe.sim.routing import CLIENT, Routing, clients


def behind(scenario: Scenario, place: str) -> tuple[str, ...]:
    """The servers that the client reaches through `place`: a router, or its own machine."""
    routing = Routing(scenario, 0)
    ways = {s.name: [routing.way(card, s.name) for card in clients(scenario)] for s in scenario.servers}
    return tuple(
        name for name, found in ways.items() if place == CLIENT or any(way and place in way.hops for way in found)
    )


def spread(scenario: Scenario) -> Scenario:
    """The same scenario with faults `certificate` at routers, or at the client, put at the servers behind them."""
    servers = {server.name for server in scenario.servers}

    def spread_one(fault: Fault) -> Fault:
        if fault.kind != "certificate" or servers.issuperset(fault.at):
            return fault
        places = [(at,) if at in servers else behind(scenario, at) for at in fault.at]
        return replace(fault, at=tuple(dict.fromkeys(name for place in places for name in place)))

    return replace(scenario, faults=tuple(spread_one(fault) for fault in scenario.faults))
