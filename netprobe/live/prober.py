"""Probes out, replies in: joins the codec, the identity and the wire, and knows which reply belongs to which probe.

Whatever matches no probe is dropped without a trace.
"""

import errno
import socket
from collections.abc import Callable

import msgspec

from netprobe.live import codec, dissect, replies, stamps
from netprobe.live.binding import index_of
from netprobe.live.dissect import Datagram, EchoReply, IcmpError, Message, Segment
from netprobe.live.hearing import Hearing
from netprobe.live.identity import Identity, Mark
from netprobe.live.outstanding import SEGMENTS, Outstanding, Sent, keys_of
from netprobe.live.own_wire import Watch
from netprobe.live.quotes import COMPARED_BYTES
from netprobe.live.reactor import READ, Reactor
from netprobe.live.wire import HEADER_FIRST, RECEIVE_AT_ONCE, HeldPorts, Wire, source_address
from netprobe.model.probes import Flow, Probe, Protocol, Reply
from netprobe.model.unsent import NEVER_LEFT, NO_NEIGHBOUR

_REMEMBER_ROUTES = 100_000
_ROUTE_AGES_S = 5.0  # how long the choice of a source address is trusted
_MARK_ATTEMPTS = 8
_LARGEST_PACKET = 65535

Answer = tuple[int, float, Reply]  # the probe's token, when it came (monotonic seconds), what it says
Emit = Callable[[int, float, Reply], None]


class Prober:
    """Sends probes over `wire` and calls `emit(token, at_s, reply)` for all that comes of them.

    Segments that belong to no probe go to `hearing`.
    """

    def __init__(self, wire: Wire, reactor: Reactor, emit: Emit, identity: Identity | None = None) -> None:
        self._wire = wire
        self._reactor = reactor
        self._emit = emit
        self._identity = identity or Identity()
        families = (socket.AF_INET, socket.AF_INET6)
        self._tcp_ports = {family: HeldPorts(socket.SOCK_STREAM, wire.blocks, family=family) for family in families}
        self._udp_ports = {
            family: HeldPorts(
                socket.SOCK_DGRAM,
                wire.blocks,
                family=family,
                on_hold=self._watch_udp,
                on_release=lambda s: reactor.forget(s.fileno()),
            )
            for family in families
        }
        self._outstanding = Outstanding()
        self._sources: dict[tuple[str, str], tuple[str, float]] = {}
        self.packets_sent = 0
        self.bytes_sent = 0
        self.hearing = Hearing(wire.blocks)
        wire.attach(reactor, self)
        self.watch = Watch(reactor, self, wire.open_tap)

    def close(self) -> None:
        """Let go of sockets and ports; the wire is closed too."""
        self.watch.close()
        for ports in (*self._tcp_ports.values(), *self._udp_ports.values()):
            ports.close()
        self._wire.close()

    # -- out ----------------------------------------------------------------------------------------------------------

    def send(self, probe: Probe, token: int, now: float, link: str = "") -> None:
        """Send `probe`, by the interface `link` if it is given; one that could not leave is a reply that says so."""
        self._outstanding.expire(now)
        try:
            interface = index_of(link)
            packet, sent = self._build(probe, token, now, link)
        except OSError as error:
            self._emit(token, now, replies.send_failed(errno.errorcode.get(error.errno or 0, "EINVAL")))
            return
        self.packets_sent += 1
        self.bytes_sent += len(packet)
        at_s = self._reactor.now()
        self._outstanding.add(sent._replace(at_s=at_s))
        self.watch.sent(token, at_s)
        self._wire.send(token, packet, probe.flow.destination, interface)

    def flush(self) -> None:
        """Let go of what the wire may have collected."""
        self._wire.flush()

    def _build(self, probe: Probe, token: int, now: float, link: str) -> tuple[bytes, Sent]:
        """The packet of `probe` and what its replies are to be known by. Raises OSError as the kernel would."""
        flow = probe.flow
        try:
            family = socket.AF_INET6 if codec.is_v6(flow.destination) else socket.AF_INET
            destination = socket.inet_ntop(family, socket.inet_pton(family, flow.destination))
            if destination.startswith("::ffff:"):  # RFC 4291, 2.5.5.2: IPv4 in disguise, never on a wire
                raise ValueError(destination)  # noqa: TRY301
        except (OSError, ValueError) as error:
            raise OSError(errno.EAFNOSUPPORT, f"not an address: {flow.destination!r}") from error
        least, whole = _sizes(flow)
        fits = 0 < probe.ttl <= 255 and 0 <= flow.port <= 0xFFFF and 0 <= flow.tos <= 0xFF and 0 <= probe.fill <= 0xFF
        if not fits or 0 < probe.size < least or probe.size > _LARGEST_PACKET:
            raise OSError(errno.EINVAL, "a field of the probe does not fit the packet")
        source = self._source(destination, now, link)
        local = self._local_number(flow, family, now)
        label = self._identity.flow_label(flow) if family == socket.AF_INET6 else 0
        for attempt in range(_MARK_ATTEMPTS):
            mark = self._identity.mark(flow, token, attempt)
            header = codec.Header(source, destination, probe.ttl, label or mark.ip_id, flow.tos)
            packet, payload = _packet(probe, header, local, mark)
            if 0 < probe.size < whole:  # less of the mark is in it
                check, nonce = codec.as_sent(packet)
                mark = mark._replace(check=check, nonce=nonce)
            keys = keys_of(flow, destination, local, mark, header.ident)
            if not self._outstanding.taken(keys):
                break
        else:
            if flow.protocol is Protocol.UDP and 0 < probe.size < whole:  # its checksum may be all that it has
                raise OSError(errno.EINVAL, "too small to be told from one that is under way")
        start, head = packet[:COMPARED_BYTES], payload[: codec.HEAD_BYTES]
        return packet, Sent(token, now, source, destination, probe.ttl, mark, keys, len(packet), start, head)

    def _local_number(self, flow: Flow, family: socket.AddressFamily, now: float) -> int:
        """What tells this flow apart on our side: the ICMP identifier, or the source port of its label."""
        if flow.protocol is Protocol.ICMP:
            return self._wire.blocks.ident_base | self._identity.flow_constants(flow)[0]
        if flow.protocol in SEGMENTS:  # a stray ACK would end the connection that a SYN of the same ports asks for
            return self._tcp_ports[family].port(-1 - flow.label if flow.protocol is Protocol.ACK else flow.label, now)
        return self._udp_ports[family].port(flow.label, now)

    def _source(self, destination: str, now: float, link: str) -> str:
        known = self._sources.get((destination, link))
        if known is None or now - known[1] > _ROUTE_AGES_S:
            if len(self._sources) > _REMEMBER_ROUTES:
                self._sources.clear()
            known = self._sources[destination, link] = (source_address(destination, link), now)
        return known[0]

    def departed(self, token: int, at_s: float) -> None:
        """The kernel's stamp takes the place of the clock."""
        self._outstanding.stamp(token, at_s)

    def failed(self, token: int, error: str) -> None:
        """A probe that never left is a reply that says so."""
        self.watch.failed(token)
        sent = self._outstanding.forget(token)
        self.packets_sent -= 1
        self.bytes_sent -= sent.size if sent else 0
        self._emit(token, self._reactor.now(), replies.send_failed(error))

    def _since(self, sent: Sent, at_s: float) -> float:
        """Seconds from when the probe left until `at_s`, between two stamps of the kernel where it has stamped."""
        if not sent.stamped:
            self._wire.settle(sent.token)
            sent = self._outstanding.get(sent.token) or sent
        return max(0.0, at_s - sent.at_s)

    # -- in -----------------------------------------------------------------------------------------------------------

    def arrived(self, kind: int, arrival: stamps.Arrival) -> None:
        """What came in may be the reply to a probe."""
        self._reactor.lateness.note(arrival.at_s, arrival.waited_s)
        if kind == HEADER_FIRST:
            message = dissect.parse(arrival.data)
        else:
            message = dissect.parse_v6(kind, arrival.source, arrival.ttl, arrival.data)
        self._tell(self._understand(message, arrival.at_s))

    def _tell(self, answer: Answer | None) -> None:
        """Pass on what came, if it is to a probe of ours."""
        if answer and self._outstanding.answer(answer[0]):
            self.watch.accepted(answer[0])
            self._emit(*answer)

    def _understand(self, message: Message | Datagram | None, at_s: float) -> Answer | None:
        """What `message`, which came in at `at_s`, says to which probe; None when it is to none of ours."""
        match message:
            case EchoReply():
                return self._echo_reply(message, at_s)
            case IcmpError():
                return self._icmp_error(message, at_s)
            case Segment():
                return self._segment(message, at_s)
            case Datagram():
                return self._datagram(message, at_s)
        return None

    def _echo_reply(self, reply: EchoReply, at_s: float) -> Answer | None:
        sent = self._outstanding.of_echo_reply(reply)
        return (sent.token, at_s, replies.of_echo_reply(reply, self._since(sent, at_s))) if sent else None

    def _segment(self, segment: Segment, at_s: float) -> Answer | None:
        sent = self._outstanding.of_segment(segment)
        if sent is None:
            self.hearing.segment(segment, at_s)
        return (sent.token, at_s, replies.of_segment(segment, self._since(sent, at_s))) if sent else None

    def _icmp_error(self, error: IcmpError, at_s: float) -> Answer | None:
        sent = self._outstanding.of_quote(error.quote)
        if sent is None:
            self.hearing.error(error, at_s)
        return (sent.token, at_s, replies.of_error(error, sent, self._since(sent, at_s))) if sent else None

    def _datagram(self, datagram: Datagram, at_s: float) -> Answer | None:
        ports = datagram.source_port, datagram.destination_port
        sent = self._outstanding.of_datagram(datagram.payload, datagram.source, *ports)
        if sent is None:
            return None
        return sent.token, at_s, replies.of_datagram(datagram.source, datagram.ttl, self._since(sent, at_s))

    # -- on the own wire ----------------------------------------------------------------------------------------------

    def probe_of(self, packet: bytes, *, outgoing: bool) -> int | None:
        """The token of the probe that `packet` is, or answers."""
        sent = self._outstanding.of_packet(packet, outgoing=outgoing)
        return sent.token if sent else None

    def stamped(self, token: int) -> bool:
        """Whether the kernel has stamped the probe's departure."""
        sent = self._outstanding.get(token)
        if sent and not sent.stamped:
            self._wire.settle(token)
            sent = self._outstanding.get(token)
        return sent is not None and sent.stamped

    def overflowed(self) -> int:
        """How many packets the receiving sockets had no room for, ever."""
        return self._wire.overflowed() + sum(ports.overflowed() for ports in self._udp_ports.values())

    def holds(self, packet: bytes, *, outgoing: bool) -> bool:
        """Whether `packet` is from, or for, a port that is held for a flow of ours."""
        message = dissect.parse_packet(packet)
        if not isinstance(message, Segment | Datagram):
            return False
        held = self._tcp_ports if isinstance(message, Segment) else self._udp_ports
        family = socket.AF_INET6 if codec.is_v6(message.source) else socket.AF_INET
        return held[family].holds(message.source_port if outgoing else message.destination_port)

    def dropped_here(self, packet: bytes, at_s: float) -> None:
        """An answer came in at `at_s`, and this machine dropped it: what it says is known all the same."""
        answer = self._understand(dissect.parse_packet(packet), at_s)
        if answer:
            token, at_s, reply = answer
            self._tell((token, at_s, msgspec.structs.replace(reply, dropped_locally=True)))

    def never_left(self, token: int) -> None:
        """The probe was taken by the kernel, and no device has sent it: the next hop's hardware address may lack."""
        from netprobe.live import host  # noqa: PLC0415  # most traces need none of it

        sent = self._outstanding.get(token)
        if sent:
            error = NO_NEIGHBOUR if host.next_hop_is_silent(sent.destination) else NEVER_LEFT
            self._tell((token, self._reactor.now(), replies.send_failed(error)))

    def _watch_udp(self, sock: socket.socket) -> None:
        stamps.want_stamps(sock)
        stamps.want_ttl(sock)
        self._reactor.watch(sock.fileno(), READ, lambda: self._read_udp(sock))

    def _read_udp(self, sock: socket.socket) -> None:
        port = int(sock.getsockname()[1])
        for _ in range(RECEIVE_AT_ONCE):
            try:
                arrival = stamps.receive(sock)
            except OSError:
                return
            self._reactor.lateness.note(arrival.at_s, arrival.waited_s)
            datagram = Datagram(arrival.source, arrival.ttl, arrival.port, port, arrival.data)
            self._tell(self._understand(datagram, arrival.at_s))


def _sizes(flow: Flow) -> tuple[int, int]:
    """The smallest packet of `flow` and the smallest with all by which a reply is known; 0 where it has one size."""
    match flow.protocol:
        case Protocol.ICMP:
            return codec.least_bytes(codec.PROTOCOL_ICMP, flow.destination)
        case Protocol.UDP:
            return codec.least_bytes(codec.PROTOCOL_UDP, flow.destination)
    return 0, 0


def _packet(probe: Probe, header: codec.Header, local: int, mark: Mark) -> tuple[bytes, bytes]:
    """The packet of `probe`, and of a datagram the payload, as far as it identifies it."""
    port = probe.flow.port
    match probe.flow.protocol:
        case Protocol.ICMP:
            shape = probe.size, probe.fill
            return codec.build_echo(header, local, mark.sequence, mark.check, mark.nonce, *shape), b""
        case Protocol.TCP:
            return codec.build_syn(header, local, port, mark.isn, mark.timestamp), b""
        case Protocol.ACK:
            return codec.build_ack(header, local, port, mark.isn, mark.timestamp, mark.nonce), b""
        case Protocol.UDP:
            payload = codec.udp_payload(probe.size, header.destination, mark.nonce)
            return codec.build_udp(header, local, port, mark.check, payload, probe.size, probe.fill), payload
        case Protocol.QUIC:
            payload = codec.quic_payload(mark.nonce)
            return codec.build_udp(header, local, port, mark.check, payload), payload
