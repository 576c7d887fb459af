"""What a trace shows while it runs fits every screen, whatever it has to say."""

from hypothesis import given, settings
from hypothesis import strategies as st

from netprobe.model.probes import Exchange, Flow, Hop, Multipath, Path, Protocol, Reply, ReplyKind, Vertex
from netprobe.report.lines import render
from netprobe.report.page import block, page
from netprobe.topology.asn import Origin
from netprobe.tracing import Traced


def somebody(_: str) -> Origin | None:
    return Origin(3320, "Deutsche Telekom AG\x1b[31m of a very long name that nobody can show")


def traced(number: int, hops: int, *, over: bool, error: str = "", v6: bool = False) -> Traced:
    """A target whose path has so many hops."""
    address = f"2001:db8:1234:5678:9abc:def0:1234:{number:x}" if v6 else f"198.51.100.{number}"
    replies = [Reply(ReplyKind.TIME_EXCEEDED, address, 0.0123, 60, 11, 0, mpls=((16, 0, True, 1),))] * hops
    shown = tuple(Hop(ttl, (Exchange(ttl, ttl, 0.0, reply),)) for ttl, reply in enumerate(replies, 1))
    path = None if error else Path(Flow(Protocol.ICMP, address), shown, reached=over, rtt_s=0.02)
    return Traced(f"host-{number}.example", "" if error else address, path, error, over)


TARGETS = st.lists(
    st.builds(
        traced,
        st.integers(1, 250),
        st.integers(0, 30),
        over=st.booleans(),
        error=st.sampled_from(["", "", "no such name\x1b]0;owned\x07, says the resolver"]),
        v6=st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


@settings(deadline=None)
@given(TARGETS, st.integers(40, 200), st.integers(1, 60))
def test_a_page_fits_the_screen(known: list[Traced], width: int, height: int) -> None:
    """No line is wider, no page is higher, nothing on it is a control character."""
    doing = "counting loss: 188 of 480, about 7 s more; Ctrl-C shows what is known"
    lines = page(known, doing, "icmp", 0, somebody, width=width, height=height, left_s=3.0)
    assert len(lines) <= height
    text = render(lines)
    assert all(len(row) <= width for row in text.split("\n"))
    assert all(character.isprintable() or character == "\n" for character in text)


@settings(deadline=None)
@given(TARGETS, st.integers(40, 200))
def test_a_block_is_as_wide_as_the_screen_at_most(known: list[Traced], width: int) -> None:
    """However long addresses are; none is ever cut."""
    for one in known:
        text = render(block(one, "syn", 443, somebody, width=width))
        assert all(len(row) <= width for row in text.split("\n"))
        if one.path and one.path.hops:
            assert one.address in text


def test_why_ways_are_looked_for_by_syns_is_said() -> None:
    """When nobody chose it; and what echo requests cannot show, when somebody did."""
    flow = Flow(Protocol.TCP, "192.0.2.1", 443)
    ways = Multipath(
        flow, (Vertex(1, "192.0.2.1", (1000,)),), (), (), reached=True, complete=True, probes_sent=6, unanswered=0
    )
    one = traced(1, 1, over=True)._replace(ways=ways)
    assert "By SYNs, because" in render(block(one, "syn", 443, somebody, named=False))
    assert "By SYNs, because" not in render(block(one, "syn", 443, somebody))
    text = render(block(one, "icmp", 0, somebody, width=40))
    assert "Echo requests have no ports" in text
    assert all(len(row) <= 40 for row in text.split("\n"))


def test_who_is_under_way_comes_first() -> None:
    """When there is no room for all, those that are over are the ones that are not shown."""
    known = [traced(number, 5, over=number != 17) for number in range(1, 31)]
    text = render(page(known, "tracing: 29 of 30", "icmp", 0, somebody, width=80, height=10))
    assert text.split("\n")[:2] == ["30 targets by icmp", " host-17.example  hop 5"]
    assert "23 more not shown; tracing: 29 of 30" in text
