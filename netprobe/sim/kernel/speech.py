"""What a router says otherwise than Linux would: its own ICMP errors go through this process before they leave.

The kernel decides whether there is anything to say, and to whom; here the quote is shortened or garbled, and labels
(RFC 4950) and interfaces (RFC 5837) are put behind it, by the functions that do so in virtual time. The kernel of this
machine may know no MPLS: nothing is switched by label, but errors look as if it had been.
"""

import contextlib
import os
from typing import NamedTuple

from msgspec.structs import replace

from netprobe.sim import packet as ip
from netprobe.sim.ends import Ends
from netprobe.sim.extensions import add_objects, incoming_interface, label_stack, mangled
from netprobe.sim.interfaces import Interfaces
from netprobe.sim.ipv6 import HEADER_BYTES
from netprobe.sim.packet import Packet, checksum
from netprobe.sim.plans import switched
from netprobe.sim.records import Router, Scenario
from netprobe.sim.routing import Routing, node_addresses

DEVICE = "speech"
HIGHEST_TTL = 255
_PACKET_LIMIT = 65536
_BATCH = 64
_TTL_AT, _SUM_AT, _HOP_LIMIT_AT = 8, 10, 7


def speaks_otherwise(router: Router) -> bool:
    """Whether what Linux would say is not what this router says."""
    return bool(router.quote or router.mangle or router.mpls or router.interfaces)


class Arrival(NamedTuple):
    """How a packet has come to a router: by the neighbour `before`, empty for one that does not cross it.

    In a label switched path it is the one of number `place`, with `beyond` more hops to the path's end; else 0.
    """

    before: str = ""
    place: int = 0
    beyond: int = 0


class Ways:
    """The ways of packets through a network, for all of its routers that speak."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        routing = Routing(scenario, seed)
        over_v6 = Routing(scenario, seed, over_v6=True) if scenario.client.address6 else routing
        self._routing = {False: routing, True: over_v6}
        self._owner = node_addresses(scenario)
        self._end = Ends(scenario, self._owner, lambda _: "").end
        self._switching = {router.name: router for router in scenario.routers if router.mpls}
        self.interfaces = Interfaces(scenario)

    def arrival(self, router: str, packet: Packet) -> Arrival:
        """How `packet` came to `router`."""
        origin, end = self._owner.get(packet.source), self._end(packet.destination)
        if origin is None or end is None:
            return Arrival()
        for way in self._routing[":" in packet.source].ways(origin, end.node):
            places = (*way.hops, end.node)
            if router in places:
                index = places.index(router)
                _, tunnels = switched(way.hops, self._switching)
                tunnel = tunnels.get(index)
                before = (origin, *places)[index]
                return Arrival(before, tunnel.place, tunnel.egress - index) if tunnel else Arrival(before)
        return Arrival()


class Speech:
    """What one router says; `device` is its TUN device."""

    def __init__(self, record: Router, ways: Ways, device: int) -> None:
        self.device = device
        self._record = record
        self._ways = ways

    def next_at(self) -> None:
        """Nothing is held up."""

    def release(self, now: float) -> None:
        """Nothing is held up."""

    def read(self, now: float) -> None:
        """Take what the kernel has to say, and say it."""
        del now
        for _ in range(_BATCH):
            try:
                data = os.read(self.device, _PACKET_LIMIT)
            except OSError:  # nothing more
                return
            with contextlib.suppress(ValueError, OSError):  # what is no error; a full queue
                os.write(self.device, self._said(Packet.from_bytes(data)).to_bytes())

    def _said(self, error: Packet) -> Packet:
        """The error as the router says it. Raises `ValueError` for what is none."""
        about, record = error.quoted(), self._record
        over_v6 = ":" in error.source
        arrival = self._ways.arrival(record.name, about) if error.icmp_type == ip.TIME_EXCEEDED else Arrival()
        quote = bytearray(error.payload)
        if arrival.place:
            _arrived(quote, arrival.place)
        if record.quote:
            del quote[(HEADER_BYTES if over_v6 else (quote[0] & 15) * 4) + record.quote :]
        ttl = error.ttl - 2 * arrival.beyond  # it goes to the end of the path, and back past here
        # The kernel counts down once more; where there is no more to count, its rules make up for it.
        said = replace(error, raw=None, ttl=min(HIGHEST_TTL, ttl + 1), payload=bytes(quote))
        if record.mangle:
            said.payload = mangled(said.payload, record.mangle)
        came_by = self._ways.interfaces.incoming(record.name, arrival.before, over_v6=over_v6)
        objects = label_stack(record.mpls) if arrival.place else b""
        objects += incoming_interface(came_by) if came_by else b""
        if objects:
            add_objects(said, objects, record.extension)
        return said


def _arrived(quote: bytearray, ttl: int) -> None:
    """Let a quoted packet have arrived with another TTL: of labels that were counted down, as its own was not."""
    if quote[0] >> 4 == 6:
        quote[_HOP_LIMIT_AT] = ttl
        return
    quote[_TTL_AT] = ttl
    quote[_SUM_AT : _SUM_AT + 2] = b"\0\0"
    header = bytes(quote[: (quote[0] & 15) * 4])
    quote[_SUM_AT : _SUM_AT + 2] = checksum(header).to_bytes(2)
