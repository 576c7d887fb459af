"""Packets that are sent one at a time and what comes back: Flow, Probe, Reply, Exchange, and the facts made of them."""

import math
from enum import StrEnum

from netprobe.model.record import Fact, Record
from netprobe.model.replies import Change, Interface, TcpHeader
from netprobe.model.unsent import PASSING


class Protocol(StrEnum):
    """What a probe is made of."""

    ICMP = "icmp"
    TCP = "syn"
    ACK = "ack"
    UDP = "udp"
    QUIC = "quic"


class Flow(Record, frozen=True):
    """What a load balancer sees as one conversation (RFC 6438's five-tuple, with the local half left to the vantage).

    `destination` is an address in text, IPv4 or IPv6. `port` is the destination port (0 for ICMP). `label` tells
    parallel flows to one destination apart: the vantage maps it to a source port, or to an ICMP identifier. `tos` is
    the byte of DSCP (the upper six bits, RFC 2474) and ECN (RFC 3168); there are load balancers that hash it.
    """

    protocol: Protocol
    destination: str
    port: int = 0
    label: int = 0
    tos: int = 0

    def labelled(self, label: int) -> "Flow":
        """A flow that differs in its label only."""
        return Flow(self.protocol, self.destination, self.port, label, self.tos)


class Probe(Record, frozen=True):
    """One packet to send: a TTL-limited member of a flow.

    `size` is the IP packet's in bytes (of ICMP and UDP; a SYN carries nothing), 0 for the smallest that has all by
    which a reply is known. `fill` is the byte that fills it up.
    """

    flow: Flow
    ttl: int = 64
    sequence: int = 0
    size: int = 0
    fill: int = 0


class ReplyKind(StrEnum):
    """What kind of message answered, decided by its type and never by its source address."""

    ECHO_REPLY = "echo_reply"
    TIME_EXCEEDED = "time_exceeded"
    UNREACHABLE = "unreachable"
    SYN_ACK = "syn_ack"
    RST = "rst"
    ACK = "ack"
    UDP_DATA = "udp_data"
    SEND_FAILED = "send_failed"


#: Messages that only the destination itself sends: they end a path.
FROM_DESTINATION = frozenset(
    {ReplyKind.ECHO_REPLY, ReplyKind.SYN_ACK, ReplyKind.RST, ReplyKind.ACK, ReplyKind.UDP_DATA}
)


class Reply(Record, frozen=True):
    """One message that answers a probe.

    `source` is the address that sent it; `rtt_s` lies between the kernel's stamps where there are any; `ttl` is the TTL
    on arrival. `icmp_type`/`icmp_code` are -1 for anything but ICMP, and ICMPv6's own numbers in IPv6. `quoted_ttl` and
    `quoted_tos` come from the header that an ICMP error quotes (-1: no quote). `mpls` holds the label stack entries of
    RFC 4950 as (label, class, bottom, ttl). `error` is the errno's name (`EPERM`, `ENETUNREACH`) when the probe never
    left, with `kind` SEND_FAILED. `mtu` is the next hop's, as "fragmentation needed" tells it (RFC 1191); 0 when nobody
    told. `tcp` is a segment's header. `changes` is what the quote shows of our
    packet otherwise than it left, apart from what routers are known to garble in quotes; `interfaces` are those of
    RFC 5837, `unknown_objects` counts the extension objects (RFC 4884) that nobody here can read. `quoted_bytes` is how
    much of our packet the quote has.
    """

    kind: ReplyKind
    source: str
    rtt_s: float
    ttl: int = -1
    icmp_type: int = -1
    icmp_code: int = -1
    quoted_ttl: int = -1
    quoted_tos: int = -1
    ip_id: int = -1
    mpls: tuple[tuple[int, int, int, int], ...] = ()
    error: str = ""
    mtu: int = 0
    tcp: TcpHeader | None = None
    changes: tuple[Change, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    unknown_objects: int = 0
    quoted_bytes: int = 0
    dropped_locally: bool = False

    @property
    def from_destination(self) -> bool:
        """Whether only the destination itself (or somebody who forges it) sends such a message."""
        return self.kind in FROM_DESTINATION or (
            self.kind is ReplyKind.UNREACHABLE and (self.icmp_type, self.icmp_code) in _HOST_UNREACHABLES
        )


ICMP_UNREACHABLE = 3
#: RFC 792: protocol and port unreachable come from the host itself; RFC 4443: port unreachable and unknown next header.
_HOST_UNREACHABLES = frozenset({(ICMP_UNREACHABLE, 2), (ICMP_UNREACHABLE, 3), (1, 4), (4, 1)})

#: After so many seconds at the least a SYN or SYN-ACK is sent again (RFC 6298, 2.1), less what round trips differ by.
RETRANSMITTED_S = 0.95
_MOST_LATER = 7  # replies to one probe after the first


class Exchange(Record, frozen=True):
    """One probe and the first reply to it, None when none came in time. `sent_s` is the vantage's clock.

    `later` are further replies in order of arrival: packets that a network has doubled, or answers that contradict.
    """

    ttl: int
    sequence: int
    sent_s: float
    reply: Reply | None = None
    later: tuple[Reply, ...] = ()

    def answered_by(self, reply: Reply) -> "Exchange":
        """The same exchange with `reply`, which has just come.

        One that said too early that the probe did not leave makes room.
        """
        if self.reply is None or self.reply.error in PASSING:
            return Exchange(self.ttl, self.sequence, self.sent_s, reply)
        return Exchange(self.ttl, self.sequence, self.sent_s, self.reply, (*self.later, reply)[:_MOST_LATER])


class Hop(Record, frozen=True, omit_defaults=True, cache_hash=True):
    """The exchanges at one TTL of one flow.

    With `shared_from` it was not asked on this path, but taken over from the path to that address, which shares it.
    """

    ttl: int
    exchanges: tuple[Exchange, ...]
    shared_from: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Who answered here, each once, in order of appearance."""
        return tuple(dict.fromkeys(x.reply.source for x in self.exchanges if x.reply and x.reply.source))

    @property
    def lost(self) -> int:
        """Probes without a reply."""
        return sum(x.reply is None for x in self.exchanges)


class Path(Fact, frozen=True, tag="path"):
    """A traceroute: hops in order of TTL, from 1 unless it was to begin later, silent ones kept.

    `rtt_s` is the destination's best round trip.
    """

    flow: Flow
    hops: tuple[Hop, ...]
    reached: bool
    rtt_s: float | None = None
    probes_sent: int = 0

    @property
    def last_responding(self) -> Hop | None:
        """The farthest hop that answered: a lower bound of where packets die, because the way back is unseen."""
        return next((hop for hop in reversed(self.hops) if hop.addresses), None)


class Train(Fact, frozen=True, tag="train"):
    """Probes at full TTL to one destination: an ICMP echo series or a TCP SYN train (a fresh flow for each SYN)."""

    protocol: Protocol
    destination: str
    port: int
    exchanges: tuple[Exchange, ...]

    @property
    def answered(self) -> int:
        """Probes that the destination itself answered."""
        return sum(1 for x in self.exchanges if x.reply and x.reply.from_destination)

    @property
    def in_turn(self) -> tuple[float | None, ...]:
        """Round trips in seconds of each probe in turn, None of those that the destination did not answer at once.

        A SYN-ACK that comes RETRANSMITTED_S after the quickest was sent again: the first one was lost.
        """
        rtts = [x.reply.rtt_s if x.reply and x.reply.from_destination else math.inf for x in self.exchanges]
        late_s = min(rtts, default=0.0) + (RETRANSMITTED_S if self.protocol is Protocol.TCP else math.inf)
        return tuple(rtt if rtt < late_s else None for rtt in rtts)

    @property
    def in_time(self) -> tuple[float, ...]:
        """Round trips in seconds, in order, of what the destination answered at once."""
        return tuple(rtt for rtt in self.in_turn if rtt is not None)

    @property
    def lost(self) -> int:
        """Probes that were lost on the way, or whose answers were."""
        return len(self.exchanges) - len(self.in_time)

    @property
    def accepted(self) -> int:
        """Probes that were answered by an echo reply or a SYN-ACK: the service is there."""
        good = (ReplyKind.ECHO_REPLY, ReplyKind.SYN_ACK)
        return sum(1 for x in self.exchanges if x.reply and x.reply.kind in good)


class Vertex(Record, frozen=True):
    """An address that answered at one TTL, and the labels of the flows that it answered."""

    ttl: int
    address: str
    flows: tuple[int, ...]


class Branch(Record, frozen=True):
    """A way from `near` at the TTL before to `far` at `ttl`: at least one flow was answered by both."""

    ttl: int
    near: str
    far: str


class Multipath(Fact, frozen=True, tag="multipath"):
    """The paths of many flows to one destination, as a graph in order of TTL.

    `flow` is what the flows have in common; they differ in their labels. A TTL without a vertex is silent. At the TTLs
    of `per_packet` one flow drew different addresses, so that flows tell nothing about which way leads where: there are
    no branches to or from there. `complete`: the stopping rule was met for each vertex whose successors answer at
    all. `unanswered` counts the probes without a reply, of `probes_sent`; `hops` have all probes by TTL, over
    all flows.
    """

    flow: Flow
    vertices: tuple[Vertex, ...]
    branches: tuple[Branch, ...]
    per_packet: tuple[int, ...]
    reached: bool
    complete: bool
    probes_sent: int
    unanswered: int
    hops: tuple[Hop, ...] = ()

    def at(self, ttl: int) -> tuple[str, ...]:
        """The addresses at `ttl`, each once."""
        return tuple(vertex.address for vertex in self.vertices if vertex.ttl == ttl)


class FlowTally(Record, frozen=True):
    """How often the flow of `label` was asked, and how often the destination answered it."""

    label: int
    sent: int
    answered: int


class FlowTest(Fact, frozen=True, tag="flow_test"):
    """Flows to one destination that differ in their labels only, each asked several times, in order of their labels.

    Loss hits all of them alike; a dead branch of a load balancer takes all of one flow and nothing of another.
    """

    flow: Flow
    flows: tuple[FlowTally, ...]


class RatePhase(Record, frozen=True):
    """Probes that left at `rate` a second, and how many of them were answered."""

    rate: float
    sent: int
    answered: int


class RateTest(Fact, frozen=True, tag="rate_test"):
    """One hop asked at several rates, in order of time. `ttl` 64 asks the destination itself.

    The phases count from the first unanswered probe on: until then a limiter may have lived on its savings.
    `probes_sent` has all of them.
    """

    flow: Flow
    ttl: int
    phases: tuple[RatePhase, ...]
    probes_sent: int


class Sized(Record, frozen=True):
    """The exchange of a probe of `size` bytes (the IP packet's) that must not be fragmented."""

    size: int
    exchange: Exchange


class BlackHole(Record, frozen=True):
    """Packets of `size` bytes die without a word behind `near`, the last to answer them, and before `far`.

    Each is (TTL, address); `far` is the first that answers small packets only.
    """

    size: int
    near: tuple[int, str]
    far: tuple[int, str]


class PathMtu(Fact, frozen=True, tag="path_mtu"):
    """What sizes get to a destination. `mtu` is the largest that was answered, 0 when none was.

    `told` are the routers that said "fragmentation needed" and the MTU they gave (0 when they gave none), in order.
    """

    flow: Flow
    mtu: int
    told: tuple[tuple[str, int], ...]
    black_hole: BlackHole | None
    exchanges: tuple[Sized, ...]
