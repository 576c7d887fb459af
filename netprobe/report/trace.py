"""A traceroute for people: a table of hops, and what was inferred (`trace_line` has it for machines).

Loss is always shown with its denominator, a hop that stays silent keeps its row, and whatever is not an answer of the
hop itself says so. Rows fit the terminal: what does not fit beside the address goes below it.
"""

import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from netprobe.model.probes import Hop, Path, Protocol, Reply, ReplyKind
from netprobe.model.unsent import reason
from netprobe.probing.distance import path_length
from netprobe.report.changes import answers_without_connection, remarks_at
from netprobe.report.icmp import meaning
from netprobe.report.lines import Line, Span, paragraph
from netprobe.report.loss import answers, share_of, verdict
from netprobe.report.words import clean, counted, milliseconds, ttls

if TYPE_CHECKING:  # what takes long to load is for those who use it
    from netprobe.probing.loss_evidence import HopLoss, LossEvidence
    from netprobe.topology.asn import Origin

Whose = Callable[[str], "Origin | None"]

_INDENT = 6
_ADDRESS = 15  # columns of the longest IPv4 address,
_LONGEST = 39  # and of IPv6's
_RTT, _RTT_OF_MANY = 10, 17
_LOST = 6
_LEAST_ROOM = 14  # for the network; with less it goes below
_ASYMMETRY = 3  # hops by which the way back differs before it is worth a word


def table(
    path: Path, whose: Whose, *, width: int = 80, first: int = 1, loss: "LossEvidence | None" = None
) -> list[Line]:
    """The hops from TTL `first` on, a row for each address that answered; with `loss` what rounds say of each."""
    said = {hop.ttl: hop for hop in (*loss.hops, *([loss.destination] if loss.destination else []))} if loss else {}
    columns = _columns(path, loss)
    beside = remarks_at(path)
    lines: list[Line] = []
    for hop in path.hops:
        if hop.ttl >= first:
            lines += _rows(hop, whose, said.get(hop.ttl), columns, width, beside.get(hop.ttl, []))
    if path.reached and not _arrived(path):
        number = Span(f"{_last_ttl(path) + 1:4}  ")
        where = clean(path.flow.destination, 45)
        why = "[answers only what has TTL to spare; how far it is was read off the TTL of its answer]"
        lines += _fit(number, ((where, len(where), ""),), "", [why], width)
    return lines


def notes(path: Path, loss: "LossEvidence | None", *, width: int = 80) -> list[Line]:
    """What is to be said below a table: the verdict on loss, hops that were asked elsewhere, the way back."""
    lines: list[Line] = []
    if loss:
        text, style = verdict(loss)
        lines += paragraph(text, width=width - 2, first=(Span("  "),), indent=2, style=style)
    for text in (_taken_over(path), _way_back(path)):
        if text:
            lines += paragraph(text, width=width - 2, first=(Span("  "),), indent=2, style="faint")
    return lines


def header(path: Path, *, loss: "LossEvidence | None" = None, width: int = 80) -> Line:
    """What the columns of `table` are."""
    address, rtt, lost = _columns(path, loss)
    if _INDENT + address + rtt + lost > width:
        return (Span(" hop  address", "faint"),)
    what = "min/med/max ms" if loss else "round trip"
    network = "" if _INDENT + address + rtt + lost + _LEAST_ROOM > width else "  network"
    return (Span(f" hop  {'address':<{address}}{what:>{rtt}}{'lost':>{lost}}{network}", "faint"),)


def title(target: str, address: str, method: str, port: int, path: Path) -> Line:
    """One line that says where to, how, and whether it got there."""
    where = clean(target) if target == address else f"{clean(target)} ({clean(address, 45)})"
    return (Span(where, "strong"), Span(f" by {how(method, port)}: "), outcome(path))


def broken(line: Line, width: int) -> list[Line]:
    """A line of a few spans as lines that are not wider than `width`, broken between the spans and within long ones."""
    lines: list[list[Span]] = [[]]
    used = 0
    for span in line:
        for piece in [span.text] if used + len(span.text) <= width else _pieces(span.text, width - 2):
            if used and used + len(piece) > width:
                lines.append([Span("  ")])
                used = 2
            lines[-1].append(Span(piece, span.style))
            used += len(piece)
    return [tuple(spans) for spans in lines]


def how(method: str, port: int) -> str:
    """What probes are made of."""
    return method if method == Protocol.ICMP else f"{method} port {port}"


def outcome(path: Path) -> Span:
    """Whether it got there, and how far it is or got."""
    if path.reached:
        length = _last_ttl(path) if _arrived(path) else _last_ttl(path) + 1
        about = "" if _arrived(path) else "about "
        return Span(f"reached, {about}{counted(length, 'hop')}, {milliseconds(path.rtt_s)}", "good")
    last = path.last_responding
    return Span(f"not reached, last answer at hop {last.ttl}" if last else "not reached, nobody answered", "bad")


def _last_ttl(path: Path) -> int:
    """The TTL of the last hop; 0 where there is none."""
    return path.hops[-1].ttl if path.hops else 0


def _columns(path: Path, loss: "LossEvidence | None") -> tuple[int, int, int]:
    """How wide the columns are: addresses, round trips, loss."""
    counts = [*loss.hops, *([loss.destination] if loss.destination else [])] if loss else []
    lost = max((2 + len(share_of(each)) for each in counts if each.sent), default=0)
    longest = max((len(address) for hop in path.hops for address in hop.addresses), default=0)
    address = min(_LONGEST, max(_ADDRESS, longest))
    return address, 1 + (_RTT_OF_MANY if loss else _RTT), max(lost, _LOST)


def _arrived(path: Path) -> bool:
    """Whether the last hop is the destination."""
    return bool(path.hops) and any(x.reply and x.reply.from_destination for x in path.hops[-1].exchanges)


def _rows(
    hop: Hop, whose: Whose, loss: "HopLoss | None", columns: tuple[int, int, int], width: int, beside: Sequence[str]
) -> list[Line]:
    sent = len(hop.exchanges)
    lost = f"{hop.lost}/{sent}" if sent else ""
    explained = loss is not None and loss.silence is not None
    number = Span(f"{hop.ttl:4}  ")
    if not hop.addresses:
        failed = next((x.reply.error for x in hop.exchanges if x.reply and x.reply.error), "")
        text = f"not sent ({clean(failed, 20)})" if failed else "not asked" if not sent else ""
        text = text or f"did not answer {counted(sent, 'probe')}"
        why = f"  {reason(failed).meaning}" if failed else ""
        left = columns[0] + columns[1]
        fits = len(text) <= left and _INDENT + left + columns[2] <= width
        text = f"{text:<{left}}{lost:>{columns[2]}}" if fits else text
        return paragraph(clean(text + why), width=width, first=(number,), indent=_INDENT, style="faint")
    lost = share_of(loss) if loss and loss.sent else lost
    lines: list[Line] = []
    for index, address in enumerate(hop.addresses):
        replies = [x.reply for x in hop.exchanges if x.reply and x.reply.source == address]
        origin = whose(address)
        once = [*beside, *([answers(loss)] if loss and explained else [])] if index == 0 else []
        remarks = [*_remarks(replies), *once]
        network = clean(origin.label) if origin else ""
        colour = "faint" if explained or not hop.lost else "warn"
        fixed = (
            (clean(address, 45), columns[0], ""),
            (_round_trips(replies, many=columns[1] > _RTT + 1), columns[1], "mark"),
            (lost if index == 0 else "", columns[2], colour),
        )
        said = [f"[{remark}]" for remark in remarks if remark]
        lines += _fit(number if index == 0 else Span(" " * _INDENT), fixed, network, said, width)
    return lines


def _fit(
    number: Span, fixed: Sequence[tuple[str, int, str]], network: str, remarks: Sequence[str], width: int
) -> list[Line]:
    """A row: columns of fixed width, the network, remarks; what does not fit goes below, none wider than `width`.

    A network's name may be cut; a remark never is.
    """
    lines: list[list[Span]] = [[number]]
    used = _INDENT
    for index, (text, wanted, style) in enumerate(fixed):
        columns = wanted
        if used + columns > width:
            columns = len(text)
        if used + columns > width:
            used = min(_INDENT, max(0, width - columns))
            lines.append([Span(" " * used)])
        lines[-1].append(Span(f"{text:<{columns}}" if index == 0 else f"{text:>{columns}}", style))
        used += columns
    wanted_room = ((network, min(len(network), _LEAST_ROOM)), *((remark, len(remark)) for remark in remarks))
    for text, least in wanted_room if network else wanted_room[1:]:
        if width - used - 2 < least:
            lines.append([Span(" " * _INDENT)])
            used = _INDENT - 2
        gap = 2 if used >= _INDENT else 0
        first, *more = [text[: width - used - 2]] if text == network else _pieces(text, width - _INDENT)
        lines[-1].append(
            Span(" " * gap + (clean(text, max(1, width - used - 2)) if text == network else first), "faint")
        )
        lines += [[Span(" " * _INDENT), Span(piece, "faint")] for piece in more]
        used = width if more else used + 2 + len(first)
    return [tuple(spans) for spans in lines]


def _pieces(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(10, width), break_on_hyphens=False)


def _round_trips(replies: Sequence[Reply], *, many: bool) -> str:
    times = [reply.rtt_s for reply in replies]
    if not many or len(times) < 2:
        return milliseconds(min(times))
    figures = [time * 1000 for time in (min(times), sorted(times)[len(times) // 2], max(times))]
    return "/".join(f"{each:.1f}" if each < 99.95 else f"{each:.0f}" for each in figures)


def _remarks(replies: Sequence[Reply]) -> list[str]:
    """What a reply says beside who it is from: an error in words, a refusal, MPLS labels (RFC 4950)."""
    said = []
    for reply in replies:
        words = "" if reply.from_destination else meaning(reply)
        said += [f"says {words}"] if words else []
        said += ["this machine's firewall dropped the answer"] if reply.dropped_locally else []
        if reply.kind is ReplyKind.RST:
            said.append("answers: RST" if answers_without_connection(reply) else "refuses: RST")
    labels = "/".join(str(entry[0]) for entry in replies[0].mpls)
    said += [f"MPLS {labels}"] if labels else []
    return list(dict.fromkeys(said))


def _taken_over(path: Path) -> str:
    """Which hops were asked on the way to another target."""
    by_source: dict[str, list[int]] = {}
    for hop in path.hops:
        if hop.shared_from:
            by_source.setdefault(hop.shared_from, []).append(hop.ttl)
    said = [f"{ttls(found)} on the way to {clean(source, 45)}" for source, found in by_source.items()]
    text = ", ".join(said)
    return f"{text[:1].upper()}{text[1:]}: taken over from there, where the ways are the same." if said else ""


def _way_back(path: Path) -> str:
    """The way back where its length is clearly another one than the way there."""
    if not _arrived(path):
        return ""
    last = path.hops[-1]
    arrived = [x.reply.ttl for x in last.exchanges if x.reply and x.reply.from_destination and x.reply.ttl > 0]
    back = path_length(arrived[0]) if arrived else last.ttl
    if abs(back - last.ttl) < _ASYMMETRY:
        return ""
    return f"The way back is another one: {counted(back, 'hop')} by the TTL of the answer, {last.ttl} there."
