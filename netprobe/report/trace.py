"""A traceroute for people: a table of hops (`trace_line` has it for machines).

Loss is always shown with its denominator, and a hop that stays silent keeps its row.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from netprobe.model.probes import Hop, Path, Reply, ReplyKind
from netprobe.model.unsent import reason
from netprobe.report.lines import Line, Span
from netprobe.report.words import clean, milliseconds

if TYPE_CHECKING:
    from netprobe.topology.asn import Origin

Whose = Callable[[str], "Origin | None"]


def table(path: Path, whose: Whose, *, width: int = 80, first: int = 1) -> list[Line]:
    """The hops from TTL `first` on, a row for each address that answered."""
    room = max(16, width - 44)
    lines: list[Line] = []
    for hop in path.hops:
        if hop.ttl >= first:
            lines += _rows(hop, whose, room)
    return lines


def _rows(hop: Hop, whose: Whose, room: int) -> list[Line]:
    sent = len(hop.exchanges)
    loss = f"{hop.lost}/{sent}" if sent else ""
    if not hop.addresses:
        failed = next((x.reply.error for x in hop.exchanges if x.reply and x.reply.error), "")
        text = f"not sent ({clean(failed, 20)})" if failed else "no answer" if sent else "not asked"
        why = Span("  " + clean(reason(failed).meaning, room), "faint") if failed else Span("")
        return [
            (Span(f"{hop.ttl:4}  "), Span(f"{text:<17}", "faint"), Span(" " * 11), Span(f"{loss:>6}", "faint"), why)
        ]
    lines: list[Line] = []
    for number, address in enumerate(hop.addresses):
        replies = [x.reply for x in hop.exchanges if x.reply and x.reply.source == address]
        best = min(reply.rtt_s for reply in replies)
        origin = whose(address)
        network = clean(origin.label) if origin else ""
        shared = f"  [seen on the way to {clean(hop.shared_from, 45)}]" if hop.shared_from else ""
        lines.append(
            (
                Span(f"{hop.ttl:4}  " if number == 0 else " " * 6),
                Span(f"{clean(address, 45):<17}"),
                Span(f"{milliseconds(best):>11}", "mark"),
                Span(f"{loss:>6}" if number == 0 else " " * 6, "warn" if hop.lost else "faint"),
                Span("  " + clean(network + _remark(replies) + shared, room), "faint"),
            )
        )
    return lines


def _remark(replies: list[Reply]) -> str:
    """What is to be said of replies beside who they are from: an unreachable's code, MPLS labels (RFC 4950), ..."""
    said = []
    if any(reply.kind is ReplyKind.UNREACHABLE for reply in replies):
        code = next(r.icmp_code for r in replies if r.kind is ReplyKind.UNREACHABLE)
        said.append(f"says unreachable (code {code})")
    if any(reply.dropped_locally for reply in replies):
        said.append("this machine's firewall dropped the answer")
    labels = [entry[0] for entry in replies[0].mpls]
    if labels:
        said.append("MPLS " + "/".join(map(str, labels)))
    return "".join(f"  [{remark}]" for remark in said)


HEADER: Line = (Span(" hop  address           round trip  lost  network", "faint"),)


def title(target: str, address: str, method: str, port: int, path: Path) -> Line:
    """One line that says where to, how, and whether it got there."""
    where = clean(target) if target == address else f"{clean(target)} ({clean(address, 45)})"
    how = method if method == "icmp" else f"{method} port {port}"
    if path.reached:
        length = len(path.hops)
        outcome = Span(f"reached, {length} {'hop' if length == 1 else 'hops'}, {milliseconds(path.rtt_s)}", "good")
    else:
        last = path.last_responding
        outcome = Span(f"not reached, last answer at hop {last.ttl}" if last else "not reached, nobody answered", "bad")
    return (Span(where, "strong"), Span(f" by {how}: "), outcome)
