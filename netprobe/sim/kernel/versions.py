"""A scenario without its IPv6: what the kernel's routers play of it."""

from collections.abc import Iterator

from msgspec.structs import replace

from netprobe.sim.records import Fault, Scenario


def without_v6(scenario: Scenario) -> Scenario:
    """`scenario` with the addresses, prefixes and faults of IPv4; names keep what they say of IPv6."""
    return replace(
        scenario,
        client=replace(scenario.client, address6=""),
        routers=tuple(replace(router, address6="") for router in scenario.routers),
        servers=tuple(replace(server, addresses=_of_v4(server.addresses)) for server in scenario.servers),
        resolvers=tuple(replace(r, address6="") for r in scenario.resolvers if _of_v4((r.address,))),
        routes=tuple(route for route in scenario.routes if _of_v4((route.prefix,))),
        faults=tuple(_faults(scenario.faults)),
    )


def _of_v4(rows: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(row for row in rows if ":" not in row)


def _faults(faults: tuple[Fault, ...]) -> Iterator[Fault]:
    for fault in faults:
        match = replace(fault.match, source=_of_v4(fault.match.source), destination=_of_v4(fault.match.destination))
        of_v6 = bool(fault.match.source) > bool(match.source) or bool(fault.match.destination) > bool(match.destination)
        if not of_v6 and ":" not in fault.to:
            yield replace(fault, match=match)
