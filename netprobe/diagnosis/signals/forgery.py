"""Who ended the handshakes: the server, or somebody in its name? It supports what names say, and says nothing alone."""

from netprobe.diagnosis.facts import Reach
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.diagnosis.signals.reach import refused
from netprobe.diagnosis.signals.tls import handshakes
from netprobe.model.probes import ReplyKind
from netprobe.probing.injection import STRONG, WEAK, Grade, Judged, injected

#: Handshakes are cut off by the name, as far as names were compared.
_BY_NAME = frozenset({"reset_by_name", "by_name_unproved", "by_name_here", "mixed"})
#: Connections are refused in a way that the platform can hardly be the reason of.
_BY_OTHERS = frozenset({"several_networks", "early"})
_ENDED = frozenset({"reset", "closed"})
_SENTENCES = {mark.name: mark.sentence for mark in (*STRONG, *WEAK)}


def endings(view: View) -> Finding | None:
    """Do the resets of handshakes with the platform's names look as the rest of the server's segments do?"""
    compared = handshakes(view)
    if compared is None or compared.state not in _BY_NAME:
        return None
    facts = view.facts
    fetched = [(i, r.handshaken) for edge in view.edges for i, r in edge.fetches]
    tried = [(i, h) for i, h in facts.handshakes["sni.target"]]
    ended = [(i, h, injected(h.heard)) for i, h in (*fetched, *tried) if h.phase == "tls" and h.error in _ENDED]
    judged = [(i, h, found) for i, h, found in ended if found.grade is not Grade.UNKNOWN]
    if not judged:
        return None
    indices = tuple(dict.fromkeys(i for i, _, _ in judged))
    forged = [found for _, _, found in judged if found.grade is Grade.LIKELY]
    odd = [found for _, _, found in judged if found.grade is Grade.DOUBTFUL]
    told = "ends of handshakes with the platform's names"
    if 2 * len(forged) > len(judged):
        return Finding("forged", f"{of(len(forged), len(judged))} {told} look forged: {_why(forged)}.", indices)
    suspect = [*forged, *odd]
    if 2 * len(suspect) > len(judged):
        return Finding("odd", f"{of(len(suspect), len(judged))} {told} look odd: {_why(suspect)}.", indices)
    plain = len(judged) - len(suspect)
    return Finding("as_server", f"{of(plain, len(judged))} {told} look like the server's own.", indices)


def refusals(view: View) -> Finding | None:
    """Did the refusals come from who was asked? A host that refuses a connection does not accept it a moment later."""
    compared = refused(view)
    if compared is None or compared.state not in _BY_OTHERS:
        return None
    edges = [edge for edge in view.edges if edge.reach is Reach.REFUSING]
    trains = [
        (index, injected((x.reply, *x.later)))
        for edge in edges
        for index, train in edge.trains
        for x in train.exchanges
        if x.reply and x.reply.kind is ReplyKind.RST
    ]
    fetches = [
        (index, injected(response.handshaken.heard))
        for edge in edges
        for index, response in edge.fetches
        if response.handshaken.error == "refused"
    ]
    every = [*trains, *fetches]
    forged = [(index, found) for index, found in every if found.grade is Grade.LIKELY]
    if 2 * len(forged) <= len(every):
        return None
    told = f"{of(len(forged), len(every))} refusals of the platform's addresses look forged"
    indices = tuple(dict.fromkeys(index for index, _ in forged))
    return Finding("forged", f"{told}: {_why([found for _, found in forged])}.", indices)


def _why(found: list[Judged]) -> str:
    """The mark that most of them show."""
    marks = [mark for one in found for mark in one.marks]
    return _SENTENCES[max(dict.fromkeys(marks), key=marks.count)]


SIGNALS = (
    Signal("tls.endings", "endings", ("as_server", "odd", "forged"), endings),
    Signal("edge.refusals", "endings", ("forged",), refusals),
)
