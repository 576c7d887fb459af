"""The part of QUIC that no version changes (RFC 8999): long headers, and the negotiation of versions."""

import struct
from typing import NamedTuple

LONG, FIXED = 0x80, 0x40  # bits of the first byte (RFC 9000, 17.2)
VERSION_1, VERSION_2 = 0x00000001, 0x6B3343CF  # RFC 9000, 15; RFC 9369, 3.1
VERSIONS = (VERSION_1, VERSION_2)  # what the simulated servers speak, the one that they like best first
SMALLEST = 1200  # RFC 9000, 14.1: the least of a datagram that begins a connection
PORT = 443
_UNKNOWN = 0x1A2A3A4A  # RFC 9000, 15: reserved to force a negotiation
_NONCE_BYTES = 8
_HEAD = struct.Struct("!BIB")


class LongHeader(NamedTuple):
    """The connection ids are those that the packet is for and comes from; what the version says begins at `at`."""

    first: int
    version: int
    destination: bytes
    source: bytes
    at: int


def long_header(data: bytes) -> LongHeader | None:
    """The long header that `data` begins with (RFC 8999, 5.1); None for anything else."""
    if len(data) < _HEAD.size or not data[0] & LONG:
        return None
    first, version, size = _HEAD.unpack_from(data)
    at = _HEAD.size + size
    if at >= len(data):
        return None
    end = at + 1 + data[at]
    if end > len(data):
        return None
    return LongHeader(first, version, data[_HEAD.size : at], data[at + 1 : end], end)


def negotiation(data: bytes) -> bytes:
    """What a server answers to a datagram of a version that it does not speak: those that it does (RFC 9000, 6.1).

    Empty where it says nothing: to a version that it knows, to another negotiation, to a datagram that is too small to
    begin a connection. The first byte's spare bits are random in life; here they follow from the connection id.
    """
    header = long_header(data)
    if header is None or header.version in {0, *VERSIONS} or len(data) < SMALLEST:
        return b""
    # RFC 9000, 17.2.1: the second bit is set, so that it looks like QUIC to who shares the port.
    first = LONG | FIXED | (header.source[-1] & 0x3F if header.source else 0)
    ends = bytes([len(header.source)]) + header.source + bytes([len(header.destination)]) + header.destination
    return struct.pack("!BI", first, 0) + ends + struct.pack(f"!{len(VERSIONS)}I", *VERSIONS)


def unknown_version(nonce: int) -> bytes:
    """A datagram of a version that nobody speaks; a negotiation brings `nonce` (64 bits) back."""
    mark = nonce.to_bytes(_NONCE_BYTES, "big")
    ids = bytes([_NONCE_BYTES]) + mark[::-1] + bytes([_NONCE_BYTES]) + mark
    head = struct.pack("!BI", LONG | FIXED, _UNKNOWN) + ids + b"\0"
    # As an Initial of version 1 goes on: no token, a length. Nobody may look, but Wireshark does.
    return (head + struct.pack("!H", 0x4000 | SMALLEST - len(head) - 2)).ljust(SMALLEST, b"\0")


def negotiated(data: bytes) -> int:
    """The nonce that a negotiation brings back; 0 for anything else."""
    header = long_header(data)
    is_one = header is not None and header.version == 0 and len(header.destination) == _NONCE_BYTES
    return int.from_bytes(header.destination, "big") if header and is_one else 0
