"""Changes that routers make to packets under way: addresses, ports, the MSS of a SYN.

A packet that came in as bytes keeps them but for what is changed; its checksums are put right by the difference
(RFC 1624), so that what a tool has hidden in them, or has made wrong on purpose, stays as it is.
"""

from socket import inet_aton

from netprobe.sim import ipv6
from netprobe.sim import packet as ip
from netprobe.sim.packet import Packet

_SOURCE_AT, _DESTINATION_AT, _IP_SUM_AT = 12, 16, 10
_SOURCE_AT_V6, _DESTINATION_AT_V6 = 8, 24
_SUM_AT = {ip.TCP: 16, ip.UDP: 6, ip.ICMP: 2}  # in the transport header
_PORTS_AT = {ip.TCP: (0, 2), ip.UDP: (0, 2), ip.ICMP: (4, 4)}  # the source's and the destination's
_MSS = 2  # RFC 9293, 3.2: its option's kind


def set_end(packet: Packet, address: str, port: int, *, source: bool) -> None:
    """Let `packet` come from (`source`), or go to, this address and port; an echo's port is its identifier."""
    if packet.raw is not None:
        packet.raw = _with_end(packet.raw, address, port, source=source)
    if source:
        packet.source = address
    else:
        packet.destination = address
    if packet.fragment:
        return
    if packet.protocol == ip.ICMP:
        packet.icmp_ident = port
    elif source:
        packet.source_port = port
    else:
        packet.destination_port = port


def set_quoted_end(error: Packet, address: str, port: int, *, source: bool) -> None:
    """The same inside what an ICMP error quotes."""
    error.payload = _with_end(error.payload, address, port, source=source)
    error.raw = None


def _with_end(data: bytes, address: str, port: int, *, source: bool) -> bytes:
    """Of a packet, or of as much as is quoted of one. A fragment that is not the first has no port."""
    out = bytearray(data)
    over_v6 = data[0] >> 4 == 6  # which has no checksum of its own
    if over_v6:
        head = ipv6.parse_header(data, quoted=True)
        header, first = head.at, not head.fragment
        protocol = ip.ICMP if head.protocol == ipv6.ICMPV6 else head.protocol
        end_at, end, sums = _SOURCE_AT_V6 if source else _DESTINATION_AT_V6, ipv6.pack_address(address), []
    else:
        header, protocol, first = (data[0] & 15) * 4, data[9], not int.from_bytes(data[6:8], "big") & 0x1FFF
        end_at, end, sums = _SOURCE_AT if source else _DESTINATION_AT, inet_aton(address), [_IP_SUM_AT]
    ports = _PORTS_AT.get(protocol) if first else None
    own = header + _SUM_AT.get(protocol, 0)
    summed = ports is not None and len(data) >= own + 2 and (protocol != ip.UDP or data[own : own + 2] != b"\0\0")
    if summed and (over_v6 or protocol != ip.ICMP):  # ICMP's has no pseudo header (RFC 792)
        sums.append(own)
    _patch(out, end_at, end, sums)
    if ports is not None:
        at = header + ports[0 if source else 1]
        if len(data) >= at + 2:
            _patch(out, at, port.to_bytes(2, "big"), [own] if summed else [])
    if summed and protocol == ip.UDP and out[own : own + 2] == b"\0\0":
        out[own : own + 2] = b"\xff\xff"  # RFC 768
    return bytes(out)


def clamp_mss(packet: Packet, limit: int) -> None:
    """Let the MSS that a SYN offers be `limit` at most."""
    options, at = packet.options, 0
    while at + 1 < len(options) and options[at]:
        if options[at] == 1:  # no-operation, the only other kind of one byte
            at += 1
            continue
        if options[at] == _MSS and options[at + 1] == 4 and at + 4 <= len(options):
            if int.from_bytes(options[at + 2 : at + 4], "big") > limit:
                _replace_option(packet, at + 2, limit.to_bytes(2, "big"))
            return
        at += max(2, options[at + 1])


def _replace_option(packet: Packet, at: int, new: bytes) -> None:
    packet.options = packet.options[:at] + new + packet.options[at + len(new) :]
    if packet.raw is not None:
        out = bytearray(packet.raw)
        over_v6 = ":" in packet.source
        header = ipv6.parse_header(packet.raw, quoted=False).at if over_v6 else (out[0] & 15) * 4
        _patch(out, header + 20 + at, new, [header + _SUM_AT[ip.TCP]])
        packet.raw = bytes(out)


def _patch(data: bytearray, at: int, new: bytes, sums: list[int]) -> None:
    """Put `new` at `at`, and the checksums at `sums` right (RFC 1624, equation 3), word by word."""
    start, end = at - at % 2, at + len(new) + (at + len(new)) % 2
    before = bytes(data[start:end])
    data[at : at + len(new)] = new
    after = data[start:end]
    for place in sums:
        total = 0xFFFF - int.from_bytes(data[place : place + 2], "big")
        for word in range(0, end - start, 2):
            total += 0xFFFF - int.from_bytes(before[word : word + 2], "big")
            total += int.from_bytes(after[word : word + 2], "big")
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
        data[place : place + 2] = (0xFFFF - total).to_bytes(2, "big")
