"""Loops, what paths share, and where they part."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.model.probes import Exchange, Flow, Hop, Path, Protocol, Reply, ReplyKind
from netprobe.topology.paths import Parting, common_prefix, loop, next_after, parting

Trace = Callable[..., Path]


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["g", "a", "b", "a", "b"], ("a", "b")),
        (["g", "a", "b", "c", "a", "b", "c", "a"], ("a", "b", "c")),
        (["g", "a", "b", "c", "d", "a", "b", "c", "d"], ("a", "b", "c", "d")),
        (["g", "a", "b", "", "b", "a", "", "", ""], ("a", "b")),
        (["g", "", "b", "a", "b", "", "b", "a"], ("b", "a")),
    ],
)
def test_a_cycle_of_routers_is_a_loop(trace: Trace, addresses: list[str], expected: tuple[str, ...]) -> None:
    """A cycle that holds to the end is a loop, however many of its routers stay silent now and then."""
    assert loop(trace(addresses, reached=False)) == expected


@pytest.mark.parametrize(
    "addresses",
    [
        [],
        ["", "", "", ""],
        ["g", "a", "b", "c"],
        ["g", "a", "a", "a", "a", "a"],  # a firewall that answers for everything behind it
        ["g", "a", "b", "a"],  # once may be a load balancer
        ["g", "a", "b", "a", "b", "c", "d"],  # it goes on: no loop
        ["g", "a", "b", "c", "d", "e", "a", "b", "c", "d", "e"],  # longer than any cycle that is believed
    ],
)
def test_what_only_looks_like_a_loop(trace: Trace, addresses: list[str]) -> None:
    """A router that repeats itself, a single return, or a path that goes on is no loop."""
    assert loop(trace(addresses, reached=False)) is None


def test_unreachable_messages_are_no_loop() -> None:
    """Two routers that both say "unreachable" to every TTL are no loop: a loop ends TTLs."""

    def hop(ttl: int, who: str) -> Hop:
        return Hop(ttl, (Exchange(ttl, ttl, 0.0, Reply(ReplyKind.UNREACHABLE, who, 0.01, icmp_type=3, icmp_code=1)),))

    hops = tuple(hop(ttl, "ab"[ttl % 2]) for ttl in range(1, 9))
    assert loop(Path(Flow(Protocol.ICMP, "23.50.131.10"), hops, reached=False)) is None


@given(
    st.lists(st.sampled_from("pqrstu"), max_size=5, unique=True),
    st.integers(2, 4),
    st.integers(2, 5),
    st.integers(0, 3),
)
def test_every_full_cycle_is_found(prefix: list[str], period: int, rounds: int, rest: int) -> None:
    """Whatever leads into a loop, and wherever the trace gives up, the members are found in their order."""
    members = "wxyz"[:period]
    row = [*prefix, *(members * rounds), *members[: rest % period]]
    replies = [Reply(ReplyKind.TIME_EXCEEDED, address, 0.01) for address in row]
    hops = tuple(Hop(n, (Exchange(n, n, 0.0, reply),)) for n, reply in enumerate(replies, 1))
    assert loop(Path(Flow(Protocol.ICMP, "23.50.131.10"), hops, reached=False)) == tuple(members)


def test_paths_share_what_none_contradicts(trace: Trace) -> None:
    """Silence contradicts nobody; the common part ends at the first disagreement."""
    one = trace(["g", "a", "", "c", "x"])
    two = trace(["g", "", "b", "c", "y"])
    assert common_prefix((one, two)) == ("g", "a", "b", "c")
    assert common_prefix((one,)) == ("g", "a", "", "c", "x", "23.50.131.10")
    assert common_prefix((one, trace(["g", "", ""], reached=False))) == ("g", "a")
    assert common_prefix((one, trace(["h"]))) == ()
    assert common_prefix(()) == ()


def test_successors_of_a_router(trace: Trace) -> None:
    """Those behind a router are listed once each, and silence behind it is nobody."""
    paths = (trace(["g", "a", "b"]), trace(["g", "a", "c"]), trace(["g", "a", ""]), trace(["g", "a", "b", "a", "d"]))
    assert next_after("a", paths) == ("b", "c", "d")
    assert next_after("z", paths) == ()


def test_a_failing_path_parts_from_the_longest_companion(trace: Trace) -> None:
    """Packets die behind b, and b hands on those of another destination to c."""
    failing = trace(["g", "a", "b", "", "", ""], reached=False)
    passing = (trace(["g", "a", "d", "e"]), trace(["g", "a", "b", "c"], "71.18.1.1"))
    assert parting(failing, passing) == Parting("b", 3, "", "c")


def test_paths_that_share_nothing_do_not_part(trace: Trace) -> None:
    """Without a router that both have shown there is no place at which they part."""
    assert parting(trace(["", "a"]), [trace(["b", "c"])]) is None
    assert parting(trace(["a"]), []) is None
