"""Sizes: do large packets die where small ones pass, and on whose part of the way?

Probes show it for the way there, hop by hop; connections in small segments show it for the way back too, but not where.
"""

from dataclasses import dataclass

from netprobe.diagnosis.facts import Destination, Found
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.diagnosis.signals.tls import goes_on
from netprobe.model.probes import BlackHole, PathMtu
from netprobe.model.services import Response
from netprobe.topology.segments import Segment

_NETWORKS = 2  # that large probes must not get to, where no connection shows the same: one may only dislike large pings
_WHERE = {
    Segment.HOME: ("home", "between this device and your provider"),
    Segment.ISP: ("isp", "inside your provider's network"),
    Segment.TRANSIT: ("transit", "in a network between your provider and the platform"),
}


@dataclass(frozen=True, slots=True)
class _Tested:
    """One destination that was asked about sizes."""

    destination: Destination
    small: Found[Response] | None
    sizes: Found[PathMtu] | None
    proven: bool

    @property
    def facts(self) -> tuple[int, ...]:
        return tuple(f[0] for f in (self.small, self.sizes) if f)

    @property
    def hole(self) -> BlackHole | None:
        """Where large probes die on the way there.

        Not where the destination itself does not answer them: its answers are as large, and may die on the way back.
        """
        hole = self.sizes[1].black_hole if self.sizes else None
        return None if hole is None or hole.far[1] == self.destination.address else hole


def _stalls(response: Response) -> bool:
    shaken = response.handshaken
    return (shaken.phase == "tls" and shaken.error == "timeout") or (shaken.done and response.error == "timeout")


def _works(response: Response) -> bool:
    return response.handshaken.done and bool(response.status) and not _stalls(response)


def _tested(view: View) -> list[_Tested]:
    """Every destination that was asked about sizes, platform's and controls'."""
    facts = view.facts
    small = {f[1].fetch.handshake.address: f for f in facts.small_fetches}
    sizes = {f[1].flow.destination: f for f in facts.sizes}
    # Another name that gets an answer from the same address, in segments of the usual size, says that it is the name.
    by_name = {h.handshake.address for _, h in facts.handshakes["sni.control"] if goes_on(h)}
    found = []
    for place in (*view.edges, *view.controls):
        if place.address not in small and place.address not in sizes:
            continue
        asked = small.get(place.address)
        usual = [r for _, r in place.fetches]
        proven = asked is not None and _works(asked[1]) and bool(usual) and all(map(_stalls, usual))
        proven = proven and place.address not in by_name
        found.append(_Tested(place, asked, sizes.get(place.address), proven))
    return found


def sizes(view: View) -> Finding | None:
    """Do large packets die on the way, there or back?"""
    tested = _tested(view)
    if not tested:
        return None
    proven = [t for t in tested if t.proven]
    holes = [(t, t.hole) for t in tested if t.hole]
    facts = tuple(i for t in (proven or tested) for i in t.facts)
    told = f"{of(len(proven), len(tested))} places answer in small segments, and stall in large ones"
    networks = {t.destination.network or t.destination.address for t, _ in holes}
    if any(t.proven for t, _ in holes) or (len(networks) >= _NETWORKS and _overlap(holes)):
        return _located(view, holes, facts)
    if not proven:
        if any(t.sizes and t.sizes[1].told for t in tested):
            return Finding("told", "A link on the way takes smaller packets only, and its router says so.", facts)
        return Finding(
            "no", f"Small packets fare no better than large ones at {of(len(tested), len(tested))} places.", facts
        )
    if any(_works(r) for place in (*view.edges, *view.controls) for _, r in place.fetches):
        return Finding("back_some", f"{told}: large ones die on the way back. From others they arrive.", facts)
    narrow = [(s, mtu) for t in proven if t.sizes for s, mtu in t.sizes[1].told if view.facts.at_home(s)]
    told = f"{told}, and from nowhere else do they arrive: large packets die on the way back"
    if not narrow:
        return Finding("back_line", f"{told}, on the part of it that all share.", facts)
    router, mtu = narrow[0]
    places = {t.destination.address for t in proven}
    fits = [f for f in view.facts.fitting_fetches if f[1].fetch.handshake.address in places]
    if any(_stalls(response) for _, response in fits):
        told = f"{told}, even those that fit the narrow line ({mtu} bytes) of your home router {router}"
        return Finding("back_line", f"{told}.", (*facts, *(i for i, _ in fits)))
    return Finding(
        "back_home",
        f"{told}. Your home router {router} has a narrow line ({mtu} bytes), and lets connections exceed it.",
        facts,
    )


def _overlap(holes: list[tuple[_Tested, BlackHole]]) -> bool:
    """Whether all can be one hole."""
    return max(hole.near[0] for _, hole in holes) < min(hole.far[0] for _, hole in holes)


def _located(view: View, holes: list[tuple[_Tested, BlackHole]], facts: tuple[int, ...]) -> Finding:
    """Large packets die between two routers that are known."""
    # All share the hops up to the hole, so each of them bounds it: behind the farthest of the near ends, before the
    # nearest of the far ones.
    near = max((hole.near for _, hole in holes), key=lambda end: end[0])
    far = min((hole.far for _, hole in holes), key=lambda end: end[0])
    size = min(hole.size for _, hole in holes)
    between = f"behind {view.who(near[1]) or 'this device'} and before {view.who(far[1])}"
    told = f"Packets of {size} bytes and more to {len(holes)} place(s) die {between}, and nobody says so"
    segment = view.paths.segment_of(near[1])
    # The first router is the home's, whether it says so or not.
    known = max(near[0], 0 if view.facts.attached else 1)
    if known != far[0] - 1 and view.paths.segment_of(far[1]) is not segment:
        return Finding("far", f"{told}.", facts)  # whoever is silent between them may be of either
    state, where = _WHERE.get(segment, ("far", "farther out"))
    return Finding(state, f"{told}: {where}.", facts)


SIGNALS = (
    Signal(
        "path.mtu",
        "sizes",
        ("no", "told", "home", "isp", "transit", "far", "back_home", "back_line", "back_some"),
        sizes,
        good=("no", "told"),
    ),
)
