"""What comes in is read here: any bytes whatever, None for what makes no sense, never an exception.

They come from strangers. Source quench (RFC 6633) and redirects, which are for the own kernel, are none of our
business; a parameter problem is an answer of somebody on the way like any other. Received checksums are not verified:
on virtual links they may be partial (only the device completes them), and what a reply is believed for is its identity.
"""

import socket
import struct

from netprobe.live import codec, extensions
from netprobe.live.extensions import NOTHING, Extensions
from netprobe.model.record import Record

_ICMP_ERRORS = (codec.ICMP_UNREACHABLE, codec.ICMP_TIME_EXCEEDED, codec.ICMP_PARAMETER)
_ICMPV6_ERRORS = (codec.ICMPV6_UNREACHABLE, codec.ICMPV6_TOO_BIG, codec.ICMPV6_TIME_EXCEEDED, codec.ICMPV6_PARAMETER)
_FRAGMENT_OFFSET = 0x1FFF
_FRAGMENTATION_NEEDED = 4
_QUOTED_BYTES = 8  # RFC 792: an error quotes the header and at least 8 bytes

_SWAPPED_DONT_FRAGMENT = 0x0040  # a router that quotes it in its own order of bytes

_LENGTH_AT, _LENGTH_UNIT = 5, 4
_LENGTH_AT_V6, _LENGTH_UNIT_V6 = 4, 8  # RFC 4884, 4.1 and 4.4


class Quote(Record, frozen=True):
    """The head of our own packet as an ICMP error brings it back, perhaps changed on the way.

    `first` to `fourth` are the first 8 bytes of the transport header: TCP source port, destination port and sequence
    number (`third`); UDP source port, destination port, length, checksum; ICMP type and code, checksum, identifier,
    sequence. In IPv6 `protocol` is the next header, `tos` the traffic class and `ident` the flow label; `head` is what
    follows those 8 bytes, as far as it may identify a datagram (RFC 4443 wants all that fits to be quoted). `data` is
    the whole quote, without the extension headers that somebody has put in.
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
    data: bytes = b""


class EchoReply(Record, frozen=True):
    """An ICMP echo reply."""

    source: str
    ttl: int
    ip_id: int
    ident: int
    sequence: int
    payload: bytes


class IcmpError(Record, frozen=True):
    """Time exceeded, destination unreachable or parameter problem, with the quote and what RFC 4884 adds to it.

    `mtu` is the next hop's, where a packet was too big and the router says it (RFC 1191; RFC 4443, 3.2), else 0. `type`
    and `code` are those of ICMPv6 where the quote is of an IPv6 packet.
    """

    source: str
    ttl: int
    ip_id: int
    type: int
    code: int
    quote: Quote
    extensions: Extensions = NOTHING
    mtu: int = 0

    @property
    def mpls(self) -> tuple[tuple[int, int, int, int], ...]:
        """The MPLS label stack."""
        return self.extensions.mpls


class Segment(Record, frozen=True):
    """A TCP segment's header, `options` as they came, and the `length` of its payload.

    `tos` and `dont_fragment` are the IP header's; a raw socket of IPv6 does not show them.
    """

    source: str
    ttl: int
    ip_id: int
    source_port: int
    destination_port: int
    sequence: int
    acknowledges: int
    flags: int
    window: int
    length: int = 0
    options: bytes = b""
    tos: int = 0
    dont_fragment: bool = False


Message = EchoReply | IcmpError | Segment


class Datagram(Record, frozen=True):
    """A UDP datagram."""

    source: str
    ttl: int
    source_port: int
    destination_port: int
    payload: bytes


def quic_nonce(payload: bytes) -> bytes | None:
    """The nonce that a version negotiation brings back, None for anything else (RFC 8999, 6)."""
    if (
        len(payload) < 6 + codec.QUIC_CONNECTION_ID
        or not payload[0] & codec.QUIC_LONG_HEADER
        or payload[1:5] != b"\0\0\0\0"
    ):
        return None
    return payload[6 : 6 + codec.QUIC_CONNECTION_ID] if payload[5] == codec.QUIC_CONNECTION_ID else None


def parse(data: bytes) -> Message | None:
    """What an IPv4 packet says, None when it is broken or none of our business. Never raises."""
    split = _split(data)
    if split is None:
        return None
    (_, tos, total, ip_id, fragment, ttl, protocol, _, source, _), body = split
    sender = socket.inet_ntoa(source)
    if protocol == codec.PROTOCOL_TCP:
        length = total - (len(data) - len(body))
        whole = bool(fragment & codec.DONT_FRAGMENT)
        return _parse_segment(sender, ttl, ip_id, body, length, tos=tos, dont_fragment=whole)
    return _parse_icmp(sender, ttl, ip_id, body) if protocol == codec.PROTOCOL_ICMP else None


def _parse_icmp(sender: str, ttl: int, ip_id: int, body: bytes) -> Message | None:
    if len(body) < codec.ICMP.size:
        return None
    kind, code, _, ident, sequence = codec.ICMP.unpack_from(body)
    if kind == codec.ICMP_ECHO_REPLY:
        return EchoReply(sender, ttl, ip_id, ident, sequence, body[codec.ICMP.size :])
    if kind in _ICMP_ERRORS:
        quote = parse_quote(body[codec.ICMP.size :])
        mtu = (
            sequence if (kind, code) == (codec.ICMP_UNREACHABLE, _FRAGMENTATION_NEEDED) else 0
        )  # RFC 1191, 4: same place
        said = extensions.read(body, _LENGTH_AT, _LENGTH_UNIT)
        return IcmpError(sender, ttl, ip_id, kind, code, quote, said, mtu) if quote else None
    return None


def parse_v6(protocol: int, sender: str, hop_limit: int, body: bytes) -> Message | None:
    """What an IPv6 packet says, by what follows its header: a raw socket gives no more. Never raises."""
    if protocol == codec.PROTOCOL_TCP:
        return _parse_segment(sender, hop_limit, -1, body, len(body))
    if protocol != codec.PROTOCOL_ICMPV6 or len(body) < codec.ICMP.size:
        return None
    kind, code, _, ident, sequence = codec.ICMP.unpack_from(body)
    if kind == codec.ICMPV6_ECHO_REPLY:
        return EchoReply(sender, hop_limit, -1, ident, sequence, body[codec.ICMP.size :])
    if kind not in _ICMPV6_ERRORS:
        return None
    quote = parse_quote_v6(body[codec.ICMP.size :])
    if quote is None:
        return None
    if kind == codec.ICMPV6_TOO_BIG:  # RFC 4443, 3.2: 32 bits, no length, no extension
        return IcmpError(sender, hop_limit, -1, kind, code, quote, NOTHING, min(ident << 16 | sequence, 0xFFFF))
    said = extensions.read(body, _LENGTH_AT_V6, _LENGTH_UNIT_V6)
    return IcmpError(sender, hop_limit, -1, kind, code, quote, said)


def _split(
    data: bytes, *, quoted: bool = False
) -> tuple[tuple[int, int, int, int, int, int, int, int, bytes, bytes], bytes] | None:
    """The fields of an IPv4 header and what follows it; None for a later fragment, which has no transport header."""
    if len(data) < codec.IP.size or data[0] >> 4 != 4:
        return None
    length = (data[0] & 0x0F) * 4
    if length < codec.IP.size or len(data) < length:
        return None
    fields = codec.IP.unpack_from(data)
    if fields[4] & _FRAGMENT_OFFSET and not (quoted and fields[4] == _SWAPPED_DONT_FRAGMENT):
        return None
    return fields, data[length:]


def _parse_segment(
    sender: str, ttl: int, ip_id: int, body: bytes, length: int, *, tos: int = 0, dont_fragment: bool = False
) -> Segment | None:
    """The segment in `body`, which was `length` bytes long when it came."""
    if len(body) < codec.TCP.size:
        return None
    source_port, destination_port, sequence, acknowledges, offset, flags, window, _, _ = codec.TCP.unpack_from(body)
    header = (offset >> 4) * 4
    return Segment(
        sender,
        ttl,
        ip_id,
        source_port,
        destination_port,
        sequence,
        acknowledges,
        flags,
        window,
        max(0, length - max(header, codec.TCP.size)),
        body[codec.TCP.size : header],
        tos,
        dont_fragment,
    )


def parse_quote(data: bytes) -> Quote | None:
    """The packet that an ICMP error quotes, as far as RFC 792 promises it: the header, options too, and 8 bytes."""
    split = _split(data, quoted=True)
    if split is None or len(split[1]) < _QUOTED_BYTES:
        return None
    (_, tos, _, ident, _, ttl, protocol, _, source, destination), body = split
    fields = struct.unpack_from("!HHI" if protocol == codec.PROTOCOL_TCP else "!HHHH", body)
    return Quote(
        socket.inet_ntoa(source),
        socket.inet_ntoa(destination),
        protocol,
        ttl,
        tos,
        ident,
        fields[0],
        fields[1],
        fields[2],
        fields[3] if len(fields) > 3 else 0,
        data=data,
    )


def parse_quote_v6(data: bytes) -> Quote | None:
    """The IPv6 packet that an ICMPv6 error quotes. Our probes have no extension headers; a router may have put some."""
    if len(data) < codec.IPV6.size or data[0] >> 4 != 6:
        return None
    first, _, following, hop_limit, source, destination = codec.IPV6.unpack_from(data)
    protocol, at = _behind_extensions(data, following)
    if len(data) < at + _QUOTED_BYTES:
        return None
    fields = struct.unpack_from("!HHI" if protocol == codec.PROTOCOL_TCP else "!HHHH", data, at)
    after = at + _QUOTED_BYTES
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
        data[after : after + codec.HEAD_BYTES],
        data if at == codec.IPV6.size else data[:6] + bytes([protocol]) + data[7 : codec.IPV6.size] + data[at:],
    )


def _behind_extensions(data: bytes, following: int) -> tuple[int, int]:
    """The transport protocol of an IPv6 packet, and where it begins: beyond the end where nothing of it is there."""
    at = codec.IPV6.size
    for _ in range(codec.MOST_EXTENSION_HEADERS):
        if following not in codec.EXTENSION_HEADERS:
            break
        later = following == codec.EXTENSION_FRAGMENT and data[at + 2 : at + 4] > b"\0\7"  # RFC 8200, 4.5: 13 bits
        if len(data) < at + _QUOTED_BYTES or later:
            return following, len(data)
        following, at = data[at], at + (data[at + 1] + 1) * 8
    return following, at


def parse_packet(data: bytes) -> Message | Datagram | None:
    """What a whole packet of either version says, as a packet socket shows it. Never raises."""
    if not data:
        return None
    if data[0] >> 4 == 6:
        if len(data) < codec.IPV6.size:
            return None
        _, _, protocol, ttl, packed, _ = codec.IPV6.unpack_from(data)
        source, body = socket.inet_ntop(socket.AF_INET6, packed), data[codec.IPV6.size :]
        if protocol == codec.PROTOCOL_UDP:
            return _parse_datagram(source, ttl, body)
        return parse_v6(protocol, source, ttl, body)
    split = _split(data)
    if split and split[0][6] == codec.PROTOCOL_UDP:
        return _parse_datagram(socket.inet_ntoa(split[0][8]), split[0][5], split[1])
    return parse(data)


def _parse_datagram(source: str, ttl: int, body: bytes) -> Datagram | None:
    if len(body) < codec.UDP.size:
        return None
    source_port, destination_port, _, _ = codec.UDP.unpack_from(body)
    return Datagram(source, ttl, source_port, destination_port, body[codec.UDP.size :])
