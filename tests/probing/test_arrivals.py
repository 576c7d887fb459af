"""What is counted of an answer's bytes: not what came before the request, and silence as it was."""

from netprobe.probing.arrivals import Arrivals


def test_a_server_that_thinks() -> None:
    """Tickets come at once, the answer later: the pause is the server's."""
    arrivals = Arrivals()
    arrivals.came(4000, 0.9)  # the handshake
    arrivals.asked(1.0)
    arrivals.came(500, 1.25)
    arrivals.came(1400, 4.25)
    arrivals.read()
    arrivals.came(1400, 9.0)
    assert arrivals.told("", 9.1) == {"arrived_bytes": 3300, "quiet_s": None, "pause_s": 3.0}


def test_a_way_that_is_slow() -> None:
    """A record that comes in small pieces: no pause is long, however late it can be read."""
    arrivals = Arrivals()
    arrivals.asked(0.0)
    for piece in range(1, 13):
        arrivals.came(1400, 0.25 * piece)
    arrivals.read()
    assert arrivals.told("", 3.0) == {"arrived_bytes": 16800, "quiet_s": None, "pause_s": 0.25}


def test_an_answer_that_dies() -> None:
    """How long it was quiet is told of a time-out only, and only where something had come."""
    arrivals = Arrivals()
    arrivals.asked(0.0)
    assert arrivals.told("timeout", 5.0) == {"arrived_bytes": 0, "quiet_s": None, "pause_s": None}
    arrivals.came(13_000, 0.5)
    assert arrivals.told("timeout", 5.0) == {"arrived_bytes": 13_000, "quiet_s": 4.5, "pause_s": None}
    assert arrivals.told("reset", 5.0)["quiet_s"] is None
