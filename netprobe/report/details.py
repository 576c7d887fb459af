"""What was measured, for those who want to see it: the own machine, lookups, reachability, pages, ways hop by hop."""

from collections.abc import Callable, Iterable, Sequence

from netprobe.model.announcements import Announced
from netprobe.model.host import HostState, Link, OwnWire
from netprobe.model.probes import FlowTest, Path, PathMtu, Protocol, RateTest, Train
from netprobe.model.report import Observation, Report
from netprobe.model.services import Answer, Handshaken, QuicHandshaken, Response, Transport
from netprobe.model.unsent import reason
from netprobe.probing.names_again import AGAIN
from netprobe.probing.questions import HTTPS
from netprobe.report.lines import BLANK, Line, Span, line
from netprobe.report.outcome import went_well
from netprobe.report.trace import Whose, header, table, title
from netprobe.report.words import clean, milliseconds, moment

_SUBJECT = 34
_NEARLY_FULL = 0.95  # of the room for tracked connections: from there on new ones are refused now and then
_GONE = ("failed", "incomplete")  # states of a neighbour that does not answer


def details(report: Report, whose: Whose, *, width: int = 100) -> list[Line]:
    """Everything in the report that is worth a line, by kind."""
    lines: list[Line] = [BLANK, line(f"Measured at {moment(report.taken_s)}", "faint"), BLANK]
    for heading, kind, describe in _TABLES:
        chosen = [o for o in report.observations if isinstance(o.fact, kind)]
        if chosen:
            lines.append(line(heading, "strong"))
            lines += _merged([row for observation in chosen for row in describe(observation)])
            lines.append(BLANK)
    lines += ways([o for o in report.observations if isinstance(o.fact, Path)], whose, width)
    return lines


def _host(observation: Observation) -> Iterable[Line]:
    host = observation.fact
    if not isinstance(host, HostState):
        return
    for link in host.links:
        state = f"{link.state}{'' if link.carrier else ', no carrier'}{', wireless' if link.wireless else ''}"
        yield _row(link.name, f"{state}, MTU {link.mtu}, {', '.join(link.addresses) or 'no address'}", at=observation)
        if counted := _counted(link):
            yield _row("", counted, at=observation)
    if host.default_link:
        route = f"via {host.gateway or 'the link itself'} on {host.default_link}, neighbour {host.neighbour or '-'}"
        yield _row("default route", route, at=observation)
    else:
        yield _row("default route", "none", at=observation, bad=True)
    for uplink in host.uplinks[1:]:
        route = f"via {uplink.gateway or 'the link itself'} on {uplink.link}, metric {uplink.metric}"
        yield _row("another uplink", route, at=observation)
    if host.global_link_v6:
        gateway = host.gateway_v6 or "the link itself"
        route = f"{host.address_v6} via {gateway} on {host.global_link_v6}, neighbour {host.neighbour_v6 or '-'}"
        yield _row("default route, IPv6", route, at=observation, bad=host.neighbour_v6 in _GONE)
    yield _row("resolvers", ", ".join(host.resolvers) or "none", at=observation, bad=not host.resolvers)
    if host.own_wire:
        seen = host.own_wire
        kept = f", {seen.dropped_here} dropped here, {seen.never_left} never left" if _kept_back(seen) else ""
        text = f"{seen.answered} probes answered, {seen.lost} lost on the way{kept}"
        yield _row("own wire", text, at=observation, bad=_kept_back(seen))
    yield from _pressed(host, observation)
    if host.given:
        yield _row("given, not measured", ", ".join(host.given), at=observation)
    if host.hosts_overrides:
        yield _row("/etc/hosts names", ", ".join(host.hosts_overrides), at=observation, bad=True)


def _pressed(host: HostState, at: Observation) -> Iterable[Line]:
    """How busy the machine is, and its firewall; and where it sends requests instead."""
    if host.late_s:
        yield _row("this process", f"late by {milliseconds(host.late_s)} at worst", at=at)
    if host.load is not None:
        yield _row("load", f"{host.load:.1f} processes for each processor", at=at)
    if host.tracked is not None and host.tracked_most:
        full = host.tracked >= _NEARLY_FULL * host.tracked_most
        yield _row("tracked connections", f"{host.tracked} of at most {host.tracked_most}", at=at, bad=full)
    if host.dropped_unread:
        yield _row("dropped unread", f"{host.dropped_unread} packets since it was started", at=at)
    if host.proxy:
        yield _row("proxy", host.proxy, at=at)


def _counted(link: Link) -> str:
    """How a link does, as far as this machine tells."""
    told = (
        ("a tunnel", link.tunnel or None),
        (f"signal {link.signal_dbm} dBm", link.signal_dbm),
        (f"{100 * (link.retries or 0):.0f} % of frames sent again", link.retries),
        (f"{link.given_up} given up", link.given_up),
        (f"{link.beacons_missed} beacons missed", link.beacons_missed),
        (f"sends at {link.rate_mbit:g} Mbit/s", link.rate_mbit) if link.rate_mbit else ("", None),
        (f"{link.speed_mbit} Mbit/s", link.speed_mbit),
        (f"{link.rx_errors} errors in receiving", link.rx_errors),
        (f"{link.tx_errors} in sending", link.tx_errors),
        (f"{link.collisions} collisions", link.collisions or None),
        (f"{link.queued_bytes} bytes wait to be sent", link.queued_bytes or None),
        (f"{link.queue_drops} packets dropped from its queue", link.queue_drops or None),
    )
    return ", ".join(text for text, value in told if value is not None)


def _kept_back(seen: OwnWire) -> bool:
    return bool(seen.dropped_here or seen.never_left)


def _answer(observation: Observation) -> Iterable[Line]:
    answer = observation.fact
    if not isinstance(answer, Answer):
        return
    said = answer.addresses or answer.servers
    found = " -> ".join([*answer.aliases, ", ".join(said)]) if said else ""
    took = milliseconds(answer.rtt_s) if answer.rtt_s is not None else ""
    asked, transport = f"@{answer.lookup.resolver}", answer.lookup.transport
    if transport is not Transport.UDP or observation.purpose == AGAIN:
        asked += f" over {transport.upper()}"
    if answer.lookup.subnet:
        asked += f" for {answer.lookup.subnet}"
    text = "  ".join(filter(None, (asked, answer.rcode or answer.error, found, took)))
    if answer.responses > 1:
        text += f"  {answer.responses} answers to one question"
    if answer.lookup.record_type != "A":
        text = f"{answer.lookup.record_type}  {text}"
    yield _row(observation.subject, text, at=observation, bad=not went_well(answer))


def _train(observation: Observation) -> Iterable[Line]:
    train = observation.fact
    if not isinstance(train, Train):
        return
    sent = len(train.exchanges)
    how = "ping" if train.protocol is Protocol.ICMP else f"{train.protocol.value} {train.port}"
    times = sorted(x.reply.rtt_s for x in train.exchanges if x.reply and x.reply.from_destination)
    text = f"{train.destination}  {how}  {train.answered} of {sent} answered"
    text += f"  median {milliseconds(times[len(times) // 2])}" if times else ""
    replies = [x.reply for x in train.exchanges if x.reply]
    others = sorted({r.kind.value for r in replies if not r.error} - {"echo_reply", "syn_ack"})
    others += [f"not sent: {reason(e).meaning} ({clean(e, 20)})" for e in sorted({r.error for r in replies} - {""})]
    dropped = sum(r.dropped_locally for r in replies)
    others += [f"{dropped} of the answers dropped by this computer's own firewall"] if dropped else []
    text += f"  ({', '.join(others)})" if others else ""
    yield _row(observation.subject, text, at=observation, bad=train.accepted < sent)


def _handshaken(observation: Observation) -> Iterable[Line]:
    if isinstance(observation.fact, Handshaken):
        fact = observation.fact
        yield _row(
            observation.subject,
            f"{observation.purpose}  {_handshake(fact, observation.subject)}",
            at=observation,
            bad=not fact.done,
        )


def _handshake(fact: Handshaken, subject: str) -> str:
    text = fact.handshake.address
    text += f"  port {fact.handshake.port}" if fact.handshake.port != HTTPS else ""
    text += f"  as {fact.handshake.server_name}" if fact.handshake.server_name != subject else ""
    text += f"  connected in {milliseconds(fact.connect_s)}" if fact.connect_s is not None else ""
    text += f"  {fact.tls_version or 'TLS'} in {milliseconds(fact.tls_s)}" if fact.tls_s is not None else ""
    return text if fact.done else f"{text}  {fact.error} in {fact.phase} {fact.detail}"


def _response(observation: Observation) -> Iterable[Line]:
    if not isinstance(observation.fact, Response):
        return
    fact = observation.fact
    text = _handshake(fact.handshaken, observation.subject)
    if fact.status:
        text += f"  HTTP {fact.status} after {milliseconds(fact.first_byte_s)}"
        text += "".join(f"  {name}: {value}" for name, value in sorted(fact.headers.items()))
    elif fact.handshaken.done:
        text += f"  {fact.error}"
    yield _row(observation.subject, text, at=observation, bad=not fact.status or fact.status >= 400)


def _quic(observation: Observation) -> Iterable[Line]:
    if not isinstance(observation.fact, QuicHandshaken):
        return
    fact = observation.fact
    text = f"{fact.handshake.address}"
    text += f"  as {fact.handshake.server_name}" if fact.handshake.server_name != observation.subject else ""
    text += f"  answered in {milliseconds(fact.initial_s)}" if fact.initial_s is not None else ""
    text += f"  {fact.version} in {milliseconds(fact.handshake_s)}" if fact.handshake_s is not None else ""
    code = f" 0x{fact.code:x}" if fact.code is not None else ""
    text += "" if fact.done else f"  {fact.error}{code} in {fact.phase} {fact.detail}"
    yield _row(observation.subject, f"{observation.purpose}  {text}", at=observation, bad=not fact.done)


def _sizes(observation: Observation) -> Iterable[Line]:
    if not isinstance(observation.fact, PathMtu):
        return
    fact = observation.fact
    text = f"{fact.flow.destination}  up to {fact.mtu} bytes" if fact.mtu else f"{fact.flow.destination}  no answer"
    text += "".join(f"  {router} says {mtu or 'too large'}" for router, mtu in fact.told)
    hole = fact.black_hole
    text += f"  {hole.size} bytes die between {hole.near[1] or 'here'} and {hole.far[1]}" if hole else ""
    yield _row(observation.subject, text, at=observation, bad=hole is not None or not fact.mtu)


def _rates(observation: Observation) -> Iterable[Line]:
    if not isinstance(observation.fact, RateTest):
        return
    fact = observation.fact
    text = f"{fact.flow.destination}" + "".join(f"  {p.answered} of {p.sent} at {p.rate:.0f}/s" for p in fact.phases)
    yield _row(observation.subject, text, at=observation)


def _flows(observation: Observation) -> Iterable[Line]:
    if not isinstance(observation.fact, FlowTest):
        return
    fact = observation.fact
    never = sum(not flow.answered for flow in fact.flows)
    text = f"{fact.flow.destination}  {never} of {len(fact.flows)} flows never answered"
    yield _row(observation.subject, text, at=observation, bad=never > 0)


def _announced(observation: Observation) -> Iterable[Line]:
    fact = observation.fact
    if not isinstance(fact, Announced):
        return
    named = f"{len(fact.entries)} of {fact.total} entries kept" if fact.format else ""
    text = "  ".join(filter(None, (fact.format, fact.title, named, fact.error)))
    yield _row(fact.source, text, at=observation, bad=bool(fact.error))
    for entry in fact.entries:
        when = moment(entry.published_s) if entry.published_s is not None else "undated"
        yield _row("", f"{when}  {entry.title or entry.text}  {entry.link}", at=observation)


_TABLES: tuple[tuple[str, type, Callable[[Observation], Iterable[Line]]], ...] = (
    ("This computer", HostState, _host),
    ("Names", Answer, _answer),
    ("Reachability", Train, _train),
    ("Pages", Response, _response),
    ("Handshakes", Handshaken, _handshaken),
    ("QUIC", QuicHandshaken, _quic),
    ("Sizes", PathMtu, _sizes),
    ("Rates", RateTest, _rates),
    ("Flows", FlowTest, _flows),
    ("Announcements", Announced, _announced),
)


def _row(subject: str, text: str, *, at: Observation, bad: bool = False) -> Line:
    mark = Span("  ✗ ", "bad") if bad else Span("  · ", "faint")
    when = Span(f"{at.at_s:6.2f} s  ", "faint")
    return (mark, when, Span(f"{clean(subject, _SUBJECT):<{_SUBJECT}}  "), Span(clean(text, 300)))


def _merged(rows: Iterable[Line]) -> list[Line]:
    """Rows of different subjects that say the same at the same time become one."""
    kept: dict[tuple[Span, ...], tuple[Span, int]] = {}
    for mark, when, subject, text in rows:
        key = (mark, when, text)
        first, count = kept.get(key, (subject, 0))
        kept[key] = (first, count + 1)
    lines: list[Line] = []
    for (mark, when, text), (subject, count) in kept.items():
        more = Span(f"  and {count - 1} more", "faint") if count > 1 else Span("")
        lines.append((mark, when, subject, text, more))
    return lines


def ways(observations: Sequence[Observation], whose: Whose, width: int) -> list[Line]:
    """Every way, hop by hop; what it shares with the one before is not repeated."""
    lines: list[Line] = []
    before: list[tuple[str, ...]] = []
    for observation in observations:
        path = observation.fact
        if not isinstance(path, Path):
            continue
        flow = path.flow
        named = title(observation.subject, flow.destination, flow.protocol.value, flow.port, path)
        hops = [hop.addresses for hop in path.hops]
        shared = next((n for n, pair in enumerate(zip(hops, before, strict=False)) if pair[0] != pair[1]), None)
        shared = min(len(hops), len(before)) if shared is None else shared
        if hops and hops == before:
            lines.append((*named, Span(", by the same hops", "faint")))
            continue
        lines += [BLANK, named, line(f" 1-{shared}  as above", "faint") if shared > 1 else header(path, width=width)]
        lines += table(path, whose, width=width, first=shared + 1 if shared > 1 else 1)
        before = hops
    return lines
