"""Is it the size of packets? What stalls once it is connected is asked again in small pieces, and sizes along the way.

Two tests that see different things. Probes that must not be fragmented (`PathMtuSession`) show which sizes get *there*,
and behind which hop larger ones die; of the way back they show little, because an answer to a large echo may be
fragmented. A connection with a small MSS shows what comes *back*: the server's first flight is larger than one packet,
so if the small pieces get through and the usual ones do not, large packets die on the way back, or on both.
"""

from collections.abc import Iterable, Sequence

from netprobe.model.host import HostState
from netprobe.model.probes import Flow, Path, Protocol
from netprobe.model.report import Observation
from netprobe.model.rungs import cannot
from netprobe.model.services import Response
from netprobe.model.targets import Control, Edge
from netprobe.probing.ask import fetch
from netprobe.probing.observe import Observe
from netprobe.probing.pmtu import PathMtuSession
from netprobe.probing.questions import HTTPS, apart, page
from netprobe.probing.run import Plan, Session
from netprobe.probing.traceroute import Traceroute

SMALL_MSS = 536  # RFC 9293, 3.7.1: what everybody takes; with headers 576 bytes, which every path carries
STALLED_EDGES = 3
STALLED_CONTROLS = 2
_ETHERNET = 1500
_HEADERS, _HEADERS_V6 = 40, 60  # of IP and TCP, without options
_UNUSED_PORT = 33434  # traceroute's: a host says that nobody listens there
_FETCHES = ("edge.fetch", "control.fetch")


def stalls(response: Response) -> bool:
    """Whether it was connected and then fell silent: in the handshake, before the answer, or within it."""
    shaken = response.handshaken
    return (shaken.phase == "tls" and shaken.error == "timeout") or (shaken.done and response.error == "timeout")


def in_small_segments(
    found: Sequence[Observation], edges: Sequence[Edge], controls: Sequence[tuple[Control, str]]
) -> Iterable[Session[Observation]]:
    """What stalled, once more in small segments; the ways there, where they are not known yet."""
    fetched = [o.fact for o in found if o.purpose in _FETCHES and isinstance(o.fact, Response)]
    stalled = {response.fetch.handshake.address for response in fetched if stalls(response)}
    traced = {o.fact.flow.destination for o in found if isinstance(o.fact, Path)}
    chosen = [("edge", e.name, e.address) for e in apart(edges) if e.address in stalled][:STALLED_EDGES]
    chosen += [("control", c.name, address) for c, address in controls if address in stalled][:STALLED_CONTROLS]
    for what, name, address in chosen:
        yield Observe(f"{what}.fetch.small", name, fetch(page(address, name, mss=SMALL_MSS)))
        if address not in traced:
            yield Observe(f"{what}.path", name, Traceroute(Flow(Protocol.TCP, address, HTTPS)))


def ask_sizes(
    found: Sequence[Observation],
    edges: Sequence[Edge],
    controls: Sequence[tuple[Control, str]],
    *,
    uploading: bool = False,
) -> Plan[list[Observation]]:
    """Which sizes get to the places that small segments helped.

    With `uploading` the sizes to where uploads go are asked in any case, and beside them those to others: nothing that
    is fetched shows what becomes of large packets on the way there. One after the other: each asks every hop several
    times, and they share the first hops, which answer few ICMP errors a second.
    """
    helped = {
        o.fact.fetch.handshake.address
        for o in found
        if o.purpose.endswith(".fetch.small") and isinstance(o.fact, Response) and o.fact.status
    }
    places = [("edge", e.name, e.address) for e in apart(e for e in edges if e.address in helped)][:1]
    places += [("control", c.name, address) for c, address in controls if address in helped][:1]
    if uploading:
        places += [("edge", e.name, e.address) for e in apart(e for e in edges if e.role == "upload")][:1]
        places += [("edge", e.name, e.address) for e in apart(e for e in edges if e.role != "upload")][:1]
        places += [("control", c.name, address) for c, address in controls if not c.vendor][:1]
    looked: list[Observation] = []
    for what, name, address in {address: (what, name, address) for what, name, address in reversed(places)}.values():
        (sizes,) = yield [_sizes(what, name, address, found)]
        looked.append(sizes)
        # A line that a router calls narrow explains it all only if what fits it arrives.
        headers = _HEADERS_V6 if ":" in address else _HEADERS
        told = [mtu for _, mtu in sizes.fact.told if mtu > SMALL_MSS + headers]
        if told and address in helped:
            fits = page(address, name, mss=min(told) - headers)
            looked += yield [Observe(f"{what}.fetch.fit", name, fetch(fits))]
    return looked


def _sizes(what: str, name: str, address: str, found: Sequence[Observation]) -> Session[Observation]:
    hosts = [o.fact for o in found if isinstance(o.fact, HostState)]
    own = next((x.mtu for h in hosts for x in h.links if x.name == h.default_link), _ETHERNET)
    echoes = not any(Protocol.ICMP in cannot(h.footing) for h in hosts)
    flow = Flow(Protocol.ICMP, address) if echoes else Flow(Protocol.UDP, address, _UNUSED_PORT)
    session = PathMtuSession(flow, largest=min(own, _ETHERNET), tries=2)
    return Observe(f"{what}.mtu", name, session)
