"""What this process and its helper say to each other: records of JSON, each behind its length in four bytes."""

import msgspec

from netprobe.model.record import Record
from netprobe.model.services import QuicHandshake, QuicHandshaken

LARGEST = 1 << 20
_LENGTH = 4


class Asked(Record, frozen=True):
    """A handshake to make, by a number of the asker's; None: forget all that were asked for.

    `link` is the interface to bind to, empty for none.
    """

    number: int
    handshake: QuicHandshake | None
    link: str = ""


class Told(Record, frozen=True):
    """What came of the handshake of that number, and the datagrams that it took, headers counted."""

    number: int
    outcome: QuicHandshaken
    packets_sent: int = 0
    bytes_sent: int = 0


def pack(record: Asked | Told) -> bytes:
    """A record as it goes through the channel."""
    message = msgspec.json.encode(record)
    return len(message).to_bytes(_LENGTH) + message


def unpack(data: bytes) -> tuple[bytes, bytes] | None:
    """The first whole message and what follows it; None while it is not whole. Raises `ValueError` for a vast one."""
    size = int.from_bytes(data[:_LENGTH])
    if size > LARGEST:
        raise ValueError("no message is as large")
    if len(data) < _LENGTH + size or len(data) < _LENGTH:
        return None
    return data[_LENGTH : _LENGTH + size], data[_LENGTH + size :]
