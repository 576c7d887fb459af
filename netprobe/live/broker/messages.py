"""What broker and worker say to each other, byte by byte: each message a batch of records, over SOCK_SEQPACKET.

First the configuration, once; then the broker's greeting; then requests one way and news the other.
"""

import marshal
import struct

TYPE_CHECKING = False  # the typing module is a megabyte
if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST_MESSAGE = 1 << 17  # either way; what a socket pair takes at once is some 200,000 bytes
BATCH_BYTES = 1 << 15  # a message is sent when it has grown to this

#: A request: the number by which news of it will come, the length of the packet behind it, and the index of the
#: interface by which it is to leave, 0 for the one that the routes say.
REQUEST = struct.Struct("=IHI")

DEPARTED, FAILED, ARRIVED = 1, 2, 3
#: News of a request: when the packet left (monotonic seconds); its errno, or the reason of `limits`.
DEPARTURE = struct.Struct("=BId")
FAILURE = struct.Struct("=BIH")
#: A packet that came in: the kind of socket (see `Configuration`), its TTL or -1, when (monotonic seconds), the lengths
#: of the sender's address as text and of the packet, which both follow.
ARRIVAL = struct.Struct("=BBhdBH")

#: Commands: messages of one byte. The tap, a packet socket on all devices, is opened when it is wanted.
OPEN_TAP, READ_TAP, CLOSE_TAP, COUNT_OVERFLOWS = b"T", b"R", b"C", b"O"

OPENED, SEEN, LOOKED, OVERFLOWED = 4, 5, 6, 7
#: Answers to them: whether the tap could be opened; a packet that it saw (whether it left, Unix time in nanoseconds,
#: the lengths of the device's name and of the packet, which both follow); after those how many the kernel could not
#: keep, and whether there are more; how many packets the receiving sockets had no room for, ever.
OPENING = struct.Struct("=B?")
SIGHT = struct.Struct("=B?QBH")
LOOK = struct.Struct("=BI?")
OVERFLOW = struct.Struct("=BI")

#: The greeting: whether the broker is ready, with locked filters; whether it has sockets of IPv6; whether its system
#: calls are filtered. If it is not ready it ends: the errno says why, and the text behind it.
GREETING = struct.Struct("=???H")


class Configuration:
    """All that the broker is told, by a parent that still has its rights. Accepted once, before any packet."""

    __slots__ = (
        "additions",
        "additions_per_minute",
        "burst",
        "filters",
        "first_port",
        "ident_base",
        "listed",
        "ports",
        "rate",
        "system_calls",
        "tap_filter",
        "user",
    )

    def __init__(self) -> None:
        self.first_port = self.ports = self.ident_base = 0
        #: BPF programs of the receiving sockets, by the index that their arrivals carry.
        self.filters: tuple[bytes, ...] = ()
        self.tap_filter = b""
        self.listed: list[tuple[bytes, int]] = []
        self.additions = 0
        self.additions_per_minute = 0.0
        self.rate = self.burst = 0.0
        self.user: tuple[int, int] | None = None
        self.system_calls = b""

    def pack(self) -> bytes:
        """As bytes for `unpack` of the same program."""
        return marshal.dumps({name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def unpack(cls, data: bytes) -> "Configuration":
        """The configuration that was packed."""
        made = cls()
        for name, value in marshal.loads(data).items():  # noqa: S302  # from the parent that started this process
            setattr(made, name, value)
        return made


def requests(message: bytes) -> "Iterator[tuple[int, bytes, int]]":
    """The requests of a message: number, packet and interface. What is cut off is left out."""
    at = 0
    while at + REQUEST.size <= len(message):
        number, size, interface = REQUEST.unpack_from(message, at)
        at += REQUEST.size
        if at + size > len(message):
            return
        yield number, message[at : at + size], interface
        at += size
