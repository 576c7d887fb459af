"""What routers make of the quote in an ICMP error: fields that they garble, and what they put behind it.

Pure arithmetic on the bytes of an error's payload, in both directions.
"""

import struct
from collections.abc import Collection, Iterator
from ipaddress import ip_address
from socket import inet_aton

from netprobe.model.replies import Interface
from netprobe.sim.ipv6 import pack_address
from netprobe.sim.packet import Packet, checksum

#: What `mangle` may name, and what is there instead of the truth in the quoted IP header. Malone and Luckie, "Analysis
#: of ICMP quotations", PAM 2007: the order of bytes, lengths without the header, checksums and TTLs of another moment.
MANGLES = ("ttl", "ip_id", "checksum", "length", "dscp")
#: How an error says where its quote ends: by RFC 4884's field, not at all (routers from before it), or wrongly.
EXTENSIONS = ("rfc4884", "legacy", "wrong_length")

_QUOTE_BYTES = 128  # RFC 4884, 4.1: at least so many, the rest zeros
_WORD = 4
_IPV6 = 6
_HEADER_BYTES = 4
_VERSION = 0x20  # RFC 4884, 7: version 2 in the upper four bits
_MPLS = (1, 1)  # RFC 4950, 3: class and type of the label stack
_INTERFACE = 2  # RFC 5837, 4.1: the class; in the type the role is in the upper two bits
_INCOMING, _PARTS = 0, 0x0F  # index, address, name and MTU are all told
_IPV4_FAMILY, _IPV6_FAMILY = 1, 2
_NAME_LIMIT = 63  # RFC 5837, 4.3, without the byte of the length
_EXPIRED = 1
_NULL_TTL = 0


def mangled(payload: bytes, what: Collection[str]) -> bytes:
    """A quote whose fields `what` are garbled; IPv6 has no identification, and nobody garbles its length."""
    quote = bytearray(payload)
    if payload[0] >> 4 == _IPV6:
        if "ttl" in what:
            quote[7] = _NULL_TTL
        if "dscp" in what:  # the upper six of the eight bits of the class, which begin in the middle of a byte
            quote[0] &= 0xF0
            quote[1] &= 0x3F
        return bytes(quote)
    for field in what:
        if field == "ttl":
            quote[8] = _NULL_TTL
        elif field == "ip_id":
            quote[4:6] = quote[5:3:-1]  # in the machine's own order of bytes
        elif field == "checksum":
            quote[10:12] = b"\0\0"
        elif field == "length":
            quote[2:4] = (int.from_bytes(quote[2:4]) - (quote[0] & 15) * _WORD).to_bytes(2)
        elif field == "dscp":
            quote[1] &= 3
    return bytes(quote)


def label_stack(labels: tuple[int, ...]) -> bytes:
    """The object that shows the labels that a packet came with (RFC 4950), their TTL being used up."""
    stack = b"".join(
        struct.pack("!I", label << 12 | (number == len(labels)) << 8 | _EXPIRED)
        for number, label in enumerate(labels, 1)
    )
    return struct.pack("!HBB", _HEADER_BYTES + len(stack), *_MPLS) + stack


def incoming_interface(interface: Interface) -> bytes:
    """The object that tells the whole interface that a packet came in by (RFC 5837, 4)."""
    name = interface.name.encode()[:_NAME_LIMIT]
    padded = bytes([-(-(len(name) + 1) // _WORD) * _WORD]) + name  # the byte of the length counts
    over_v6 = ":" in interface.address
    address = pack_address(interface.address) if over_v6 else inet_aton(interface.address)
    told = struct.pack("!IHH", interface.index, _IPV6_FAMILY if over_v6 else _IPV4_FAMILY, 0) + address
    told += padded.ljust(padded[0], b"\0") + struct.pack("!I", interface.mtu)
    return struct.pack("!HBB", _HEADER_BYTES + len(told), _INTERFACE, _INCOMING << 6 | _PARTS) + told


def add_objects(error: Packet, objects: bytes, form: str) -> None:
    """Put what else there is to say behind the quote of `error` (RFC 4884)."""
    quote, body = error.payload[:_QUOTE_BYTES], objects
    head = struct.pack("!BBH", _VERSION, 0, 0)
    summed = head[:2] + checksum(head + body).to_bytes(2)
    error.payload = quote.ljust(_QUOTE_BYTES, b"\0") + summed + body
    said = {"rfc4884": _QUOTE_BYTES, "wrong_length": len(quote)}.get(form, 0)
    # RFC 4884, 4.1 and 4.2: in ICMP the second byte of the second word, in words; in ICMPv6 the first, in double words.
    over_v6 = quote[0] >> 4 == _IPV6
    error.icmp_ident = -(-said // (2 * _WORD)) << 8 if over_v6 else -(-said // _WORD)


def labels_of(error: Packet) -> tuple[tuple[int, int, int, int], ...]:
    """The label stack behind the quote of an error, as (label, class, bottom, ttl); nothing where there is none."""
    for kind, told in _objects(error):
        if kind == _MPLS:
            entries = [entry for (entry,) in struct.iter_unpack("!I", told)]
            return tuple((entry >> 12, entry >> 9 & 7, entry >> 8 & 1, entry & 0xFF) for entry in entries)
    return ()


def interfaces_of(error: Packet) -> tuple[Interface, ...]:
    """The incoming interfaces that are told behind the quote of an error, by `incoming_interface`."""
    found = []
    for kind, told in _objects(error):
        if kind == (_INTERFACE, _INCOMING << 6 | _PARTS):
            index, family = struct.unpack_from("!IH", told)
            at = 8 + (16 if family == _IPV6_FAMILY else 4)
            address, end = str(ip_address(told[8:at])), at + told[at]
            name = told[at + 1 : end].rstrip(b"\0").decode(errors="replace")
            found.append(Interface("incoming", index, address, name, int.from_bytes(told[end:])))
    return tuple(found)


def _objects(error: Packet) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Class and type of each object behind a quote, and what it holds."""
    extension = error.payload[_QUOTE_BYTES:]
    if len(extension) <= 2 * _HEADER_BYTES or extension[0] != _VERSION or checksum(extension):
        return
    at = _HEADER_BYTES
    while at < len(extension):
        length, number, kind = struct.unpack_from("!HBB", extension, at)
        yield (number, kind), extension[at + _HEADER_BYTES : at + length]
        at += length
