"""IPv4 and IPv6 packets as the simulated routers see them: what a packet is made of is the same in both.

Every byte layout of the simulation lives here; nothing here knows a network. Forwarding must be cheap, so a packet that
came in as bytes keeps them and only has its TTL and header checksum rewritten on the way out.
"""

import struct
from socket import inet_aton, inet_ntoa

from msgspec import Struct
from msgspec.structs import replace

from netprobe.sim import ipv6

ICMP = 1
TCP = 6
UDP = 17

ECHO_REPLY = 0
UNREACHABLE = 3
ECHO = 8
TIME_EXCEEDED = 11
ICMP_ERRORS = frozenset({UNREACHABLE, 4, 5, TIME_EXCEEDED, 12})  # RFC 1122, 3.2.2: never answered by another error

NET_UNREACHABLE = 0
HOST_UNREACHABLE = 1
PORT_UNREACHABLE = 3
FRAGMENTATION_NEEDED = 4

FIN = 0x01
SYN = 0x02
RST = 0x04
PSH = 0x08
ACK = 0x10

_HEADER = struct.Struct("!BBHHHBBH4s4s")
_ICMP = struct.Struct("!BBHHH")
_TCP = struct.Struct("!HHIIBBHHH")
_UDP = struct.Struct("!HHHH")
_DONT_FRAGMENT = 0x4000
_OFFSET = 0x1FFF
_QUOTE_LIMIT = 576 - 20 - 8  # RFC 1812, 4.3.2.3: as much of the original as fits without exceeding 576 bytes


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071): 2**16 is 1 modulo 65535, so the one's complement sum is a remainder."""
    if len(data) & 1:
        data += b"\0"
    rest = int.from_bytes(data, "big") % 0xFFFF
    return 0xFFFF - rest if rest else (0 if any(data) else 0xFFFF)


class Packet(Struct, gc=False):
    """One packet. Addresses are text; `payload` is what the transport carries (for ICMP what follows 8 bytes).

    The addresses say of which version of IP it is. `ident` is the IP identification, in IPv6 the flow label; `ttl` the
    hop limit, `tos` the traffic class. ICMPv6 is `ICMP`, with the types and codes of ICMP (`ipv6`). `icmp_*` are -1
    unless the protocol is ICMP; `icmp_ident` and `icmp_seq` are the two halves of the second word, whatever the type
    uses them for. `raw` holds the bytes that came in, None for a packet that was made here. `fragment` marks a later
    fragment, which has no transport header.
    """

    source: str
    destination: str
    ttl: int = 64
    protocol: int = ICMP
    ident: int = 0
    tos: int = 0
    dont_fragment: bool = True
    fragment: bool = False
    icmp_type: int = -1
    icmp_code: int = -1
    icmp_ident: int = 0
    icmp_seq: int = 0
    source_port: int = 0
    destination_port: int = 0
    seq: int = 0
    ack: int = 0
    flags: int = 0
    window: int = 64240
    options: bytes = b""
    payload: bytes = b""
    raw: bytes | None = None

    @classmethod
    def from_bytes(cls, data: bytes) -> "Packet":
        """Parse a whole packet. Raises `ValueError` on anything else."""
        packet = _parse(data, quoted=False)
        packet.raw = data
        return packet

    @classmethod
    def from_quote(cls, data: bytes) -> "Packet":
        """Parse what an ICMP error quotes: the header and at least 8 bytes. Raises `ValueError`."""
        return _parse(data, quoted=True)

    def quoted(self) -> "Packet":
        """The packet that this ICMP error is about. Raises `ValueError` when it quotes none."""
        return Packet.from_quote(self.payload)

    @property
    def is_error(self) -> bool:
        """Whether this is an ICMP error, which must never draw another one."""
        return self.protocol == ICMP and (self.icmp_type in ICMP_ERRORS or ipv6.is_error(self.icmp_type))

    @property
    def size(self) -> int:
        """Bytes on the wire, IP header included."""
        if self.raw is not None:
            return len(self.raw)
        transport = 20 + len(self.options) if self.protocol == TCP else 8
        return (ipv6.HEADER_BYTES if ":" in self.source else 20) + transport + len(self.payload)

    def to_bytes(self) -> bytes:
        """The packet with right lengths and checksums; a forwarded one with its bytes kept but for TTL and checksum."""
        if ":" in self.source:
            return self._to_bytes_v6()
        raw = self.raw
        if raw is not None:
            if raw[8] == self.ttl:
                return raw
            end = (raw[0] & 15) * 4
            header = bytearray(raw[:end])
            header[8] = self.ttl
            header[10:12] = b"\0\0"
            header[10:12] = checksum(bytes(header)).to_bytes(2, "big")
            return bytes(header) + raw[end:]
        source, destination = inet_aton(self.source), inet_aton(self.destination)
        body = self._transport(source + destination)
        flags = _DONT_FRAGMENT if self.dont_fragment else 0
        head = _HEADER.pack(
            0x45, self.tos, 20 + len(body), self.ident, flags, self.ttl, self.protocol, 0, source, destination
        )
        return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + body

    def _to_bytes_v6(self) -> bytes:
        """The same without a header checksum."""
        raw = self.raw
        if raw is not None:
            return raw if raw[7] == self.ttl else raw[:7] + bytes([self.ttl]) + raw[8:]
        ends = ipv6.pack_address(self.source) + ipv6.pack_address(self.destination)
        protocol = self.protocol
        if protocol != ICMP:
            body = self._transport(ends)
        else:
            protocol = ipv6.ICMPV6
            kind = ipv6.to_wire(self.icmp_type, self.icmp_code)
            body = _ICMP.pack(*kind, 0, self.icmp_ident, self.icmp_seq) + self.payload
            # RFC 4443, 2.3: the pseudo header is part of it, unlike in ICMP.
            total = checksum(ends + struct.pack("!HH", protocol, len(body)) + body)
            body = body[:2] + total.to_bytes(2, "big") + body[4:]
        return ipv6.build_header(ends, self.ttl, protocol, self.ident, self.tos, len(body)) + body

    def _transport(self, ends: bytes) -> bytes:
        """The transport header and payload; `ends` is both addresses, for the pseudo header (RFC 9293, 3.1).

        That of IPv6 (RFC 8200, 8.1) has the same sum.
        """
        if self.protocol == ICMP:
            body = _ICMP.pack(self.icmp_type, self.icmp_code, 0, self.icmp_ident, self.icmp_seq) + self.payload
            return body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
        if self.protocol == TCP:
            options = self.options + b"\0" * (-len(self.options) % 4)
            offset = (5 + len(options) // 4) << 4
            ports = (self.source_port, self.destination_port)
            body = _TCP.pack(*ports, self.seq, self.ack, offset, self.flags, self.window, 0, 0) + options + self.payload
            pseudo = ends + struct.pack("!HH", TCP, len(body))
            return body[:16] + checksum(pseudo + body).to_bytes(2, "big") + body[18:]
        if self.protocol == UDP:
            length = 8 + len(self.payload)
            body = _UDP.pack(self.source_port, self.destination_port, length, 0) + self.payload
            # RFC 768: a computed zero is sent as all ones, because zero means "no checksum".
            total = checksum(ends + struct.pack("!HH", UDP, length) + body) or 0xFFFF
            return body[:6] + total.to_bytes(2, "big") + body[8:]
        return self.payload

    def error(
        self, router: str, icmp_type: int, code: int, *, ttl: int, arrived_ttl: int, quote: int = 0, word: int = 0
    ) -> "Packet":
        """The ICMP error about this packet from `router`, with its own initial `ttl`.

        The quote shows the packet as it arrived there, with `arrived_ttl`; `quote` limits what follows the quoted IP
        header to that many bytes (RFC 792 asks for 8), 0 for as much as RFC 1812 or RFC 4443 allows. `word` is the
        second half of the second word: the next hop's MTU where fragmentation is needed (RFC 1191).
        """
        data = replace(self, ttl=arrived_ttl).to_bytes()
        over_v6 = ":" in self.source
        header = ipv6.HEADER_BYTES if over_v6 else (data[0] & 15) * 4
        limit = ipv6.QUOTE_LIMIT if over_v6 else _QUOTE_LIMIT
        payload = data[: header + quote] if quote else data[:limit]
        return Packet(
            source=router,
            destination=self.source,
            ttl=ttl,
            protocol=ICMP,
            tos=0 if over_v6 else 0xC0,  # RFC 1812, 4.3.2.5: internetwork control
            dont_fragment=over_v6,
            icmp_type=icmp_type,
            icmp_code=code,
            icmp_seq=word,
            payload=payload,
        )


def _parse(data: bytes, *, quoted: bool) -> Packet:
    size = len(data)
    if size and data[0] >> 4 == 6:
        return _parse_v6(data, quoted=quoted)
    if size < _HEADER.size:
        msg = f"{size} bytes are too few for an IPv4 header"
        raise ValueError(msg)
    version, tos, total, ident, offset, ttl, protocol, _, source, destination = _HEADER.unpack_from(data)
    header = (version & 15) * 4
    if version >> 4 != 4 or header < _HEADER.size or size < header:  # IP version 4
        msg = "not an IP header"
        raise ValueError(msg)
    if not quoted and (total != size or int.from_bytes(data[:header], "big") % 0xFFFF):
        msg = "wrong total length or header checksum"
        raise ValueError(msg)
    packet = Packet(inet_ntoa(source), inet_ntoa(destination), ttl, protocol, ident, tos, bool(offset & _DONT_FRAGMENT))
    if offset & _OFFSET:
        packet.fragment = True
        packet.payload = data[header:]
        return packet
    _parse_transport(packet, data, header, quoted=quoted)
    return packet


def _parse_v6(data: bytes, *, quoted: bool) -> Packet:
    head = ipv6.parse_header(data, quoted=quoted)
    if head.protocol == ICMP:
        msg = "ICMP of IPv4 in a packet of IPv6"
        raise ValueError(msg)
    protocol = ICMP if head.protocol == ipv6.ICMPV6 else head.protocol
    packet = Packet(head.source, head.destination, head.hop_limit, protocol, head.label, head.traffic_class)
    if head.fragment:
        packet.fragment = True
        packet.payload = data[head.at :]
        return packet
    _parse_transport(packet, data, head.at, quoted=quoted)
    if packet.icmp_type >= 0:
        packet.icmp_type, packet.icmp_code = ipv6.from_wire(packet.icmp_type, packet.icmp_code)
    return packet


def _parse_transport(packet: Packet, data: bytes, at: int, *, quoted: bool) -> None:
    left = len(data) - at
    if packet.protocol == ICMP and left >= _ICMP.size:
        packet.icmp_type, packet.icmp_code, _, packet.icmp_ident, packet.icmp_seq = _ICMP.unpack_from(data, at)
        packet.payload = data[at + 8 :]
    elif packet.protocol == UDP and left >= _UDP.size:
        packet.source_port, packet.destination_port, _, _ = _UDP.unpack_from(data, at)
        packet.payload = data[at + 8 :]
    elif packet.protocol == TCP and left >= _TCP.size:
        ports_and_more = _TCP.unpack_from(data, at)
        packet.source_port, packet.destination_port, packet.seq, packet.ack, offset = ports_and_more[:5]
        packet.flags, packet.window = ports_and_more[5:7]
        start = at + max((offset >> 4) * 4, _TCP.size)
        packet.options = data[at + 20 : start]
        packet.payload = data[start:]
    elif quoted and packet.protocol == TCP and left >= 8:  # RFC 792: 8 bytes: ports and sequence
        packet.source_port, packet.destination_port, packet.seq = struct.unpack_from("!HHI", data, at)
    elif packet.protocol in {ICMP, TCP, UDP} and not quoted:
        msg = "the transport header is cut"
        raise ValueError(msg)
    else:
        packet.payload = data[at:]
