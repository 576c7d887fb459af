"""Captures of CenTrace: connections to one server whose request leaves with a small TTL, a TTL a connection.

https://github.com/censoredplanet/CenTrace; one file holds all of one name. The request is HTTP, or a ClientHello: for
`interference` it is the same question.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from netprobe.live import codec, dissect, replies
from netprobe.live.dissect import IcmpError, Segment
from netprobe.model.probes import Reply
from netprobe.model.services import Handshake, Handshaken
from netprobe.probing.injection import Heard
from netprobe.recorded.pcap import Recorded, packets

_MOST_RETURNED = 8


@dataclass(slots=True)
class _Connection:
    """One connection as it is read: what the server sent, and what came back of the request."""

    began_s: float
    heard: Heard = field(default_factory=Heard)
    returned: list[Reply] = field(default_factory=list)
    connect_s: float | None = None
    ttl: int = 0  # of the request
    over: bool = False  # the client has ended it: what follows answers that


def read(path: Path, name: str = "") -> list[Handshaken]:
    """A handshake for each connection in which something was asked for; `name` is what was asked for.

    Raises OSError, and ValueError for what is no pcap file, or has no connection in it.
    """
    recorded = list(packets(path))
    asked = Counter(_opened(recorded))
    if not asked:
        msg = f"{path}: no TCP connection begins in it"
        raise ValueError(msg)
    (server, port), _ = asked.most_common(1)[0]
    return [
        Handshaken(
            Handshake(server, port, name, verify=False, hello_ttl=one.ttl),
            phase="tls",
            error="" if one.heard.replies else "timeout",
            connect_s=one.connect_s,
            heard=one.heard.replies,
            returned=tuple(one.returned),
        )
        for one in _connections(recorded, server, port)
        if one.ttl
    ]


def _opened(recorded: Iterable[Recorded]) -> Iterable[tuple[str, int]]:
    """Whom each SYN is for."""
    for _, packet in recorded:
        sent, message = dissect.parse_quote(packet), dissect.parse(packet)
        if sent and isinstance(message, Segment) and message.flags & (codec.SYN | codec.ACK) == codec.SYN:
            yield sent.destination, sent.second


def _connections(recorded: Sequence[Recorded], server: str, port: int) -> list[_Connection]:
    found: list[_Connection] = []
    current: dict[int, _Connection] = {}  # by the client's port
    for at_s, packet in recorded:
        message = dissect.parse(packet)
        if isinstance(message, IcmpError):
            quote = message.quote
            one = current.get(quote.first)
            if one and one.ttl and (quote.destination, quote.second) == (server, port):
                one.returned = [*one.returned, replies.of_error_about_segment(message, at_s - one.began_s)]
                del one.returned[_MOST_RETURNED:]
        elif isinstance(message, Segment) and (message.source, message.source_port) == (server, port):
            _heard(current.get(message.destination_port), message, at_s)
        elif isinstance(message, Segment) and message.destination_port == port:
            if message.flags & (codec.SYN | codec.ACK) == codec.SYN:
                current[message.source_port] = _Connection(at_s)
                found.append(current[message.source_port])
            elif one := current.get(message.source_port):
                one.over = one.over or bool(message.flags & (codec.FIN | codec.RST))
                if message.length and not one.over:
                    one.ttl = message.ttl
    return found


def _heard(one: _Connection | None, segment: Segment, at_s: float) -> None:
    if one is None or one.over:
        return
    if one.connect_s is None and segment.flags & codec.SYN:
        one.connect_s = at_s - one.began_s
    one.heard.add(replies.of_segment(segment, at_s - one.began_s))
