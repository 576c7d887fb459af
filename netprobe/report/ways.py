"""All ways to a destination as a graph for people: a column a way, with the turns where they part and meet.

    hop  ways   address
      1  ●      192.0.2.1        16 flows
         ├─┬─┐
      2  ● │ │  10.1.0.2         7 flows
         │ ● │  10.1.1.2         5 flows
         │ │ ●  10.1.2.2         4 flows
         ├─┴─┘
      3  ●      203.0.113.1      16 flows

A turn joins everybody above it with everybody below it that some flow has connected; where not all of them are, the
rows below say from whom. Where balancing is by packet, nobody can say which way leads where, and the row says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from netprobe.model.probes import Multipath, Path
from netprobe.report.lines import Line, Span, line, paragraph
from netprobe.report.trace import Whose
from netprobe.report.words import clean, counted, listed, milliseconds, ttls

_INDENT = 6
_ADDRESS, _LONGEST = 15, 39
_MOST_COLUMNS = 16
_LEAST_ROOM = 12
_RTT = 9


@dataclass
class _Layer:
    """What stands at one TTL: addresses in the order of their columns; one empty address where nobody answers."""

    ttl: int
    addresses: list[str]
    columns: list[int] = field(default_factory=list)
    per_packet: bool = False


@dataclass
class _Turn:
    """A connected piece between two layers: indices above and below."""

    above: list[int]
    below: list[int]


def graph(ways: Multipath, whose: Whose, path: Path | None, *, width: int = 80) -> list[Line]:
    """The graph; `path` knows round trips too."""
    layers = _layers(ways)
    turns = [_turns(ways, above, below) for above, below in pairwise(layers)]
    _place(layers, turns)
    most = 1 + max((column for layer in layers for column in layer.columns), default=0)
    drawn = most <= min(_MOST_COLUMNS, (width - _INDENT - _ADDRESS - 1) // 2)
    longest = max((len(address) for layer in layers for address in layer.addresses), default=0)
    address = min(_LONGEST, max(_ADDRESS, longest))
    sketch = 2 * most + 1 if drawn else 0
    heading = f" hop  {'ways':<{max(sketch, 5)}}address" if drawn else " hop  address"
    lines: list[Line] = [line(heading, "faint")]
    sketch = max(sketch, 5) if drawn else 0
    rtts = _round_trips(path, ways)
    timed = bool(rtts) and _INDENT + sketch + address + _RTT + _LEAST_ROOM <= width
    ending = _ending(ways, layers)
    for number, layer in enumerate(layers):
        above = turns[number - 1] if number else []
        if number and drawn:
            before = [c for c, dead in zip(layers[number - 1].columns, ending[number - 1], strict=True) if not dead]
            rows = _connect(layers[number - 1], layer, above, before)
            lines.extend((Span(" " * _INDENT), Span(row, "mark")) for row in rows)
        for index, own in enumerate(layer.addresses):
            text = _row(layer, index, ending[number]) if drawn else ""
            remarks = _remarks(ways, layers, turns, number, index, drawn=drawn)
            origin = whose(own) if own else None
            cells = [clean(origin.label) if origin else "", *remarks]
            label = f"{layer.ttl:4}  " if index == 0 else " " * _INDENT
            named = clean(own, 45) if own else "no answer"
            rtt = f"{milliseconds(rtts.get(own)) if own in rtts else '':>{_RTT}}" if timed else ""
            head = (
                Span(label),
                Span(f"{text:<{sketch}}", "mark"),
                Span(f"{named:<{address}}", "" if own else "faint"),
                Span(rtt, "mark"),
            )
            below = text.replace("●", " " if ending[number][index] else "│")
            lines += _fit(head, Span(f"{below:<{sketch}}", "mark"), [cell for cell in cells if cell], width)
    return lines


def summary(ways: Multipath, *, left_s: float | None = None, width: int = 80) -> list[Line]:
    """What the graph shows, and how sure that is. `left_s`: it is still being looked, for at least so long."""
    counts = {ttl: len(ways.at(ttl)) for ttl in {vertex.ttl for vertex in ways.vertices}}
    wide = sorted(ttl for ttl, count in counts.items() if count > 1)
    if not counts:
        text = "Nobody has answered"
    elif not wide:
        text = f"One way only: no balancing was seen over {counted(_most_flows(ways), 'flow')}"
    else:
        most = max(counts.values())
        text = f"Up to {most} ways side by side, at {ttls(wide)}"
    packets = [ttl for ttl in ways.per_packet if ttl in counts]
    if packets:
        text += f"; balanced by packet, not by flow, at {ttls(packets)}"
    if left_s is not None:
        sure = f"still looking, at least {left_s:.0f} s more"
    elif ways.complete:
        sure = "at 95 % that is all of them at each hop"
    else:
        sure = "not all was asked: there may be more"
    asked = f"{counted(ways.probes_sent, 'probe')}, {ways.unanswered} unanswered"
    return paragraph(f"{text}; {sure} ({asked}).", width=width - 2, first=(Span("  "),), indent=2)


# -- the graph's own shape --------------------------------------------------------------------------------------------


def _layers(ways: Multipath) -> list[_Layer]:
    last = max((vertex.ttl for vertex in ways.vertices), default=0)
    return [_Layer(ttl, list(ways.at(ttl)) or [""], per_packet=ttl in ways.per_packet) for ttl in range(1, last + 1)]


def _edges(ways: Multipath, above: _Layer, below: _Layer) -> set[tuple[int, int]]:
    """Who leads to whom, as indices. Where flows tell nothing, or nobody answers, everybody to everybody."""
    if above.per_packet or below.per_packet or "" in above.addresses or "" in below.addresses:
        return {(a, b) for a in range(len(above.addresses)) for b in range(len(below.addresses))}
    return {
        (above.addresses.index(branch.near), below.addresses.index(branch.far))
        for branch in ways.branches
        if branch.ttl == below.ttl and branch.near in above.addresses and branch.far in below.addresses
    }


def _turns(ways: Multipath, above: _Layer, below: _Layer) -> list[_Turn]:
    """The connected pieces, from left to right; the layer below is put into their order."""
    edges = _edges(ways, above, below)
    pieces: list[_Turn] = []
    for index in range(len(below.addresses)):
        piece = _Turn(sorted(a for a, b in edges if b == index), [index])
        joined = [other for other in pieces if set(other.above) & set(piece.above)]
        for other in joined:
            pieces.remove(other)
            piece = _Turn(sorted({*other.above, *piece.above}), sorted({*other.below, *piece.below}))
        pieces.append(piece)
    pieces.sort(key=lambda piece: (min(piece.above, default=len(above.addresses)), min(piece.below)))
    order = [index for piece in pieces for index in piece.below]
    below.addresses = [below.addresses[index] for index in order]
    place = {old: new for new, old in enumerate(order)}
    return [_Turn(piece.above, sorted(place[index] for index in piece.below)) for piece in pieces]


def _place(layers: Sequence[_Layer], turns: Sequence[Sequence[_Turn]]) -> None:
    """Give each address its column: below the leftmost of those above it, and never left of its left neighbour."""
    if layers:
        layers[0].columns = list(range(len(layers[0].addresses)))
    for number, pieces in enumerate(turns):
        above, below = layers[number], layers[number + 1]
        free = 0
        for piece in pieces:
            start = max(free, min((above.columns[index] for index in piece.above), default=free))
            below.columns += range(start, start + len(piece.below))
            free = start + len(piece.below)


def _ending(ways: Multipath, layers: Sequence[_Layer]) -> list[list[bool]]:
    """For each layer, whose way ends there."""
    found = []
    for above, below in zip(layers, [*layers[1:], None], strict=True):
        if below is None:
            found.append([True] * len(above.addresses))
        else:
            onward = {a for a, _ in _edges(ways, above, below)}
            found.append([index not in onward for index in range(len(above.addresses))])
    return found


# -- drawing ----------------------------------------------------------------------------------------------------------


def _row(layer: _Layer, index: int, ending: Sequence[bool]) -> str:
    """The row of one address: those to its right have still to come, those to its left go on unless they end."""
    cells: dict[int, str] = {}
    for other, column in enumerate(layer.columns):
        if other == index:
            cells[column] = "●" if layer.addresses[other] else "·"
        elif other > index or not ending[other]:
            cells[column] = "│"
    return _join(cells)


def _connect(above: _Layer, below: _Layer, pieces: Sequence[_Turn], going_on: Sequence[int]) -> list[str]:
    """The rows between two layers: a turn for each piece that does not simply go straight on, rightmost first."""
    present = set(going_on)  # columns with a line in them
    rows = []
    for piece in reversed(pieces):
        tops = {above.columns[index] for index in piece.above}
        bottoms = {below.columns[index] for index in piece.below}
        if tops == bottoms and len(tops) == 1:
            continue
        present -= tops
        if tops:
            rows.append(_bend(tops, bottoms, present))
        present |= bottoms
    return rows


def _bend(tops: set[int], bottoms: set[int], passing: set[int]) -> str:
    """One turn as a row: what comes from above and what leaves below, joined by a line."""
    ends = tops | bottoms
    left, right = min(ends), max(ends)
    text = ""
    for column in range(max(right, *passing, 0) + 1 if passing else right + 1):
        up, down = column in tops, column in bottoms
        west, east = left < column <= right, left <= column < right
        if column in passing:
            text += "│" + ("─" if east and column + 1 not in passing and left <= column < right else " ")
            continue
        text += _CORNERS[up, down, west, east] + ("─" if east else " ")
    return text.rstrip()


#: (from above, to below, to the left, to the right) -> the character.
_CORNERS: Mapping[tuple[bool, bool, bool, bool], str] = {
    (True, True, False, True): "├",
    (True, True, True, False): "┤",
    (True, True, True, True): "┼",
    (True, True, False, False): "│",
    (False, True, False, True): "┌",
    (False, True, True, False): "┐",
    (False, True, True, True): "┬",
    (False, True, False, False): "│",
    (True, False, False, True): "└",
    (True, False, True, False): "┘",
    (True, False, True, True): "┴",
    (True, False, False, False): "│",
    (False, False, True, True): "─",
    (False, False, False, False): " ",
}


def _join(cells: Mapping[int, str]) -> str:
    return "".join(cells.get(column, " ") + " " for column in range(max(cells, default=-1) + 1)).rstrip()


def _fit(head: tuple[Span, ...], below: Span, cells: Sequence[str], width: int) -> list[Line]:
    """A row and, below the address, what does not fit beside it; `below` is the sketch there."""
    indent = _INDENT + len(below.text)
    used = sum(len(span.text) for span in head)
    rows: list[list[Span]] = [list(head)]
    for cell in cells:
        if width - used - 2 < min(len(cell), _LEAST_ROOM):
            rows.append([Span(" " * _INDENT), below])
            used = indent - 2
        shown = clean(cell, max(1, width - used - 2))
        rows[-1].append(Span(("  " if used >= indent else "") + shown, "faint"))
        used += 2 + len(shown)
    return [tuple(spans) for spans in rows]


# -- words ------------------------------------------------------------------------------------------------------------


def _remarks(
    ways: Multipath,
    layers: Sequence[_Layer],
    turns: Sequence[Sequence[_Turn]],
    number: int,
    index: int,
    *,
    drawn: bool,
) -> list[str]:
    layer = layers[number]
    own = layer.addresses[index]
    flows = next((len(v.flows) for v in ways.vertices if (v.ttl, v.address) == (layer.ttl, own)), 0)
    said = [counted(flows, "flow")] if own and len(layer.addresses) > 1 else []
    if layer.per_packet:
        said.append("any of these, packet by packet")
    if number:
        above = layers[number - 1]
        edges = _edges(ways, above, layer)
        froms = sorted(a for a, b in edges if b == index)
        piece = next((turn for turn in turns[number - 1] if index in turn.below), None)
        partly = piece is not None and len(piece.above) > 1 and froms != piece.above
        if (partly or (not drawn and len(above.addresses) > 1)) and froms and above.addresses[0]:
            said.append(f"from {listed(clean(above.addresses[a], 45) for a in froms)}")
        if not froms and own:
            said.append("it is not known from where")
    if own == ways.flow.destination and number + 1 < len(layers):
        said.append("the destination, by a shorter way")
    return said


def _round_trips(path: Path | None, ways: Multipath) -> dict[str, float]:
    found: dict[str, float] = {}
    for hop in (*(path.hops if path else ()), *ways.hops):
        for exchange in hop.exchanges:
            reply = exchange.reply
            if reply and reply.source:
                found[reply.source] = min(reply.rtt_s, found.get(reply.source, reply.rtt_s))
    return found


def _most_flows(ways: Multipath) -> int:
    return max((len(vertex.flows) for vertex in ways.vertices), default=0)
