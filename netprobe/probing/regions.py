"""Edges of other regions, to compare with where none of a name's own serves it.

A resolver that tells authorities of a client's subnet (RFC 7871) is asked as if from elsewhere. The subnets are those
of the platform's catalogue: nobody's own is ever told.
"""

from collections.abc import Iterable, Sequence

from netprobe.model.report import Observation
from netprobe.model.services import Answer, Lookup, Response
from netprobe.model.targets import Control, Edge, Region
from netprobe.probing.ask import Ask, fetch
from netprobe.probing.observe import Observe
from netprobe.probing.questions import HTTPS, apart, page
from netprobe.probing.run import Plan, Session

LOOKUP, FETCH = "region.lookup", "region.fetch"
MOST_NAMES = 2  # of different vendors
MOST_EDGES = 3  # of a name: a guest does not hammer
_LOOKUP_S = 2.0
_FETCH_S = 3.0  # half the world away a handshake takes a second


def look_elsewhere(
    found: Sequence[Observation], edges: Sequence[Edge], controls: Sequence[Control], regions: Sequence[Region]
) -> Plan[list[Observation]]:
    """Names that nobody serves here: where do they lead in other regions, and do they serve there?"""
    resolver = next((c.address for c in controls if c.ecs and c.address), "")
    names = unserved(found, edges)[:MOST_NAMES]
    if not (resolver and names and regions):
        return []
    asked = [
        Observe(LOOKUP, name, Ask(Lookup(name, resolver, subnet=region.subnet, timeout_s=_LOOKUP_S)))
        for name in names
        for region in regions
    ]
    told: list[Observation] = yield asked
    tried: list[Observation] = yield list(_fetches(told, {edge.address for edge in edges}))
    return told + tried


def unserved(found: Sequence[Observation], edges: Sequence[Edge]) -> list[str]:
    """The names that connect nowhere, though somewhere something does: one a vendor first."""
    fetched = [o.fact for o in found if isinstance(o.fact, Response) and o.fact.fetch.handshake.port == HTTPS]
    if not any(r.handshaken.connect_s is not None for r in fetched):
        return []  # nothing works here, so that there is nothing to compare
    connected = {
        o.subject
        for o in found
        if o.purpose == "edge.fetch" and isinstance(o.fact, Response) and o.fact.handshaken.connect_s is not None
    }
    tried = {o.subject for o in found if o.purpose == "edge.fetch"}
    return list(dict.fromkeys(edge.name for edge in apart(edges) if edge.name in tried - connected))


def _fetches(told: Sequence[Observation], known: set[str]) -> Iterable[Session[Observation]]:
    """The first address of each region, where that is none that was tried."""
    chosen: dict[str, list[str]] = {}
    for o in told:
        if isinstance(o.fact, Answer) and o.fact.usable and not known.intersection(o.fact.addresses):
            chosen.setdefault(o.subject, []).append(o.fact.addresses[0])
    for name, addresses in chosen.items():
        for address in list(dict.fromkeys(addresses))[:MOST_EDGES]:
            yield Observe(FETCH, name, fetch(page(address, name, timeout_s=_FETCH_S)))
