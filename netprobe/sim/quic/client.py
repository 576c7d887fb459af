"""The client's side of a QUIC handshake in virtual time. It ends as that of the live vantage does."""

from collections.abc import Callable

import msgspec

from netprobe.model.services import Certificate, QuicHandshake, QuicHandshaken
from netprobe.sim import complaints
from netprobe.sim import packet as ip
from netprobe.sim.clockwork import Clockwork, Timer
from netprobe.sim.packet import Packet
from netprobe.sim.quic import headers, initial
from netprobe.sim.quic.initial import Close, Kind
from netprobe.sim.quic.server import PROBE_S, read_piece
from netprobe.sim.routing import CLIENT
from netprobe.sim.servers.answers import Shown
from netprobe.sim.wirebytes import quic_hello

_VERSION = headers.VERSION_1
_NAMES = {headers.VERSION_1: "QUICv1", headers.VERSION_2: "QUICv2"}
_SHAKING_S = 0.0015  # what a client's own arithmetic takes
_IP_UDP_HEADERS = 28


class QuicConversation:
    """One handshake. `wall_clock_s` is Unix time at the network's start; `random` is 32 bytes.

    Certificates are checked by the client's own clock, which is ahead by `clock_ahead_s`.
    """

    tcp = None  # it has no connection of that kind

    def __init__(
        self,
        clock: Clockwork,
        own: tuple[str, int],
        request: QuicHandshake,
        done: Callable[[QuicHandshaken], None],
        *,
        wall_clock_s: float,
        clock_ahead_s: float,
        random: bytes,
    ) -> None:
        self._clock = clock
        self._own = own
        self._request = request
        self._done = done
        self._wall_clock_s = wall_clock_s
        self._clock_ahead_s = clock_ahead_s
        self._ends = (random[:8], random[8:16])  # connection ids: whom it is for, and its own
        self._random = random
        self._began_s = 0.0
        self._initial_s: float | None = None
        self._handshake_s: float | None = None
        self._certificate: Certificate | None = None
        self._pieces: dict[int, bytes] = {}
        self._phase = "initial"
        self._timers: list[Timer] = []
        self._number = 0
        self.packets_sent = self.bytes_sent = 0

    def start(self) -> None:
        """Say hello."""
        self._began_s = self._clock.now
        self._later(self._request.timeout_s, lambda: self._end("timeout"))
        self._say_hello(0)

    def _say_hello(self, attempt: int) -> None:
        if self._initial_s is not None or self._phase == "over":
            return
        request = self._request
        hello = quic_hello(request.server_name, self._random, request.alpn, self._ends[1])
        said = initial.crypto_frame(0, hello)
        keys = initial.initial_keys(_VERSION, self._ends[0], of_client=True)
        bare = len(initial.sealed(_VERSION, self._ends, self._number, said, keys))
        said += bytes(max(0, headers.SMALLEST - bare))
        self._send(initial.sealed(_VERSION, self._ends, self._number, said, keys))
        self._number += 1
        self._later(PROBE_S * 2**attempt, lambda: self._say_hello(attempt + 1))

    # --- what comes

    def receive(self, packet: Packet) -> None:
        """A datagram to this port."""
        request = self._request
        if (packet.source, packet.source_port) != (request.address, request.port) or self._phase == "over":
            return
        header = headers.long_header(packet.payload)
        if header is not None and header.version == 0 and header.destination == self._ends[1]:
            offered = packet.payload[header.at :]
            if _VERSION.to_bytes(4) not in {offered[at : at + 4] for at in range(0, len(offered), 4)}:
                self._end("version")  # else it is forged (RFC 9000, 6.2)
            return
        for one in initial.packets(packet.payload):
            if one.destination != self._ends[1]:
                continue
            if one.kind is Kind.INITIAL:
                self._initial(one)
            elif (found := read_piece(one)) is not None:
                number, count, piece = found
                self._pieces[number] = piece
                if len(self._pieces) == count and self._phase == "handshake":
                    self._phase = "verify"
                    self._later(_SHAKING_S, self._verify)

    def _initial(self, packet: initial.Packet) -> None:
        payload = initial.opened(packet, initial.initial_keys(packet.version, self._ends[0], of_client=False))
        if payload is None:
            return
        if self._initial_s is None:
            self._initial_s = self._clock.now - self._began_s
            self._phase = "handshake"
        for frame in initial.frames(payload):
            if isinstance(frame, Close):
                self._end("closed", code=frame.code)
                return

    def icmp_error(self, error: Packet) -> None:
        """Somebody says that the hello did not get there; once it has, nobody is believed (RFC 9000, 14.2.1)."""
        kind = (error.icmp_type, error.icmp_code)
        if self._phase != "initial" or kind == (ip.UNREACHABLE, ip.FRAGMENTATION_NEEDED):
            return
        refused = kind == (ip.UNREACHABLE, ip.PORT_UNREACHABLE) and error.source == self._request.address
        how = "refused" if refused else "unreachable"
        self._end("local" if error.source == self._own[0] else how, complaints.told_by(error))

    def _verify(self) -> None:
        if self._phase != "verify":
            return
        proof = b"".join(self._pieces[number] for number in sorted(self._pieces))
        shown = msgspec.json.decode(proof, type=Shown)
        certificate = complaints.certificate_of(shown, self._wall_clock_s)
        now = self._wall_clock_s + self._clock.now + self._clock_ahead_s
        complaint = complaints.against(shown, certificate, self._request.server_name, now)
        self._send(initial.handshake_packet(_VERSION, self._ends, bytes(80)).ljust(headers.SMALLEST, b"\0"))
        self._phase = "handshake"
        if complaint and self._request.verify:
            self._end("certificate", complaint)
            return
        self._certificate = certificate
        self._handshake_s = self._clock.now - self._began_s - (self._initial_s or 0.0)
        self._phase = "done"
        self._end("")

    # --- the end

    def _end(self, error: str, detail: str = "", code: int | None = None) -> None:
        phase, self._phase = self._phase, "over"
        if phase == "over":
            return
        for timer in self._timers:
            timer.cancel()
        done = phase == "done"
        self._done(
            QuicHandshaken(
                handshake=self._request,
                phase="handshake" if phase == "verify" else phase,
                error=error,
                detail=detail,
                code=code,
                initial_s=self._initial_s,
                handshake_s=self._handshake_s,
                version=_NAMES[_VERSION] if done else "",
                alpn=self._request.alpn[0] if done and self._request.alpn else "",
                certificate=self._certificate,
            )
        )

    def _later(self, delay_s: float, then: Callable[[], None]) -> None:
        self._timers.append(self._clock.at(self._clock.now + delay_s, then))

    def _send(self, datagram: bytes) -> None:
        packet = Packet(
            self._own[0],
            self._request.address,
            protocol=ip.UDP,
            source_port=self._own[1],
            destination_port=self._request.port,
            payload=datagram,
        )
        self.packets_sent += 1
        self.bytes_sent += packet.size
        self._clock.send(packet, CLIENT)
