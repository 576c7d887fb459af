"""Where on the way somebody minds a name: what became of ClientHellos that could not get beyond each hop.

A connection is made as always; then the ClientHello leaves with a small TTL, with a name that may be minded and, for
comparison, with one that is not. Whoever ends the connection in the server's name, or lets nothing come back any more,
before a TTL with which the server answers the other name, has seen the ClientHello there: at that hop, or on the link
before it (Sundara Raman et al., "Network Measurement Methods for Locating and Examining Censorship Devices", CoNEXT
2022: CenTrace).
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from netprobe.model.probes import Exchange, Flow, Hop, Path, Protocol, Reply, ReplyKind
from netprobe.model.record import Record
from netprobe.model.replies import FIN, RST
from netprobe.model.services import Handshaken

#: Errors of a handshake that the server has answered.
REFUSALS = frozenset({"certificate", "alert"})


class Manner(StrEnum):
    """What becomes of a connection with the name."""

    NONE = "none"  # what becomes of the other name too
    RESET = "reset"  # a RST that the server cannot have sent
    FIN = "fin"  # the same with a FIN, mostly behind a page
    ANSWER = "answer"  # somebody else answers it
    SILENCE = "silence"  # it is heard of no more
    UNCLEAR = "unclear"  # not enough came back to compare


class Interference(Record, frozen=True):
    """Who minds a name, and where: at the hop `ttl`, or on the link before it.

    Where hops before it are silent it may be nearer, down to `nearest`. `address` is the router's at `ttl`, empty where
    it is silent or `nearest` is another hop; `behind` is the last one before `nearest` that is known. `at_end`: the
    server's own answers begin at this distance, so that it may be the server, or somebody straight in front of it.
    `passes`: what somebody answered went on as well, so that they stand beside the way and not in it.
    """

    manner: Manner
    ttl: int = 0
    nearest: int = 0
    address: str = ""
    behind: str = ""
    at_end: bool = False
    passes: bool = False


class Seen(Record, frozen=True):
    """What came of the ClientHellos with one TTL. `hop` is the router that said it expired, empty: nobody did."""

    ttl: int
    hop: str = ""
    reset: bool = False
    fin: bool = False
    answered: bool = False

    @property
    def ended(self) -> bool:
        """Whether the connection was ended."""
        return self.reset or self.fin

    @property
    def told(self) -> bool:
        """Whether anything at all came in the server's name."""
        return self.ended or self.answered

    @property
    def anything(self) -> bool:
        """Whether anybody said anything."""
        return bool(self.hop) or self.told


def interference(minded: Sequence[Handshaken], other: Sequence[Handshaken]) -> Interference:
    """Who minds the name of the handshakes `minded`, compared with those of a name that nobody minds.

    Both are to the same address, with a `hello_ttl`; several with one count together. Pure.
    """
    test, control = by_ttl(minded), by_ttl(other)
    end = min((ttl for ttl, seen in control.items() if seen.told), default=0)
    if not end or not test:
        return Interference(Manner.UNCLEAR)
    clean = max((ttl for ttl, seen in test.items() if seen.hop and not seen.told), default=0)
    near = [seen for ttl, seen in sorted(test.items()) if ttl < end and not (ttl in control and control[ttl].told)]
    ended = [seen for seen in near if seen.ended]
    if len(ended) > 1 or (ended and ended[0].ttl > clean):  # one alone, and nothing behind it, is somebody's mishap
        return _found(_manner(ended), ended[0].ttl, ended[0].ttl, test, control, end)
    at_end = [seen for ttl, seen in test.items() if ttl >= end and seen.told]
    if any(seen.answered and not (seen.ended and not control[end].ended) for seen in at_end):
        return Interference(Manner.NONE)
    foreign = [seen for seen in near if seen.answered and seen.ttl > clean]
    if foreign:  # nobody ends it, and the server does not answer it either
        return _found(Manner.ANSWER, foreign[0].ttl, foreign[0].ttl, test, control, end)
    if at_end and control[end].ended:
        return Interference(Manner.NONE)  # the server ends it, whatever the name
    if at_end:
        return _found(_manner(at_end), end, end, test, control, end)
    if max(test) < end:
        return Interference(Manner.UNCLEAR)
    beyond = [ttl for ttl, seen in sorted(control.items()) if ttl > clean and seen.anything]
    far = min(beyond, default=end)
    return _found(Manner.SILENCE, far, clean + 1, test, control, end)


def _found(
    manner: Manner, ttl: int, nearest: int, test: dict[int, Seen], control: dict[int, Seen], end: int
) -> Interference:
    """The place is known: whose router is there, and did the packet go on?"""
    own = test[ttl].hop if ttl in test else ""
    address = "" if ttl >= end or nearest < ttl else own or (control[ttl].hop if ttl in control else "")
    passes = any(seen.hop for at, seen in test.items() if at >= ttl and seen.told)
    before = [one.hop for seen in (control, test) for at, one in sorted(seen.items()) if at == nearest - 1 and one.hop]
    return Interference(manner, ttl, nearest, address, "".join(before[-1:]), at_end=ttl >= end, passes=passes)


def _manner(seen: Sequence[Seen]) -> Manner:
    """By most of what was seen."""
    if 2 * sum(one.fin for one in seen) > len(seen):
        return Manner.FIN
    return Manner.RESET


def by_ttl(handshakes: Iterable[Handshaken]) -> dict[int, Seen]:
    """What is known of each TTL; a connection that did not come about tells nothing of it."""
    found: dict[int, Seen] = {}
    for one in handshakes:
        ttl = one.handshake.hello_ttl
        if not ttl or one.connect_s is None:
            continue
        flags = [r.tcp.flags for r in one.heard if r.tcp and r.kind is not ReplyKind.SYN_ACK]
        reset = any(f & RST for f in flags) or one.error == "reset"
        fin = any(f & FIN and not f & RST for f in flags) or one.error == "closed"
        answered = one.done or one.error in REFUSALS or any(not f & (FIN | RST) for f in flags)
        hop = next((r.source for r in one.returned if _expired(r)), "")
        before = found.get(ttl, Seen(ttl))
        found[ttl] = Seen(ttl, before.hop or hop, before.reset or reset, before.fin or fin, before.answered or answered)
    return found


def way_of(handshakes: Sequence[Handshaken]) -> Path:
    """The routers that told of ClientHellos whose TTL ran out, as a path."""
    handshakes = [one for one in handshakes if one.handshake.hello_ttl]
    first = handshakes[0].handshake if handshakes else None
    flow = Flow(Protocol.TCP, first.address if first else "", first.port if first else 0)
    seen = by_ttl(handshakes)
    end = min((ttl for ttl, one in seen.items() if one.told), default=max(seen, default=0))
    told = {one.handshake.hello_ttl: reply for one in handshakes for reply in one.returned if _expired(reply)}
    hops = tuple(Hop(ttl, (Exchange(ttl, 0, 0.0, told.get(ttl)),)) for ttl in range(1, end + 1))
    return Path(flow, hops, reached=any(one.told for one in seen.values()))


def _expired(reply: Reply) -> bool:
    return reply.kind is ReplyKind.TIME_EXCEEDED
