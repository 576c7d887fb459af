"""What middleboxes do to packets in passing: in virtual time, behind devices, and beside the kernel's routers.

A box looks at one packet at a time and says what becomes of it. It knows no network and reads no clock; what it
remembers of connections is bounded.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import Protocol

from msgspec.structs import replace

from netprobe.sim import packet as ip
from netprobe.sim.middlebox import METHODS, Matcher, query_name, remember
from netprobe.sim.packet import Packet
from netprobe.sim.records import Fault, Match
from netprobe.sim.replies import acknowledgement, forged_answer, forged_ends, segments_in_answer
from netprobe.sim.rewriting import clamp_mss, set_end
from netprobe.sim.servers.answers import Records, of_both_versions
from netprobe.sim.wirebytes import is_about_v6

_Flow = tuple[int, str, str, int, int]

_LAG_S = 0.0002  # what an injector off the path takes longer than the packet that it has seen a copy of


@dataclass(slots=True, frozen=True)
class Deed:
    """What becomes of a packet: whether it goes on, and after how long; `turned`: to another destination than before.

    `forged` are packets in others' names, which leave `lag_s` later than it.
    """

    passes: bool = True
    held_s: float = 0.0
    forged: tuple[Packet, ...] = ()
    lag_s: float = 0.0
    turned: bool = False


_PASSES, _VANISHES = Deed(), Deed(passes=False)


class Box(Protocol):
    """One kind of fault at one router."""

    def meet(self, packet: Packet, now: float) -> Deed:
        """What it does to `packet`, which comes to it `now` seconds since the start."""


def _flow(packet: Packet) -> _Flow:
    return (packet.protocol, packet.source, packet.destination, packet.source_port, packet.destination_port)


def _mirrored(flow: _Flow) -> _Flow:
    protocol, source, destination, source_port, destination_port = flow
    return (protocol, destination, source, destination_port, source_port)


class _Each:
    """A box that needs no memory: it does the same to each packet that matches, or to a fraction of them."""

    def __init__(self, fault: Fault, draw: random.Random) -> None:
        match = fault.match
        if fault.kind == "dns":
            match = Match(protocol="udp", port=53, query_name=fault.names or ("*",))
        elif fault.kind == "reset" and match.server_name:
            match = replace(match, protocol="tcp")  # nobody on the way can end a QUIC connection (RFC 9000, 10.3)
        self._matches = Matcher(match).matches
        self._fraction = fault.fraction
        self._draw = draw
        self._do = _DEEDS[fault.kind](fault)

    def meet(self, packet: Packet, now: float) -> Deed:
        """Draws a number only for packets that match a partial fault."""
        del now
        if not self._matches(packet) or (self._fraction < 1.0 and self._draw.random() >= self._fraction):
            return _PASSES
        return self._do(packet)


def _vanishing(fault: Fault) -> Callable[[Packet], Deed]:
    del fault
    return lambda _: _VANISHES


def _delaying(fault: Fault) -> Callable[[Packet], Deed]:
    deed = Deed(held_s=fault.delay_ms / 1e3)
    return lambda _: deed


def _forging(fault: Fault) -> Callable[[Packet], Deed]:
    """Answers to a DNS question: one, or one for each address of the kind that is asked for."""
    rcode, both = fault.rcode or "NOERROR", of_both_versions(fault.addresses)

    def deed(packet: Packet) -> Deed:
        if not query_name(packet.payload):  # what is no question has no answer
            return _PASSES
        asked = both[1] if is_about_v6(packet.payload) else both[0]
        lists = [of_both_versions((address,)) for address in asked] if fault.separate and asked else [both]
        records = [Records(rcode, addresses=addresses, aaaa=aaaa) for addresses, aaaa in lists]
        return Deed(forged=tuple(forged_answer(packet, said) for said in records))

    return deed


def _ending(fault: Fault) -> Callable[[Packet], Deed]:
    """The end of a TCP connection, told to both sides; an injector beside the path cannot keep the packet."""

    def deed(packet: Packet) -> Deed:
        # A forged FIN is acknowledged: what carries nothing draws none, or the two would go on for ever.
        told = packet.protocol == ip.TCP and not packet.flags & ip.RST and not (fault.fin and not packet.payload)
        forged = forged_ends(packet, fin=fault.fin, behind=fault.injected) if told else ()
        return Deed(passes=fault.injected, forged=forged, lag_s=_LAG_S if fault.injected else 0.0)

    return deed


_DEEDS: dict[str, Callable[[Fault], Callable[[Packet], Deed]]] = {
    "drop": _vanishing,
    "loop": _vanishing,
    "delay": _delaying,
    "dns": _forging,
    "reset": _ending,
}


class _Conversations:
    """Conversations of which one packet has matched; whoever sent that one is their client."""

    def __init__(self, match: Match) -> None:
        self._matches = Matcher(match).matches
        self._known: dict[_Flow, None] = {}

    def find(self, packet: Packet) -> tuple[_Flow, bool] | None:
        """The conversation of `packet` as its client sends it, and whether this goes to the client."""
        flow = _flow(packet)
        if flow in self._known:
            return flow, False
        back = _mirrored(flow)
        if back in self._known:
            return back, True
        if not self._matches(packet):
            return None
        remember(self._known, flow, None)
        return flow, False


class _Throttle:
    """A token bucket for each way of each conversation: what exceeds it waits for as long as allowed, or is lost."""

    def __init__(self, fault: Fault, draw: random.Random) -> None:
        del draw
        self._conversations = _Conversations(fault.match)
        self._rate = fault.rate_kbit * 1e3 / 8  # bytes a second
        self._burst = fault.burst_kb * 1e3
        self._queue_s = fault.queue_ms / 1e3
        self._buckets: dict[tuple[_Flow, bool], tuple[float, float]] = {}  # tokens, and when there were so many

    def meet(self, packet: Packet, now: float) -> Deed:
        """Tokens below zero are a queue."""
        way = self._conversations.find(packet)
        if way is None:
            return _PASSES
        tokens, at = self._buckets.pop(way, (self._burst, now))
        left = min(self._burst, tokens + max(0.0, now - at) * self._rate) - packet.size
        wait_s = -left / self._rate if left < 0 else 0.0
        if wait_s > self._queue_s:
            left, deed = left + packet.size, _VANISHES
        else:
            deed = Deed(held_s=wait_s) if wait_s else _PASSES
        remember(self._buckets, way, (left, max(now, at)))
        return deed


class _Cutoff:
    """A conversation that is dead, both ways, once so much has come back to its client."""

    def __init__(self, fault: Fault, draw: random.Random) -> None:
        del draw
        self._conversations = _Conversations(fault.match)
        self._bytes = fault.after_bytes or float("inf")
        self._packets = fault.after_packets or float("inf")
        self._passed: dict[_Flow, tuple[float, float]] = {}  # bytes and packets with data, towards the client

    def meet(self, packet: Packet, now: float) -> Deed:
        """What would exceed the limit is the first to vanish."""
        del now
        found = self._conversations.find(packet)
        if found is None:
            return _PASSES
        flow, back = found
        size, count = self._passed.get(flow, (0.0, 0.0))
        if back and packet.payload:
            size, count = size + len(packet.payload), count + 1
            remember(self._passed, flow, (size, count))
        return _VANISHES if size > self._bytes or count > self._packets else _PASSES


class _BlockPage:
    """Answers plain HTTP in the server's name, and keeps the rest of the connection from the server."""

    def __init__(self, fault: Fault, draw: random.Random) -> None:
        del draw
        self._matches = Matcher(fault.match).matches
        self._page = _http_page(fault)
        self._answered: dict[_Flow, None] = {}

    def meet(self, packet: Packet, now: float) -> Deed:
        """A request is answered as often as it comes; the server hears a RST, and of the rest nobody anything."""
        del now
        flow = _flow(packet)
        if packet.flags & ip.SYN or packet.protocol != ip.TCP:
            self._answered.pop(flow, None)
            return _PASSES
        if flow not in self._answered:
            if _mirrored(flow) in self._answered:
                return _VANISHES
            if not (self._matches(packet) and packet.payload.startswith(METHODS)):
                return _PASSES
        if packet.payload:
            remember(self._answered, flow, None)
            _, reset = forged_ends(packet)
            return Deed(passes=False, forged=(*segments_in_answer(packet, self._page), reset))
        return Deed(passes=False, forged=(acknowledgement(packet),)) if packet.flags & ip.FIN else _VANISHES


def _http_page(fault: Fault) -> bytes:
    """The whole answer (RFC 9112), after which the connection ends."""
    status = fault.status or HTTPStatus.OK
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:  # some vendors have numbers of their own
        reason = ""
    title = escape(fault.title or f"{status} {reason}")
    page = f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    body = fault.body or page
    fields = {"content-type": "text/html; charset=utf-8"} | {key.lower(): value for key, value in fault.headers.items()}
    fields |= {"content-length": str(len(body.encode())), "connection": "close"}
    head = f"HTTP/1.1 {status} {reason}\r\n" + "".join(f"{key}: {value}\r\n" for key, value in fields.items())
    return f"{head}\r\n{body}".encode()


class _Stateful:
    """A firewall that lets pass what belongs to a TCP connection whose SYN it has seen, not long ago."""

    def __init__(self, fault: Fault, draw: random.Random) -> None:
        del draw
        self._matches = Matcher(fault.match).matches
        self._idle_s = fault.idle_s
        self._seen: dict[_Flow, float] = {}

    def meet(self, packet: Packet, now: float) -> Deed:
        """A RST ends what it knows of a connection."""
        if packet.protocol != ip.TCP or packet.fragment or not self._matches(packet):
            return _PASSES
        flow = _flow(packet)
        if packet.flags & (ip.SYN | ip.ACK) == ip.SYN:
            remember(self._seen, flow, now)
            return _PASSES
        flow = flow if flow in self._seen else _mirrored(flow)
        last = self._seen.pop(flow, None)
        if last is None or now - last > self._idle_s:
            return _VANISHES
        if not packet.flags & ip.RST:
            remember(self._seen, flow, now)
        return _PASSES


class _Redirect:
    """Sends what matches to somebody else, who answers in the name of whom it was for: a portal, a proxy."""

    def __init__(self, fault: Fault, draw: random.Random) -> None:
        del draw
        self._matches = Matcher(fault.match).matches
        self._to = fault.to
        self._meant: dict[_Flow, str] = {}  # by what comes back

    def meet(self, packet: Packet, now: float) -> Deed:
        """Changes the destination of what goes there, and the source of what comes back."""
        del now
        if packet.source == self._to:
            meant = self._meant.get(_flow(packet))
            if meant is not None:
                set_end(packet, meant, packet.source_port, source=True)
            return _PASSES
        if packet.protocol not in {ip.TCP, ip.UDP} or packet.destination == self._to or not self._matches(packet):
            return _PASSES
        if (":" in packet.destination) != (":" in self._to):
            return _PASSES
        meant = packet.destination
        set_end(packet, self._to, packet.destination_port, source=False)
        remember(self._meant, _mirrored(_flow(packet)), meant)
        return Deed(turned=True)


LONGER_HEADER = 20  # bytes of an IPv6 header beyond those of IPv4's


class Clamp:
    """Bounds the MSS that SYNs offer: what a router in front of a narrow line does for those behind it.

    The limit is that of IPv4; in IPv6 packets are to be as large, and their header has 20 bytes more.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit

    def meet(self, packet: Packet, now: float) -> Deed:
        """Changes the packet and lets it pass."""
        del now
        if packet.protocol == ip.TCP and packet.flags & ip.SYN and not packet.fragment:
            clamp_mss(packet, self._limit - LONGER_HEADER if ":" in packet.source else self._limit)
        return _PASSES


#: What a router can do to packets in passing. The other kinds of faults are looked up where they apply.
BOXES: dict[str, Callable[[Fault, random.Random], Box]] = {
    **dict.fromkeys(_DEEDS, _Each),
    "throttle": _Throttle,
    "cutoff": _Cutoff,
    "block_page": _BlockPage,
    "stateful": _Stateful,
    "redirect": _Redirect,
}
#: Kinds that remember conversations, and look at what comes back too.
BOTH_WAYS = frozenset(BOXES.keys() - _DEEDS.keys() - {"redirect"})
