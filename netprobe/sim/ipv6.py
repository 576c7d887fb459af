"""What is otherwise in IPv6: the header (RFC 8200), the headers between it and the transport, ICMPv6's numbers.

Inside the simulation an ICMPv6 message has the type and code of its counterpart in ICMP, so that routers and faults
know one set of numbers. RFC 7915 translates in the same manner; here no two of ours share a counterpart.
"""

import struct
from socket import AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

ICMPV6 = 58
HEADER_BYTES = 40
QUOTE_LIMIT = 1280 - HEADER_BYTES - 8  # RFC 4443, 2.4: an error does not exceed the minimum MTU

_HEADER = struct.Struct("!IHBB16s16s")
_EXTENSIONS = frozenset({0, 43, 60})  # hop-by-hop options, routing, destination options
_FRAGMENT = 44
_MOST_EXTENSIONS = 8

#: (type, code) of ICMPv6 (RFC 4443) by that of ICMP (RFC 792, RFC 1812).
_COUNTERPARTS = {
    (0, 0): (129, 0),  # echo reply
    (8, 0): (128, 0),  # echo request
    (3, 0): (1, 0),  # net unreachable: no route to destination
    (3, 1): (1, 3),  # host unreachable: address unreachable
    (3, 2): (4, 1),  # protocol unreachable: unrecognized next header
    (3, 3): (1, 4),  # port unreachable
    (3, 4): (2, 0),  # fragmentation needed: packet too big
    (3, 13): (1, 1),  # communication administratively prohibited
    (11, 0): (3, 0),  # time to live exceeded in transit: hop limit exceeded
    (11, 1): (3, 1),  # fragment reassembly time exceeded
    (12, 0): (4, 0),  # parameter problem: erroneous header field
}
_BACK = {theirs: ours for ours, theirs in _COUNTERPARTS.items()}
#: Added to the type of a message that has no counterpart. RFC 4443, 2.1: types below 128 are errors.
WITHOUT_COUNTERPART = 256


class Header(NamedTuple):
    """A parsed header: `protocol` is the transport's, which begins at `at`; a later `fragment` has none."""

    source: str
    destination: str
    hop_limit: int
    protocol: int
    label: int
    traffic_class: int
    at: int
    fragment: bool


def pack_address(address: str) -> bytes:
    """The 16 bytes of `address`."""
    return inet_pton(AF_INET6, address)


def build_header(ends: bytes, hop_limit: int, protocol: int, label: int, traffic_class: int, length: int) -> bytes:
    """The header before `length` bytes; `ends` are both addresses."""
    return _HEADER.pack(6 << 28 | traffic_class << 20 | label, length, protocol, hop_limit, ends[:16], ends[16:])


def parse_header(data: bytes, *, quoted: bool) -> Header:
    """The header of `data`, and where behind the extension headers the transport begins. Raises `ValueError`."""
    if len(data) < HEADER_BYTES:
        msg = f"{len(data)} bytes are too few for an IPv6 header"
        raise ValueError(msg)
    first, length, protocol, hop_limit, source, destination = _HEADER.unpack_from(data)
    if not quoted and length != len(data) - HEADER_BYTES:
        msg = "wrong payload length"
        raise ValueError(msg)
    at, fragment = HEADER_BYTES, False
    for _ in range(_MOST_EXTENSIONS):
        if (protocol not in _EXTENSIONS and protocol != _FRAGMENT) or len(data) < at + 8 or fragment:
            break
        if protocol == _FRAGMENT:
            fragment = int.from_bytes(data[at + 2 : at + 4]) >> 3 > 0
            protocol, at = data[at], at + 8
        else:
            protocol, at = data[at], at + 8 + data[at + 1] * 8
    ends = inet_ntop(AF_INET6, source), inet_ntop(AF_INET6, destination)
    return Header(*ends, hop_limit, protocol, first & 0xFFFFF, first >> 20 & 0xFF, at, fragment)


def to_wire(icmp_type: int, code: int) -> tuple[int, int]:
    """The type and code of ICMPv6. Raises `ValueError` for what IPv6 has no word for."""
    if icmp_type >= WITHOUT_COUNTERPART:
        return icmp_type - WITHOUT_COUNTERPART, code
    try:
        return _COUNTERPARTS[icmp_type, code]
    except KeyError:
        msg = f"ICMPv6 has no counterpart of type {icmp_type}, code {code}"
        raise ValueError(msg) from None


def from_wire(icmp_type: int, code: int) -> tuple[int, int]:
    """The type and code by which the simulation knows a message of ICMPv6."""
    return _BACK.get((icmp_type, code), (icmp_type + WITHOUT_COUNTERPART, code))


def is_error(icmp_type: int) -> bool:
    """Whether a type without a counterpart is that of an error, which must never draw another one."""
    return WITHOUT_COUNTERPART <= icmp_type < WITHOUT_COUNTERPART + 128
