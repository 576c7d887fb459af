"""Where a name is minded: each manner at its hop, chance told from habit, and where it cannot be told."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.model.probes import Reply, ReplyKind
from netprobe.model.replies import ACK, FIN, RST, TcpHeader
from netprobe.model.services import Handshake, Handshaken
from netprobe.probing.interference import Interference, Manner, interference, way_of

SERVER, END = "198.51.100.1", 9


def router(ttl: int) -> str:
    """The address of the router at `ttl`."""
    return f"192.0.2.{ttl}"


def shaken(ttl: int, flags: Iterable[int] = (), *, hop: bool = False, connected: bool = True) -> Handshaken:
    """A ClientHello with `ttl` that drew segments with `flags`, and a router's word where `hop`."""
    heard = tuple(Reply(ReplyKind.ACK, SERVER, 0.1, 50, tcp=TcpHeader(f, 100, 1, 1)) for f in flags)
    returned = (Reply(ReplyKind.TIME_EXCEEDED, router(ttl), 0.1, icmp_type=11, icmp_code=0),) if hop else ()
    hello = Handshake(SERVER, 443, "example.com", verify=False, hello_ttl=ttl)
    return Handshaken(hello, "tls", "timeout", connect_s=0.05 if connected else None, heard=heard, returned=returned)


def served(silent: frozenset[int] = frozenset(), end: int = END) -> list[Handshaken]:
    """What a name that nobody minds draws: routers, then the server's answer; `silent` routers say nothing."""
    return [*(shaken(ttl, hop=ttl not in silent) for ttl in range(1, end)), shaken(end, [ACK])]


def minded(at: int, flags: Iterable[int], *, passes: bool = False) -> list[Handshaken]:
    """What a name draws that is minded at the hop `at`; with `passes` from beside the way."""
    before = [shaken(ttl, hop=True) for ttl in range(1, at)]
    return [*before, *(shaken(ttl, flags, hop=passes and ttl < END) for ttl in range(at, END + 1))]


@given(at=st.integers(1, END - 1), passes=st.booleans())
@pytest.mark.parametrize(("flags", "manner"), [([RST], Manner.RESET), ([ACK, FIN | ACK], Manner.FIN)])
def test_who_ends_it_stands_where_the_ends_begin(flags: list[int], manner: Manner, at: int, *, passes: bool) -> None:
    """At the hop, with its router, whether the ClientHello goes on or not."""
    behind = router(at - 1) if at > 1 else ""
    found = interference(minded(at, flags, passes=passes), served())
    assert found == Interference(manner, at, at, router(at), behind, passes=passes)


def test_who_answers_in_the_servers_stead() -> None:
    """Somebody takes the connection over, and the server is never heard of."""
    test = [*(shaken(ttl, hop=True) for ttl in range(1, 5)), shaken(5, [ACK]), *(shaken(t) for t in range(6, END + 1))]
    found = interference(test, served())
    assert (found.manner, found.ttl, found.address) == (Manner.ANSWER, 5, router(5))


@given(st.integers(1, END - 1), st.frozensets(st.integers(1, END - 1)))
def test_silence_is_placed_as_closely_as_routers_tell(at: int, silent: frozenset[int]) -> None:
    """The true hop is always within what is said, and said exactly where the routers around it speak."""
    test = [shaken(ttl, hop=ttl < at and ttl not in silent) for ttl in range(1, END + 1)]
    found = interference(test, served(silent))
    assert found.manner is Manner.SILENCE
    assert found.nearest <= at <= found.ttl
    if not {at - 1, at} & silent:
        assert (found.nearest, found.ttl, found.address) == (at, at, router(at))
    if found.nearest < found.ttl:
        assert found.address == ""


def test_the_server_minds_it_itself() -> None:
    """What begins at the distance of the server's answers may be the server."""
    for flags, manner in (([RST], Manner.RESET), ([], Manner.SILENCE)):
        found = interference(minded(END, flags), served())
        assert (found.manner, found.at_end, found.address) == (manner, True, "")


def test_nobody_minds_it() -> None:
    """Answers as the other name gets them; also where the server ends any connection, or the way is a hop longer."""
    assert interference(served(), served()).manner is Manner.NONE
    assert interference(served(end=END + 1), served()).manner is Manner.NONE
    rude = minded(END, [RST])
    assert interference(rude, rude).manner is Manner.NONE


def test_a_device_that_minds_it_now_and_then() -> None:
    """Two ends at different hops are no chance, though something in between went through; one alone may be."""
    mixed = [*minded(4, [RST])[:4], shaken(5, hop=True), shaken(6, [RST])]
    assert interference(mixed, served()).ttl == 4
    once = [*minded(4, [RST])[:4], *(shaken(ttl, hop=True) for ttl in range(5, END)), shaken(END, [ACK])]
    assert interference(once, served()).manner is Manner.NONE


def test_too_little_came_back() -> None:
    """A server that answers nobody, a name that was not asked for far enough, connections that did not come about."""
    assert interference(minded(4, [RST]), []).manner is Manner.UNCLEAR
    assert interference(minded(4, [RST]), served()[:-1]).manner is Manner.UNCLEAR
    assert interference([shaken(ttl, hop=True) for ttl in range(1, 4)], served()).manner is Manner.UNCLEAR
    assert interference([shaken(1, connected=False)], served()).manner is Manner.UNCLEAR


def test_the_way_of_what_came_back() -> None:
    """Routers in their order, silent ones kept, up to the server."""
    way = way_of(served(frozenset({3})))
    assert [hop.addresses for hop in way.hops] == [(router(t),) if t not in {3, END} else () for t in range(1, END + 1)]
    assert way.reached
    assert not way_of([]).hops
