"""A traced target for machines: one line of JSON, always with every field of the contract.

The records here are the JSON: `netprobe schema trace` is made of them. A number that is not known is null; what has a
default here is left out where there is nothing to say.
"""

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from netprobe.model.probes import Hop, Multipath, Path, Reply
from netprobe.model.record import Record, to_json
from netprobe.model.rungs import RAW
from netprobe.probing.distance import path_length
from netprobe.report.changes import (
    ChangedLine,
    ChangeLine,
    InterfaceLine,
    TcpLine,
    change_lines,
    changed_lines,
    cookies,
    destination_ttls,
    interface_lines,
    tcp_line,
)
from netprobe.report.icmp import meaning
from netprobe.report.known import Known

if TYPE_CHECKING:  # only who counts loss needs them
    from netprobe.probing.loss_evidence import HopLoss, LossEvidence


class MplsLine(Record, frozen=True):
    """A label stack entry of RFC 4950."""

    label: int
    traffic_class: int = msgspec.field(name="class")
    bottom: bool
    ttl: int


class ReplyLine(Record, frozen=True, omit_defaults=True):
    """A message that answered. `mtu` is the next hop's.

    `error` is the errno's name where the probe never left (or a name of netprobe/model/unsent.py); `dropped_locally`:
    the message came in on the wire, and this machine's own firewall dropped it. `reply_ttl` is the TTL on arrival, and
    `return_hops` how long the way back is by it, given the usual initial TTLs. `changes` is what the quote shows of our
    packet otherwise than it left; `interfaces` are the router's own (RFC 5837), `unknown_objects` counts what else it
    added and nobody can read.
    """

    address: str
    rtt_ms: float
    kind: str
    icmp_type: int | None
    icmp_code: int | None
    ttl: int | None
    quoted_ttl: int | None
    quoted_tos: int | None
    mpls: list[MplsLine]
    error: str = ""
    mtu: int = 0
    dropped_locally: bool = False
    reply_ttl: int | None = None
    return_hops: int | None = None
    meaning: str = ""
    changes: list[ChangeLine] = []
    tcp: TcpLine | None = None
    interfaces: list[InterfaceLine] = []
    unknown_objects: int = 0


class HopLine(Record, frozen=True, omit_defaults=True):
    """The probes at one TTL. `shared_from` is the address of the target that it was asked for, if it was another.

    `changed` is what happens to our packets before this hop, as it and all later ones show.
    """

    ttl: int
    replies: list[ReplyLine]
    sent: int
    lost: int
    shared_from: str = ""
    changed: list[ChangedLine] = []


class SilenceLine(Record, frozen=True, omit_defaults=True):
    """How often somebody stayed silent: the fraction lies between `low` and `high` at 95 %.

    `silence` says why, where that was tested: `limiter` or `both` (it answers `answers_per_s` at most), `loss` (of a
    destination only), `none` or `undecided`.
    """

    ttl: int
    sent: int
    lost: int
    fraction: float
    low: float
    high: float
    silence: str = ""
    answers_per_s: float | None = None


class PathLossLine(Record, frozen=True):
    """Loss on the path: it begins behind the hop `after`, and the hops `agreeing` show it too."""

    fraction: float
    low: float
    high: float
    after: int
    agreeing: list[int]
    only_destination: bool


class LossLine(Record, frozen=True):
    """What the rounds say. `path` is null without a reason to speak of loss, `destination` where it never answers."""

    path: PathLossLine | None
    destination: SilenceLine | None
    hops: list[SilenceLine]


class VertexLine(Record, frozen=True):
    """An address at a TTL, and the labels of the flows that it answered."""

    ttl: int
    address: str
    flows: list[int]


class BranchLine(Record, frozen=True):
    """A way from `near` at the TTL before to `far` at `ttl`."""

    ttl: int
    near: str
    far: str


class PathsLine(Record, frozen=True):
    """All ways that were found. `complete`: there are no more at 95 %. `per_packet` are TTLs balanced by packet."""

    vertices: list[VertexLine]
    branches: list[BranchLine]
    per_packet: list[int]
    complete: bool
    probes_sent: int
    unanswered: int


class TraceLine(Record, frozen=True, omit_defaults=True):
    """A traced target. `error` says why there is no path; `interrupted`: it was not waited for the end.

    `rung` is the way in which the probes left (model/rungs.py): raw, ping, recverr or connect; empty where none did.
    `tos` is the DSCP and ECN byte of the probes. `destination_ttls` are the TTLs of the destination's replies where
    they differ, and `syn_cookies` signs that it answers with SYN cookies (a heuristic; probing/cookies.py names them).
    """

    target: str
    address: str
    method: str
    port: int
    reached: bool
    rtt_ms: float | None
    probes_sent: int
    hops: list[HopLine]
    rung: str
    loss: LossLine | None = None
    paths: PathsLine | None = None
    interrupted: bool = False
    error: str = ""
    tos: int = 0
    destination_ttls: list[int] = []
    syn_cookies: list[str] = []


def to_line(
    one: Known, method: str, port: int, error: str = "", *, rung: str = RAW, interrupted: bool = False
) -> bytes:
    """One line of JSON, valid on an empty path and without any."""
    path = one.path
    line = TraceLine(
        target=one.target,
        address=one.address,
        method=method,
        port=port,
        reached=bool(path and path.reached),
        rtt_ms=_ms(path.rtt_s) if path else None,
        probes_sent=(path.probes_sent if path else 0) + (one.ways.probes_sent if one.ways else 0),
        hops=_hops(path, one.ways),
        rung=rung,
        loss=_loss(one.loss) if one.loss else None,
        paths=_paths(one.ways) if one.ways else None,
        interrupted=interrupted,
        error=error,
        tos=path.flow.tos if path else 0,
        destination_ttls=destination_ttls(path) if path else [],
        syn_cookies=cookies(path) if path else [],
    )
    return to_json(line)


def _loss(evidence: "LossEvidence") -> LossLine:
    path = None
    if evidence.loss:
        its, loss = evidence.loss.interval, evidence.loss
        path = PathLossLine(
            _fraction(its.fraction),
            _fraction(its.low),
            _fraction(its.high),
            loss.after,
            list(loss.agreeing),
            loss.only_destination,
        )
    end = _silence(evidence.destination) if evidence.destination else None
    return LossLine(path, end, [_silence(hop) for hop in evidence.hops if hop.sent])


def _silence(hop: "HopLoss") -> SilenceLine:
    its = hop.interval
    return SilenceLine(
        hop.ttl,
        hop.sent,
        hop.lost,
        _fraction(its.fraction),
        _fraction(its.low),
        _fraction(its.high),
        hop.silence.value if hop.silence else "",
        None if hop.rate is None else round(hop.rate, 2),
    )


def _paths(ways: Multipath) -> PathsLine:
    return PathsLine(
        [VertexLine(vertex.ttl, vertex.address, list(vertex.flows)) for vertex in ways.vertices],
        [BranchLine(branch.ttl, branch.near, branch.far) for branch in ways.branches],
        list(ways.per_packet),
        ways.complete,
        ways.probes_sent,
        ways.unanswered,
    )


def _fraction(value: float) -> float:
    return round(value, 5)


def _hops(path: Path | None, ways: Multipath | None) -> list[HopLine]:
    """The hops of the path; with all `ways` their probes too, so that every branch's address is among the replies."""
    changed = changed_lines(path) if path else {}
    hops = {hop.ttl: hop for hop in path.hops} if path else {}
    last = max([*hops, *(vertex.ttl for vertex in ways.vertices)] if ways else hops, default=0)
    for more in ways.hops if ways else ():
        if more.ttl <= last:
            one = hops.get(more.ttl)
            hops[more.ttl] = Hop(more.ttl, (*one.exchanges, *more.exchanges), one.shared_from) if one else more
    return [_hop(hop, changed.get(ttl, [])) for ttl, hop in sorted(hops.items())]


def _hop(hop: Hop, changed: list[ChangedLine]) -> HopLine:
    line = _taken_over(hop) if hop.shared_from else _own(hop)
    return replace(line, changed=changed) if changed else line


def _own(hop: Hop) -> HopLine:
    return HopLine(
        ttl=hop.ttl,
        replies=[_reply(x.reply) for x in hop.exchanges if x.reply],
        sent=len(hop.exchanges),
        lost=hop.lost,
        shared_from=hop.shared_from,
    )


_taken_over = lru_cache(maxsize=1024)(_own)  # it is shown with each of the targets that share it


def _reply(reply: Reply) -> ReplyLine:
    return ReplyLine(
        address=reply.source,
        rtt_ms=round(reply.rtt_s * 1000, 3),
        kind=reply.kind.value,
        icmp_type=_known(reply.icmp_type),
        icmp_code=_known(reply.icmp_code),
        ttl=_known(reply.ttl),
        quoted_ttl=_known(reply.quoted_ttl),
        quoted_tos=_known(reply.quoted_tos),
        mpls=[MplsLine(label, traffic, bool(bottom), ttl) for label, traffic, bottom, ttl in reply.mpls]
        if reply.mpls
        else [],
        error=reply.error,
        mtu=reply.mtu,
        dropped_locally=reply.dropped_locally,
        reply_ttl=_known(reply.ttl),
        return_hops=path_length(reply.ttl) if reply.ttl > 0 else None,
        meaning=meaning(reply),
        changes=change_lines(reply.changes) if reply.changes else [],
        tcp=tcp_line(reply) if reply.tcp else None,
        interfaces=interface_lines(reply.interfaces) if reply.interfaces else [],
        unknown_objects=reply.unknown_objects,
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _known(value: int) -> int | None:
    return None if value < 0 else value
