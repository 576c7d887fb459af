"""A traced target for machines: one line of JSON, always with every field of the contract.

The records here are the JSON: `netprobe schema trace` is made of them. A number that is not known is null; what has a
default here is left out where there is nothing to say.
"""

import msgspec

from netprobe.model.probes import Hop, Path, Reply
from netprobe.model.record import Record, to_json
from netprobe.model.rungs import RAW


class MplsLine(Record, frozen=True):
    """A label stack entry of RFC 4950."""

    label: int
    traffic_class: int = msgspec.field(name="class")
    bottom: bool
    ttl: int


class ReplyLine(Record, frozen=True, omit_defaults=True):
    """A message that answered. `mtu` is the next hop's.

    `error` is the errno's name where the probe never left (or a name of netprobe/model/unsent.py); `dropped_locally`:
    the message came in on the wire, and this machine's own firewall dropped it.
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


class HopLine(Record, frozen=True, omit_defaults=True):
    """The probes at one TTL. `shared_from` is the address of the target that it was asked for, if it was another."""

    ttl: int
    replies: list[ReplyLine]
    sent: int
    lost: int
    shared_from: str = ""


class TraceLine(Record, frozen=True, omit_defaults=True):
    """A traced target. `error` says why there is no path; it is there only when there is none.

    `rung` is the way in which the probes left (model/rungs.py): raw, ping, recverr or connect; empty where none did.
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
    error: str = ""


def to_line(
    target: str, address: str, method: str, port: int, path: Path | None, error: str = "", rung: str = RAW
) -> bytes:
    """One line of JSON, valid on an empty path and without any."""
    line = TraceLine(
        target=target,
        address=address,
        method=method,
        port=port,
        reached=bool(path and path.reached),
        rtt_ms=_ms(path.rtt_s) if path else None,
        probes_sent=path.probes_sent if path else 0,
        hops=[_hop(hop) for hop in path.hops] if path else [],
        rung=rung,
        error=error,
    )
    return to_json(line)


def _hop(hop: Hop) -> HopLine:
    replies = [_reply(x.reply) for x in hop.exchanges if x.reply]
    return HopLine(ttl=hop.ttl, replies=replies, sent=len(hop.exchanges), lost=hop.lost, shared_from=hop.shared_from)


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
        mpls=[MplsLine(label, traffic, bool(bottom), ttl) for label, traffic, bottom, ttl in reply.mpls],
        error=reply.error,
        mtu=reply.mtu,
        dropped_locally=reply.dropped_locally,
    )


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _known(value: int) -> int | None:
    return None if value < 0 else value
