"""What is counted of an answer's bytes: not what came before the request, and silence as it was."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from netprobe.probing.arrivals import POINTS, Arrivals


def test_a_server_that_thinks() -> None:
    """Tickets come at once, the answer later: the pause is the server's."""
    arrivals = Arrivals()
    arrivals.came(4000, 0.9)  # the handshake
    arrivals.asked(1.0)
    arrivals.came(500, 1.25)
    arrivals.came(1400, 4.25)
    arrivals.read()
    arrivals.came(1400, 9.0)
    assert arrivals.told("", 9.1) == {
        "arrived_bytes": 3300,
        "quiet_s": None,
        "pause_s": 3.0,
        "curve": ((0.25, 500), (3.25, 1900), (8.0, 3300)),
    }


def test_a_way_that_is_slow() -> None:
    """A record that comes in small pieces: no pause is long, however late it can be read."""
    arrivals = Arrivals()
    arrivals.asked(0.0)
    for piece in range(1, 13):
        arrivals.came(1400, 0.25 * piece)
    arrivals.read()
    told = arrivals.told("", 3.0)
    assert (told["arrived_bytes"], told["quiet_s"], told["pause_s"]) == (16800, None, 0.25)


def test_an_answer_that_dies() -> None:
    """How long it was quiet is told of a time-out only, and only where something had come."""
    arrivals = Arrivals()
    arrivals.asked(0.0)
    assert arrivals.told("timeout", 5.0) == {"arrived_bytes": 0, "quiet_s": None, "pause_s": None, "curve": ()}
    arrivals.came(13_000, 0.5)
    told = arrivals.told("timeout", 5.0)
    assert (told["arrived_bytes"], told["quiet_s"], told["pause_s"]) == (13_000, 4.5, None)
    assert arrivals.told("reset", 5.0)["quiet_s"] is None


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 65536)), min_size=1, max_size=400))
def test_a_curve_is_bounded_and_keeps_its_ends(pieces: list[tuple[float, int]]) -> None:
    """Whatever comes, and however: few points, in order, the first piece and all of it among them."""
    arrivals = Arrivals()
    now = 100.0
    arrivals.asked(now)
    for pause, size in pieces:
        now += pause
        arrivals.came(size, now)
    curve = arrivals.told("", now)["curve"]
    assert len(curve) <= POINTS
    assert list(curve) == sorted(curve)
    assert curve[-1] == (round(now - 100.0, 4), sum(size for _, size in pieces))
    assert curve[0][0] == round(100.0 + pieces[0][0] - 100.0, 4) or len(curve) == 1  # as clocks are subtracted


def test_a_steady_stream_is_thinned_evenly() -> None:
    """No two neighbours of a steady curve are farther apart than a tenth of it."""
    arrivals = Arrivals()
    arrivals.asked(0.0)
    for piece in range(1, 1001):
        arrivals.came(1000, 0.01 * piece)
    curve = arrivals.told("", 10.0)["curve"]
    assert max(b[0] - a[0] for a, b in pairwise(curve)) < 1.0
