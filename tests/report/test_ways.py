"""All ways as a graph: what parts, what meets, and what cannot be told."""

from collections.abc import Sequence

import pytest

from netprobe.model.probes import Branch, Exchange, Flow, Hop, Multipath, Path, Protocol, Reply, ReplyKind, Vertex
from netprobe.report.lines import render
from netprobe.report.ways import graph, summary
from netprobe.topology.asn import Origin

Layers = Sequence[Sequence[str]]


def nobody(_: str) -> Origin | None:
    return None


def every(above: Sequence[str], below: Sequence[str]) -> list[tuple[str, str]]:
    return [(near, far) for near in above for far in below]


def made(layers: Layers, *edges: Sequence[tuple[str, str]], per_packet: tuple[int, ...] = ()) -> Multipath:
    """A graph of `layers`, with the branches from each to the next."""
    vertices = tuple(Vertex(ttl, address, (1000, 1001)) for ttl, layer in enumerate(layers, 1) for address in layer)
    branches = tuple(Branch(ttl, near, far) for ttl, pairs in enumerate(edges, 2) for near, far in pairs)
    flow = Flow(Protocol.TCP, layers[-1][-1], 443)
    return Multipath(flow, vertices, branches, per_packet, reached=True, complete=True, probes_sent=50, unanswered=1)


def drawn(ways: Multipath, width: int = 80, path: Path | None = None) -> str:
    return render(graph(ways, nobody, path, width=width))


A, B, C, D = ["a"], ["b0", "b1", "b2"], ["c0", "c1", "c2"], ["d"]


def test_a_diamond_parts_and_meets_again() -> None:
    """A column a way; straight on is no turn."""
    ways = made([A, B, C, D], every(A, B), list(zip(B, C, strict=True)), every(C, D))
    assert (
        drawn(ways)
        == """\
 hop  ways   address
   1  ●      a
      ├─┬─┐
   2  ● │ │  b0               2 flows
      │ ● │  b1               2 flows
      │ │ ●  b2               2 flows
   3  ● │ │  c0               2 flows
      │ ● │  c1               2 flows
      │ │ ●  c2               2 flows
      ├─┴─┘
   4  ●      d
"""
    )


def test_a_way_makes_room_for_one_that_parts_beside_it() -> None:
    """What stands to the right moves on before the left one spreads, and comes back where they meet."""
    two, four = ["b0", "b1"], ["c0", "c1", "c2", "c3"]
    split = [("b0", "c0"), ("b0", "c1"), ("b0", "c2"), ("b1", "c3")]
    meet = [("c0", "d0"), ("c1", "d0"), ("c2", "d0"), ("c3", "d1")]
    text = drawn(made([A, two, four, ["d0", "d1"], ["e"]], every(A, two), split, meet, every(["d0", "d1"], ["e"])))
    assert text.split("\n")[5:17] == [
        "      │ └───┐",
        "      ├─┬─┐ │",
        "   3  ● │ │ │  c0               2 flows",
        "      │ ● │ │  c1               2 flows",
        "      │ │ ● │  c2               2 flows",
        "      │ │ │ ●  c3               2 flows",
        "      ├─┴─┘ │",
        "   4  ●     │  d0               2 flows",
        "      │     ●  d1               2 flows",
        "      ├─────┘",
        "   5  ●        e",
        "",
    ]


def test_ways_that_cross_say_from_whom() -> None:
    """A turn joins all; where not everybody leads to everybody, the row says so."""
    two, next_two = ["b0", "b1"], ["c0", "c1"]
    text = drawn(
        made([A, two, next_two, D], every(A, two), [("b0", "c0"), ("b0", "c1"), ("b1", "c1")], every(next_two, D))
    )
    assert "c0               2 flows  from b0\n" in text
    assert "c1               2 flows\n" in text


def test_balancing_by_packet_is_said() -> None:
    """No flow tells which way leads where: every packet takes any."""
    ways = made([A, B, D], [], [], per_packet=(2,))
    assert drawn(ways).count("any of these, packet by packet") == 3
    assert "balanced by packet, not by flow, at hop 2" in render(summary(ways, width=120))


def test_a_silent_hop_is_kept() -> None:
    """Everybody goes through it, and nobody knows how."""
    assert "   2  ·      no answer\n      ├─┬─┐\n" in drawn(made([A, [], B, D], [], [], every(B, D)))


def test_a_shorter_way_ends_early() -> None:
    """The destination at two distances: one way ends, the other goes on."""
    text = drawn(made([A, ["b", "z"], ["z"]], every(A, ["b", "z"]), [("b", "z")]))
    assert "  │ ●  z                2 flows  the destination, by a shorter way\n   3  ●    z\n" in text


def test_round_trips_are_known_from_the_trace() -> None:
    """Of the addresses that it met; the column is there for all."""
    reply = Reply(ReplyKind.TIME_EXCEEDED, "b1", 0.0123)
    path = Path(Flow(Protocol.TCP, "d", 443), (Hop(2, (Exchange(2, 1, 0.0, reply),)),), reached=False)
    rows = drawn(made([A, B, D], every(A, B), every(B, D)), path=path).split("\n")
    assert rows[4] == "      │ ● │  b1               12.3 ms  2 flows"
    assert rows[5] == "      │ │ ●  b2                        2 flows"


@pytest.mark.parametrize("width", [40, 41, 60, 80, 200])
@pytest.mark.parametrize("count", [1, 2, 8, 16, 60])
def test_no_row_is_wider_than_the_screen(width: int, count: int) -> None:
    """Too many ways for the width are listed with where they come from."""
    many = [f"10.255.{number}.200" for number in range(count)]
    more = [f"10.254.{number}.200" for number in range(count)]
    ways = made([A, many, more, D], every(A, many), list(zip(many, more, strict=True)), every(more, D))
    text = drawn(ways, width)
    assert max(map(len, text.split("\n"))) <= width
    assert all(address in text for address in (*many, *more))
    if count == 60:
        assert "●" not in text
        assert "from 10.255.3.200" in text


def test_how_sure_it_is() -> None:
    """All of them at 95 %, or not all was asked, or still under way with how long at least."""
    ways = made([A, D], every(A, D))
    assert "One way only: no balancing was seen over 2 flows; at 95 % that is all" in render(summary(ways, width=120))
    assert "still looking, at least 12 s more" in render(summary(ways, left_s=12.3, width=120))
