"""The resolvers of a scenario in virtual time: questions by UDP and TCP, answered or passed on.

What they say is decided in servers/answers.py, for them as for the real resolvers behind a device.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from netprobe.sim import packet as ip
from netprobe.sim import wirebytes
from netprobe.sim.clockwork import Clockwork, Timer
from netprobe.sim.desks import Ask, PrefixedDesk
from netprobe.sim.middlebox import query_name
from netprobe.sim.network import DNS_PORT, SERVERS
from netprobe.sim.packet import Packet
from netprobe.sim.records import Resolver, Scenario
from netprobe.sim.servers import answers
from netprobe.sim.servers.answers import FORWARDER_ATTEMPTS_S, Records
from netprobe.sim.tcp import Tcp

_HEADER_BYTES = 12
_FIRST_PORT = 40000  # of a forwarder's own connections
_PORTS = 20000

_Flow = tuple[str, int, str, int]


class Place(Protocol):
    """Where resolvers stand."""

    scenario: Scenario
    clock: Clockwork

    def number(self) -> int:
        """A number that was not used before."""

    def ttl(self, address: str) -> int:
        """The initial TTL of who has `address`."""

    def add(self, flow: _Flow, connection: Tcp) -> None:
        """A connection that was made from here: what comes for it is known by `flow`."""

    def drop(self, flow: _Flow) -> None:
        """A connection is over."""


@dataclass(slots=True, frozen=True)
class Question:
    """What was asked of `resolver`, and the way back to who asked; `stream` is TCP."""

    resolver: Resolver
    wire: bytes
    reply: Callable[[bytes], None]
    stream: bool = False

    @property
    def name(self) -> str:
        """The name that it is about."""
        return query_name(self.wire)


class Nameservers:
    """All resolvers of a scenario."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._addresses = {resolver.name: resolver.address for resolver in place.scenario.resolvers}
        self._forwarded: dict[int, _Forwarded] = {}

    def receive(self, resolver: Resolver, packet: Packet) -> None:
        """A datagram for `resolver`."""
        if packet.payload[2:3] >= b"\x80":  # QR: an answer, to a question that a forwarder asked
            forwarded = self._forwarded.pop(int.from_bytes(packet.payload[:2]), None)
            if forwarded is not None:
                forwarded.answered(packet.payload)
            return

        def reply(wire: bytes) -> None:
            self.send(packet.destination, packet.source, packet.source_port, wire)

        self.ask(Question(resolver, packet.payload, reply))

    def ask(self, question: Question) -> None:
        """Answer a question after the resolver's thinking time."""
        if len(question.wire) > _HEADER_BYTES:
            clock, scenario = self.place.clock, self.place.scenario
            thinking_s = answers.thinking_s(scenario, question.resolver, question.name, clock.now)
            clock.at(clock.now + thinking_s, lambda: self._think(question))

    def over_stream(self, resolver: Resolver) -> Ask:
        """How `resolver` is asked over connections."""
        return lambda wire, reply: self.ask(Question(resolver, wire, reply, stream=True))

    def _think(self, question: Question) -> None:
        scenario, now, resolver = self.place.scenario, self.place.clock.now, question.resolver
        if answers.mute(scenario, resolver, now):
            return
        if wirebytes.is_internet(question.wire):
            records = answers.tampered(scenario, resolver, question.name, now)
        else:
            records = Records("REFUSED")
        if records is None and resolver.upstream:
            self._forward(question)
            return
        records = records or answers.own_word(scenario, resolver, question.name)
        subnet = wirebytes.subnet_of(question.wire) if resolver.ecs else None
        records = records or answers.resolve(
            scenario, question.name, answers.asker(resolver, subnet[0] if subnet else "")
        )
        if records.rcode:
            self.answer(question, wirebytes.dns_answer(question.wire, records, subnet))

    def answer(self, question: Question, wire: bytes) -> None:
        """Send an answer, or that it is too long for a datagram (RFC 2181, 9)."""
        if not question.stream:
            scenario, now = self.place.scenario, self.place.clock.now
            cut = answers.truncates(scenario, question.resolver, question.name, now)
            if cut or len(wire) > wirebytes.DATAGRAM_BYTES:
                wire = wirebytes.truncated(wire)
        question.reply(wire)

    def send(self, source: str, destination: str, port: int, payload: bytes) -> None:
        """A datagram from port 53."""
        packet = Packet(
            source,
            destination,
            protocol=ip.UDP,
            source_port=DNS_PORT,
            destination_port=port,
            ttl=self.place.ttl(source),
            payload=payload,
        )
        self.place.clock.send(packet, SERVERS)

    def _forward(self, question: Question) -> None:
        upstream = self._addresses[question.resolver.upstream]
        if question.stream:
            _ForwardedByTcp(self, question, upstream)
            return
        forwarded = _Forwarded(self, question, upstream, self.place.number() & 0xFFFF)
        self._forwarded[forwarded.number] = forwarded
        forwarded.ask()

    def forget(self, number: int) -> None:
        """A forwarded question is over."""
        self._forwarded.pop(number, None)

    def fail(self, question: Question) -> None:
        """The upstream has not answered."""
        self.answer(question, wirebytes.dns_answer(question.wire, Records("SERVFAIL")))


class _Forwarded:
    """A question that a resolver has passed on to its upstream."""

    def __init__(self, servers: Nameservers, question: Question, upstream: str, number: int) -> None:
        self.number = number
        self._servers = servers
        self._question = question
        self._upstream = upstream
        self._attempts = list(FORWARDER_ATTEMPTS_S)
        self._timer: Timer | None = None

    def ask(self) -> None:
        """Ask, and again when nothing comes; SERVFAIL in the end."""
        servers, clock = self._servers, self._servers.place.clock
        if not self._attempts:
            servers.forget(self.number)
            servers.fail(self._question)
            return
        payload = struct.pack("!H", self.number) + self._question.wire[2:]
        servers.send(self._question.resolver.address, self._upstream, DNS_PORT, payload)
        self._timer = clock.at(clock.now + self._attempts.pop(0), self.ask)

    def answered(self, wire: bytes) -> None:
        """Hand the upstream's answer on."""
        if self._timer is not None:
            self._timer.cancel()
        self._servers.answer(self._question, self._question.wire[:2] + wire[2:])


class _ForwardedByTcp:
    """A question that came over a connection, and goes on to the upstream over another one."""

    def __init__(self, servers: Nameservers, question: Question, upstream: str) -> None:
        self._servers = servers
        self._question = question
        self._buffer = b""
        self._over = False
        place = servers.place
        number, own = place.number(), question.resolver.address
        port = _FIRST_PORT + number % _PORTS
        self._flow = (upstream, DNS_PORT, own, port)
        iss = (number * 2654435761) & 0xFFFFFFFF
        self._tcp = Tcp(place.clock, SERVERS, (own, port), (upstream, DNS_PORT), iss, self, ttl=place.ttl(own))
        place.add(self._flow, self._tcp)
        place.clock.at(place.clock.now + sum(FORWARDER_ATTEMPTS_S), self._fail)
        self._tcp.connect()

    def connected(self) -> None:
        """Ask."""
        self._tcp.send(wirebytes.with_length(self._question.wire))

    def received(self, data: bytes) -> None:
        """Hand a whole answer on."""
        self._buffer += data
        found = wirebytes.split_message(self._buffer)
        if found is not None and not self._over:
            self._over = True
            self._tcp.close()
            self._servers.place.drop(self._flow)
            self._servers.answer(self._question, found[0])

    def ended(self, how: str, by: Packet | None) -> None:
        """The upstream hangs up."""
        del how, by
        self._servers.place.drop(self._flow)
        self._fail()

    def _fail(self) -> None:
        if not self._over:
            self._over = True
            self._tcp.abort()
            self._servers.place.drop(self._flow)
            self._servers.fail(self._question)


class Stream:
    """One connection to a resolver: questions and answers, each behind its length (RFC 1035, 4.2.2)."""

    def __init__(self, servers: Nameservers, resolver: Resolver, flow: _Flow) -> None:
        self.connection: Tcp
        self._servers = servers
        self._flow = flow
        self._desk = PrefixedDesk(servers.over_stream(resolver), self._say)

    def connected(self) -> None:
        """The client speaks first."""

    def received(self, data: bytes) -> None:
        """Take whole questions."""
        self._desk.received(data)

    def ended(self, how: str, by: Packet | None) -> None:
        """Forget it."""
        del how, by
        self._servers.place.drop(self._flow)

    def _say(self, data: bytes) -> None:
        if self.connection.state == "established":
            self.connection.send(data)
