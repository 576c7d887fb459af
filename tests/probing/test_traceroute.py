import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.model.probes import Path, Probe, Protocol
from netprobe.probing.distance import path_length
from netprobe.probing.run import one, run
from netprobe.probing.traceroute import FULL_TTL, Traceroute
from tests.probing.line import DESTINATION, LineVantage, flow

BURST = 1e6  # no pacing: these tests are about rounds


def trace(vantage: LineVantage, protocol: Protocol = Protocol.ICMP, **options: int) -> Path:
    return run(one(Traceroute(flow(protocol), **options)), vantage, rate=BURST)


def addresses(path: Path) -> list[tuple[str, ...]]:
    return [hop.addresses for hop in path.hops]


def routers(first: int, last: int) -> list[tuple[str, ...]]:
    return [(f"198.51.100.{hop}",) for hop in range(first, last + 1)]


@pytest.mark.parametrize("hops", [1, 5, 14])
def test_short_path_takes_one_round_trip(hops: int) -> None:
    """A path of up to 15 routers is known, hop by hop, after one round trip to the destination."""
    vantage = LineVantage(hops)
    path = trace(vantage)
    assert addresses(path) == [*routers(1, hops), (DESTINATION,)]
    assert path.reached
    assert vantage.clock - 100.0 == pytest.approx(2 * (hops + 1) * vantage.hop_s)


def test_long_path_takes_two_round_trips() -> None:
    """What the first TTLs missed follows in one more round, up to the guess from the reply's TTL."""
    vantage = LineVantage(24)
    path = trace(vantage)
    assert addresses(path) == [*routers(1, 24), (DESTINATION,)]
    assert vantage.clock - 100.0 == pytest.approx(2 * 2 * 25 * vantage.hop_s, rel=0.01)
    assert path.probes_sent <= 25 + 5


def test_flow_is_constant() -> None:
    """Every TTL-limited probe is of the flow that was asked for; under TCP only the destination's own probe differs."""
    vantage = LineVantage(6)
    trace(vantage, Protocol.TCP)
    assert {p.flow for p in vantage.probes if p.ttl != FULL_TTL} == {flow(Protocol.TCP)}
    assert {p.flow for p in vantage.probes if p.ttl == FULL_TTL} != {flow(Protocol.TCP)}


def test_silent_hops_are_kept() -> None:
    """A silent router is a hop without replies, asked as often as was allowed, and the path goes on behind it."""
    path = trace(LineVantage(8, silent=frozenset({3, 4})), tries=3)
    assert addresses(path)[2:5] == [(), (), ("198.51.100.5",)]
    assert [len(hop.exchanges) for hop in path.hops[2:4]] == [3, 3]
    assert path.reached


def test_black_hole_ends_after_a_gap() -> None:
    """A path that dies shows its last responding hop and the silence behind it, and is not reached."""
    vantage = LineVantage(20, dead_after=7)
    path = trace(vantage)
    assert not path.reached
    assert path.last_responding is not None
    assert path.last_responding.ttl == 7
    assert [hop.ttl for hop in path.hops] == list(range(1, 13))
    assert len(vantage.probes) <= 17 + 6


def test_nothing_answers() -> None:
    """Total silence is a path of silent hops, not an error."""
    path = trace(LineVantage(9, dead_after=0))
    assert not path.reached
    assert path.last_responding is None
    assert [hop.lost for hop in path.hops] == [2] * 5


def test_refusing_router_ends_the_path() -> None:
    """Behind a router that says "prohibited" nothing more is sent."""
    vantage = LineVantage(12, barred_at=4)
    path = trace(vantage)
    assert not path.reached
    assert [hop.ttl for hop in path.hops] == [1, 2, 3, 4, 5]
    assert path.hops[-1].addresses == ("198.51.100.4",)


def test_loop_runs_to_the_last_ttl() -> None:
    """A path whose routers go on answering is followed to `max_ttl` and no farther."""
    path = trace(LineVantage(60, dead_after=59), max_ttl=30)
    assert len(path.hops) == 30
    assert not path.reached


def test_destination_that_answers_full_ttl_only() -> None:
    """A destination seen at full TTL only is reached, and the path ends at its last router."""
    path = trace(LineVantage(6, full_ttl_only=True))
    assert path.reached
    assert addresses(path)[:6] == routers(1, 6)


def test_probe_that_never_left() -> None:
    """A send error stops the traceroute at once, with the reason in the exchange."""
    vantage = LineVantage(6, send_error="ENETUNREACH")
    path = trace(vantage)
    assert not path.reached
    assert len(vantage.probes) == 17  # one round, no second
    errors = {x.reply.error for hop in path.hops for x in hop.exchanges if x.reply}
    assert errors <= {"ENETUNREACH"}


def test_patience_sends_nothing_beyond_the_destination() -> None:
    """With patience each TTL leaves when the one before has answered, or has had its time; no probe is wasted."""
    vantage = LineVantage(9, silent=frozenset({4}))
    path = run(one(Traceroute(flow(Protocol.ICMP), patience_s=0.1, tries=1)), vantage)
    assert path.reached
    assert [probe.ttl for probe in vantage.probes] == list(range(1, 11))
    left = [at for at, _ in vantage.sent]
    assert left[4] - left[3] == pytest.approx(0.1)
    assert left[2] - left[1] == pytest.approx(0.008)


def test_path_length_from_the_usual_initial_ttls() -> None:
    """64, 128 and 255 are what stacks start with."""
    assert [path_length(ttl) for ttl in (64, 60, 128, 120, 255, 244)] == [1, 5, 1, 9, 1, 12]


@given(
    hops=st.integers(1, 28),
    silent=st.frozensets(st.integers(1, 28)),
    dead_after=st.none() | st.integers(0, 28),
    initial_ttl=st.sampled_from([64, 128, 255]),
    protocol=st.sampled_from([Protocol.ICMP, Protocol.TCP]),
)
def test_never_invents_and_always_ends(
    hops: int, silent: frozenset[int], dead_after: int | None, initial_ttl: int, protocol: Protocol
) -> None:
    """Whatever is silent or dead: hops come in order, each address stands at its own TTL, and probes are bounded."""
    vantage = LineVantage(hops, silent=silent, dead_after=dead_after, initial_ttl=initial_ttl)
    path = trace(vantage, protocol)
    assert [hop.ttl for hop in path.hops] == list(range(1, len(path.hops) + 1))
    for hop in path.hops:
        assert hop.addresses in {(), (f"198.51.100.{hop.ttl}",), (DESTINATION,)}
    assert path.reached == (dead_after is None or dead_after > hops)
    assert len(vantage.probes) <= 2 * 31
    assert all(isinstance(probe, Probe) for probe in vantage.probes)


@pytest.mark.parametrize("hops", [8, 24])
def test_a_path_may_begin_later(hops: int) -> None:
    """From `first_ttl` on everything is as it was; what lies before is not asked."""
    vantage = LineVantage(hops, silent=frozenset({7}))
    path = trace(vantage, first_ttl=5)
    assert addresses(path)[:2] == routers(5, 6)
    assert addresses(path)[2] == ()
    assert addresses(path)[3:] == [*routers(8, hops), (DESTINATION,)]
    assert [hop.ttl for hop in path.hops] == [*range(5, hops + 2)]
    assert min(probe.ttl for probe in vantage.probes) == 5


def test_a_path_that_begins_in_silence_says_so() -> None:
    """A path that is dead before its first TTL is the silence from there on, and not reached."""
    path = trace(LineVantage(8, dead_after=2), first_ttl=4, max_ttl=12)
    assert not path.reached
    assert [hop.ttl for hop in path.hops] == [4, 5, 6, 7, 8]
    assert path.last_responding is None


@pytest.mark.parametrize(("grace_s", "waits_s"), [(0.15, 0.15), (0.05, 0.05)])
def test_hops_have_some_time_after_the_destination(grace_s: float, waits_s: float) -> None:
    """What a silent hop costs beyond the destination's round trip is set by `grace_s`."""
    vantage = LineVantage(3, silent=frozenset({2}))
    path = trace(vantage, tries=1, grace_s=grace_s)  # type: ignore[arg-type]  # the one option that is no integer
    assert path.rtt_s is not None
    assert vantage.clock - 100.0 == pytest.approx(1.5 * path.rtt_s + waits_s, rel=0.01)


@pytest.mark.parametrize(
    ("hops", "initial_ttl", "silent"),
    [(11, 66, {11}), (11, 66, {10}), (44, 64, {33, 34, 36}), (60, 64, {20, 21, 22, 23, 59, 60})],
)
def test_a_way_back_that_is_shorter_hides_no_destination(hops: int, initial_ttl: int, silent: set[int]) -> None:
    """Where routers answer as far out as the TTL of its reply put the destination, it is looked for behind silence."""
    vantage = LineVantage(hops, initial_ttl=initial_ttl, silent=frozenset(silent))
    path = trace(vantage, max_ttl=63)
    assert addresses(path)[-1] == (DESTINATION,)
    assert path.hops[-1].ttl == hops + 1
    assert [hop.ttl for hop in path.hops if not hop.addresses] == sorted(silent)
