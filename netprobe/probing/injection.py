"""Whether a TCP connection was ended by who it was with, or by somebody between who forged the end.

A forged segment has to get addresses, ports and sequence numbers right, but hardly ever looks like the rest of the
conversation: it was made by another stack, elsewhere on the path. The marks are those of Weaver, Sommer and Paxson,
"Detecting Forged TCP Reset Packets" (NDSS 2009), and Sundara Raman et al., "Global, Passive Detection of Connection
Tampering" (SIGCOMM 2023). All of them are heuristics: load balancers and SYN proxies in front of a server look like
forgers too, so that a mark is a hint and never a proof.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

from netprobe.model.probes import Reply, ReplyKind
from netprobe.model.record import Record
from netprobe.model.replies import ACK, FIN, RST, TcpHeader
from netprobe.probing.distance import initial_ttl, path_length

_PATH_CHANGE = 3  # hops by which a way may get longer or shorter in the middle of a conversation
_ID_STEP = 1024  # packets that a busy host may have sent between two of one connection
_MODULUS, _HALF = 1 << 32, 1 << 31
_MOST_ENDS, _MOST_OTHERS = 6, 4  # segments that are kept: of somebody who sends many, the first tell


class Grade(StrEnum):
    """How an end looks beside the rest of its conversation."""

    UNKNOWN = "unknown"  # there is nothing to compare
    CONSISTENT = "consistent"  # as the rest
    DOUBTFUL = "doubtful"  # something is odd that is innocent elsewhere
    LIKELY = "likely"  # as forgers do it


class Judged(Record, frozen=True):
    """A grade, and the names of the marks that it rests on."""

    grade: Grade
    marks: tuple[str, ...] = ()


class Heard:
    """Keeps of a connection's segments what tells who ended it: the SYN-ACK, the last segment before the end, the ends
    (resets and FINs), and what came although it had ended.
    """

    def __init__(self) -> None:
        self._begin: list[Reply] = []
        self._before: list[Reply] = []
        self._ends: list[Reply] = []
        self._after: list[Reply] = []

    def add(self, reply: Reply) -> None:
        """A segment has come."""
        header = reply.tcp
        if header is None:
            return
        if header.flags & (RST | FIN):
            if len(self._ends) < _MOST_ENDS:
                self._ends.append(reply)
        elif self._ends:
            if len(self._after) < _MOST_OTHERS:
                self._after.append(reply)
        elif reply.kind is ReplyKind.SYN_ACK:
            if len(self._begin) < _MOST_OTHERS:
                self._begin.append(reply)
        else:
            self._before = [*self._before[-1:], reply]

    @property
    def replies(self) -> tuple[Reply, ...]:
        """What was kept, in order of arrival."""
        return tuple(sorted((*self._begin, *self._before, *self._ends, *self._after), key=lambda r: r.rtt_s))


class _Case(NamedTuple):
    """Segments with their headers: those before the first end, the ends (resets, FINs), and what came after that."""

    before: list[tuple[Reply, TcpHeader]]
    ends: list[tuple[Reply, TcpHeader]]
    after: list[tuple[Reply, TcpHeader]]

    @property
    def end(self) -> tuple[Reply, TcpHeader]:
        return self.ends[0]

    @property
    def resets(self) -> list[tuple[Reply, TcpHeader]]:
        return [(reply, header) for reply, header in self.ends if header.flags & RST]


class Mark(NamedTuple):
    """Something that forgers do: its name, what it says, and how it is seen."""

    name: str
    sentence: str
    seen: Callable[[_Case], bool]


def injected(heard: Sequence[Reply]) -> Judged:
    """How the first reset or FIN among `heard`, a probe's replies or a connection's segments in order, looks."""
    segments = [(reply, reply.tcp) for reply in heard if reply.tcp]
    first = next((at for at, (_, header) in enumerate(segments) if header.flags & (RST | FIN)), None)
    if first is None:
        return Judged(Grade.UNKNOWN)
    ends = [(reply, header) for reply, header in segments[first:] if header.flags & (RST | FIN)]
    after = [(reply, header) for reply, header in segments[first:] if not header.flags & (RST | FIN)]
    case = _Case(segments[:first], ends, after)
    strong, weak = (tuple(mark.name for mark in marks if mark.seen(case)) for marks in (STRONG, WEAK))
    if strong or weak:
        return Judged(Grade.LIKELY if strong else Grade.DOUBTFUL, strong + weak)
    return Judged(Grade.CONSISTENT if case.before or case.after else Grade.UNKNOWN)


def _others(case: _Case) -> list[tuple[Reply, TcpHeader]]:
    return case.before or case.after


def _goes_on(case: _Case) -> bool:
    """RST_SEQ_DATA of Weaver et al.: a host that has reset a connection does not speak on in it.

    What is older than the reset by its number was only overtaken.
    """
    _, end = case.end
    for reply, header in case.after:
        if reply.kind is ReplyKind.SYN_ACK and not case.before:
            return True
        if header.length and (header.sequence - end.sequence) % _MODULUS < _HALF:
            return True
    return False


def _elsewhere(case: _Case) -> bool:
    return any(abs(path_length(case.end[0].ttl) - path_length(o.ttl)) > _PATH_CHANGE for o in _with_ttl(case))


def _other_ttl(case: _Case) -> bool:
    """A little farther or nearer, or as far with another initial TTL."""
    mine = case.end[0].ttl
    return any(mine != other.ttl for other in _with_ttl(case)) and not _elsewhere(case)


def _with_ttl(case: _Case) -> list[Reply]:
    return [other for other, _ in _others(case) if other.ttl > 0] if case.end[0].ttl > 0 else []


def _disagree(case: _Case) -> bool:
    """Two resets of one host have one TTL; forgers send several, from several stacks or to look like them."""
    lengths = [(initial_ttl(reply.ttl), path_length(reply.ttl)) for reply, _ in case.resets if reply.ttl > 0]
    windows = {header.window for _, header in case.resets if header.window}
    far = any(abs(a[1] - b[1]) > _PATH_CHANGE or a[0] != b[0] for a in lengths for b in lengths)
    return far or len(windows) > 1


def _guesses(case: _Case) -> bool:
    """RST_SEQ_CHANGE: resets at several places of the sequence, one of which may fit. Windows follows its own FIN."""
    places = sorted({header.sequence for _, header in case.resets if header.sequence})
    return any((b - a) % _MODULUS > 1 for a, b in pairwise(places))


def _off(case: _Case) -> bool:
    """It does not follow what was received, as what the sender says does."""
    ends = [
        (header.sequence + header.length + (reply.kind is ReplyKind.SYN_ACK) + bool(header.flags & FIN)) % _MODULUS
        for reply, header in (*case.before, *case.after)
    ]
    return bool(ends) and all((case.end[1].sequence - end) % _MODULUS > 1 for end in ends)


def _id_breaks(case: _Case) -> bool:
    """The identifications counted up until the reset. A reset without a connection has none (0) in Linux."""
    counted = [other.ip_id for other, _ in case.before if other.ip_id > 0]
    steps = [(b - a) & 0xFFFF for a, b in pairwise(counted)]
    if not steps or not all(0 < step <= _ID_STEP for step in steps) or case.end[0].ip_id <= 0:
        return False
    return not 0 < (case.end[0].ip_id - counted[-1]) & 0xFFFF <= _ID_STEP


def _odd_window(case: _Case) -> bool:
    """A reset that answers a segment of no connection offers no window (RFC 9293, 3.10.7.1)."""
    _, header = case.end
    return bool(header.flags & RST and header.window and not header.flags & ACK)


def _no_stamps(case: _Case) -> bool:
    """RFC 7323, 3.2: once time stamps are agreed on, a reset of the connection should have them."""
    stamped = any(header.option("timestamps") for _, header in case.before)
    _, end = case.end
    return stamped and bool(end.flags & ACK) and end.option("timestamps") is None


def _other_fragmenting(case: _Case) -> bool:
    mine = case.end[1].dont_fragment
    return case.end[0].ip_id >= 0 and any(mine != header.dont_fragment for _, header in _others(case))


#: Hardly anybody but a forger does this.
STRONG = (
    Mark("goes_on", "the server spoke on after the end in its name", _goes_on),
    Mark("elsewhere", "the end came from another place on the path than the server's answers", _elsewhere),
    Mark("disagree", "several resets in the server's name do not look alike", _disagree),
    Mark("guesses", "resets came at several sequence numbers, as if to try them", _guesses),
)
#: A load balancer or another part of the server may do this too.
WEAK = (
    Mark("off", "the end's sequence number does not follow what the server had sent", _off),
    Mark("ttl", "the end has another TTL than the server's answers", _other_ttl),
    Mark("ip_id", "the end's IP identification is out of the server's order", _id_breaks),
    Mark("window", "the reset offers a window", _odd_window),
    Mark("no_stamps", "the end lacks the time stamps that the server uses", _no_stamps),
    Mark("fragmenting", "the end differs from the server's answers in DF", _other_fragmenting),
)
