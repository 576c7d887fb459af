"""An attacker who is not on the path: knows destination, protocols, ports, TTLs and timing, and has to guess the rest.

Stronger than life: real attackers have to guess the source port or identifier too, one of 512 or 256.
"""

import random
import struct
from collections.abc import Iterator
from typing import NamedTuple

from netprobe.live import codec
from netprobe.model.probes import Protocol
from tests.live.live_desk import CLIENT, CLIENT_V6, PORTS, ROUTER, ROUTER_V6, SERVER, SERVER_V6, Desk

_EVIL = {False: "203.0.113.77", True: "2001:db8:3::77"}
_ACKS = (codec.SYN | codec.ACK, codec.RST | codec.ACK, codec.ACK)


class Forgery(NamedTuple):
    """A reply with holes: `holes` are the (offset, length) of the numbers to guess. `port` is ours, for a datagram."""

    kind: str
    packet: bytes
    holes: tuple[tuple[int, int], ...]
    port: int = 0

    def guess(self, chance: random.Random) -> bytes:
        """One guess."""
        packet = bytearray(self.packet)
        for at, length in self.holes:
            packet[at : at + length] = chance.randbytes(length)
        return bytes(packet)


def forgeries(protocol: Protocol, local: int, *, over_v6: bool) -> Iterator[Forgery]:
    """Every kind of reply that a probe of `protocol` could have, from what an attacker knows."""
    own, target, router = (CLIENT_V6, SERVER_V6, ROUTER_V6) if over_v6 else (CLIENT, SERVER, ROUTER)
    icmp = codec.PROTOCOL_ICMPV6 if over_v6 else codec.PROTOCOL_ICMP
    ip = codec.header_bytes(target)
    from_router, from_target = codec.Header(router, own, 250, 9), codec.Header(target, own, 60, 9)
    errors = ((3, 0), (1, 0), (1, 4)) if over_v6 else ((11, 0), (3, 1), (3, 3))
    for destination in (target, _EVIL[over_v6]):
        quote, holes = _quote(protocol, codec.Header(own, destination, 1, 1), local)
        for kind, code in errors:
            yield Forgery(
                f"{protocol} {kind}/{code}{' rewritten' if destination != target else ''}",
                codec._ip(from_router, icmp, bytes([kind, code]) + bytes(6) + quote),
                tuple((ip + 8 + at, length) for at, length in holes),
            )
    match protocol:
        case Protocol.ICMP:
            body = codec.ICMP.pack(129 if over_v6 else 0, 0, 0, local, 0) + bytes(10)
            yield Forgery("echo reply", codec._ip(from_target, icmp, body), ((ip + 6, 2), (ip + 8, 8)))
        case Protocol.UDP:
            yield Forgery("datagram", bytes(18), ((0, 2), (12, 6)), local)
        case Protocol.QUIC:
            negotiation = b"\xca\0\0\0\0\x08" + bytes(8) + b"\x08" + bytes(8) + b"\0\0\0\1"
            yield Forgery("version negotiation", negotiation, ((6, 8),), local)
            yield Forgery("datagram", bytes(30), ((0, 18),), local)
        case _:
            for flags in _ACKS:
                segment = codec.TCP.pack(PORTS[protocol.value], local, 1, 0, 0x50, flags, 1, 0, 0)
                holes = ((ip + 8, 4), (ip + 4, 4))
                yield Forgery(f"segment {flags:#x}", codec._ip(from_target, codec.PROTOCOL_TCP, segment), holes)


def _quote(protocol: Protocol, header: codec.Header, local: int) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    """A probe as it would be quoted, and where its secret numbers are."""
    ip, port = codec.header_bytes(header.destination), PORTS[protocol.value]
    v6 = codec.is_v6(header.destination)
    ident = (1, 3) if v6 else (4, 2)  # flow label or IP identification
    match protocol:
        case Protocol.ICMP:
            packet = codec.build_echo(header, local, 0, 1, bytes(8))
            return packet, (ident, (ip + 2, 2), (ip + 6, 2), (ip + 8, 8)) if v6 else (ident, (ip + 2, 2), (ip + 6, 2))
        case Protocol.UDP:
            packet = codec.build_udp(header, local, port, 1, codec.udp_payload(0, header.destination, bytes(8)))
            return packet, (ident, (ip + 6, 2), (ip + 8, 2), (ip + 20, 6)) if v6 else (ident, (ip + 6, 2))
        case Protocol.QUIC:
            packet = codec.build_udp(header, local, port, 1, codec.quic_payload(bytes(8)))[: ip + 40]
            return packet, (ident, (ip + 6, 2), (ip + 14, 8), (ip + 23, 8)) if v6 else (ident, (ip + 6, 2))
        case _:
            packet = codec.build_syn(header, local, port, 0, 0)[: ip + 20]
            return packet, (ident, (ip + 4, 4))


def attack(desk: Desk, guesses: int, *, over_v6: bool, seed: int = 1, window: int = 30_000) -> dict[str, int]:
    """How many of `guesses`, dealt over all kinds, `desk` takes for replies to probes that it has out, by kind.

    Every `window` guesses the desk forgets that it was guessed at, as it does after 30 s: an attack of 1,000 a second.
    """
    chance = random.Random(seed)
    arsenal: list[Forgery] = []
    target = SERVER_V6 if over_v6 else SERVER
    for number, protocol in enumerate(Protocol):
        for ttl in range(1, 31):
            packet = desk.send(protocol, target, number * 100 + ttl, ttl=ttl)
        at = codec.header_bytes(target) + (4 if protocol is Protocol.ICMP else 0)
        (local,) = struct.unpack_from("!H", packet, at)
        arsenal += forgeries(protocol, local, over_v6=over_v6)
    accepted: dict[str, int] = {}
    for number in range(guesses):
        forgery = arsenal[number % len(arsenal)]
        if number % window == 0:
            desk.prober._outstanding._misses.clear()
        if hit(desk, forgery, forgery.guess(chance), target):
            accepted[forgery.kind] = accepted.get(forgery.kind, 0) + 1
    return accepted


def hit(desk: Desk, forgery: Forgery, packet: bytes, target: str) -> bool:
    """Whether `desk` takes `packet` for a reply."""
    if forgery.port:
        port = PORTS["quic" if "version" in forgery.kind or len(packet) > 18 else "udp"]
        return bool(desk.datagram(packet, target, port, forgery.port))
    return bool(desk.arrive(packet))
