"""What the stacks of routers and hosts answer a packet with, and what a middlebox forges in their name."""

from netprobe.sim import packet as ip
from netprobe.sim.packet import Packet
from netprobe.sim.servers.answers import Records
from netprobe.sim.wirebytes import dns_answer


def echo_reply(packet: Packet, ttl: int) -> Packet:
    """The answer to an echo request (RFC 792), with the initial `ttl`."""
    return Packet(
        packet.destination,
        packet.source,
        ttl=ttl,
        ident=packet.ident,
        dont_fragment=False,
        icmp_type=ip.ECHO_REPLY,
        icmp_code=0,
        icmp_ident=packet.icmp_ident,
        icmp_seq=packet.icmp_seq,
        payload=packet.payload,
    )


def refusal(packet: Packet, ttl: int = 64) -> Packet:
    """The RST that a closed port answers with (RFC 9293, 3.10.7.1)."""
    answered = packet.flags & ip.ACK
    length = len(packet.payload) + bool(packet.flags & ip.SYN) + bool(packet.flags & ip.FIN)
    return Packet(
        packet.destination,
        packet.source,
        ttl=ttl,
        protocol=ip.TCP,
        source_port=packet.destination_port,
        destination_port=packet.source_port,
        seq=packet.ack if answered else 0,
        ack=0 if answered else (packet.seq + length) & 0xFFFFFFFF,
        flags=ip.RST if answered else ip.RST | ip.ACK,
        window=0,
    )


#: What a middlebox puts into its RSTs: a stack of its own, with another initial TTL, without DF, a window that no stack
#: offers and one identification for all. So do those of the Great Firewall (Weaver et al. 2009).
_FORGED_TTL, _FORGED_WINDOW = 128, 1503
_KNUTH = 2654435761


def forged_resets(packet: Packet) -> tuple[Packet, Packet]:
    """RSTs back to the sender and on to the receiver, in each other's name and in sequence: both believe them."""
    ident = (packet.seq * _KNUTH >> 8) % 0xFFFE + 1
    back = Packet(
        packet.destination,
        packet.source,
        ttl=_FORGED_TTL,
        protocol=ip.TCP,
        ident=ident,
        dont_fragment=False,
        source_port=packet.destination_port,
        destination_port=packet.source_port,
        seq=packet.ack,
        ack=(packet.seq + len(packet.payload) + bool(packet.flags & ip.SYN)) & 0xFFFFFFFF,
        flags=ip.RST | ip.ACK,
        window=_FORGED_WINDOW,
    )
    onward = Packet(
        packet.source,
        packet.destination,
        ttl=_FORGED_TTL,
        protocol=ip.TCP,
        ident=ident,
        dont_fragment=False,
        source_port=packet.source_port,
        destination_port=packet.destination_port,
        seq=packet.seq,
        flags=ip.RST,
        window=_FORGED_WINDOW,
    )
    return back, onward


def forged_answer(question: Packet, records: Records) -> Packet:
    """An answer to a DNS question in its resolver's name, from somebody on the way who is quicker."""
    return Packet(
        question.destination,
        question.source,
        protocol=ip.UDP,
        source_port=question.destination_port,
        destination_port=question.source_port,
        payload=dns_answer(question.payload, records),
    )
