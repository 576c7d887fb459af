"""What a probe of the vantage in virtual time looks like as a packet, and what its replies are known by."""

from netprobe.model.probes import Flow, Probe, Protocol
from netprobe.sim import packet as ip
from netprobe.sim.packet import Packet
from netprobe.sim.quic import headers
from netprobe.sim.tcp import mss_over
from netprobe.sim.tcp_options import syn_options

_PORT_BASE = {Protocol.TCP: 33000, Protocol.ACK: 25000, Protocol.UDP: 43000, Protocol.QUIC: 43000}
_PORTS = 8000
_IDENT_BASE = 0x4000
_LABELS = 1 << 20  # RFC 6437: of 20 bits, and 0 is none
_ETHERNET = 1500  # what a raw socket's SYN says that it takes
_MARK_BYTES = 4  # of a datagram's payload in IPv6, whose header has no number of its own
_KNUTH = 2654435761
_ACK_OPTIONS = b"\1\1\x08\x0a\0\0\0\1\0\0\0\1"  # as in a connection with time stamps

Key = tuple[int, str, int, int]  # protocol, destination, local number, the probe's own number


def build(probe: Probe, token: int, source: str) -> tuple[Packet, tuple[Key, ...]]:
    """The packet of `probe` from the address `source`, and the keys by which replies to it are known."""
    flow = probe.flow
    number = token * _KNUTH
    over_v6 = ":" in flow.destination
    # The number of a packet, or of its flow: load balancers hash the label (RFC 6438).
    ident = _flow_label(flow) if over_v6 else (number >> 8) % 0xFFFE + 1
    packet = Packet(source, flow.destination, ttl=probe.ttl, ident=ident, tos=flow.tos)
    more: tuple[Key, ...] = ()
    if flow.protocol is Protocol.ICMP:
        packet.protocol, packet.icmp_type, packet.icmp_code = ip.ICMP, ip.ECHO, 0
        packet.icmp_ident = _IDENT_BASE + flow.label % 0x4000
        packet.icmp_seq = token & 0xFFFF
        own, mark = packet.icmp_ident, packet.icmp_seq
    elif flow.protocol is Protocol.TCP:
        packet.protocol, packet.flags = ip.TCP, ip.SYN
        packet.options = syn_options(mss_over(_ETHERNET, flow.destination))
        own, mark = _port(flow), number & 0xFFFFFFFF
        packet.source_port, packet.destination_port, packet.seq = own, flow.port, mark
    elif flow.protocol is Protocol.ACK:
        packet.protocol, packet.flags, packet.options = ip.TCP, ip.ACK, _ACK_OPTIONS
        own, mark = _port(flow), number & 0xFFFFFFFF
        packet.source_port, packet.destination_port, packet.seq, packet.ack = own, flow.port, mark, mark
    else:
        packet.protocol = ip.UDP
        own, mark = _port(flow), number & 0xFFFFFFFF if over_v6 else ident
        packet.source_port, packet.destination_port = own, flow.port
        if flow.protocol is Protocol.QUIC:
            packet.payload = headers.unknown_version(number)
            more = ((ip.UDP, flow.destination, own, number),)
        elif over_v6:
            packet.payload = mark.to_bytes(_MARK_BYTES)
    packet.payload += bytes(max(0, probe.size - packet.size))
    # An echo reply is known by what it brings back, whatever address it comes from.
    destination = "" if flow.protocol is Protocol.ICMP else flow.destination
    return packet, ((packet.protocol, destination, own, mark), *more)


def keys_of_quote(quote: Packet) -> tuple[Key, ...]:
    """The keys that a probe may have of which an ICMP error quotes this."""
    if quote.protocol == ip.ICMP:
        return ((ip.ICMP, "", quote.icmp_ident, quote.icmp_seq),)
    flow = (quote.protocol, quote.destination, quote.source_port)
    if quote.protocol == ip.TCP:
        return ((*flow, quote.seq),)
    if ":" in quote.source:
        return ((*flow, _mark(quote.payload)),)
    swapped = (quote.ident >> 8) | (quote.ident & 0xFF) << 8  # routers quote it in their own order of bytes
    return (*flow, quote.ident), (*flow, swapped)


def _port(flow: Flow) -> int:
    """The local port of a flow: what its label is for."""
    return _PORT_BASE[flow.protocol] + flow.label % _PORTS


def _flow_label(flow: Flow) -> int:
    """The label of all packets of a flow (RFC 6437)."""
    return ((flow.label + 1) * _KNUTH >> 12) % (_LABELS - 1) + 1


def _mark(payload: bytes) -> int:
    """The number in a datagram of ours, over IPv6; in QUIC it is a connection id."""
    header = headers.long_header(payload)
    number = (header.source if header else b"") or payload[:_MARK_BYTES]
    return int.from_bytes(number[-_MARK_BYTES:])
