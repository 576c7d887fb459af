"""The servers and resolvers of a scenario in virtual time: what stands at the far end of the network.

What they say is decided in servers/answers.py, for them as for the real servers behind a device.
"""

import struct

from netprobe.sim import packet as ip
from netprobe.sim import wirebytes
from netprobe.sim.clockwork import Clockwork, Timer
from netprobe.sim.middlebox import query_name
from netprobe.sim.network import DNS_PORT, SERVERS, Delivery
from netprobe.sim.packet import Packet
from netprobe.sim.records import Resolver, Scenario
from netprobe.sim.replies import echo_reply, refusal
from netprobe.sim.servers import answers
from netprobe.sim.servers.answers import FORWARDER_ATTEMPTS_S, Records
from netprobe.sim.tcp import Tcp
from netprobe.sim.website import Website

HTTP_PORT, HTTPS_PORT = 80, 443
_CHALLENGE_S = 0.5  # Linux's tcp_invalid_ratelimit

_Flow = tuple[str, int, str, int]


class Machines:
    """Everything beyond the network. `wall_clock_s` is Unix time at the start."""

    def __init__(self, scenario: Scenario, wall_clock_s: float, seed: int = 0) -> None:
        self.scenario = scenario
        self.seed = seed
        self.wall_clock_s = wall_clock_s
        self.clock: Clockwork
        self._servers = {address: server for server in scenario.servers for address in server.addresses}
        self._resolvers = {resolver.address: resolver for resolver in scenario.resolvers}
        self._connections: dict[_Flow, Tcp] = {}
        self._challenged: dict[_Flow, float] = {}
        self._forwarded: dict[int, _Forwarded] = {}
        self._counter = 0

    def receive(self, delivery: Delivery) -> None:
        """A packet has come out on the servers' side."""
        packet = delivery.packet
        if packet.protocol == ip.ICMP:
            self._icmp(packet)
        elif packet.protocol == ip.TCP:
            self._tcp(packet)
        elif packet.protocol == ip.UDP:
            self._udp(packet)

    def number(self) -> int:
        """A number that was not used before."""
        self._counter += 1
        return self._counter

    def drop(self, flow: _Flow) -> None:
        """A connection is over."""
        self._connections.pop(flow, None)

    def _icmp(self, packet: Packet) -> None:
        if packet.is_error:
            self._icmp_error(packet)
        elif packet.icmp_type == ip.ECHO:
            self.clock.send(echo_reply(packet, self._ttl(packet.destination)), SERVERS)

    def _icmp_error(self, error: Packet) -> None:
        """Somebody on the way says what became of a segment of ours."""
        try:
            quote = error.quoted()
        except ValueError:
            return
        flow = (quote.destination, quote.destination_port, quote.source, quote.source_port)
        connection = self._connections.get(flow)
        if quote.protocol == ip.TCP and connection is not None:
            connection.icmp_error(error)

    def _ttl(self, address: str) -> int:
        server = self._servers.get(address)
        return server.initial_ttl if server else 64

    def _tcp(self, packet: Packet) -> None:
        flow = (packet.source, packet.source_port, packet.destination, packet.destination_port)
        connection = self._connections.get(flow)
        if packet.flags & (ip.SYN | ip.ACK | ip.RST) == ip.SYN:
            if connection is None:
                self._syn(packet, flow)
            elif connection.state == "syn-received" and packet.seq == connection.peer_isn:
                connection.receive(packet)
            elif self.clock.now - self._challenged.get(flow, -1.0) >= _CHALLENGE_S:
                self._challenged[flow] = self.clock.now
                connection.challenge()
        elif connection is not None:
            connection.receive(packet)
        elif not packet.flags & ip.RST:
            self._refuse(packet)

    def _syn(self, packet: Packet, flow: _Flow) -> None:
        server = self._servers.get(packet.destination)
        port = packet.destination_port
        service: Website | _Listener
        if server is not None and server.serves and port in {HTTP_PORT, HTTPS_PORT}:
            service = Website(self, server, flow, tls=port == HTTPS_PORT)
        elif port == DNS_PORT and packet.destination in self._resolvers:
            service = _Listener(self, flow)
        else:
            self._refuse(packet)
            return
        iss = (self.number() * 2654435761) & 0xFFFFFFFF
        ttl = self._ttl(packet.destination)
        connection = Tcp(self.clock, SERVERS, (flow[2], flow[3]), (flow[0], flow[1]), iss, service, ttl=ttl)
        service.connection = self._connections[flow] = connection
        connection.accept(packet)

    def _refuse(self, packet: Packet) -> None:
        self.clock.send(refusal(packet, self._ttl(packet.destination)), SERVERS)

    # --- DNS

    def _udp(self, packet: Packet) -> None:
        resolver = self._resolvers.get(packet.destination)
        if resolver is None or packet.destination_port != DNS_PORT:
            error = packet.error(
                packet.destination,
                ip.UNREACHABLE,
                ip.PORT_UNREACHABLE,
                ttl=self._ttl(packet.destination),
                arrived_ttl=packet.ttl,
            )
            self.clock.send(error, SERVERS)
        elif packet.payload[2:3] >= b"\x80":  # QR: an answer, to a question that a forwarder asked
            self._answered(packet)
        elif len(packet.payload) > 12:  # a DNS header
            thinking_s = answers.thinking_s(self.scenario, resolver, query_name(packet.payload), self.clock.now)
            self.clock.at(self.clock.now + thinking_s, lambda: self._think(resolver, packet))

    def _think(self, resolver: Resolver, packet: Packet) -> None:
        name, now = query_name(packet.payload), self.clock.now
        if answers.mute(self.scenario, resolver, now):
            return
        if wirebytes.is_internet(packet.payload):
            records = answers.tampered(self.scenario, resolver, name, now)
        else:
            records = Records("REFUSED")
        if records is None and resolver.upstream:
            forwarded = _Forwarded(self, resolver, packet, self.number() & 0xFFFF)
            self._forwarded[forwarded.number] = forwarded
            forwarded.ask()
            return
        records = records or answers.resolve(self.scenario, name)
        if records.rcode:
            self.reply(packet, records)

    def reply(self, query: Packet, records: Records) -> None:
        """Answer a question."""
        self.send_udp(query.destination, query.source, query.source_port, wirebytes.dns_answer(query.payload, records))

    def send_udp(self, source: str, destination: str, port: int, payload: bytes) -> None:
        """A datagram from port 53."""
        self.clock.send(
            Packet(
                source,
                destination,
                protocol=ip.UDP,
                source_port=DNS_PORT,
                destination_port=port,
                ttl=self._ttl(source),
                payload=payload,
            ),
            SERVERS,
        )

    def resolver_address(self, name: str) -> str:
        """The address of the resolver called `name`."""
        return next(resolver.address for resolver in self.scenario.resolvers if resolver.name == name)

    def forget(self, number: int) -> None:
        """A forwarded question is over."""
        self._forwarded.pop(number, None)

    def _answered(self, packet: Packet) -> None:
        (number,) = struct.unpack_from("!H", packet.payload)
        forwarded = self._forwarded.pop(number, None)
        if forwarded is not None:
            forwarded.answered(packet)


class _Forwarded:
    """A question that a resolver has passed on to its upstream."""

    def __init__(self, machines: Machines, resolver: Resolver, query: Packet, number: int) -> None:
        self.number = number
        self._machines = machines
        self._query = query
        self._upstream = machines.resolver_address(resolver.upstream)
        self._attempts = list(FORWARDER_ATTEMPTS_S)
        self._timer: Timer | None = None

    def ask(self) -> None:
        """Ask, and again when nothing comes; SERVFAIL in the end."""
        machines = self._machines
        if not self._attempts:
            machines.forget(self.number)
            machines.reply(self._query, Records("SERVFAIL"))
            return
        payload = struct.pack("!H", self.number) + self._query.payload[2:]
        machines.send_udp(self._query.destination, self._upstream, DNS_PORT, payload)
        self._timer = machines.clock.at(machines.clock.now + self._attempts.pop(0), self.ask)

    def answered(self, answer: Packet) -> None:
        """Hand the upstream's answer on."""
        if self._timer is not None:
            self._timer.cancel()
        query = self._query
        payload = query.payload[:2] + answer.payload[2:]
        self._machines.send_udp(query.destination, query.source, query.source_port, payload)


class _Listener:
    """An open port: a resolver's TCP. It takes connections; questions come over UDP."""

    def __init__(self, machines: Machines, flow: _Flow) -> None:
        self.connection: Tcp
        self._machines = machines
        self._flow = flow

    def connected(self) -> None:
        """The client speaks first."""

    def received(self, data: bytes) -> None:
        """Answers of a scenario fit into a datagram, so no client of ours asks here."""

    def ended(self, how: str, by: Packet | None) -> None:
        """Forget it."""
        del how, by
        self._machines.drop(self._flow)
