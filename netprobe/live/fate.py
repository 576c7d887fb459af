"""What became of probes, by comparing what was sent, what the tap saw on the own devices, and what the sockets got.

Pure: sets of tokens and times go in, a word for each probe comes out. A tap that may have missed something proves only
what it has seen.
"""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple


class Fate(StrEnum):
    """What became of a probe, as far as this machine can see."""

    ANSWERED = "answered"
    DROPPED_HERE = "dropped here"  # its answer came in on the wire, and this machine kept it from the socket
    NEVER_LEFT = "never left"  # the kernel took it, and no device has sent it
    LOST = "lost"  # it left, and no answer came in
    UNKNOWN = "cannot tell"


class Coverage(NamedTuple):
    """Since when nothing was missed, monotonic seconds: by the tap, and by the sockets that receive.

    `departures`: the tap does see what leaves. It does not where packets are wrapped up before they reach a device, as
    IPsec does.
    """

    tap_since_s: float
    sockets_since_s: float
    departures: bool = True


def fates(
    sent: Mapping[int, float],
    left: Collection[int],
    came: Collection[int],
    accepted: Collection[int],
    coverage: Coverage,
) -> dict[int, Fate]:
    """The fate of each probe in `sent`, which says when it was sent, by token.

    `left` were seen leaving, to `came` an answer was seen coming in, to `accepted` one was read from a socket.
    """
    return {token: _fate(token, at_s, left, came, accepted, coverage) for token, at_s in sent.items()}


def _fate(
    token: int,
    at_s: float,
    left: Collection[int],
    came: Collection[int],
    accepted: Collection[int],
    coverage: Coverage,
) -> Fate:
    if token in accepted:
        return Fate.ANSWERED
    if token in came:
        return Fate.DROPPED_HERE if at_s >= coverage.sockets_since_s else Fate.UNKNOWN
    if at_s < coverage.tap_since_s:
        return Fate.UNKNOWN
    if token in left:
        return Fate.LOST
    return Fate.NEVER_LEFT if coverage.departures else Fate.UNKNOWN
