"""Network address translation at one router (RFC 3022): what leaves gets its address, what answers gets back inside.

As Linux does it: one mapping a connection, the source port kept where it is free, and only who was asked may answer.
"""

from dataclasses import dataclass

from netprobe.sim import packet as ip
from netprobe.sim.balancing import hash_of
from netprobe.sim.packet import Packet
from netprobe.sim.records import Nat
from netprobe.sim.rewriting import set_end, set_quoted_end

FIRST_PORT, _PORTS = 1024, 65536
_BRIEF_S = 120.0  # Linux: a SYN without an answer, and what is left of a connection that was closed
_RESET_S = 10.0
_KEPT = 65536

_Key = tuple[int, str, int, str, int]  # protocol, one end's address and port, the remote's


@dataclass(slots=True)
class _Mapping:
    inside: _Key
    outside: _Key
    last_s: float
    answered: bool = False
    ending_s: float | None = None  # how long what is left of a connection is kept

    @property
    def port(self) -> int:
        return self.outside[2]


class Translator:
    """The mappings of one router, and what they do to packets."""

    def __init__(self, nat: Nat) -> None:
        self._nat = nat
        self._idle_s = {ip.TCP: nat.tcp_s, ip.UDP: nat.udp_s, ip.ICMP: nat.icmp_s}
        self._inside: dict[_Key, _Mapping] = {}
        self._outside: dict[_Key, _Mapping] = {}

    def outward(self, packet: Packet, now: float, *, scarce: float = 0.0) -> bool:
        """Give what leaves the router's own address. False where there is no port for it.

        Of what is new the part `scarce` finds none; whether a connection does is not left to each of its packets.
        """
        if ":" in packet.source:  # IPv6 needs no translation
            return True
        if packet.is_error:
            return self._error_outward(packet, now)
        key = _ends(packet, source=True)
        mapping = self._live(self._inside.get(key), now)
        if mapping is None:
            unlucky = scarce > 0.0 and hash_of(f"{key}") < scarce * 2**32
            mapping = None if unlucky else self._new(key, now)
        if mapping is None:
            return False
        self._note(mapping, packet, now)
        set_end(packet, self._nat.address, mapping.port, source=True)
        return True

    def inward(self, packet: Packet, now: float) -> bool:
        """Send what answers on to who has asked. False where it answers nobody."""
        if packet.is_error:
            return self._error_inward(packet, now)
        mapping = self._live(self._outside.get(_ends(packet, source=False)), now)
        if mapping is None:
            return False
        mapping.answered = True
        self._note(mapping, packet, now)
        _, address, port, *_ = mapping.inside
        set_end(packet, address, port, source=False)
        return True

    def _error_inward(self, error: Packet, now: float) -> bool:
        """An error about something that left: its quote is told as it was inside (RFC 5508, 4.2)."""
        mapping = self._quoted(error, self._outside, now, source=True)
        if mapping is None:
            return False
        _, address, port, *_ = mapping.inside
        set_quoted_end(error, address, port, source=True)
        error.destination = address
        return True

    def _error_outward(self, error: Packet, now: float) -> bool:
        """An error about something that came in: as who is outside knows it."""
        mapping = self._quoted(error, self._inside, now, source=False)
        if mapping is None:
            return False
        set_quoted_end(error, self._nat.address, mapping.port, source=False)
        error.source = self._nat.address
        return True

    def _quoted(self, error: Packet, known: dict[_Key, _Mapping], now: float, *, source: bool) -> _Mapping | None:
        try:
            quote = error.quoted()
        except ValueError:
            return None
        return self._live(known.get(_ends(quote, source=source)), now)

    def _note(self, mapping: _Mapping, packet: Packet, now: float) -> None:
        mapping.last_s = now
        if packet.protocol == ip.TCP and packet.flags & (ip.RST | ip.FIN | ip.SYN):
            ending_s = _RESET_S if packet.flags & ip.RST else _BRIEF_S
            mapping.ending_s = None if packet.flags & ip.SYN else ending_s

    def _live(self, mapping: _Mapping | None, now: float) -> _Mapping | None:
        if mapping is None or now - mapping.last_s < self._lifetime_s(mapping):
            return mapping
        del self._inside[mapping.inside], self._outside[mapping.outside]
        return None

    def _lifetime_s(self, mapping: _Mapping) -> float:
        if mapping.ending_s is not None:
            return mapping.ending_s
        protocol = mapping.inside[0]
        idle_s = self._idle_s.get(protocol, _BRIEF_S)
        return idle_s if mapping.answered or protocol != ip.TCP else min(idle_s, _BRIEF_S)

    def _new(self, key: _Key, now: float) -> _Mapping | None:
        ports = self._nat.ports
        if len(self._inside) >= (ports or _KEPT):
            for old in tuple(self._inside.values()):
                self._live(old, now)
            if sum(mapping.ending_s is None for mapping in self._inside.values()) >= (ports or _KEPT):
                return None
        protocol, _, port, remote, remote_port = key
        allowed = range(FIRST_PORT, FIRST_PORT + ports) if ports else range(_PORTS)
        # Where the wish cannot be met, the next one in the allowed range that this remote end does not know yet.
        first = port if port in allowed else allowed[port % len(allowed)]
        for step in range(len(allowed)):
            number = allowed[(first - allowed[0] + step) % len(allowed)]
            outside = (protocol, self._nat.address, number, remote, remote_port)
            if outside not in self._outside:
                mapping = self._inside[key] = self._outside[outside] = _Mapping(key, outside, now)
                return mapping
        return None


def _ends(packet: Packet, *, source: bool) -> _Key:
    """A packet's own end, which is its source or its destination, and the remote one."""
    ports = (packet.source_port, packet.destination_port)
    if packet.protocol == ip.ICMP:
        ports = (packet.icmp_ident, 0) if source else (0, packet.icmp_ident)
    one, other = (packet.source, ports[0]), (packet.destination, ports[1])
    return (packet.protocol, *one, *other) if source else (packet.protocol, *other, *one)
