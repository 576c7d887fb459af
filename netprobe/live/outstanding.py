"""The probes that may still be answered, and which of them a message belongs to.

A reply counts by its type and the identity that it carries. Its source address is only reported, except that TCP and
UDP answer from the address and port that they were sent to.
"""

from collections import OrderedDict
from typing import NamedTuple

from netprobe.live import codec, dissect
from netprobe.live.dissect import EchoReply, Quote, Segment
from netprobe.live.identity import Mark
from netprobe.model.probes import Flow, Protocol

_REMEMBER_S = 30.0  # how late a reply may be
_REMEMBER_PROBES = 100_000
_CLOCK_ERROR_S = 50e-6  # between the clock and a stamp brought to it

Key = tuple[str | int, ...]


class Sent(NamedTuple):
    """A probe that has left at `at_s`: by the clock before it was sent, or `stamped`, by the kernel."""

    token: int
    at_s: float
    source: str
    ttl: int
    mark: Mark
    keys: tuple[Key, ...]
    size: int
    head: bytes  # the beginning of its payload where that is part of its identity: UDP over IPv6
    stamped: bool = False


class Outstanding:
    """Remembers probes for as long as a reply may come, and finds them again by what replies carry."""

    def __init__(self) -> None:
        self._sent: OrderedDict[int, Sent] = OrderedDict()  # by token, oldest first
        self._tokens: dict[Key, int] = {}

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

    def farthest_first(self, sent: Sent) -> None:
        """A plain datagram in answer has no identity but its flow's: it goes to the probe that surely got there."""
        flow = sent.keys[0][:4]
        before = self._find(*flow)
        if before is None or before.ttl <= sent.ttl:
            self._tokens[flow] = sent.token

    def expire(self, now: float) -> None:
        """Forget what nobody will answer any more."""
        while self._sent:
            sent = next(iter(self._sent.values()))
            if now - sent.at_s <= _REMEMBER_S and len(self._sent) < _REMEMBER_PROBES:
                break
            self.forget(sent.token)

    def forget(self, token: int) -> Sent | None:
        """Expect no answer to the probe of `token` any more; the probe, if it was remembered."""
        sent = self._sent.pop(token, None)
        for key in (*sent.keys, sent.keys[0][:4]) if sent else ():
            if self._tokens.get(key) == token:
                del self._tokens[key]
        return sent

    def of_echo_reply(self, reply: EchoReply) -> Sent | None:
        """By a nonce of 64 bits that only who received the request can copy, from whatever address it answers."""
        return self._find("nonce", reply.ident, reply.sequence, reply.payload[: codec.NONCE_BYTES].hex())

    def of_segment(self, segment: Segment) -> Sent | None:
        """By the number that it acknowledges, as all that answers a SYN or a segment of its flow does (RFC 9293)."""
        if not segment.flags & codec.ACK:
            return None
        isn = (segment.acknowledges - 1) & 0xFFFFFFFF
        return self._find("tcp", segment.source, segment.destination_port, segment.source_port, isn)

    def of_datagram(self, data: bytes, source: str, source_port: int, port: int) -> Sent | None:
        """By the nonce of a version negotiation, else by its flow."""
        nonce = dissect.quic_nonce(data)
        flow = ("udp", source, port, source_port)
        return self._find(*flow, nonce.hex()) if nonce is not None else self._find(*flow)

    def of_quote(self, quote: Quote) -> Sent | None:
        """The probe that `quote` is of. The IP identification is the second key where a middlebox rewrote the first."""
        if codec.is_v6(quote.destination):
            return self._of_quote_v6(quote)
        if quote.protocol == codec.PROTOCOL_ICMP:
            if quote.first >> 8 != codec.ICMP_ECHO:
                return None
            probe = (quote.destination, quote.third, quote.fourth)
            return self._find("icmp", *probe, quote.second) or self._find("icmp id", *probe, quote.ident)
        flow = (quote.destination, quote.first, quote.second)
        if quote.protocol == codec.PROTOCOL_TCP:
            return self._find("tcp", *flow, quote.third) or self._find("tcp id", *flow, quote.ident)
        if quote.protocol == codec.PROTOCOL_UDP:
            sent = self._find("udp", *flow, quote.fourth)
            if sent and quote.ident in _mangled(sent.mark.ip_id):  # 16 bits alone would be too few
                return sent
            return self._find("udp id", *flow, quote.ident)
        return None

    def _of_quote_v6(self, quote: Quote) -> Sent | None:
        """The same without an IP identification: a datagram's 16-bit checksum needs the payload beside it."""
        if quote.protocol == codec.PROTOCOL_ICMPV6:
            echo = quote.first >> 8 == codec.ICMPV6_ECHO
            return self._find("icmp", quote.destination, quote.third, quote.fourth, quote.second) if echo else None
        flow = (quote.destination, quote.first, quote.second)
        if quote.protocol == codec.PROTOCOL_TCP:
            return self._find("tcp", *flow, quote.third)
        sent = self._find("udp", *flow, quote.fourth) if quote.protocol == codec.PROTOCOL_UDP else None
        return sent if sent and quote.head[: len(sent.head)] == sent.head else None

    def _find(self, *key: str | int) -> Sent | None:
        token = self._tokens.get(key)
        return self._sent.get(token) if token is not None else None


def keys_of(flow: Flow, destination: str, local: int, mark: Mark) -> tuple[Key, ...]:
    """By what a reply to this probe may be known."""
    if flow.protocol is Protocol.ICMP:
        return (
            ("icmp", destination, local, mark.sequence, mark.check),
            ("icmp id", destination, local, mark.sequence, mark.ip_id),
            ("nonce", local, mark.sequence, mark.nonce.hex()),
        )
    tuple_ = (destination, local, flow.port)
    if flow.protocol is Protocol.TCP:
        return (("tcp", *tuple_, mark.isn), ("tcp id", *tuple_, mark.ip_id))
    return (("udp", *tuple_, mark.check), ("udp id", *tuple_, mark.ip_id), ("udp", *tuple_, mark.nonce.hex()))


def _mangled(ip_id: int) -> tuple[int, ...]:
    """What routers make of an IP identification when they quote it: the same, its bytes swapped, one more."""
    swapped = (ip_id >> 8) | (ip_id & 0xFF) << 8
    return ip_id, swapped, ip_id + 1 & 0xFFFF, swapped + 1 & 0xFFFF
