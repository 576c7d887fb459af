"""QUIC beside TCP: where servers say that they speak it, does it get there? And where not, what is it that is stopped?

Servers say so over TCP, with every page (Alt-Svc: RFC 7838). Nobody else is asked: silence of who never spoke QUIC says
nothing. A name is in a handshake only, so that a handshake is the first thing that is tried; probes, which carry none,
come where it was not answered.
"""

import re
from collections.abc import Iterable, Sequence

from netprobe.model.probes import Flow, Path, Protocol, Train
from netprobe.model.report import Observation
from netprobe.model.services import QuicHandshake, QuicHandshaken, Response
from netprobe.model.targets import Control, Edge
from netprobe.probing.ask import quic_handshake
from netprobe.probing.observe import Observe
from netprobe.probing.questions import HTTPS, apart
from netprobe.probing.run import Plan, Session, gather
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.train import TrainSession

TIMEOUT_S = 2.0  # four hellos
_PLACES = 2  # of the platform, and of others: a guest does not hammer
_ANNOUNCED = re.compile(r'(?:^|[\s,])h3(?:-\d+)?="[^":]*:443"')
_CUT = frozenset({"timeout", "reset", "closed"})

_Named = Sequence[tuple[Control, str]]


def announces(response: Response) -> bool:
    """Whether who answered says that it speaks HTTP/3 at the port of QUIC (RFC 7838, 3; RFC 9114, 3.1.1)."""
    return bool(response.status) and _ANNOUNCED.search(response.headers.get("alt-svc", "")) is not None


def _announced(response: Response | None) -> bool:
    return response is not None and announces(response)


def silent(shaken: QuicHandshaken) -> bool:
    """Whether a handshake was not answered by who it was for."""
    return shaken.phase == "initial" and shaken.error in {"timeout", "unreachable"}


def try_quic(found: Sequence[Observation], edges: Sequence[Edge], controls: _Named) -> Iterable[Session[Observation]]:
    """Handshakes with a few edges and controls that say that they speak QUIC.

    Where a name was cut off over TCP, one more: perhaps it passes over QUIC, and the app works after all. Not where
    unrelated names are too: then it is no name, and a datagram as large as QUIC's may teach our own kernel a path MTU
    (RFC 1191), with which what stalled would work when it is asked again.
    """
    fetched = _fetched(found, "edge")
    announced = [edge for edge in edges if _announced(fetched.get((edge.name, edge.address)))]
    blocked = [edge for edge in edges if (page := fetched.get((edge.name, edge.address))) and _is_cut(page)]
    if any(map(_is_cut, _fetched(found, "control").values())):
        blocked = []
    for edge in (*apart(announced)[:_PLACES], *apart(blocked)[:1]):
        yield Observe("edge.quic", edge.name, quic_handshake(_request(edge.address, edge.name)))
    if announced:
        for control, address in _speaking(found, controls)[:_PLACES]:
            yield Observe("control.quic", control.name, quic_handshake(_request(address, control.name)))


def look_into_silence(found: Sequence[Observation], controls: _Named) -> Plan[list[Observation]]:
    """What of QUIC is stopped where servers that speak it were not reached: all of it, or a name? And where?"""
    pages = {**_fetched(found, "edge"), **_fetched(found, "control")}
    shaken = [(o.purpose, o.fact) for o in found if isinstance(o.fact, QuicHandshaken)]
    lost = [(purpose.partition(".")[0], fact.handshake) for purpose, fact in shaken if silent(fact)]
    lost = [(what, asked) for what, asked in lost if _announced(pages.get((asked.server_name, asked.address)))]
    other_name = next((c.name for c, _ in controls if not c.vendor), "example.com")
    working = [fact.handshake for purpose, fact in shaken if purpose == "control.quic" and fact.done]
    batch: list[Session[Observation]] = []
    for what, asked in lost:
        name, address = asked.server_name, asked.address
        batch.append(Observe(f"{what}.quic.again", name, quic_handshake(asked)))
        probes = TrainSession(Protocol.QUIC, address, port=HTTPS, interval_s=0.05)
        batch.append(Observe(f"{what}.quic.probe", name, probes))
        if what == "edge":
            batch.append(Observe("quic.other", name, quic_handshake(_request(address, other_name, verify=False))))
            if working:
                elsewhere = _request(working[0].address, name, verify=False)
                batch.append(Observe("quic.elsewhere", name, quic_handshake(elsewhere)))
    looked: list[Observation] = yield from gather(batch)
    silent_places: dict[str, tuple[str, str]] = {}
    for o in looked:
        if isinstance(o.fact, Train) and not o.fact.answered:
            silent_places.setdefault(o.purpose.partition(".")[0], (o.subject, o.fact.destination))
    # One of each kind, and beside it the way that TCP takes there: routers answer only so much at once.
    ways = [_way(f"{what}.quic.path", *place, Protocol.QUIC) for what, place in silent_places.items()]
    known = {o.fact.flow.destination for o in found if isinstance(o.fact, Path) and o.fact.reached}
    if "edge" in silent_places and silent_places["edge"][1] not in known:
        ways.append(_way("edge.path", *silent_places["edge"], Protocol.TCP))
    traced: list[Observation] = yield from gather(ways)
    return looked + traced


def _way(purpose: str, name: str, address: str, protocol: Protocol) -> Observe:
    return Observe(purpose, name, Traceroute(Flow(protocol, address, HTTPS)))


def _fetched(found: Sequence[Observation], what: str) -> dict[tuple[str, str], Response]:
    """Each page, by name and address."""
    return {
        (o.subject, o.fact.fetch.handshake.address): o.fact
        for o in found
        if o.purpose == f"{what}.fetch" and isinstance(o.fact, Response)
    }


def _speaking(found: Sequence[Observation], controls: _Named) -> list[tuple[Control, str]]:
    """Controls that say that they speak QUIC, one a family, those first that deliver nothing of the platform."""
    pages = _fetched(found, "control")
    saying = [(c, a) for c, a in controls if _announced(pages.get((c.name, a)))]
    saying.sort(key=lambda row: bool(row[0].vendor))
    return list({control.family: (control, address) for control, address in reversed(saying)}.values())[::-1]


def _is_cut(page: Response) -> bool:
    return page.handshaken.phase == "tls" and page.handshaken.error in _CUT


def _request(address: str, name: str, *, verify: bool = True) -> QuicHandshake:
    return QuicHandshake(address, HTTPS, name, verify=verify, timeout_s=TIMEOUT_S)
