"""The probes that may still be answered, and which of them a message belongs to.

A reply counts by its type and the identity that it carries. Its source address is only reported, except that TCP and
UDP answer from the address and port that they were sent to.

What an ICMP error quotes may have been changed on the way, so that there is more than one key to a probe. A key of 16
bits alone is good enough for what honest networks do and too short for somebody who guesses: it is believed as long as
nobody does, and whoever guesses misses first.
"""

import socket
import struct
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from netprobe.live import codec, dissect
from netprobe.live.dissect import Datagram, EchoReply, IcmpError, Quote, Segment
from netprobe.live.identity import Mark
from netprobe.live.quotes import mangled, swapped
from netprobe.model.probes import Flow, Protocol

_REMEMBER_S = 30.0  # how late a reply may be
_REMEMBER_PROBES = 100_000
_CLOCK_ERROR_S = 50e-6  # between the clock and a stamp brought to it
_MOST_MISSES = (
    8  # quotes of one local number that are of no probe, in `_REMEMBER_S`, before short keys are not believed
)
_MOST_GUESSED = 4096  # local numbers of which misses are counted: the filters let fewer through
_MOST_REPLIES = 8  # to one probe: a network may double a packet, more is somebody who plays it again

#: What probes are TCP segments.
SEGMENTS = frozenset({Protocol.TCP, Protocol.ACK})

Key = tuple[str | int, ...]


class Sent(NamedTuple):
    """A probe that has left at `at_s`: by the clock before it was sent, or `stamped`, by the kernel."""

    token: int
    at_s: float
    source: str
    destination: str
    ttl: int
    mark: Mark
    keys: tuple[Key, ...]
    size: int
    start: bytes  # of the packet: what a quote is compared with
    head: bytes  # the beginning of a datagram's payload
    stamped: bool = False


class Outstanding:
    """Remembers probes for as long as a reply may come, and finds them again by what replies carry."""

    def __init__(self) -> None:
        self._sent: OrderedDict[int, Sent] = OrderedDict()  # by token, oldest first
        self._tokens: dict[Key, int] = {}
        self._replies: Counter[int] = Counter()  # by token
        self._misses: Counter[Key] = Counter()  # by protocol and local number, of late
        self._misses_since_s = 0.0
        self._counting = True

    def taken(self, keys: tuple[Key, ...]) -> bool:
        """Whether a reply to one of these probes could be taken for one to a probe with `keys`."""
        return any(key in self._tokens for key in keys)

    def add(self, sent: Sent) -> None:
        """A probe has left."""
        self._sent[sent.token] = sent
        self._tokens.update(dict.fromkeys(sent.keys, sent.token))

    def stamp(self, token: int, at_s: float) -> None:
        """The kernel says when the probe of `token` left: that takes the place of the clock before it was sent."""
        sent = self._sent.get(token)
        if sent and at_s > sent.at_s - _CLOCK_ERROR_S:
            self._sent[token] = sent._replace(at_s=max(at_s, sent.at_s), stamped=True)

    def get(self, token: int) -> Sent | None:
        """The probe of `token`, while it is remembered."""
        return self._sent.get(token)

    def expire(self, now: float) -> None:
        """Forget what nobody will answer any more."""
        if now - self._misses_since_s > _REMEMBER_S:
            self._misses.clear()
            self._misses_since_s = now
        while self._sent:
            sent = next(iter(self._sent.values()))
            if now - sent.at_s <= _REMEMBER_S and len(self._sent) < _REMEMBER_PROBES:
                break
            self.forget(sent.token)

    def forget(self, token: int) -> Sent | None:
        """Expect no answer to the probe of `token` any more; the probe, if it was remembered."""
        sent = self._sent.pop(token, None)
        self._replies.pop(token, None)
        for key in sent.keys if sent else ():
            if self._tokens.get(key) == token:
                del self._tokens[key]
        return sent

    def answer(self, token: int) -> bool:
        """A reply to the probe of `token` is there: whether it is still one of those that are told."""
        self._replies[token] += 1
        return self._replies[token] <= _MOST_REPLIES

    def of_echo_reply(self, reply: EchoReply) -> Sent | None:
        """By a nonce of 64 bits that only who received the request can copy, from whatever address it answers."""
        return self._find("nonce", reply.ident, reply.sequence, reply.payload[: codec.NONCE_BYTES].hex())

    def of_segment(self, segment: Segment) -> Sent | None:
        """By the number that it acknowledges, as all that answers a SYN or a segment of its flow does (RFC 9293).

        The reset that an ACK draws has its number as the sequence instead (3.10.7.1).
        """
        ends = (segment.source, segment.destination_port, segment.source_port)
        if segment.flags & codec.RST and (sent := self._find("ack", *ends, segment.sequence)):
            return sent
        if not segment.flags & codec.ACK:
            return None
        isn = (segment.acknowledges - 1) & 0xFFFFFFFF
        return self._find("tcp", *ends, isn)

    def of_datagram(self, data: bytes, source: str, source_port: int, port: int) -> Sent | None:
        """By the nonce of a version negotiation, or by what a datagram in answer brings back of ours.

        What answers by a transaction number, as DNS does, begins with that number: the first 2 bytes that we sent.
        """
        nonce = dissect.quic_nonce(data)
        if nonce is not None:
            return self._find("udp", source, port, source_port, nonce.hex())
        sent = self._find("udp number", source, port, source_port, data[: codec.NUMBER_BYTES].hex())
        local = ("udp number", port)
        if sent and (data.startswith(sent.head) or not self._guessed_at(local)):
            return sent
        self._miss(local)
        return None

    def of_quote(self, quote: Quote) -> Sent | None:
        """The probe that `quote` is of. Its destination may have been rewritten, when more of its numbers are right."""
        icmp = quote.protocol in {codec.PROTOCOL_ICMP, codec.PROTOCOL_ICMPV6}
        local = (quote.protocol, quote.third if icmp else quote.first)
        of_version = self._of_quote_v6 if codec.is_v6(quote.destination) else self._of_quote_v4
        sent = of_version(quote, sure=self._guessed_at(local)) or self._of_rewritten(quote)
        if sent is None:
            self._miss(local)
        return sent

    def _of_quote_v4(self, quote: Quote, *, sure: bool) -> Sent | None:
        """The IP identification is the second key where a middlebox rewrote the first; not one to be `sure` with."""
        if quote.protocol == codec.PROTOCOL_ICMP:
            if quote.first >> 8 != codec.ICMP_ECHO:
                return None
            probe = (quote.destination, quote.third, quote.fourth)
            sent = self._find("icmp", *probe, quote.second)
            if sent and (not sure or quote.ident in mangled(sent.mark.ip_id)):
                return sent
            return self._find("icmp id", *probe, quote.ident)
        flow = (quote.destination, quote.first, quote.second)
        if quote.protocol == codec.PROTOCOL_TCP:
            return self._find("tcp", *flow, quote.third) or (None if sure else self._find("tcp id", *flow, quote.ident))
        if quote.protocol == codec.PROTOCOL_UDP:
            sent = self._find("udp", *flow, quote.fourth)
            if sent and quote.ident in mangled(sent.mark.ip_id):
                return sent
            other = self._find("udp id", *flow, quote.ident)
            # 16 bits alone: of either, as long as they do not name two probes.
            return None if sure or (sent and other) else sent or other
        return None

    def _of_quote_v6(self, quote: Quote, *, sure: bool) -> Sent | None:
        """The same without an IP identification: a datagram's 16-bit checksum needs the payload beside it."""
        if quote.protocol == codec.PROTOCOL_ICMPV6:
            if quote.first >> 8 != codec.ICMPV6_ECHO:
                return None
            sent = self._find("icmp", quote.destination, quote.third, quote.fourth, quote.second)
            return sent if sent and (not sure or quote.head.startswith(sent.mark.nonce)) else None
        flow = (quote.destination, quote.first, quote.second)
        if quote.protocol == codec.PROTOCOL_TCP:
            return self._find("tcp", *flow, quote.third)
        sent = self._find("udp", *flow, quote.fourth) if quote.protocol == codec.PROTOCOL_UDP else None
        return sent if sent and quote.head.startswith(sent.head) else None

    def _of_rewritten(self, quote: Quote) -> Sent | None:
        """The probe whose destination was rewritten before it was quoted, as a translating or misled router does.

        All of its other numbers have to be right: 30 bits at least that nobody can know who did not see it.
        """
        over_v6 = codec.is_v6(quote.destination)
        local: Key
        if quote.protocol in {codec.PROTOCOL_ICMP, codec.PROTOCOL_ICMPV6}:
            local, number, check = (quote.third,), quote.fourth, quote.second
            if quote.first >> 8 != (codec.ICMPV6_ECHO if over_v6 else codec.ICMP_ECHO):
                return None
        else:
            local, number, check = (quote.first, quote.second), quote.third, quote.fourth
        for ident in (quote.ident,) if over_v6 else _before_mangling(quote.ident):
            for key in _rewritable(quote.protocol, quote.destination, local, number, check, ident):
                sent = self._find(*key)
                if sent and quote.head.startswith(_head_that_returns(sent, quote.protocol)):
                    return sent
        return None

    def of_packet(self, packet: bytes, *, outgoing: bool) -> Sent | None:
        """The probe that a whole `packet` is, or answers. It was told of already: what misses is not counted again."""
        self._counting = False
        try:
            if outgoing:
                quote = dissect.parse_quote_v6(packet) if packet[:1] >= b"\x60" else dissect.parse_quote(packet)
                return self.of_quote(quote) if quote else None
            match dissect.parse_packet(packet):
                case EchoReply() as reply:
                    return self.of_echo_reply(reply)
                case IcmpError() as error:
                    return self.of_quote(error.quote)
                case Segment() as segment:
                    return self.of_segment(segment)
                case Datagram() as datagram:
                    ports = datagram.source_port, datagram.destination_port
                    return self.of_datagram(datagram.payload, datagram.source, *ports)
            return None
        finally:
            self._counting = True

    def _guessed_at(self, local: Key) -> bool:
        return self._misses[local] >= _MOST_MISSES

    def _miss(self, local: Key) -> None:
        """Somebody has sent what looks like a reply to a probe of `local`, and is to none."""
        if self._counting and (local in self._misses or len(self._misses) < _MOST_GUESSED):
            self._misses[local] += 1

    def _find(self, *key: str | int) -> Sent | None:
        token = self._tokens.get(key)
        return self._sent.get(token) if token is not None else None


def keys_of(flow: Flow, destination: str, local: int, mark: Mark, ident: int) -> tuple[Key, ...]:
    """By what a reply to this probe may be known. `ident` is what its header has: IP identification or flow label."""
    over_v6 = codec.is_v6(destination)
    if flow.protocol is Protocol.ICMP:
        protocol = codec.PROTOCOL_ICMPV6 if over_v6 else codec.PROTOCOL_ICMP
        probe = (destination, local, mark.sequence)
        return (
            ("icmp", *probe, mark.check),
            *(() if over_v6 else [("icmp id", *probe, mark.ip_id)]),
            ("nonce", local, mark.sequence, mark.nonce.hex()),
            *_rewritable(protocol, destination, (local,), mark.sequence, mark.check, ident),
        )
    tuple_ = (destination, local, flow.port)
    if flow.protocol in SEGMENTS:
        return (
            *((("ack", *tuple_, mark.timestamp),) if flow.protocol is Protocol.ACK else ()),
            ("tcp", *tuple_, mark.isn),
            *(() if over_v6 else [("tcp id", *tuple_, mark.ip_id)]),
            *_rewritable(codec.PROTOCOL_TCP, destination, tuple_[1:], mark.isn, 0, ident),
        )
    number = ("udp", mark.nonce.hex()) if flow.protocol is Protocol.QUIC else ("udp number", mark.nonce[:2].hex())
    return (
        ("udp", *tuple_, mark.check),
        *(() if over_v6 else [("udp id", *tuple_, mark.ip_id)]),
        (number[0], *tuple_, number[1]),
        *_rewritable(codec.PROTOCOL_UDP, destination, tuple_[1:], 0, mark.check, ident),
    )


def _rewritable(protocol: int, destination: str, local: Key, number: int, check: int, ident: int) -> Iterator[Key]:
    """Keys that hold whatever becomes of the destination, by its `check`sum too where that covers it.

    Who rewrites an address should adjust the checksum (RFC 1624), and not everybody does.
    """
    if protocol in {codec.PROTOCOL_ICMP, codec.PROTOCOL_TCP}:  # an ICMP checksum covers no address; TCP's is not quoted
        yield "any", protocol, *local, number, check if protocol == codec.PROTOCOL_ICMP else 0, ident
        return
    if protocol == codec.PROTOCOL_UDP:
        number = 0  # its third field is a length, which is the same for all
    yield "any", protocol, *local, number, check, ident
    yield "any address", protocol, *local, number, _without(destination, check), ident


def _without(destination: str, check: int) -> int:
    """The Internet checksum `check`, the share of the destination's address taken out."""
    family, words = (socket.AF_INET6, "!8H") if codec.is_v6(destination) else (socket.AF_INET, "!2H")
    covered: tuple[int, ...] = struct.unpack(words, socket.inet_pton(family, destination))
    return (0xFFFF - check - sum(covered)) % 0xFFFF


def _head_that_returns(sent: Sent, protocol: int) -> bytes:
    """What a quote of `sent` has behind the first 8 bytes of the transport header, as far as it identifies it."""
    if not codec.is_v6(sent.destination):
        return b""
    return sent.mark.nonce if protocol == codec.PROTOCOL_ICMPV6 else sent.head


def _before_mangling(quoted: int) -> tuple[int, ...]:
    """What an IP identification may have been that is quoted so."""
    less = quoted - 1 & 0xFFFF
    return quoted, swapped(quoted), less, swapped(less)
