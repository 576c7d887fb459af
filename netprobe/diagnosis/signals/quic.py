"""QUIC: are servers that offer it over TCP reached over it? If not, what is stopped, and where?

Apps try QUIC first and fall back to TCP, so that whoever stops it makes them slow, not dead.
"""

from dataclasses import dataclass, field

from netprobe.diagnosis.facts import Destination, Found
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.place import SILENT_ROUTERS
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.model.probes import Path, Protocol, Train
from netprobe.model.services import QuicHandshaken, Response
from netprobe.probing.quic import announces
from netprobe.topology.segments import Segment

_BEFORE_THE_PLATFORM = frozenset({Segment.ISP, Segment.EXCHANGE, Segment.TRANSIT})
_NETWORKS = 2  # of the platform's that QUIC must not get to before it is not one delivery network's trouble


@dataclass(slots=True)
class _Tried:
    """One place at which a name was tried over QUIC, having been served over TCP, or having been cut off there."""

    destination: Destination
    name: str
    shaken: list[Found[QuicHandshaken]] = field(default_factory=list)
    probes: list[Found[Train]] = field(default_factory=list)
    paths: list[Found[Path]] = field(default_factory=list)

    @property
    def page(self) -> Response | None:
        """What became of its page over TCP."""
        pages = [r for _, r in self.destination.fetches if r.fetch.handshake.server_name == self.name]
        return next((r for r in pages if r.status), pages[0] if pages else None)

    @property
    def offers(self) -> bool:
        """Whether it is served over TCP, with the word that it speaks QUIC."""
        page = self.page
        return page is not None and announces(page)

    @property
    def works(self) -> bool:
        return any(h.done for _, h in self.shaken)

    @property
    def silent(self) -> bool:
        """Whether no hello was ever answered by who it was for."""
        return all(h.phase == "initial" and h.error in {"timeout", "unreachable"} for _, h in self.shaken)

    @property
    def facts(self) -> tuple[int, ...]:
        return tuple(i for i, _ in (*self.shaken, *self.probes, *self.paths))


def _tried(view: View, what: str) -> list[_Tried]:
    """Every place that was tried, in order of time."""
    places = {d.address: d for d in (view.edges if what == "edge" else view.controls)}
    facts = view.facts.quic
    found: dict[tuple[str, str], _Tried] = {}
    for i, shaken in (*facts[f"{what}.quic"], *facts[f"{what}.quic.again"]):
        name, address = shaken.handshake.server_name, shaken.handshake.address
        if address in places:
            found.setdefault((name, address), _Tried(places[address], name)).shaken.append((i, shaken))
    for tried in found.values():
        address = tried.destination.address
        tried.probes = [(i, t) for i, t in view.facts.quic_probes if t.destination == address]
        tried.paths = [(i, p) for i, p in view.facts.quic_paths if p.flow.destination == address]
    return list(found.values())


def handshakes(view: View) -> Finding | None:
    """Does QUIC get to the platform?"""
    edges, controls = _tried(view, "edge"), [c for c in _tried(view, "control") if c.offers]
    speaking = [e for e in edges if e.offers]
    if not speaking:
        return _beside(edges)
    facts = tuple(i for t in (*speaking, *controls) for i in t.facts)
    working = [e for e in speaking if e.works]
    lost = [e for e in speaking if e.silent]
    told = f"{of(len(working), len(speaking))} of the platform's servers that offer QUIC are reached over it"
    if len(working) == len(speaking):
        return Finding("works", f"{told}.", facts)
    if not lost:
        return Finding("refused", f"{told}; others refuse it themselves, and apps use TCP.", facts)
    if working:
        return Finding("some", f"{told}; others are silent over QUIC, and answer over TCP.", facts)
    reached = [c for c in controls if c.works]
    if reached:
        return _platform_only(view, lost, f"{told}, and all are over TCP", reached, facts)
    dead = [c for c in controls if c.silent]
    if not dead:
        return Finding("unclear", f"{told}, and no unrelated service was there to compare with.", facts)
    told = f"QUIC gets to none of {len(lost)} of the platform's servers and {len(dead)} unrelated one(s), TCP to all"
    return _everywhere(view, [*lost, *dead], told, facts)


def _beside(edges: list[_Tried]) -> Finding | None:
    """Names that are cut off over TCP, and what becomes of them over QUIC."""
    passing = [e for e in edges if e.works]
    if not passing:
        return None
    names = ", ".join(dict.fromkeys(e.name for e in passing))
    return Finding(
        "passes_beside",
        f"{names} is cut off over TCP and answered over QUIC at the same address: what speaks QUIC may work.",
        tuple(i for e in passing for i in e.facts),
    )


def _platform_only(view: View, lost: list[_Tried], told: str, reached: list[_Tried], facts: tuple[int, ...]) -> Finding:
    """QUIC of others gets through."""
    told = f"{told}; QUIC of {len(reached)} unrelated service(s) gets through"
    at = {e.destination.address for e in lost}
    others = [(i, h) for i, h in view.facts.quic["quic.other"] if h.handshake.address in at]
    elsewhere = [(i, h) for i, h in view.facts.quic["quic.elsewhere"]]
    facts += tuple(i for i, _ in (*others, *elsewhere))
    answered = {h.handshake.address for _, h in others if h.phase != "initial" or h.done}
    networks = {e.destination.network or e.destination.address for e in lost}
    if answered >= at:
        alone = [h for _, h in elsewhere if h.phase == "initial" and h.error == "timeout"]
        proof = "; even at an address of somebody else the name alone is enough" if alone else ""
        if not alone and len(networks) < _NETWORKS:
            return Finding("name_unproved", f"{told}. Another name at the same address does too.", facts)
        return Finding(
            "by_name", f"{told}. It is the name: another one at the same address gets through{proof}.", facts
        )
    if any(train.answered for e in lost for _, train in e.probes):
        return Finding("unserved", f"{told}. Datagrams get there: it is handshakes that are not answered.", facts)
    if len(networks) >= _NETWORKS:
        return Finding(
            "by_address", f"{told}. It is stopped towards {len(networks)} networks, whatever the name.", facts
        )
    stopper = next(filter(None, (_stopper(view, tried) for tried in lost)), "")
    if stopper:
        return Finding(
            "stopped_by_isp",
            f"{told}. It ends inside your provider's network, behind {view.who(stopper)}, where TCP goes on.",
            facts,
        )
    return Finding("one_network", f"{told}. Only one delivery network was asked: it may be its own trouble.", facts)


def _stopper(view: View, lost: _Tried) -> str:
    """The provider's router behind which QUIC drew no word any more, and TCP to the same place did; empty: none."""
    for _, path in lost.paths:
        last = path.last_responding
        if last is None or view.paths.segment_of(last.addresses[0]) is not Segment.ISP:
            continue
        for index, tcp in view.paths.passing:
            if tcp.flow.destination != path.flow.destination or tcp.flow.protocol is Protocol.QUIC:
                continue
            behind = [step for step in view.paths.steps(index, tcp) if step.ttl > last.ttl]
            if len(behind) >= SILENT_ROUTERS and behind[0].segment in _BEFORE_THE_PLATFORM:
                return last.addresses[0]
    return ""


def _everywhere(view: View, lost: list[_Tried], told: str, facts: tuple[int, ...]) -> Finding:
    """QUIC gets nowhere: where does it end?"""
    replies = [x.reply for t in lost for _, train in t.probes for x in train.exchanges if x.reply]
    if replies and all(reply.dropped_locally for reply in replies):
        return Finding("nowhere_home", f"{told}. This device's own firewall drops what comes in answer.", facts)
    ends = [end for t in lost for _, p in t.paths if (end := _end(view, p)) is not None]
    if not ends:
        return Finding("nowhere", f"{told}; it was not seen where it ends.", facts)
    segments = {segment for segment, _ in ends}
    last = view.who(max(ends, key=lambda end: end[0] is not Segment.HOME)[1]) or "this device"
    if segments == {Segment.HOME}:
        return Finding("nowhere_home", f"{told}. It ends at home, behind {last}.", facts)
    if segments == {Segment.ISP}:
        return Finding("nowhere_isp", f"{told}. It ends inside your provider's network, behind {last}.", facts)
    return Finding("nowhere", f"{told}. It ends behind {last}.", facts)


def _end(view: View, path: Path) -> tuple[Segment, str] | None:
    """The part of the way in which QUIC ends, and the last router that it drew a word from.

    Behind that one it may have come farther: up to the next router that other ways over the same one show. None where
    that one stands in another part, with silent ones between.
    """
    last = path.last_responding
    address, ttl = (last.addresses[0], last.ttl) if last else ("", 0)
    segment = view.paths.segment_of(address)
    for _, other in view.facts.all_paths:
        shown = {hop.ttl: hop.addresses for hop in other.hops if hop.addresses}
        if other.flow.protocol is Protocol.QUIC or (ttl and address not in shown.get(ttl, ())):
            continue
        after = min((at for at in shown if at > ttl), default=0)
        if after > ttl + 1 and view.paths.segment_of(shown[after][0]) is not segment:
            return None
    return segment, address


SIGNALS = (
    Signal(
        "quic.handshakes",
        "quic",
        (
            "works",
            "refused",
            "some",
            "unclear",
            "passes_beside",
            "name_unproved",
            "by_name",
            "unserved",
            "one_network",
            "stopped_by_isp",
            "by_address",
            "nowhere",
            "nowhere_home",
            "nowhere_isp",
        ),
        handshakes,
        good=("works", "refused"),
    ),
)
