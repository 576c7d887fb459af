"""QUIC at the server's end in virtual time.

Initials are real, so that whoever reads them on the way sees what there is in life. What is protected by keys that
nobody on the way has is only as long as in life: what a server proves about itself goes in clear.
"""

from typing import Protocol

import msgspec

from netprobe.sim.balancing import hash_of
from netprobe.sim.clockwork import Clockwork, Timer
from netprobe.sim.middlebox import server_name
from netprobe.sim.network import SERVERS
from netprobe.sim.packet import Packet
from netprobe.sim.quic import headers, initial
from netprobe.sim.quic.hello import Hello
from netprobe.sim.quic.initial import Kind
from netprobe.sim.records import Scenario, Server
from netprobe.sim.replies import back_to
from netprobe.sim.servers import answers
from netprobe.sim.wirebytes import server_hello

REFUSED = 0x2  # RFC 9000, 20.1: CONNECTION_REFUSED
FLIGHT_BYTES = 2600  # EncryptedExtensions to Finished, with a chain of two ECDSA certificates
PROBE_S = 0.2  # RFC 9002, 6.2: after which what was not acknowledged is said again, and then twice as long
_ATTEMPTS = 5
_THINKING_S = 0.001  # one signature
_MOST = 4096  # connections that are remembered
_PIECE_HEADER = 3  # which piece of a flight, and of how many
_DONE = b"\x40" + bytes(40)  # a short header, and HANDSHAKE_DONE where nobody can read it

_Flow = tuple[str, int, str, int]


class Place(Protocol):
    """Where the servers stand."""

    scenario: Scenario
    seed: int
    clock: Clockwork


class QuicServers:
    """All servers' connections."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connections: dict[_Flow, _Connection] = {}

    def receive(self, server: Server, packet: Packet) -> None:
        """A datagram has come to the port of QUIC of `server`."""
        said = headers.negotiation(packet.payload)
        if said:
            self._place.clock.send(back_to(packet, ttl=server.initial_ttl, payload=said), SERVERS)
            return
        flow = (packet.source, packet.source_port, packet.destination, packet.destination_port)
        connection = self._connections.get(flow)
        if connection is None:
            begins = any(one.kind is Kind.INITIAL for one in initial.packets(packet.payload))
            if not begins or len(packet.payload) < headers.SMALLEST:
                return
            if len(self._connections) >= _MOST:
                del self._connections[next(iter(self._connections))]
            connection = self._connections[flow] = _Connection(self._place, server, packet)
        connection.receive(packet)


class _Connection:
    """One connection of `server`; `first` is the packet that began it."""

    def __init__(self, place: Place, server: Server, first: Packet) -> None:
        self._place = place
        self._server = server
        self._back = first
        self._flow = f"{place.seed}/{(first.source, first.source_port, first.destination, first.destination_port)}"
        self._hello = Hello()
        self._own = hash_of(self._flow).to_bytes(8)
        self._state = "hello"
        self._flight: list[bytes] = []
        self._timer: Timer | None = None

    def receive(self, packet: Packet) -> None:
        """What the client says, or says again."""
        kinds = {one.kind for one in initial.packets(packet.payload)}
        if self._state == "hello":
            self._listen(packet)
        elif self._state == "sent" and Kind.HANDSHAKE in kinds:
            self._state = "done"
            self._stop()
            self._say(_DONE)
        elif self._state == "sent" and Kind.INITIAL in kinds:
            for datagram in self._flight:
                self._say(datagram)

    def _listen(self, packet: Packet) -> None:
        unheard = not self._hello.seen
        self._hello.feed(packet.payload)
        if not self._hello.seen or (unheard and self._hang_up("accepted", "", packet)) or not self._hello.whole:
            return
        name = server_name(self._hello.begun)
        if self._hang_up("hello", name, packet):
            return
        self._state = "thinking"
        scenario, now = self._place.scenario, self._place.clock.now
        waits_s = _THINKING_S + answers.accept_s(scenario, self._server, now)
        self._place.clock.at(now + waits_s, lambda: self._answer(name, packet))

    def _answer(self, name: str, packet: Packet) -> None:
        """ServerHello to Finished."""
        shown = answers.certificate(self._place.scenario, self._server, name, self._place.clock.now)
        self._flight = list(flight(self._hello, packet.payload, self._own, msgspec.json.encode(shown)))
        self._state = "sent"
        self._repeat(0)

    def _repeat(self, attempt: int) -> None:
        for datagram in self._flight:
            self._say(datagram)
        if attempt < _ATTEMPTS:
            when = self._place.clock.now + PROBE_S * 2**attempt
            self._timer = self._place.clock.at(when, lambda: self._repeat(attempt + 1))

    def _hang_up(self, when: str, name: str, packet: Packet) -> bool:
        """End the connection at this moment if a fault wants that. Says whether."""
        scenario, now = self._place.scenario, self._place.clock.now
        fault = answers.hangup(scenario, self._server, when, name, self._flow, now)
        if fault is None:
            return False
        self._state = "over"
        if fault.how != "silence":
            self._say(farewell(packet.payload, self._hello, self._own, REFUSED))
        return True

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _say(self, datagram: bytes) -> None:
        self._place.clock.send(back_to(self._back, ttl=self._server.initial_ttl, payload=datagram), SERVERS)


def farewell(datagram: bytes, hello: Hello, own: bytes, code: int) -> bytes:
    """The Initial that ends a connection with the error `code`, as an answer to `datagram` of its client."""
    asked = next(one for one in initial.packets(datagram) if one.kind is Kind.INITIAL)
    keys = initial.initial_keys(asked.version, hello.connection, of_client=False)
    return initial.sealed(asked.version, (asked.source, own), 0, initial.close_frame(code).ljust(24, b"\0"), keys)


def flight(hello: Hello, datagram: bytes, own: bytes, proof: bytes) -> list[bytes]:
    """The datagrams of a server's first flight: an Initial, and `proof` in Handshake packets."""
    asked = next(one for one in initial.packets(datagram) if one.kind is Kind.INITIAL)
    ends = (asked.source, own)
    keys = initial.initial_keys(asked.version, hello.connection, of_client=False)
    said = initial.ack_frame(0) + initial.crypto_frame(0, server_hello(own * 4))
    lead = initial.sealed(asked.version, ends, 0, said, keys)
    room = headers.SMALLEST - len(initial.handshake_packet(asked.version, ends, b"")) - _PIECE_HEADER
    proof = proof.ljust(FLIGHT_BYTES)
    pieces = [proof[: room - len(lead)]]
    rest = proof[len(pieces[0]) :]
    pieces += [rest[at : at + room] for at in range(0, len(rest), room)]
    datagrams = [
        initial.handshake_packet(asked.version, ends, b"F" + bytes([number, len(pieces)]) + piece)
        for number, piece in enumerate(pieces)
    ]
    return [lead + datagrams[0], *datagrams[1:]]


def read_piece(packet: initial.Packet) -> tuple[int, int, bytes] | None:
    """Which piece of how many of a proof a Handshake packet has, and the piece; None for others."""
    body = packet.whole[packet.at :]
    if packet.kind is not Kind.HANDSHAKE or len(body) < _PIECE_HEADER or body[:1] != b"F":
        return None
    return body[1], body[2], body[_PIECE_HEADER:]
