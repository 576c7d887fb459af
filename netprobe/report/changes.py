"""What was learned of the way beside who answers: for the lines of a table, and as records for JSON."""

from collections.abc import Sequence

from netprobe.model.dscp import name_of
from netprobe.model.probes import Path, Reply, ReplyKind
from netprobe.model.record import Record
from netprobe.model.replies import ACK, Change, Interface, TcpHeader
from netprobe.probing.changes import Changed, changes_on
from netprobe.probing.cookies import cookie_signs
from netprobe.report.words import clean

_FLAGS = "FSRPAUEC"  # RFC 9293, 3.1, from the lowest bit on
_NAT = frozenset({"source", "source_port", "destination", "identifier"})


class ChangeLine(Record, frozen=True):
    """A field of our packet that left as `sent` and was quoted as `seen`."""

    field: str
    sent: int | str
    seen: int | str


class ChangedLine(Record, frozen=True):
    """The same, put on the path: it happened behind the hop at TTL `after` (0: before any that shows it)."""

    field: str
    sent: int | str
    seen: int | str
    after: int


class OptionLine(Record, frozen=True, omit_defaults=True):
    """A TCP option with its value; `echo` is the time stamp that it echoes."""

    name: str
    value: int = 0
    echo: int = 0


class TcpLine(Record, frozen=True, omit_defaults=True):
    """A segment: flags as letters (`SA`, `RA`), options in order, DF, and the window as it stands there."""

    flags: str
    window: int
    sequence: int
    acknowledges: int
    options: list[OptionLine]
    ip_id: int | None
    tos: int = 0
    dont_fragment: bool = False


class InterfaceLine(Record, frozen=True, omit_defaults=True):
    """An interface of the router (RFC 5837)."""

    role: str
    index: int = 0
    address: str = ""
    name: str = ""
    mtu: int = 0


def change_lines(changes: Sequence[Change]) -> list[ChangeLine]:
    """Changes as records."""
    return [ChangeLine(change.field, change.sent, change.seen) for change in changes]


def changed_lines(path: Path) -> dict[int, list[ChangedLine]]:
    """What was changed on the way, by the TTL of the first hop that shows it."""
    found: dict[int, list[ChangedLine]] = {}
    for changed in changes_on(path):
        its = changed.change
        found.setdefault(changed.ttl, []).append(ChangedLine(its.field, its.sent, its.seen, changed.after))
    return found


def interface_lines(interfaces: Sequence[Interface]) -> list[InterfaceLine]:
    """Interfaces as records; their text is hostile, and cleaned."""
    return [InterfaceLine(i.role, i.index, i.address, clean(i.name, 64), i.mtu) for i in interfaces]


def tcp_line(reply: Reply) -> TcpLine | None:
    """A segment as a record; None for what is none."""
    header = reply.tcp
    if header is None:
        return None
    return TcpLine(
        "".join(letter for bit, letter in enumerate(_FLAGS) if header.flags >> bit & 1),
        header.window,
        header.sequence,
        header.acknowledges,
        [OptionLine(option.name, option.value, option.echo) for option in header.options],
        None if reply.ip_id < 0 else reply.ip_id,
        header.tos,
        header.dont_fragment,
    )


def destination_ttls(path: Path) -> list[int]:
    """The TTLs with which the destination's replies arrived, where they differ: a hint of several machines, or ways."""
    found = sorted({reply.ttl for reply in _of_destination(path) if reply.ttl > 0})
    return found if len(found) > 1 else []


def cookies(path: Path) -> list[str]:
    """Signs that the destination answers with SYN cookies (a heuristic), by name."""
    return list(cookie_signs(_syn_acks(path)))


def remarks_at(path: Path) -> dict[int, list[str]]:
    """What a table says beside the hops, by TTL."""
    found: dict[int, list[str]] = {}
    for changed in changes_on(path):
        text = _words(changed)
        if text not in found.setdefault(changed.ttl, []):
            found[changed.ttl].append(text)
    sizes = {header.mss for header in _syn_acks(path)} - {0}
    usual = 1440 if ":" in path.flow.destination else 1460  # RFC 9293, 3.7.1, over Ethernet
    if sizes and path.hops and min(sizes) < usual:
        found.setdefault(path.hops[-1].ttl, []).append(f"MSS {min(sizes)}")
    return found


def answers_without_connection(reply: Reply) -> bool:
    """Whether a RST is only what an ACK of no connection draws (RFC 9293, 3.10.7.1), and refuses nobody."""
    return reply.kind is ReplyKind.RST and reply.tcp is not None and not reply.tcp.flags & ACK


def _words(changed: Changed) -> str:
    change = changed.change
    match change.field:
        case "dscp":
            return f"DSCP {name_of(change.sent)} becomes {name_of(change.seen)} here"
        case "ecn":
            return f"ECN {change.sent} becomes {change.seen} here"
        case "mss":
            return f"MSS clamped to {change.seen} here"
        case "options":
            return "TCP options are changed here"
        case "dont_fragment":
            return "DF is cleared here" if change.sent else "DF is set here"
        case "sequence":
            return "numbers are rewritten here"
        case "checksum":
            return "the checksum is changed here: NAT?"
        case field if field in _NAT:
            return "NAT here"
    return f"{change.field.replace('_', ' ')} changes here"


def _of_destination(path: Path) -> list[Reply]:
    own = (hop for hop in path.hops if not hop.shared_from)  # what is taken over stands before the destination
    return [x.reply for hop in own for x in hop.exchanges if x.reply and x.reply.from_destination]


def _syn_acks(path: Path) -> list[TcpHeader]:
    return [reply.tcp for reply in _of_destination(path) if reply.kind is ReplyKind.SYN_ACK and reply.tcp]
