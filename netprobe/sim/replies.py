"""What the stacks of routers and hosts answer a packet with, and what a middlebox forges in their name."""

from typing import Any

from netprobe.model.replies import Interface
from netprobe.sim import packet as ip
from netprobe.sim.extensions import add_objects, incoming_interface, label_stack, mangled
from netprobe.sim.packet import Packet
from netprobe.sim.records import Router
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


def router_error(
    packet: Packet,
    router: Router,
    kind: int,
    code: int,
    *,
    arrived_ttl: int,
    word: int = 0,
    labelled: bool = False,
    came_by: Interface | None = None,
) -> Packet:
    """What `router` says of `packet`, the way its record says that it says such things.

    `labelled`: the packet came with the router's labels on it; `came_by` is the interface where that is to be told.
    """
    source = router.address6 if ":" in packet.source else router.icmp_source or router.address
    ttl, quote = router.icmp_ttl, router.quote
    error = packet.error(source, kind, code, ttl=ttl, arrived_ttl=arrived_ttl, quote=quote, word=word)
    if router.mangle:
        error.payload = mangled(error.payload, router.mangle)
    objects = label_stack(router.mpls) if labelled else b""
    objects += incoming_interface(came_by) if came_by else b""
    if objects:
        add_objects(error, objects, router.extension)
    return error


def back_to(packet: Packet, **fields: Any) -> Packet:
    """A packet of the same protocol and ports that goes to where `packet` comes from, in its destination's name.

    `fields` are what else is not as in any new packet.
    """
    return Packet(
        packet.destination,
        packet.source,
        protocol=packet.protocol,
        source_port=packet.destination_port,
        destination_port=packet.source_port,
        **fields,
    )


def end_of(packet: Packet) -> int:
    """The sequence number behind a TCP segment; SYN and FIN have one each (RFC 9293, 3.4)."""
    length = len(packet.payload) + bool(packet.flags & ip.SYN) + bool(packet.flags & ip.FIN)
    return (packet.seq + length) & 0xFFFFFFFF


def refusal(packet: Packet, ttl: int = 64) -> Packet:
    """The RST that a closed port answers with (RFC 9293, 3.10.7.1)."""
    if packet.flags & ip.ACK:
        return back_to(packet, ttl=ttl, seq=packet.ack, flags=ip.RST, window=0)
    return back_to(packet, ttl=ttl, ack=end_of(packet), flags=ip.RST | ip.ACK, window=0)


#: What a middlebox puts into its RSTs: a stack of its own, with another initial TTL, without DF, a window that no stack
#: offers and one identification for all. So do those of the Great Firewall (Weaver et al. 2009).
_FORGED_TTL, _FORGED_WINDOW = 128, 1503
_KNUTH = 2654435761


def forged_ends(packet: Packet, *, fin: bool = False, behind: bool = False) -> tuple[Packet, Packet]:
    """RSTs back to the sender and on to the receiver, in each other's name and in sequence: both believe them.

    `fin`: FINs instead. `behind`: the packet itself arrives first, so the one to the receiver is in sequence after it.
    """
    ident = (packet.seq * _KNUTH >> 8) % 0xFFFE + 1
    end = (packet.seq + len(packet.payload) + bool(packet.flags & ip.SYN)) & 0xFFFFFFFF
    back = back_to(
        packet,
        ttl=_FORGED_TTL,
        ident=ident,
        dont_fragment=False,
        seq=packet.ack,
        ack=end,
        flags=ip.FIN | ip.ACK if fin else ip.RST | ip.ACK,
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
        seq=end if behind else packet.seq,
        ack=packet.ack if fin else 0,
        flags=ip.FIN | ip.ACK if fin else ip.RST,
        window=_FORGED_WINDOW,
    )
    return back, onward


_PIECE, _PIECE_V6 = 1400, 1220  # bytes of a forged segment: narrow enough for any way to a client (RFC 8200, 5)


def segments_in_answer(request: Packet, data: bytes) -> tuple[Packet, ...]:
    """Segments with `data` and then a FIN, in the name of the server that `request` is for, and in its sequence."""
    acknowledged = (request.seq + len(request.payload)) & 0xFFFFFFFF
    piece = _PIECE_V6 if ":" in request.source else _PIECE
    starts = range(0, len(data), piece)
    return tuple(
        back_to(
            request,
            seq=(request.ack + start) & 0xFFFFFFFF,
            ack=acknowledged,
            flags=ip.PSH | ip.ACK | (ip.FIN if start == starts[-1] else 0),
            payload=data[start : start + piece],
        )
        for start in starts
    )


def acknowledgement(packet: Packet) -> Packet:
    """What the receiver of a segment says to it: that it has come."""
    return back_to(packet, seq=packet.ack, ack=end_of(packet), flags=ip.ACK)


def forged_answer(question: Packet, records: Records) -> Packet:
    """An answer to a DNS question in its resolver's name, from somebody on the way who is quicker."""
    return back_to(question, payload=dns_answer(question.payload, records))
