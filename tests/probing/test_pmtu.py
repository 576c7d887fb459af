import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netprobe.model.probes import BlackHole, Flow, PathMtu, Protocol
from netprobe.model.record import from_json, to_json
from netprobe.probing.pmtu import PathMtuSession
from netprobe.probing.run import one, run
from netprobe.probing.traceroute import FULL_TTL
from tests.probing.routers import CLIENT, DESTINATION, Bucket, RouterVantage, Wire, line

FLOW = Flow(Protocol.ICMP, DESTINATION)
HOPS = 8


def router(hop: int) -> str:
    return f"198.51.100.{hop}" if 0 < hop <= HOPS else {0: CLIENT}.get(hop, DESTINATION)


def narrow(hop: int, mtu: int, *, mute: bool = False, told: int | None = None) -> RouterVantage:
    """The link behind router `hop` has `mtu`."""
    wires = {(router(hop), router(hop + 1)): Wire(mtu=mtu, mute=mute, told=told)}
    return RouterVantage(line(HOPS), wires=wires, limiters={router(n): Bucket(1.0) for n in range(1, HOPS + 1)})


def find(vantage: RouterVantage, largest: int = 1500) -> PathMtu:
    return run(one(PathMtuSession(FLOW, largest=largest)), vantage)


def test_wide_path_takes_one_round_trip() -> None:
    """Where the largest packet gets through, two probes in one round trip say so."""
    vantage = narrow(3, 1500)
    found = find(vantage)
    assert (found.mtu, found.told, found.black_hole) == (1500, (), None)
    assert len(vantage.sent) == 2
    assert vantage.clock - 100.0 == pytest.approx(2 * (HOPS + 1) * vantage.hop_s)


def test_router_tells_the_mtu() -> None:
    """A router that tells its next hop's MTU is believed, and its word is checked with one packet of that size."""
    vantage = narrow(3, 1412)
    found = find(vantage)
    assert (found.mtu, found.told, found.black_hole) == (1412, ((router(3), 1412),), None)
    assert [probe.size for _, probe in vantage.sent] == [68, 1500, 1412]


@pytest.mark.parametrize("told", [0, 1500, 9000, 20])
def test_router_that_tells_nothing_useful(told: int) -> None:
    """Without an MTU, or with one that makes no sense, the usual ones are tried (RFC 1191, 7.1)."""
    found = find(narrow(3, 1454, told=told))
    assert found.mtu == 1454
    assert found.told[0] == (router(3), 0)
    assert found.black_hole is None


@pytest.mark.parametrize("hop", [1, 4, 8])
def test_black_hole_is_located_to_one_link(hop: int) -> None:
    """Large packets that die without a word: the routers before and behind the link are named."""
    found = find(narrow(hop, 1400, mute=True))
    assert found.mtu == 1400
    assert found.told == ()
    assert found.black_hole == BlackHole(1401, (hop, router(hop)), (hop + 1, router(hop + 1)))


def test_black_hole_on_the_own_link() -> None:
    """When not even the first router answers a large packet, it is the own link's."""
    found = find(narrow(0, 1400, mute=True))
    assert found.black_hole == BlackHole(1401, (0, ""), (1, router(1)))


def test_silent_routers_around_a_black_hole() -> None:
    """Routers that never answer widen the place to those that do."""
    vantage = narrow(4, 1400, mute=True)
    vantage.silent = frozenset({router(4), router(5)})
    found = find(vantage)
    assert found.black_hole == BlackHole(1401, (3, router(3)), (6, router(6)))


def test_limited_router_is_no_black_hole() -> None:
    """A router that answers once a second, and had answered others just before, is asked again in peace."""
    vantage = narrow(6, 1400, mute=True)
    vantage.limiters[router(3)] = Bucket(1.0, burst=1.0)
    found = find(vantage)
    assert found.black_hole == BlackHole(1401, (6, router(6)), (7, router(7)))


def test_told_and_mute_links_on_one_path() -> None:
    """A router that tells, and farther on one that does not: both are found."""
    vantage = narrow(2, 1492)
    vantage.wires[router(5), router(6)] = Wire(mtu=1420, mute=True)
    found = find(vantage)
    assert (found.mtu, found.told) == (1420, ((router(2), 1492),))
    assert found.black_hole == BlackHole(1421, (5, router(5)), (6, router(6)))


def test_own_interface_is_narrower() -> None:
    """A packet that the own kernel refuses (EMSGSIZE) is no black hole."""
    vantage = narrow(3, 9000)
    vantage.local_mtu = 1500
    found = find(vantage, largest=9000)
    assert (found.mtu, found.black_hole) == (1500, None)


def test_destination_that_does_not_answer() -> None:
    """Without any answer nothing is known; what a router said is kept."""
    vantage = narrow(3, 1400)
    vantage.answers = lambda _probe: False
    found = find(vantage)
    assert (found.mtu, found.told, found.black_hole) == (0, ((router(3), 1400),), None)


def test_liar_does_not_keep_us() -> None:
    """A router that tells one byte less each time is followed only so far."""

    class Liar(RouterVantage):
        def _walk(self, probe):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
            self.wires = {(router(1), router(2)): Wire(mtu=probe.size - 1 if probe.size > 68 else 68)}
            return super()._walk(probe)

    vantage = Liar(line(HOPS))
    find(vantage)
    assert len(vantage.sent) < 40


def test_fact_survives_json() -> None:
    """The fact is the same after a round trip through JSON, and carries its kind."""
    found = find(narrow(4, 1400, mute=True))
    assert from_json(to_json(found), PathMtu) == found
    assert b'"kind":"path_mtu"' in to_json(found)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.integers(68, 1600), st.booleans()), min_size=HOPS + 1, max_size=HOPS + 1),
    st.sampled_from([None, 0, 1400]),
)
def test_any_path_without_loss(links: list[tuple[int, bool]], told: int | None) -> None:
    """Whatever the links are and whoever speaks: the MTU is the narrowest link's, and a hole is a mute link's place."""
    wires = {
        (router(hop), router(hop + 1)): Wire(mtu=mtu, mute=mute, told=told) for hop, (mtu, mute) in enumerate(links)
    }
    vantage = RouterVantage(line(HOPS), wires=wires)
    found = find(vantage)
    assert len(vantage.sent) < 250
    true = min(1500, *(mtu for mtu, _ in links))
    if told is None:
        assert found.mtu == true
    assert found.mtu <= true
    if found.black_hole:
        near = found.black_hole.near[0]
        assert links[near][1]
        assert links[near][0] < found.black_hole.size
    assert all(sized.exchange.ttl == FULL_TTL or found.black_hole for sized in found.exchanges)
