"""What a router that balances goes by: a hash over what tells flows apart (RFC 2992)."""

from hashlib import blake2s

from netprobe.sim import packet as ip
from netprobe.sim.packet import Packet


def five_tuple(packet: Packet) -> str:
    """What tells flows apart. An echo's identifier stands for its ports, as in most routers.

    In IPv6 the flow label counts too (RFC 6438).
    """
    ends = f"{packet.source} {packet.destination} {packet.protocol}"
    if ":" in packet.source:
        ends = f"{ends} {packet.ident}"
    if packet.protocol == ip.ICMP:
        return f"{ends} {0 if packet.is_error else packet.icmp_ident}"
    return f"{ends} {packet.source_port} {packet.destination_port}"


def hash_of(text: str) -> int:
    """32 bits, the same for the same text."""
    return int.from_bytes(blake2s(text.encode(), digest_size=4).digest())
