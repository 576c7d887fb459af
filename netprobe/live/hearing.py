"""What the raw TCP socket shows of the connections that the own kernel holds: TTL, IP identification, options, resets.

A connection whose source port lies in the wire's block passes the filter that the probes' answers pass, so that its
segments come to us beside the kernel. Probes never come from such a port. Only headers are kept, and only those that
tell who ended the connection.
"""

import errno
import socket
from collections.abc import Callable
from contextlib import suppress

from netprobe.live import chance, codec, replies
from netprobe.live.bpf import Blocks
from netprobe.live.dissect import IcmpError, Segment
from netprobe.model.probes import Reply
from netprobe.probing.injection import Heard

_ATTEMPTS = 8  # at a free port of the block
_MOST_RETURNED = 8


class Ear:
    """Hears one connection, from `began_s` on."""

    def __init__(self, ends: tuple[str, int, int], began_s: float) -> None:
        self.ends = ends
        self.began_s = began_s
        self.heard = Heard()
        self.returned: list[Reply] = []  # ICMP errors about its segments
        self.on_returned: Callable[[], None] | None = None


class Hearing:
    """Knows which connections are listened to, and hands each segment to its connection."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._ears: dict[tuple[str, int, int], Ear] = {}  # by the other side's address and port, and our port

    def listen(self, sock: socket.socket, address: str, port: int, now: float) -> Ear | None:
        """Bind `sock`, which is to connect to `address`, to a port of the block; None where none is to be had.

        Such a connection takes a port that the kernel chooses, and is not heard.
        """
        ports = self._blocks.connection_ports
        for _ in range(_ATTEMPTS if ports else 0):
            own = ports[chance.below(len(ports))]
            try:
                sock.bind(("", own))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    return None
                continue
            with suppress(OSError):  # as the socket of the segments writes it
                address = socket.inet_ntop(sock.family, socket.inet_pton(sock.family, address))
            ear = self._ears[address, port, own] = Ear((address, port, own), now)
            return ear
        return None

    def forget(self, ear: Ear) -> None:
        """The connection is over."""
        self._ears.pop(ear.ends, None)

    def segment(self, segment: Segment, at_s: float) -> None:
        """A segment has come that is to no probe."""
        ear = self._ears.get((segment.source, segment.source_port, segment.destination_port))
        if ear:
            ear.heard.add(replies.of_segment(segment, max(0.0, at_s - ear.began_s)))

    def error(self, error: IcmpError, at_s: float) -> None:
        """An ICMP error has come that is about no probe."""
        quote = error.quote
        ear = self._ears.get((quote.destination, quote.second, quote.first))
        if ear and quote.protocol == codec.PROTOCOL_TCP and len(ear.returned) < _MOST_RETURNED:
            ear.returned.append(replies.of_error_about_segment(error, max(0.0, at_s - ear.began_s)))
            if ear.on_returned:
                ear.on_returned()
