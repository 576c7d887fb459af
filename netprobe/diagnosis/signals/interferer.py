"""Where handshakes with the platform's names are interfered with, where that was asked for hop by hop."""

from collections import defaultdict

from netprobe.diagnosis.facts import Found
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal
from netprobe.model.services import Handshaken
from netprobe.probing.interference import Interference, Manner, interference, way_of
from netprobe.probing.locate import HOP_OF_NAME, HOP_OF_OTHER
from netprobe.topology.segments import Place, Segment

_HOW = {
    Manner.RESET: "reset",
    Manner.FIN: "ended in the server's name",
    Manner.ANSWER: "answered in the server's name",
    Manner.SILENCE: "swallowed",
}
_BEYOND = frozenset({Segment.TRANSIT, Segment.EXCHANGE})


def place(view: View) -> Finding | None:
    """At which hop is a name of the platform minded?"""
    asked: defaultdict[str, defaultdict[str, list[Found[Handshaken]]]] = defaultdict(lambda: defaultdict(list))
    for purpose in (HOP_OF_NAME, HOP_OF_OTHER):
        for index, shaken in view.facts.handshakes[purpose]:
            asked[shaken.handshake.address][purpose].append((index, shaken))
    found = [_judge(view, each[HOP_OF_NAME], each[HOP_OF_OTHER]) for each in asked.values()]
    return next((one for one in found if one.state != "unclear"), found[0] if found else None)


def _judge(view: View, named: list[Found[Handshaken]], other: list[Found[Handshaken]]) -> Finding:
    facts = tuple(index for index, _ in (*named, *other))
    seen = interference([h for _, h in named], [h for _, h in other])
    if seen.manner is Manner.UNCLEAR:
        return Finding("unclear", "It was not seen at which hop the name is minded.", facts)
    if seen.manner is Manner.NONE:
        return Finding("nowhere", "Asked hop by hop, the name goes through like any other.", facts)
    told = f"Asked hop by hop, the name is {_HOW[seen.manner]}"
    if seen.at_end:
        return Finding("server", f"{told} at the server itself, or straight in front of it.", facts)
    places = {one.ttl: one for one in view.paths.surroundings.places(way_of([h for _, h in other]))}
    before, here = places.get(seen.nearest - 1), places.get(seen.ttl)
    return Finding(_part(seen, before, here), f"{told} {_between(seen)}.", facts)


def _between(seen: Interference) -> str:
    """The place in words: a device may sit in the router, or on the link before it."""
    hops = f"hop {seen.ttl}" if seen.nearest == seen.ttl else f"hops {seen.nearest} to {seen.ttl}"
    if seen.address and seen.behind:
        return f"between {seen.behind} and {seen.address}, at {hops}"
    known = f"behind {seen.behind}, " if seen.behind else ""
    return f"{known}at {hops}" + (f" ({seen.address})" if seen.address else "")


def _part(seen: Interference, before: Place | None, here: Place | None) -> str:
    """Whose part of the way it is, as far as the routers on both sides tell."""
    near = before.segment if before else Segment.UNKNOWN
    far = here.segment if here and here.address else Segment.UNKNOWN
    if seen.ttl == 1 or far is Segment.HOME:
        return "home"
    if near is Segment.HOME or seen.nearest == 1:
        return "line"
    if near is Segment.ISP:
        return "provider" if far in {Segment.ISP, Segment.UNKNOWN} else "border"
    return "beyond" if near in _BEYOND or far in _BEYOND or near is Segment.DESTINATION else "somewhere"


SIGNALS = (
    Signal(
        "tls.place",
        "interferer",
        ("nowhere", "unclear", "home", "line", "provider", "border", "beyond", "somewhere", "server"),
        place,
        good=("nowhere",),
    ),
)
