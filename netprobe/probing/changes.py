"""Where on a path our packets are changed: what the hops quote of them, put together.

A router quotes what has come to it. What it quotes otherwise than it left was changed before it, behind the last hop
that quotes it as it was. A change that a later hop does not show is not one of the packet: that router quotes oddly.
"""

from collections.abc import Iterator, Sequence

from netprobe.model.probes import Path, Reply
from netprobe.model.record import Record
from netprobe.model.replies import Change

#: Fields that are the same in all packets of a flow, so that their values can be compared from hop to hop.
_OF_THE_FLOW = frozenset({"dscp", "ecn", "dont_fragment", "source", "destination", "source_port", "options", "mss"})
#: Fields that say something of one hop only: what its own TTL handling is.
_OF_THE_HOP = frozenset({"ttl"})
#: What is behind the first 8 bytes of the transport header, which is all that some routers quote (RFC 792).
_FAR_BACK = frozenset({"options", "mss"})
_WHOLE_HEADER = {4: 20 + 20 + 12, 6: 40 + 20 + 12}  # bytes of IP and TCP, at least what our options take


class Changed(Record, frozen=True):
    """`change` happened behind the hop at TTL `after` (0: before the first that shows anything) and before `ttl`."""

    change: Change
    ttl: int
    after: int


def changes_on(path: Path) -> tuple[Changed, ...]:
    """What was changed on the way, in order of TTL. Each field is judged by the hops that quote enough to show it."""
    quotes = [
        (hop.ttl, exchange.reply)
        for hop in path.hops
        for exchange in hop.exchanges
        if exchange.reply and exchange.reply.quoted_ttl >= 0
    ]
    fields = dict.fromkeys(change.field for _, reply in quotes for change in reply.changes)
    found = [changed for field in fields if field not in _OF_THE_HOP for changed in _located(field, quotes)]
    return tuple(sorted(found, key=lambda changed: changed.ttl))


def _located(field: str, quotes: Sequence[tuple[int, Reply]]) -> Iterator[Changed]:
    """Where `field` became what it is from there on, and where that changed again."""
    seen = [(ttl, _of(field, reply)) for ttl, reply in quotes if _shows(field, reply)]
    unchanged = [index for index, (_, change) in enumerate(seen) if change is None]
    begin = unchanged[-1] + 1 if unchanged else 0
    before: object = None
    for index, (ttl, change) in enumerate(seen[begin:], begin):
        value = change and (change.seen if field in _OF_THE_FLOW else field)
        if change and value != before:
            yield Changed(change, ttl, seen[index - 1][0] if index else 0)
        before = value


def _of(field: str, reply: Reply) -> Change | None:
    return next((change for change in reply.changes if change.field == field), None)


def _shows(field: str, reply: Reply) -> bool:
    return field not in _FAR_BACK or reply.quoted_bytes >= _WHOLE_HEADER[6 if ":" in reply.source else 4]
