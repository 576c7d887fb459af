"""Every byte layout of a probe and of what answers it lives here; nothing here opens a socket.

Building is exact to the byte; parsing takes any bytes whatever and gives None for what it does not understand: they
come from strangers. Received checksums are not verified: on virtual links they may be partial (only the device
completes them), and what a reply is believed for is its identity.
"""

import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

from netprobe.model.record import Record

# RFC 791, 792, 9293: the numbers on the wire.
PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMPV6 = 1, 6, 17, 58
ICMP_ECHO_REPLY, ICMP_UNREACHABLE, ICMP_ECHO, ICMP_TIME_EXCEEDED, ICMP_PARAMETER = 0, 3, 8, 11, 12
_ICMP_ERRORS = (ICMP_UNREACHABLE, ICMP_TIME_EXCEEDED, ICMP_PARAMETER)
# RFC 4443: the same messages have other numbers.
ICMPV6_UNREACHABLE, ICMPV6_TOO_BIG, ICMPV6_TIME_EXCEEDED, ICMPV6_PARAMETER = 1, 2, 3, 4
ICMPV6_ECHO, ICMPV6_ECHO_REPLY = 128, 129
_ICMPV6_ERRORS = (ICMPV6_UNREACHABLE, ICMPV6_TOO_BIG, ICMPV6_TIME_EXCEEDED, ICMPV6_PARAMETER)
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

_IP = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_ICMP = struct.Struct("!BBHHH")
_TCP = struct.Struct("!HHIIBBHHH")
_UDP = struct.Struct("!HHHH")
_DONT_FRAGMENT = 0x4000
_FRAGMENT_OFFSET = 0x1FFF
_FRAGMENTATION_NEEDED = 4
_QUOTED_BYTES = 8  # RFC 792: an error quotes the header and at least 8 bytes

NONCE_BYTES = 8
_LINUX_WINDOW = 64240
_MTU, _WINDOW_SCALE = 1500, 7
HEAD_BYTES = 24  # of a datagram's payload: what goes before the nonce of QUIC, and the nonce
_QUIC_BYTES = 1200  # RFC 9000, 14.1: a server ignores smaller Initial packets
_QUIC_UNKNOWN_VERSION = 0x1A2A3A4A  # RFC 9000, 15: reserved to force a version negotiation
_QUIC_LONG_HEADER = 0x80
_QUIC_CONNECTION_ID = 8

# RFC 4884: where the quote ends when the router does not say, or does not say the truth.
_LEGACY_QUOTE_BYTES = 128
_LENGTH_AT, _LENGTH_UNIT = 5, 4
_LENGTH_AT_V6, _LENGTH_UNIT_V6 = 4, 8  # RFC 4884, 4.1 and 4.4
_EXTENSION_VERSION = 2
_MPLS_OBJECT = (1, 1)  # RFC 4950
_MPLS_STACK_LIMIT = 16


class Header(NamedTuple):
    """What a probe's IP header says; the addresses say of which version it is.

    `ident` is the IP identification: never 0, which the kernel would replace. In IPv6 it is the flow label, which load
    balancers hash (RFC 6438): the same for a whole flow.
    """

    source: str
    destination: str
    ttl: int
    ident: int
    tos: int = 0


class Quote(Record, frozen=True):
    """The head of our own packet as an ICMP error brings it back, perhaps changed on the way.

    `first` to `fourth` are the first 8 bytes of the transport header: TCP source port, destination port and sequence
    number (`third`); UDP source port, destination port, length, checksum; ICMP type and code, checksum, identifier,
    sequence. In IPv6 `protocol` is the next header, `tos` the traffic class and `ident` the flow label; `head` is what
    follows those 8 bytes, as far as it may identify a datagram (RFC 4443 wants all that fits to be quoted).
    """

    source: str
    destination: str
    protocol: int
    ttl: int
    tos: int
    ident: int
    first: int
    second: int
    third: int
    fourth: int = 0
    head: bytes = b""


class EchoReply(Record, frozen=True):
    """An ICMP echo reply."""

    source: str
    ttl: int
    ip_id: int
    ident: int
    sequence: int
    payload: bytes


class IcmpError(Record, frozen=True):
    """Time exceeded, destination unreachable or parameter problem, with the quote and the MPLS stack of RFC 4950.

    `mtu` is the next hop's, where a packet was too big and the router says it (RFC 1191; RFC 4443, 3.2), else 0. `type`
    and `code` are those of ICMPv6 where the quote is of an IPv6 packet.
    """

    source: str
    ttl: int
    ip_id: int
    type: int
    code: int
    quote: Quote
    mpls: tuple[tuple[int, int, int, int], ...] = ()
    mtu: int = 0


class Segment(Record, frozen=True):
    """A TCP segment's header."""

    source: str
    ttl: int
    ip_id: int
    source_port: int
    destination_port: int
    sequence: int
    acknowledges: int
    flags: int
    window: int


Message = EchoReply | IcmpError | Segment


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) over `data`."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ip(header: Header, protocol: int, body: bytes) -> bytes:
    """`body` behind an IP header; DF is set in IPv4's, as the kernel's own TCP and ping send it."""
    if is_v6(header.destination):
        first = 6 << 28 | header.tos << 20 | header.ident
        return _IPV6.pack(first, len(body), protocol, header.ttl, *_packed(header)) + body
    source, destination = _packed(header)
    fields = (0x45, header.tos, _IP.size + len(body), header.ident, _DONT_FRAGMENT, header.ttl, protocol)
    total = checksum(_IP.pack(*fields, 0, source, destination))
    return _IP.pack(*fields, total, source, destination) + body


def is_v6(address: str) -> bool:
    """Whether `address`, which is one, is an IPv6 address."""
    return ":" in address


def header_bytes(address: str) -> int:
    """The length of the IP header of a probe to `address`."""
    return _IPV6.size if is_v6(address) else _IP.size


def _packed(header: Header) -> tuple[bytes, bytes]:
    family = socket.AF_INET6 if is_v6(header.destination) else socket.AF_INET
    return socket.inet_pton(family, header.source), socket.inet_pton(family, header.destination)


def _pseudo_header(header: Header, protocol: int, length: int) -> bytes:
    """What the checksum covers beside the transport's own bytes (RFC 9293, 3.1; RFC 8200, 8.1)."""
    source, destination = _packed(header)
    if is_v6(header.destination):
        return source + destination + struct.pack("!II", length, protocol)
    return source + destination + struct.pack("!BBH", 0, protocol, length)


def build_echo(header: Header, ident: int, sequence: int, check: int, nonce: bytes, size: int = 0) -> bytes:
    """An ICMP or ICMPv6 echo request whose checksum is `check` (1 to 0xFFFE), whatever the sequence and nonce.

    Load balancers hash the checksum: constant per flow, it keeps a flow on one path (Paris traceroute). Two bytes of
    the payload after the nonce make up for what changes.
    """
    padding = b"\0" * max(0, size - header_bytes(header.destination) - _ICMP.size - NONCE_BYTES - 2)
    if is_v6(header.destination):
        body = _ICMP.pack(ICMPV6_ECHO, 0, check, ident, sequence) + nonce
        pseudo = _pseudo_header(header, PROTOCOL_ICMPV6, len(body) + 2 + len(padding))
        return _ip(header, PROTOCOL_ICMPV6, body + struct.pack("!H", checksum(pseudo + body)) + padding)
    body = _ICMP.pack(ICMP_ECHO, 0, check, ident, sequence) + nonce
    return _ip(header, PROTOCOL_ICMP, body + struct.pack("!H", checksum(body)) + padding)


def build_syn(header: Header, source_port: int, destination_port: int, sequence: int, timestamp: int) -> bytes:
    """A TCP SYN as a Linux client sends it: MSS, SACK permitted, time stamps, window scale; no payload.

    Without the options it would look like a scan, and be dropped as one.
    """
    mss = _MTU - header_bytes(header.destination) - _TCP.size
    options = struct.pack("!BBHBBBBIIBBBB", 2, 4, mss, 4, 2, 8, 10, timestamp, 0, 1, 3, 3, _WINDOW_SCALE)
    words = (_TCP.size + len(options)) // 4
    fields = (source_port, destination_port, sequence, 0, words << 4, SYN, _LINUX_WINDOW)
    pseudo = _pseudo_header(header, PROTOCOL_TCP, words * 4)
    total = checksum(pseudo + _TCP.pack(*fields, 0, 0) + options)
    return _ip(header, PROTOCOL_TCP, _TCP.pack(*fields, total, 0) + options)


def build_udp(header: Header, source_port: int, destination_port: int, check: int, payload: bytes) -> bytes:
    """A UDP datagram whose checksum is `check` (1 to 0xFFFE): two bytes behind `payload` (of even length) see to it."""
    length = _UDP.size + len(payload) + 2
    head = _UDP.pack(source_port, destination_port, length, check)
    make_up = checksum(_pseudo_header(header, PROTOCOL_UDP, length) + head + payload)
    return _ip(header, PROTOCOL_UDP, head + payload + struct.pack("!H", make_up))


def udp_payload(size: int, destination: str, nonce: bytes = b"") -> bytes:
    """The payload that makes an IP packet of about `size` bytes (to the even number above) with `build_udp`.

    `nonce`, of even length, stands at its beginning.
    """
    need = max(len(nonce), size - header_bytes(destination) - _UDP.size - 2)
    return nonce.ljust(need + need % 2, b"\0")


def quic_payload(nonce: bytes) -> bytes:
    """A long-header packet of a version that nobody speaks: a server answers with a version negotiation (RFC 9000, 6).

    `nonce` (8 bytes) is the source connection id, which the answer brings back.
    """
    head = struct.pack("!BI", _QUIC_LONG_HEADER | 0x40, _QUIC_UNKNOWN_VERSION)
    ids = bytes([_QUIC_CONNECTION_ID]) + nonce[::-1] + bytes([_QUIC_CONNECTION_ID]) + nonce
    return (head + ids).ljust(_QUIC_BYTES - 2, b"\0")


def quic_nonce(payload: bytes) -> bytes | None:
    """The nonce that a version negotiation brings back, None for anything else (RFC 8999, 6)."""
    if len(payload) < 6 + _QUIC_CONNECTION_ID or not payload[0] & _QUIC_LONG_HEADER or payload[1:5] != b"\0\0\0\0":
        return None
    return payload[6 : 6 + _QUIC_CONNECTION_ID] if payload[5] == _QUIC_CONNECTION_ID else None


def parse(data: bytes) -> Message | None:
    """What an IPv4 packet says, None when it is broken or none of our business. Never raises."""
    split = _split(data)
    if split is None:
        return None
    (_, _, _, ip_id, _, ttl, protocol, _, source, _), body = split
    sender = socket.inet_ntoa(source)
    if protocol == PROTOCOL_TCP:
        return _parse_segment(sender, ttl, ip_id, body)
    return _parse_icmp(sender, ttl, ip_id, body) if protocol == PROTOCOL_ICMP else None


def _parse_icmp(sender: str, ttl: int, ip_id: int, body: bytes) -> Message | None:
    if len(body) < _ICMP.size:
        return None
    kind, code, _, ident, sequence = _ICMP.unpack_from(body)
    if kind == ICMP_ECHO_REPLY:
        return EchoReply(sender, ttl, ip_id, ident, sequence, body[_ICMP.size :])
    if kind in _ICMP_ERRORS:
        quote = parse_quote(body[_ICMP.size :])
        mtu = sequence if (kind, code) == (ICMP_UNREACHABLE, _FRAGMENTATION_NEEDED) else 0  # RFC 1191, 4: same place
        mpls = parse_mpls(body, _LENGTH_AT, _LENGTH_UNIT)
        return IcmpError(sender, ttl, ip_id, kind, code, quote, mpls, mtu) if quote else None
    return None


def parse_v6(protocol: int, sender: str, hop_limit: int, body: bytes) -> Message | None:
    """What an IPv6 packet says, by what follows its header: a raw socket gives no more. Never raises."""
    if protocol == PROTOCOL_TCP:
        return _parse_segment(sender, hop_limit, -1, body)
    if protocol != PROTOCOL_ICMPV6 or len(body) < _ICMP.size:
        return None
    kind, code, _, ident, sequence = _ICMP.unpack_from(body)
    if kind == ICMPV6_ECHO_REPLY:
        return EchoReply(sender, hop_limit, -1, ident, sequence, body[_ICMP.size :])
    if kind not in _ICMPV6_ERRORS:
        return None
    quote = parse_quote_v6(body[_ICMP.size :])
    if quote is None:
        return None
    if kind == ICMPV6_TOO_BIG:  # RFC 4443, 3.2: 32 bits, no length, no extension
        return IcmpError(sender, hop_limit, -1, kind, code, quote, (), min(ident << 16 | sequence, 0xFFFF))
    mpls = parse_mpls(body, _LENGTH_AT_V6, _LENGTH_UNIT_V6)
    return IcmpError(sender, hop_limit, -1, kind, code, quote, mpls)


def _split(data: bytes) -> tuple[tuple[int, int, int, int, int, int, int, int, bytes, bytes], bytes] | None:
    """The fields of an IPv4 header and what follows it; None for a later fragment, which has no transport header."""
    if len(data) < _IP.size or data[0] >> 4 != 4:
        return None
    length = (data[0] & 0x0F) * 4
    if length < _IP.size or len(data) < length:
        return None
    fields = _IP.unpack_from(data)
    return None if fields[4] & _FRAGMENT_OFFSET else (fields, data[length:])


def _parse_segment(sender: str, ttl: int, ip_id: int, body: bytes) -> Segment | None:
    if len(body) < _TCP.size:
        return None
    source_port, destination_port, sequence, acknowledges, _, flags, window, _, _ = _TCP.unpack_from(body)
    return Segment(sender, ttl, ip_id, source_port, destination_port, sequence, acknowledges, flags, window)


def parse_quote(data: bytes) -> Quote | None:
    """The packet that an ICMP error quotes, as far as RFC 792 promises it: the header, options too, and 8 bytes."""
    split = _split(data)
    if split is None or len(split[1]) < _QUOTED_BYTES:
        return None
    (_, tos, _, ident, _, ttl, protocol, _, source, destination), body = split
    fields = struct.unpack_from("!HHI" if protocol == PROTOCOL_TCP else "!HHHH", body)
    return Quote(socket.inet_ntoa(source), socket.inet_ntoa(destination), protocol, ttl, tos, ident, *fields)


def parse_quote_v6(data: bytes) -> Quote | None:
    """The IPv6 packet that an ICMPv6 error quotes: our probes have no extension headers, so neither has their quote."""
    if len(data) < _IPV6.size + _QUOTED_BYTES or data[0] >> 4 != 6:
        return None
    first, _, protocol, hop_limit, source, destination = _IPV6.unpack_from(data)
    fields = struct.unpack_from("!HHI" if protocol == PROTOCOL_TCP else "!HHHH", data, _IPV6.size)
    after = _IPV6.size + _QUOTED_BYTES
    return Quote(
        socket.inet_ntop(socket.AF_INET6, source),
        socket.inet_ntop(socket.AF_INET6, destination),
        protocol,
        hop_limit,
        first >> 20 & 0xFF,
        first & 0xFFFFF,
        fields[0],
        fields[1],
        fields[2],
        fields[3] if len(fields) > 3 else 0,
        data[after : after + HEAD_BYTES],
    )


def parse_mpls(message: bytes, length_at: int, unit: int) -> tuple[tuple[int, int, int, int], ...]:
    """The MPLS label stack (RFC 4950) of an ICMP error, as (label, class, bottom, ttl); empty without one.

    The quote's length stands at byte `length_at` of the message, in units of `unit` bytes (RFC 4884).
    """
    for start in _extension_places(message, length_at, unit):
        extension = message[start:]
        # RFC 4884, 7: version 2; a checksum of zero means that there is none.
        if (
            len(extension) >= 8
            and extension[0] >> 4 == _EXTENSION_VERSION
            and (extension[2:4] == b"\0\0" or checksum(extension) == 0)
        ):
            return tuple(_mpls_entries(extension[4:]))
    return ()


def _extension_places(message: bytes, length_at: int, unit: int) -> Iterator[int]:
    """Where the extension may begin: where the length field says (RFC 4884), and where older routers put it."""
    said = message[length_at] * unit if len(message) >= _ICMP.size else 0
    if said:
        yield _ICMP.size + said
    if said != _LEGACY_QUOTE_BYTES:
        yield _ICMP.size + _LEGACY_QUOTE_BYTES


def _mpls_entries(objects: bytes) -> Iterator[tuple[int, int, int, int]]:
    while len(objects) >= 4:
        length, kind, subtype = struct.unpack_from("!HBB", objects)
        if length < 4 or length > len(objects):
            return
        if (kind, subtype) == _MPLS_OBJECT:
            for at in range(4, min(length - 3, 4 * (_MPLS_STACK_LIMIT + 1)), 4):
                (entry,) = struct.unpack_from("!I", objects, at)
                yield entry >> 12, entry >> 9 & 7, entry >> 8 & 1, entry & 0xFF
            return
        objects = objects[length:]
