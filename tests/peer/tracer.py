"""Our own tracer with a simulation's settings: the product's session and live vantage, numbered as the file wants.

What the product draws at random (ports, identifiers, sequence numbers), because nobody shall guess it, the peer counts;
here it is counted, too.
"""

import ctypes
import struct
from contextlib import ExitStack

from netprobe.live import wire
from netprobe.live.bpf import Blocks
from netprobe.live.broker import sockets
from netprobe.live.identity import Identity, Mark
from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Flow, Path, Probe
from netprobe.probing.port import Outcome, Request
from netprobe.probing.run import Plan, run
from netprobe.probing.traceroute import Traceroute
from tests.peer.simulation import DUBLIN_V6_SIZE, ROUND_NUMBERS, Counted, Simulation

RATE = 2000.0
_CAPABILITY_VERSION = 0x20080522  # linux/capability.h, version 3
_CAP_NET_RAW = 13


def trace(simulation: Simulation) -> list[Path]:
    """The path as seen in each round. Raises `netprobe.live.CannotMeasure`."""
    identity = Counting(simulation)
    with ExitStack() as stack:
        if simulation.privileged:
            vantage = LiveVantage(wire=_wire(_blocks(simulation)), identity=identity)
        else:
            _give_up_raw_sockets()
            vantage = LiveVantage(identity=identity)
        stack.enter_context(vantage)
        return run(_rounds(simulation, identity, vantage), vantage, rate=RATE)


def _rounds(simulation: Simulation, identity: "Counting", vantage: LiveVantage) -> Plan[list[Path]]:
    paths = []
    for number in range(simulation.rounds):
        identity.begin_round()
        earliest = vantage.now() + simulation.min_round_s
        (path,) = yield [Numbered(simulation, identity, number)]
        paths.append(path)
        if number + 1 < simulation.rounds:
            yield [_Pause(earliest)]
    return paths


class Counting(Identity):
    """Marks that count up from the file's first number: in the field that the peer's strategy has for it."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__()
        self._simulation = simulation
        self.next = simulation.initial_sequence

    def begin_round(self) -> None:
        """Start anew where a round might not find enough numbers."""
        if self.next >= self._simulation.turns_at:
            self.next = self._simulation.initial_sequence

    def mark(self, flow: Flow, token: int, attempt: int = 0) -> Mark:
        """One probe's numbers; its number stays, whatever the attempt."""
        if not attempt:
            self.next += 1
        number = self.next - 1
        mark = super().mark(flow, token, attempt)
        match self._simulation.counted_in:
            case Counted.SEQUENCE:
                return mark._replace(sequence=number)
            case Counted.CHECKSUM:
                return mark._replace(check=number)
            case Counted.IDENT:
                return mark._replace(ip_id=number)
        return mark

    def flow_constants(self, flow: Flow) -> tuple[int, int]:
        """The low byte of the file's identifier, and a checksum."""
        return self._simulation.identifier & 0xFF, super().flow_constants(flow)[1]


class Numbered:
    """A `Traceroute` whose probes have the ports and sizes that the file's strategy gives them."""

    def __init__(self, simulation: Simulation, identity: Counting, round_: int) -> None:
        self._simulation = simulation
        self._identity = identity
        self._round = round_
        grace = {} if simulation.grace_s is None else {"grace_s": simulation.grace_s}
        self._inner = Traceroute(
            Flow(simulation.protocol, simulation.target, simulation.ports.destination, tos=simulation.tos),
            first_ttl=simulation.first_ttl,
            max_ttl=simulation.max_ttl,
            timeout_s=simulation.max_round_s,
            **grace,  # type: ignore[arg-type]  # one float, or nothing: the product's own
        )

    def next_request(self, now: float) -> Request | None:
        """The next probe, with its number."""
        request = self._inner.next_request(now)
        return self._numbered(request) if isinstance(request, Probe) else request

    def _numbered(self, probe: Probe) -> Probe:
        ports, first = self._simulation.ports, self._simulation.initial_sequence
        counted = self._simulation.counted_in
        by_port = counted in {Counted.SOURCE_PORTS, Counted.DESTINATION_PORTS}
        flow, number = probe.flow.labelled(0), self._identity.next if by_port else first + self._round
        if ports.source and not ports.destination:
            flow = Flow(flow.protocol, flow.destination, number, tos=flow.tos)
        elif ports.destination and not ports.source:
            flow = flow.labelled(number)
        size = DUBLIN_V6_SIZE + self._identity.next - first if counted is Counted.SIZE else self._simulation.whole_size
        return Probe(flow, probe.ttl, probe.sequence, size, self._simulation.pattern or 0)

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note when it left."""
        self._inner.sent(request, token, now)

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Keep the reply."""
        self._inner.receive(token, outcome, now)

    def deadline(self) -> float | None:
        """When to ask again."""
        return self._inner.deadline()

    def result(self) -> Path:
        """The path."""
        return self._inner.result()


class _Pause:
    """A session that sends nothing until `until`."""

    def __init__(self, until: float) -> None:
        self._until: float | None = until

    def next_request(self, now: float) -> Request | None:
        """Nothing."""
        if self._until is not None and now >= self._until:
            self._until = None
        return None

    def sent(self, request: Request, token: int, now: float) -> None:
        """Never."""

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Never."""

    def deadline(self) -> float | None:
        """The end."""
        return self._until

    def result(self) -> None:
        """Nothing."""


def _blocks(simulation: Simulation) -> Blocks:
    """The numbers on our side: the file's source port and identifier, or ports counted from its first number on."""
    ident = simulation.identifier & 0xFF00
    if simulation.ports.source:
        return Blocks(simulation.ports.source, 1, ident)
    return Blocks(simulation.initial_sequence, ROUND_NUMBERS, ident)


def _wire(blocks: Blocks) -> wire.LocalWire:
    v4, v6 = sockets.open_all()
    sockets.let_through(sockets.receiving(v4, v6), wire.filters(blocks))
    over_v6 = wire.Sockets(v6.sender, v6.icmp, v6.tcp) if v6 else None
    return wire.LocalWire(wire.Sockets(v4.sender, v4.icmp, v4.tcp), over_v6, blocks)


def _give_up_raw_sockets() -> None:
    """Take CAP_NET_RAW from this process (capset(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("@Ii", _CAPABILITY_VERSION, 0)
    data = ctypes.create_string_buffer(24)  # effective, permitted and inheritable, of 32 bits each, twice
    if libc.capget(header, data):
        raise OSError(ctypes.get_errno(), "capget")
    words = list(struct.unpack("@6I", data.raw))
    words[:3] = [word & ~(1 << _CAP_NET_RAW) for word in words[:3]]
    if libc.capset(header, struct.pack("@6I", *words)):
        raise OSError(ctypes.get_errno(), "capset")
