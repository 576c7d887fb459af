"""Plain HTTP on port 80: where a portal shows itself to everybody, and many a block page to those who ask for a name.

Some controls are asked in every survey, one small request each, beside everything else. The platform's own names are
asked for only where connections that name them fail; and beside them what tells who minds what: another name at the
same address, and the same name at an address that has nothing to do with it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from netprobe.model.report import Observation
from netprobe.model.services import Fetch, Handshake, Response
from netprobe.model.targets import Control, Edge, PlainPage
from netprobe.probing.ask import fetch
from netprobe.probing.observe import Observe
from netprobe.probing.questions import RETRANSMISSION_S, apart, patience_s
from netprobe.probing.run import Session

HTTP = 80
CONTROL = "control.plain"
TARGET, OTHER, ELSEWHERE = "edge.plain", "plain.other", "plain.elsewhere"
PURPOSES = (CONTROL, TARGET, OTHER, ELSEWHERE)
MOST_EDGES = 2  # at which the platform's names are asked for
_BODY_LIMIT = 8192  # bytes of a page that are read: its title is near the beginning


def ask_controls(
    controls: Sequence[tuple[Control, str]], found: Sequence[Observation]
) -> Iterable[Session[Observation]]:
    """The controls of which it is known what they answer on port 80."""
    for control, address in controls:
        if control.plain is not None:
            yield Observe(CONTROL, control.name, fetch(_page(address, control.name, control.plain.path, found)))


def ask_for_names(
    found: Sequence[Observation], edges: Sequence[Edge], controls: Sequence[tuple[Control, str]]
) -> Iterable[Session[Observation]]:
    """The platform's names where connections that name them fail, and what the answers are to be compared with."""
    answered = {o.subject for o in found if o.purpose == CONTROL and isinstance(o.fact, Response) and o.fact.status}
    beside: list[tuple[str, str, PlainPage]] = [
        (c.name, address, c.plain) for c, address in controls if c.plain is not None and c.name in answered
    ]
    for edge in apart(_failing(found, edges))[:MOST_EDGES]:
        yield Observe(TARGET, edge.name, fetch(_page(edge.address, edge.name, "/", found)))
        for name, address, plain in beside[:1]:
            yield Observe(OTHER, edge.name, fetch(_page(edge.address, name, plain.path, found)))
            yield Observe(ELSEWHERE, edge.name, fetch(_page(address, edge.name, "/", found)))


def _failing(found: Sequence[Observation], edges: Sequence[Edge]) -> list[Edge]:
    """Where a connection with the name was refused, or ended before TLS was through.

    Where resolvers lead to different places, silence counts too: who shows a page need not speak TLS.
    """
    shaken = {
        (o.subject, o.fact.fetch.handshake.address): o.fact.handshaken
        for o in found
        if o.purpose == "edge.fetch" and isinstance(o.fact, Response)
    }
    places = Counter(edge.name for edge in edges)
    failing = []
    for edge in edges:
        ended = shaken.get((edge.name, edge.address))
        if ended is not None and not ended.done and ended.error != "local":
            told = ended.phase == "tls" or ended.error == "refused"
            failing += [edge] if told or places[edge.name] > 1 else []
    return failing


def _page(address: str, name: str, path: str, found: Sequence[Observation]) -> Fetch:
    """A request in plain HTTP. Who is silent on port 80 is waited for as long as who is silent on the other one."""
    patience = RETRANSMISSION_S + patience_s(found)
    return Fetch(Handshake(address, HTTP, timeout_s=patience), path=path, host=name, body_limit=_BODY_LIMIT)
