"""What routers add to an ICMP error behind its quote (RFC 4884): MPLS labels, interfaces, and what we cannot read.

Any bytes whatever are read without an exception; a structure that makes no sense ends the reading.
"""

import socket
import struct
from collections.abc import Iterator

from netprobe.live import codec
from netprobe.model.record import Record
from netprobe.model.replies import Interface

# RFC 4884: where the quote ends when the router does not say, or does not say the truth.
LEGACY_QUOTE_BYTES = 128
_VERSION = 2
_HEADER_BYTES = 4  # of the extension, and of each object in it
_MPLS_OBJECT = (1, 1)  # RFC 4950
_MPLS_STACK_LIMIT = 16
_INTERFACE_CLASS = 2  # RFC 5837, 4.1: the C-Type is made of bits
_ROLES = ("incoming", "sub_ip", "outgoing", "next_hop")
_HAS_INDEX, _HAS_ADDRESS, _HAS_NAME, _HAS_MTU = 0x08, 0x04, 0x02, 0x01
_ADDRESS_FAMILIES = {1: (socket.AF_INET, 4), 2: (socket.AF_INET6, 16)}  # IANA's numbers of address families
_INTERFACES_LIMIT = 8
_OBJECTS_LIMIT = 32


class Extensions(Record, frozen=True):
    """The objects behind a quote: the label stack as (label, class, bottom, ttl), interfaces, and a count of others."""

    mpls: tuple[tuple[int, int, int, int], ...] = ()
    interfaces: tuple[Interface, ...] = ()
    unknown: int = 0


NOTHING = Extensions()


def read(message: bytes, length_at: int, unit: int) -> Extensions:
    """The extension of an ICMP error.

    The quote's length stands at byte `length_at` of the message, in units of `unit` bytes (RFC 4884).
    """
    found = (structure(message[start:]) for start in _places(message, length_at, unit))
    return next((extensions for extensions in found if extensions is not None), NOTHING)


def structure(extension: bytes) -> Extensions | None:
    """The objects of an extension structure that stands where `extension` begins; None when none does."""
    # RFC 4884, 7: version 2; a checksum of zero means that there is none.
    if len(extension) < 2 * _HEADER_BYTES or extension[0] >> 4 != _VERSION:
        return None
    if extension[2:4] != b"\0\0" and codec.checksum(extension):
        return None
    return _read_objects(extension[_HEADER_BYTES:])


def _places(message: bytes, length_at: int, unit: int) -> Iterator[int]:
    """Where the extension may begin: where the length field says (RFC 4884), and where older routers put it."""
    said = message[length_at] * unit if len(message) >= codec.ICMP.size else 0
    if said:
        yield codec.ICMP.size + said
    if said != LEGACY_QUOTE_BYTES:
        yield codec.ICMP.size + LEGACY_QUOTE_BYTES


def _read_objects(objects: bytes) -> Extensions:
    mpls: tuple[tuple[int, int, int, int], ...] = ()
    interfaces: list[Interface] = []
    unknown = 0
    for _ in range(_OBJECTS_LIMIT):
        if len(objects) < _HEADER_BYTES:
            break
        length, kind, subtype = struct.unpack_from("!HBB", objects)
        if length < _HEADER_BYTES or length > len(objects):
            break
        payload, objects = objects[_HEADER_BYTES:length], objects[length:]
        if (kind, subtype) == _MPLS_OBJECT:
            mpls = mpls or tuple(_labels(payload))
        elif kind == _INTERFACE_CLASS and (interface := _interface(subtype, payload)):
            interfaces += [interface] if len(interfaces) < _INTERFACES_LIMIT else []
        else:
            unknown += 1
    return Extensions(mpls, tuple(interfaces), unknown)


def _labels(payload: bytes) -> Iterator[tuple[int, int, int, int]]:
    for at in range(0, min(len(payload) - 3, 4 * _MPLS_STACK_LIMIT), 4):
        (entry,) = struct.unpack_from("!I", payload, at)
        yield entry >> 12, entry >> 9 & 7, entry >> 8 & 1, entry & 0xFF


def _interface(bits: int, payload: bytes) -> Interface | None:
    """An Interface Information Object (RFC 5837, 4): a bit for each part, in this order; None when one is cut."""
    index, address, name, mtu = 0, "", "", 0
    at = 0
    if bits & _HAS_INDEX:
        index, at = int.from_bytes(payload[at : at + 4]), at + 4
    if bits & _HAS_ADDRESS:
        family, size = _ADDRESS_FAMILIES.get(int.from_bytes(payload[at : at + 2]), (socket.AF_INET, 0))
        packed, at = payload[at + 4 : at + 4 + size], at + 4 + size
        if not size or len(packed) < size:
            return None
        address = socket.inet_ntop(family, packed)
    if bits & _HAS_NAME:
        size = payload[at] if at < len(payload) else 0  # its own byte counts, and so does the padding
        if not size or at + size > len(payload):
            return None
        name, at = payload[at + 1 : at + size].rstrip(b"\0").decode("utf-8", "replace"), at + size
    if bits & _HAS_MTU:
        mtu, at = int.from_bytes(payload[at : at + 4]), at + 4
    return Interface(_ROLES[bits >> 6], index, address, name, mtu) if at <= len(payload) else None
