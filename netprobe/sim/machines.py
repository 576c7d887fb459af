"""The servers and resolvers of a scenario in virtual time: what stands at the far end of the network.

What they say is decided in servers/answers.py, for them as for the real servers behind a device.
"""

from netprobe.sim import packet as ip
from netprobe.sim.balancing import hash_of
from netprobe.sim.clockwork import Clockwork
from netprobe.sim.desks import TLS_PORT
from netprobe.sim.nameserver import Nameservers, Stream
from netprobe.sim.network import DNS_PORT, SERVERS, Delivery
from netprobe.sim.packet import Packet
from netprobe.sim.quic import headers
from netprobe.sim.quic.server import QuicServers
from netprobe.sim.records import Scenario
from netprobe.sim.replies import echo_reply, refusal
from netprobe.sim.servers import answers
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
        self._resolvers = {address: resolver for resolver in scenario.resolvers for address in resolver.addresses}
        self._connections: dict[_Flow, Tcp] = {}
        self._challenged: dict[_Flow, float] = {}
        self._nameservers = Nameservers(self)
        self._quic = QuicServers(self)
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

    def add(self, flow: _Flow, connection: Tcp) -> None:
        """A connection that was made from here: what comes for it is known by `flow`."""
        self._connections[flow] = connection

    def drop(self, flow: _Flow) -> None:
        """A connection is over."""
        self._connections.pop(flow, None)

    def _icmp(self, packet: Packet) -> None:
        if packet.is_error:
            self._icmp_error(packet)
        elif packet.icmp_type == ip.ECHO:
            self.clock.send(echo_reply(packet, self.ttl(packet.destination)), SERVERS)

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

    def ttl(self, address: str) -> int:
        """The initial TTL of who has `address`."""
        server = self._servers.get(address)
        return server.initial_ttl if server else 64

    def _tcp(self, packet: Packet) -> None:
        flow = (packet.source, packet.source_port, packet.destination, packet.destination_port)
        connection = self._connections.get(flow)
        if packet.flags & (ip.SYN | ip.ACK | ip.RST) == ip.SYN:
            if connection is None or connection.stateless:
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
        service: Website | Stream
        resolver = self._resolvers.get(packet.destination)
        secure = {HTTPS_PORT, TLS_PORT} if resolver else {HTTPS_PORT}
        if server is not None and server.serves and port in {HTTP_PORT, *secure}:
            asked = self._nameservers.over_stream(resolver) if resolver and port in secure else None
            service = Website(self, server, flow, tls=port in secure, asked=asked)
        elif port == DNS_PORT and resolver is not None:
            service = Stream(self._nameservers, resolver, flow)
        else:
            self._refuse(packet)
            return
        cookie = server is not None and port != DNS_PORT and answers.cookies(self.scenario, server, self.clock.now)
        # A cookie is a function of what it is for: whoever repeats a SYN gets it again.
        iss = hash_of(f"{flow}/{packet.seq}") if cookie else (self.number() * 2654435761) & 0xFFFFFFFF
        ttl = self.ttl(packet.destination)
        connection = Tcp(self.clock, SERVERS, (flow[2], flow[3]), (flow[0], flow[1]), iss, service, ttl=ttl)
        service.connection = self._connections[flow] = connection
        connection.accept(packet, cookie=cookie)

    def _refuse(self, packet: Packet) -> None:
        self.clock.send(refusal(packet, self.ttl(packet.destination)), SERVERS)

    def _udp(self, packet: Packet) -> None:
        resolver = self._resolvers.get(packet.destination)
        if resolver is not None and packet.destination_port == DNS_PORT:
            self._nameservers.receive(resolver, packet)
            return
        server = self._servers.get(packet.destination)
        if server is not None and server.quic and packet.destination_port == headers.PORT:
            self._quic.receive(server, packet)
            return
        error = packet.error(
            packet.destination,
            ip.UNREACHABLE,
            ip.PORT_UNREACHABLE,
            ttl=self.ttl(packet.destination),
            arrived_ttl=packet.ttl,
        )
        self.clock.send(error, SERVERS)
