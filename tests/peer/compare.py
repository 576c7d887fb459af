"""What a simulation says beside what our tracer saw and what left: every difference in words."""

from collections.abc import Iterator, Sequence

from netprobe.model.probes import Exchange, Hop, Path, Protocol, Reply, ReplyKind
from tests.peer.responder import Seen
from tests.peer.simulation import DEFAULT_SIZE, DUBLIN_V6_SIZE, ROUND_NUMBERS, Counted, Simulation

TOLERANCE_MS = 20.0
_FULL_TTL = 64
_ECHO_IDENTITY, _UDP_IDENTITY = 10, 20  # bytes of the payload that a probe of ours has for itself, at its beginning


def differences(
    simulation: Simulation, paths: Sequence[Path], seen: Sequence[Seen], tolerance_ms: float = TOLERANCE_MS
) -> Iterator[str]:
    """Each difference; none: all is as the file says."""
    late_ms = _lateness_ms(simulation, paths, seen) + tolerance_ms
    for number, path in enumerate(paths, 1):
        for what in _of_path(simulation, path, late_ms):
            yield f"round {number}: {what}"
    if len(paths) != simulation.rounds:
        yield f"{len(paths)} rounds were made of {simulation.rounds}"
    yield from _of_probes(simulation, seen)


def _lateness_ms(simulation: Simulation, paths: Sequence[Path], seen: Sequence[Seen]) -> float:
    """How late the simulated network itself was at worst, where others keep the processor: at taking and at answering.

    Probes of one TTL are taken in the order in which they left.
    """
    late_ms = max((one.held_ms - simulation.hop(one.ttl).rtt_ms for one in seen if one.held_ms >= 0), default=0.0)
    taken: dict[int, list[float]] = {}
    for one in seen:
        taken.setdefault(one.ttl, []).append(one.at_s)
    left: dict[int, list[float]] = {}
    for exchange in (exchange for path in paths for hop in path.hops for exchange in hop.exchanges):
        left.setdefault(exchange.ttl, []).append(exchange.sent_s)
    lags = [
        b - a
        for ttl in left
        if len(left[ttl]) == len(taken.get(ttl, ()))
        for a, b in zip(left[ttl], taken[ttl], strict=True)
    ]
    return late_ms + 1000 * max(lags, default=0.0)


# -- what was seen ----------------------------------------------------------------------------------------------------


def _of_path(simulation: Simulation, path: Path, late_ms: float) -> Iterator[str]:
    reached_at = simulation.reached_at
    if path.reached != bool(reached_at) and simulation.max_ttl >= simulation.hops[-1].ttl:
        yield f"the target was {'' if path.reached else 'not '}reached"
    answering = [hop.ttl for hop in simulation.hops if hop.address and hop.ttl <= simulation.max_ttl]
    last = reached_at or max(answering, default=0)
    ttls = [hop.ttl for hop in path.hops]
    # Who does not reach the target may look farther.
    if ttls != list(
        range(simulation.first_ttl, max(last, 0 if reached_at else len(ttls) + simulation.first_ttl - 1) + 1)
    ):
        yield f"hops at {ttls}, and it says {simulation.first_ttl} to {last}"
    for hop in path.hops:
        yield from (f"ttl {hop.ttl}: {what}" for what in _of_hop(simulation, hop, late_ms))


def _of_hop(simulation: Simulation, hop: Hop, late_ms: float) -> Iterator[str]:
    says = simulation.hop(hop.ttl)
    wanted = (says.address,) if says.address else ()
    if hop.addresses != wanted:
        yield f"{', '.join(hop.addresses) or 'nobody'} answered, and it says {says.address or 'nobody'}"
        return
    if not hop.exchanges:
        yield "was not asked"
    for exchange in hop.exchanges:
        if exchange.reply:
            yield from _of_reply(simulation, exchange, exchange.reply, says.rtt_ms, late_ms)


def _of_reply(simulation: Simulation, exchange: Exchange, reply: Reply, rtt_ms: int, late_ms: float) -> Iterator[str]:
    kind = _kind(simulation, reply.source)
    if (reply.kind, reply.icmp_type, reply.icmp_code) != kind:
        yield f"{reply.kind} ({reply.icmp_type}, {reply.icmp_code}) came, and it says {kind}"
    if not rtt_ms <= reply.rtt_s * 1000 <= rtt_ms + late_ms:
        yield f"round trip {reply.rtt_s * 1000:.3f} ms, and it says {rtt_ms} (to {rtt_ms + late_ms:.1f})"
    if exchange.later:
        yield f"{len(exchange.later) + 1} replies to one probe"
    quoted = reply.kind in {ReplyKind.TIME_EXCEEDED, ReplyKind.UNREACHABLE} and simulation.privileged
    if quoted and reply.quoted_tos != simulation.tos:
        yield f"TOS {reply.quoted_tos} was quoted, and it says {simulation.tos}"


def _kind(simulation: Simulation, source: str) -> tuple[ReplyKind, int, int]:
    """What `source` answers: RFC 792, RFC 4443, RFC 9293."""
    over_v6 = simulation.over_v6
    if source != simulation.target:
        return ReplyKind.TIME_EXCEEDED, 3 if over_v6 else 11, 0
    match simulation.protocol:
        case Protocol.ICMP:
            return ReplyKind.ECHO_REPLY, 129 if over_v6 else 0, 0
        case Protocol.UDP:
            return ReplyKind.UNREACHABLE, *((1, 4) if over_v6 else (3, 3))
    return ReplyKind.SYN_ACK, -1, -1


# -- what left --------------------------------------------------------------------------------------------------------


def _of_probes(simulation: Simulation, seen: Sequence[Seen]) -> Iterator[str]:
    if not seen:
        yield "no probe left"
    for index, one in enumerate(seen):
        for what in _of_probe(simulation, one):
            yield f"probe {index + 1} (ttl {one.ttl}): {what}"
    if not simulation.privileged:
        return
    if simulation.counted_in is Counted.NOWHERE:
        return
    got = [_number(simulation, one) for one in seen]
    if simulation.counted_in is Counted.SOURCE_PORTS:  # which of them are free, the kernel says: not in order
        span = range(simulation.initial_sequence, simulation.initial_sequence + ROUND_NUMBERS)
        if not set(got) <= set(span) or (len(got) <= len(span) and len(set(got)) < len(got)):
            yield f"source ports {got}, and it says different ones from {span.start} on"
        return
    expected = simulation.initial_sequence
    for index, number in enumerate(got):
        if number != expected and not (number == simulation.initial_sequence and expected >= simulation.turns_at):
            yield f"probe {index + 1}: number {number}, and counted from {simulation.initial_sequence} it is {expected}"
            return
        expected = number + 1


def _of_probe(simulation: Simulation, one: Seen) -> Iterator[str]:
    if not one.sound:
        yield "lengths or checksums are wrong"
    if one.tos != simulation.tos:
        yield f"TOS {one.tos}, and it says {simulation.tos}"
    if one.ttl != _FULL_TTL and not simulation.first_ttl <= one.ttl <= simulation.max_ttl:
        yield "nobody asked for this TTL"
    sized = simulation.protocol is not Protocol.TCP
    if sized and simulation.size and simulation.counted_in is not Counted.SIZE and one.size != simulation.size:
        yield f"{one.size} bytes, and it says {simulation.size}"
    if sized and simulation.pattern is not None:
        own = _ECHO_IDENTITY if simulation.protocol is Protocol.ICMP else _UDP_IDENTITY
        filled = one.payload[own:]
        if filled != bytes([simulation.pattern]) * len(filled) or (one.size >= DEFAULT_SIZE and not filled):
            yield f"filled up with {filled[:8].hex()}, and it says {simulation.pattern:02x}"
    ports = simulation.ports
    if ports.source and one.local != ports.source:
        yield f"source port {one.local}, and it says {ports.source}"
    if ports.destination and one.remote != ports.destination:
        yield f"destination port {one.remote}, and it says {ports.destination}"
    if simulation.protocol is Protocol.ICMP and simulation.privileged and one.local != simulation.identifier:
        yield f"identifier {one.local}, and it says {simulation.identifier}"


def _number(simulation: Simulation, one: Seen) -> int:
    """Where a probe has its number."""
    match simulation.counted_in:
        case Counted.SEQUENCE:
            return one.number
        case Counted.CHECKSUM:
            return one.check
        case Counted.IDENT:
            return one.ident
        case Counted.SIZE:
            return one.size - DUBLIN_V6_SIZE + simulation.initial_sequence
        case Counted.DESTINATION_PORTS:
            return one.remote
    return one.local
