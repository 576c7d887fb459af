"""A simulated network in virtual time, behind the port of a real one: a vantage that never waits.

Probes are packets of the client; lookups and connections are conversations over packets of the same network. What the
own kernel does is modelled too: RSTs to answers that nobody expects, and what becomes of packets that cannot leave.
"""

import random
from collections import deque
from typing import Any

from netprobe.capture import Capture
from netprobe.capture import Packet as Captured
from netprobe.model.host import Inspect
from netprobe.model.probes import Probe, Reply, ReplyKind
from netprobe.model.services import (
    Answer,
    Fetch,
    Handshake,
    Handshaken,
    Lookup,
    QuicHandshake,
    QuicHandshaken,
    Response,
    Transport,
)
from netprobe.probing.port import Event, Outcome, Over, Request, Usage
from netprobe.sim import ipv6, own_kernel, probes
from netprobe.sim import packet as ip
from netprobe.sim.cards import Card, Cards
from netprobe.sim.clockwork import Clockwork
from netprobe.sim.conversations import Conversation
from netprobe.sim.extensions import interfaces_of, labels_of
from netprobe.sim.lookup import Question
from netprobe.sim.lookup_stream import StreamedQuestion
from netprobe.sim.machines import Machines
from netprobe.sim.middlebox import Matcher
from netprobe.sim.network import SERVERS, Delivery, Network
from netprobe.sim.packet import Packet
from netprobe.sim.quic import headers
from netprobe.sim.quic.client import QuicConversation
from netprobe.sim.records import Scenario
from netprobe.sim.replies import refusal
from netprobe.sim.routing import CLIENT
from netprobe.sim.tcp import header_of, ip_id_of
from netprobe.sim.turns import Turns

WALL_CLOCK_S = 1_795_348_800.0  # 2026-11-22 12:00:00 UTC: when every virtual world begins
_FIRST_CONVERSATION_PORT = 52000
_FOREVER = float("inf")


class VirtualVantage:
    """Measure in `scenario` as `seed` makes it; its clock starts at 0 and moves only in `receive`."""

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        self._scenario = scenario
        cards = Cards(scenario)
        self._own = frozenset(address for card in cards.all for address in card.own)
        self._turns = Turns(scenario)
        self._late: list[float] = []  # each waking, since somebody looked
        self._machines = Machines(scenario, WALL_CLOCK_S, seed)
        self._draw = random.Random(f"{seed}/client")  # a model, not a secret
        self._network = Network(scenario, seed)
        self._clock = self._machines.clock = Clockwork(self._network, cards, self._deliver)
        self._kernel = own_kernel.OwnKernel(scenario, cards, self._network, self._clock, WALL_CLOCK_S)
        self._events: deque[Event] = deque()
        self._tokens = 0
        self._ports = _FIRST_CONVERSATION_PORT
        self._probes: dict[probes.Key, tuple[int, float]] = {}  # token and when it was sent
        self._questions: dict[int, Question | QuicConversation] = {}  # over datagrams, by local port
        self._conversations: dict[int, Conversation] = {}
        self._firewall = [(fault, Matcher(fault.match)) for fault in scenario.faults if fault.kind == "firewall"]
        self._dropping = False  # the packet that is being delivered is dropped by the client's own firewall
        self._packets = 0
        self._bytes = 0

    # --- the port

    def now(self) -> float:
        """Virtual seconds since the network's start."""
        return self._clock.now

    def send(self, request: Request) -> int:
        """Start `request` and return the token that its events will carry."""
        self._tokens += 1
        token = self._tokens
        link = ""
        if isinstance(request, Over):
            link, request = request.link, request.request
        if isinstance(request, Inspect):
            self._emit(token, self._kernel.state(self._late))
            self._late = []
            return token
        address = own_kernel.destination(request)
        card = self._kernel.card(address, link)
        if card is None:
            self._emit(token, own_kernel.refused(request, own_kernel.trouble(address)))
            return token
        match request:
            case Probe():
                self._probe(request, token, card)
            case Lookup() if request.transport is Transport.UDP:
                self._lookup(request, token, card)
            case Handshake() | Fetch() | Lookup():
                self._converse(request, token, card)
            case QuicHandshake():
                self._shake(request, token, card)
        return token

    def receive(self, until: float) -> Event | None:
        """The next event, moving time on to it, or to `until`; None then."""
        began = self._clock.now
        while not self._events and self._clock.step(until):
            pass
        if not self._events and until != _FOREVER and until > self._clock.now:
            self._clock.now = until
        if self._turns and self._clock.now > began:
            self._wait_for_turn()
        return self._events.popleft() if self._events else None

    def _wait_for_turn(self) -> None:
        """A busy machine wakes this process later, and what comes meanwhile waits for it too."""
        due, wakes = self._clock.now, self._turns.wakes(self._clock.now)
        while self._clock.step(wakes):
            pass
        self._clock.now = wakes
        self._late.append(wakes - due)

    def record(self, capture: Capture | None) -> None:
        """Write what passes the client's card to `capture` from now on; None: no more."""

        def write(packet: Packet, at_s: float) -> None:
            if capture:
                capture.write([Captured(round((WALL_CLOCK_S + at_s) * 1e9), packet.to_bytes())])

        self._clock.watch = write if capture else None

    def usage(self) -> Usage:
        """What was sent since the vantage was made. Conversations are counted when they end."""
        return Usage(self._packets, self._bytes)

    def _emit(self, token: int, outcome: Outcome) -> None:
        self._events.append(Event(token, self._clock.now, outcome))

    # --- out

    def _probe(self, probe: Probe, token: int, card: Card) -> None:
        packet, keys = probes.build(probe, token, card.source(probe.flow.destination))
        now = self._clock.now
        if packet.size > card.mtu:  # a raw socket does not fragment
            self._emit(token, Reply(ReplyKind.SEND_FAILED, packet.source, 0.0, error="EMSGSIZE"))
            return
        for key in keys:
            self._probes[key] = (token, now)
        self._packets += 1
        self._bytes += packet.size
        self._clock.send(packet, CLIENT)

    def _lookup(self, lookup: Lookup, token: int, card: Card) -> None:
        port = self._new_port()

        def done(answer: Answer) -> None:
            question = self._questions.pop(port)
            self._count(question.packets_sent, question.bytes_sent)
            self._emit(token, answer)

        question = self._questions[port] = Question(
            self._clock, card.source(lookup.resolver), lookup, port, done, mtu=card.mtu
        )
        question.start()

    def _converse(self, request: Handshake | Fetch | Lookup, token: int, card: Card) -> None:
        port = self._new_port()

        def done(outcome: Handshaken | Response | Answer) -> None:
            conversation = self._conversations.pop(port)
            self._count(conversation.tcp.packets_sent, conversation.tcp.bytes_sent)
            self._emit(token, outcome)

        kind: Any = StreamedQuestion if isinstance(request, Lookup) else Conversation
        conversation: Conversation = kind(
            self._clock,
            (card.source(own_kernel.destination(request)), port),
            request,
            done,
            mtu=card.mtu,
            wall_clock_s=WALL_CLOCK_S,
            clock_ahead_s=self._scenario.client.clock_ahead_s,
            random=self._draw.randbytes(32),
        )
        self._conversations[port] = conversation
        conversation.start()

    def _shake(self, request: QuicHandshake, token: int, card: Card) -> None:
        port = self._new_port()

        def done(outcome: QuicHandshaken) -> None:
            self._questions.pop(port)
            self._count(conversation.packets_sent, conversation.bytes_sent)
            self._emit(token, outcome)

        conversation = self._questions[port] = QuicConversation(
            self._clock,
            (card.source(request.address), port),
            request,
            done,
            wall_clock_s=WALL_CLOCK_S,
            clock_ahead_s=self._scenario.client.clock_ahead_s,
            random=self._draw.randbytes(32),
        )
        conversation.start()

    def _new_port(self) -> int:
        self._ports = self._ports + 1 if self._ports < 65535 else _FIRST_CONVERSATION_PORT  # 16 bits
        return self._ports

    def _count(self, packets: int, size: int) -> None:
        self._packets += packets
        self._bytes += size

    # --- in

    def _deliver(self, delivery: Delivery) -> None:
        if delivery.node == SERVERS:
            self._machines.receive(delivery)
            return
        packet = delivery.packet
        if not self._kernel.owns(packet.destination):
            return
        self._dropping = bool(self._firewall) and packet.source not in self._own and self._drops(packet)
        if packet.is_error:
            self._icmp_error(packet)
        elif packet.protocol == ip.ICMP:
            kind = ReplyKind.ECHO_REPLY
            self._answer((ip.ICMP, "", packet.icmp_ident, packet.icmp_seq), kind, packet)
        elif packet.protocol == ip.UDP:
            question = self._questions.get(packet.destination_port)
            if question is None:
                number = headers.negotiated(packet.payload)
                self._answer((ip.UDP, packet.source, packet.destination_port, number), ReplyKind.UDP_DATA, packet)
            elif not self._dropping:
                question.receive(packet)
        elif packet.protocol == ip.TCP:
            self._segment(packet)

    def _drops(self, packet: Packet) -> bool:
        """Whether the client's own firewall keeps it from whom it is for; the tap on the wire has seen it."""
        now = self._clock.now
        return any(fault.active(now) and matcher.matches(packet) for fault, matcher in self._firewall)

    def _segment(self, packet: Packet) -> None:
        conversation = self._conversations.get(packet.destination_port)
        if conversation is not None:
            if self._dropping:
                return
            conversation.hear(packet)
            conversation.tcp.receive(packet)
            return
        question = self._questions.get(packet.destination_port)
        if question is not None and question.tcp is not None:
            if not self._dropping:
                question.tcp.receive(packet)
            return
        flow = (ip.TCP, packet.source, packet.destination_port)
        if packet.flags & ip.RST and (*flow, packet.seq) in self._probes:  # RFC 9293, 3.10.7.1: what an ACK draws
            self._answer((*flow, packet.seq), ReplyKind.RST, packet)
            return
        if not packet.flags & ip.ACK:
            return
        key = (*flow, (packet.ack - 1) & 0xFFFFFFFF)
        if packet.flags & ip.RST:
            kind = ReplyKind.RST
        elif packet.flags & ip.SYN:
            kind = ReplyKind.SYN_ACK
            if not self._dropping:
                self._clock.send(refusal(packet), CLIENT)  # the kernel knows of no connection (RFC 9293, 3.10.7.1)
        else:
            kind = ReplyKind.ACK
        self._answer(key, kind, packet)

    def _icmp_error(self, error: Packet) -> None:
        try:
            quote = error.quoted()
        except ValueError:
            return
        waiting = self._conversations.get(quote.source_port)
        question = self._questions.get(quote.source_port)
        if self._dropping and (waiting or question):
            return
        if quote.protocol == ip.TCP and waiting is not None:
            waiting.tcp.icmp_error(error)
            waiting.returned(self._reply(_kind(error), error, waiting.age_s, quote))
            return
        if question is not None and quote.protocol in {ip.UDP, ip.TCP}:
            if quote.protocol == ip.UDP:
                question.icmp_error(error)
            elif question.tcp is not None:
                question.tcp.icmp_error(error)
            return
        keys = probes.keys_of_quote(quote)
        key = next((key for key in keys if key in self._probes), keys[0])
        if error.source in self._own:
            self._not_sent(key, error.source)
            return
        self._answer(key, _kind(error), error, quote)

    def _not_sent(self, key: probes.Key, own: str) -> None:
        """The own kernel gives a probe back."""
        found = self._probes.get(key)
        if found is not None:
            token, sent_s = found
            rtt_s = self._clock.now - sent_s
            self._emit(token, Reply(ReplyKind.SEND_FAILED, own, rtt_s, error="EHOSTUNREACH"))

    def _answer(self, key: probes.Key, kind: ReplyKind, packet: Packet, quote: Packet | None = None) -> None:
        found = self._probes.get(key)
        if found is not None:
            token, sent_s = found
            self._emit(token, self._reply(kind, packet, self._clock.now - sent_s, quote))

    def _reply(self, kind: ReplyKind, packet: Packet, rtt_s: float, quote: Packet | None) -> Reply:
        """What `packet` says; an ICMP error brings the `quote` of ours."""
        icmp = _numbers(packet) if packet.protocol == ip.ICMP else (-1, -1)
        narrow = (packet.icmp_type, packet.icmp_code) == (ip.UNREACHABLE, ip.FRAGMENTATION_NEEDED)
        return Reply(
            kind=kind,
            source=packet.source,
            rtt_s=rtt_s,
            ttl=packet.ttl,
            icmp_type=icmp[0],
            icmp_code=icmp[1],
            quoted_ttl=quote.ttl if quote else -1,
            quoted_tos=quote.tos if quote else -1,
            ip_id=ip_id_of(packet),
            tcp=header_of(packet) if packet.protocol == ip.TCP else None,
            mpls=labels_of(packet) if packet.is_error else (),
            interfaces=interfaces_of(packet) if packet.is_error else (),
            mtu=packet.icmp_seq if narrow else 0,  # RFC 1191, 4; RFC 4443, 3.2
            dropped_locally=self._dropping,
        )


def _kind(error: Packet) -> ReplyKind:
    return ReplyKind.TIME_EXCEEDED if error.icmp_type == ip.TIME_EXCEEDED else ReplyKind.UNREACHABLE


def _numbers(message: Packet) -> tuple[int, int]:
    """Type and code of an ICMP message as they were on the wire."""
    numbers = (message.icmp_type, message.icmp_code)
    return ipv6.to_wire(*numbers) if ":" in message.source else numbers
