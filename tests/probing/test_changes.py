"""Where packets are changed, told from what hops quote."""

from netprobe.model.probes import Exchange, Flow, Hop, Path, Protocol, Reply, ReplyKind
from netprobe.model.replies import Change
from netprobe.probing.changes import Changed, changes_on

BLEACHED = Change("dscp", 46, 0)
REMARKED = Change("dscp", 46, 8)
CLAMPED = Change("mss", 1460, 1400)


def path(*hops: tuple[Change, ...] | None, quoted: int = 60) -> Path:
    """A path whose hops quote so; None is a silent hop."""
    made = []
    for ttl, changes in enumerate(hops, 1):
        reply = None
        if changes is not None:
            source = f"198.51.100.{ttl}"
            reply = Reply(ReplyKind.TIME_EXCEEDED, source, 0.01, 64, 11, 0, 1, changes=changes, quoted_bytes=quoted)
        made.append(Hop(ttl, (Exchange(ttl, ttl, 0.0, reply),)))
    return Path(Flow(Protocol.TCP, "203.0.113.2", 443, tos=46 << 2), tuple(made), reached=False)


def test_a_change_lies_before_the_first_hop_that_shows_it() -> None:
    """Behind the last that does not; silent hops between leave both possible."""
    assert changes_on(path((), (BLEACHED,), (BLEACHED,))) == (Changed(BLEACHED, 2, 1),)
    assert changes_on(path((), None, None, (BLEACHED,))) == (Changed(BLEACHED, 4, 1),)
    assert changes_on(path((BLEACHED,), (BLEACHED,))) == (Changed(BLEACHED, 1, 0),)
    assert changes_on(path((), (), ())) == ()


def test_what_a_later_hop_does_not_show_is_a_router_s_own() -> None:
    """It quotes oddly; the packet went on as it was."""
    assert changes_on(path((), (BLEACHED,), ())) == ()
    assert changes_on(path((BLEACHED,), (), (BLEACHED,), (BLEACHED,))) == (Changed(BLEACHED, 3, 2),)


def test_a_value_that_changes_twice_is_two_changes() -> None:
    """One network marks anew what another has marked."""
    assert changes_on(path((), (REMARKED,), (BLEACHED,))) == (Changed(REMARKED, 2, 1), Changed(BLEACHED, 3, 2))


def test_numbers_of_each_packet_are_one_change() -> None:
    """A rewritten identification is another one for each probe."""
    first, second = Change("ip_id", 1, 500), Change("ip_id", 2, 900)
    assert changes_on(path((), (first,), (second,))) == (Changed(first, 2, 1),)


def test_who_quotes_too_little_proves_nothing() -> None:
    """RFC 792's 8 bytes do not reach to the options: such a hop neither shows a clamped MSS nor denies it."""
    whole, short = path((), (CLAMPED,)), path((), quoted=28)
    both = Path(whole.flow, (*whole.hops, Hop(3, short.hops[0].exchanges)), reached=False)
    assert changes_on(both) == (Changed(CLAMPED, 2, 1),)


def test_a_quoted_ttl_is_the_hop_s_own() -> None:
    """How a router counts is nothing that happens to the packet on its way."""
    assert changes_on(path((Change("ttl", 1, 0),))) == ()
