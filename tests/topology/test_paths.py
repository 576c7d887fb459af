"""Loops, and what only looks like one."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.model.probes import Exchange, Flow, Hop, Path, Protocol, Reply, ReplyKind
from netprobe.topology.paths import loop

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
