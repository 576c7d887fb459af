"""Every byte of a probe is laid out here; `dissect` reads what comes back, and nothing in either opens a socket."""

import socket
import struct
from typing import NamedTuple

# RFC 791, 792, 9293: the numbers on the wire.
PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP, PROTOCOL_ICMPV6 = 1, 6, 17, 58
ICMP_ECHO_REPLY, ICMP_UNREACHABLE, ICMP_ECHO, ICMP_TIME_EXCEEDED, ICMP_PARAMETER = 0, 3, 8, 11, 12
# RFC 4443: the same messages have other numbers.
ICMPV6_UNREACHABLE, ICMPV6_TOO_BIG, ICMPV6_TIME_EXCEEDED, ICMPV6_PARAMETER = 1, 2, 3, 4
ICMPV6_ECHO, ICMPV6_ECHO_REPLY = 128, 129
#: RFC 8200, 4: hop-by-hop options, routing, fragment, destination options. Their length is in their second byte, in
#: units of 8 bytes that follow the first; a fragment's is reserved, and 0.
EXTENSION_HEADERS, MOST_EXTENSION_HEADERS = (0, 43, 44, 60), 3
EXTENSION_FRAGMENT = 44
FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

IP = struct.Struct("!BBHHHBBH4s4s")
IPV6 = struct.Struct("!IHBB16s16s")
ICMP = struct.Struct("!BBHHH")
TCP = struct.Struct("!HHIIBBHHH")
UDP = struct.Struct("!HHHH")
DONT_FRAGMENT = 0x4000

NONCE_BYTES = 8
_LINUX_WINDOW = 64240
_ESTABLISHED_WINDOW = 502  # what a Linux client's ACK says after the handshake, scaled by 7
_MTU, _WINDOW_SCALE = 1500, 7
HEAD_BYTES = 24  # of a datagram's payload: what goes before the nonce of QUIC, and the nonce
_MAKE_UP_BYTES = 2  # see to it that a checksum is the one that is wanted
NUMBER_BYTES = 2  # of a nonce, which begin a datagram: where DNS has the transaction number
_DNS_HEADER_BYTES = 12
_QUIC_BYTES = 1200  # RFC 9000, 14.1: a server ignores smaller Initial packets
_QUIC_UNKNOWN_VERSION = 0x1A2A3A4A  # RFC 9000, 15: reserved to force a version negotiation
QUIC_LONG_HEADER = 0x80
QUIC_CONNECTION_ID = 8


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
        return IPV6.pack(first, len(body), protocol, header.ttl, *_packed(header)) + body
    source, destination = _packed(header)
    fields = (0x45, header.tos, IP.size + len(body), header.ident, DONT_FRAGMENT, header.ttl, protocol)
    total = checksum(IP.pack(*fields, 0, source, destination))
    return IP.pack(*fields, total, source, destination) + body


def is_v6(address: str) -> bool:
    """Whether `address`, which is one, is an IPv6 address."""
    return ":" in address


def is_v6_packet(packet: bytes) -> bool:
    """Whether `packet` begins with an IPv6 header."""
    return packet[0] >> 4 == 6


def header_bytes(address: str) -> int:
    """The length of the IP header of a probe to `address`."""
    return IPV6.size if is_v6(address) else IP.size


def _packed(header: Header) -> tuple[bytes, bytes]:
    family = socket.AF_INET6 if is_v6(header.destination) else socket.AF_INET
    return socket.inet_pton(family, header.source), socket.inet_pton(family, header.destination)


def _pseudo_header(header: Header, protocol: int, length: int) -> bytes:
    """What the checksum covers beside the transport's own bytes (RFC 9293, 3.1; RFC 8200, 8.1)."""
    source, destination = _packed(header)
    if is_v6(header.destination):
        return source + destination + struct.pack("!II", length, protocol)
    return source + destination + struct.pack("!BBH", 0, protocol, length)


def build_echo(
    header: Header, ident: int, sequence: int, check: int, nonce: bytes, size: int = 0, fill: int = 0
) -> bytes:
    """An ICMP or ICMPv6 echo request whose checksum is `check` (1 to 0xFFFE), whatever the sequence and nonce.

    Load balancers hash the checksum: constant per flow, it keeps a flow on one path (Paris traceroute). Two bytes of
    the payload after the nonce make up for what changes. Of `size` bytes, filled up with `fill`; what is too small for
    that has the beginning of the nonce, or no payload to speak of and the checksum that comes of it.
    """
    over_v6 = is_v6(header.destination)
    kind, protocol = (ICMPV6_ECHO, PROTOCOL_ICMPV6) if over_v6 else (ICMP_ECHO, PROTOCOL_ICMP)
    room = size - header_bytes(header.destination) - ICMP.size if size else NONCE_BYTES + _MAKE_UP_BYTES
    pseudo = _pseudo_header(header, protocol, ICMP.size + room) if over_v6 else b""
    if room < _MAKE_UP_BYTES:
        rest = struct.pack("!HH", ident, sequence) + bytes([fill]) * room
        total = checksum(pseudo + bytes([kind, 0]) + rest)
        return _ip(header, protocol, struct.pack("!BBH", kind, 0, total) + rest)
    body = ICMP.pack(kind, 0, check, ident, sequence) + nonce[: _even(room - _MAKE_UP_BYTES)]
    padding = bytes([fill]) * (ICMP.size + room - len(body) - _MAKE_UP_BYTES)
    made_up = checksum(pseudo + body + padding)
    return _ip(header, protocol, body + struct.pack("!H", made_up) + padding)


def build_syn(header: Header, source_port: int, destination_port: int, sequence: int, timestamp: int) -> bytes:
    """A TCP SYN as a Linux client sends it: MSS, SACK permitted, time stamps, window scale; no payload.

    Without the options it would look like a scan, and be dropped as one.
    """
    mss = _MTU - header_bytes(header.destination) - TCP.size
    options = struct.pack("!BBHBBBBIIBBBB", 2, 4, mss, 4, 2, 8, 10, timestamp, 0, 1, 3, 3, _WINDOW_SCALE)
    return _tcp(header, (source_port, destination_port, sequence, 0), SYN, _LINUX_WINDOW, options)


def build_ack(
    header: Header, source_port: int, destination_port: int, sequence: int, acknowledges: int, stamps: bytes
) -> bytes:
    """A TCP ACK of a connection that never was, as a Linux client's looks in one; `stamps` are its 8 bytes of time.

    A host that has no such connection answers <SEQ=SEG.ACK><CTL=RST> (RFC 9293, 3.10.7.1), whether the port is open or
    not; a stateful firewall swallows it.
    """
    options = b"\1\1\x08\x0a" + stamps
    numbers = (source_port, destination_port, sequence, acknowledges)
    return _tcp(header, numbers, ACK, _ESTABLISHED_WINDOW, options)


def _tcp(header: Header, numbers: tuple[int, int, int, int], flags: int, window: int, options: bytes) -> bytes:
    words = (TCP.size + len(options)) // 4
    fields = (*numbers, words << 4, flags, window)
    pseudo = _pseudo_header(header, PROTOCOL_TCP, words * 4)
    total = checksum(pseudo + TCP.pack(*fields, 0, 0) + options)
    return _ip(header, PROTOCOL_TCP, TCP.pack(*fields, total, 0) + options)


def build_udp(
    header: Header, source_port: int, destination_port: int, check: int, payload: bytes, size: int = 0, fill: int = 0
) -> bytes:
    """A UDP datagram whose checksum is `check` (1 to 0xFFFE): two bytes behind `payload` (of even length) see to it.

    Of `size` bytes, filled up with `fill`; one without room for those two has the checksum that comes of its content.
    """
    room = size - header_bytes(header.destination) - UDP.size if size else len(payload) + _MAKE_UP_BYTES
    ports, length = (source_port, destination_port), UDP.size + room
    pseudo = _pseudo_header(header, PROTOCOL_UDP, length)
    if room < _MAKE_UP_BYTES:
        payload = bytes([fill]) * room
        total = checksum(pseudo + UDP.pack(*ports, length, 0) + payload) or 0xFFFF  # RFC 768: 0 says there is none
        return _ip(header, PROTOCOL_UDP, UDP.pack(*ports, length, total) + payload)
    padding = bytes([fill]) * (room - len(payload) - _MAKE_UP_BYTES)
    head = UDP.pack(*ports, length, check)
    made_up = checksum(pseudo + head + payload + padding)
    return _ip(header, PROTOCOL_UDP, head + payload + struct.pack("!H", made_up) + padding)


def udp_payload(size: int, destination: str, nonce: bytes) -> bytes:
    """What a datagram in an IP packet of `size` bytes (0: the smallest) begins with, as far as `build_udp` has room.

    It is the head of a DNS query (RFC 1035, 4.1.1) without a question: the first bytes of `nonce` are its number, which
    a server that does not understand it brings back. The rest of `nonce` follows.
    """
    head = nonce[:NUMBER_BYTES] + bytes(_DNS_HEADER_BYTES - NUMBER_BYTES) + nonce[NUMBER_BYTES:]
    room = size - header_bytes(destination) - UDP.size - _MAKE_UP_BYTES if size else len(head)
    return head[: _even(max(0, room))]


def least_bytes(protocol: int, destination: str) -> tuple[int, int]:
    """The smallest IP packet that an ICMP or UDP probe to `destination` can be, and the smallest with all in it."""
    headers = header_bytes(destination) + UDP.size  # ICMP's is as long
    identity = _DNS_HEADER_BYTES - NUMBER_BYTES if protocol == PROTOCOL_UDP else 0
    return headers, headers + identity + NONCE_BYTES + _MAKE_UP_BYTES


def as_sent(packet: bytes) -> tuple[int, bytes]:
    """The transport checksum of an ICMP or UDP probe, and the first bytes of its payload, as many as a nonce has."""
    over_v6 = is_v6_packet(packet)
    at = IPV6.size if over_v6 else IP.size
    udp = packet[6 if over_v6 else 9] == PROTOCOL_UDP
    payload = packet[at + UDP.size : at + UDP.size + NONCE_BYTES]
    return int.from_bytes(packet[at + 6 : at + 8] if udp else packet[at + 2 : at + 4]), payload


def _even(number: int) -> int:
    """The even number at or below."""
    return number & ~1


def quic_payload(nonce: bytes) -> bytes:
    """A long-header packet of a version that nobody speaks: a server answers with a version negotiation (RFC 9000, 6).

    `nonce` (8 bytes) is the source connection id, which the answer brings back.
    """
    head = struct.pack("!BI", QUIC_LONG_HEADER | 0x40, _QUIC_UNKNOWN_VERSION)
    ids = bytes([QUIC_CONNECTION_ID]) + nonce[::-1] + bytes([QUIC_CONNECTION_ID]) + nonce
    lead = head + ids + b"\0"
    # As an Initial of version 1 goes on: no token, a length. Nobody may look, but Wireshark does.
    return (lead + struct.pack("!H", 0x4000 | _QUIC_BYTES - len(lead) - 2)).ljust(_QUIC_BYTES - 2, b"\0")
