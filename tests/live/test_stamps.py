"""Kernel stamps on the monotonic clock."""

import socket
import time

import pytest

from netprobe.live import stamps
from netprobe.live.reactor import Lateness, Reactor
from tests.live.live_network import CLIENT, SERVER, Network


def test_a_step_of_the_clock_does_not_become_a_round_trip(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stamp is an age: one from the future, or far in the past, is not believed."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        stamps.want_stamps(here)
        for step_s in (-3600.0, 3600.0):
            there.send(b"x")
            shown = time.time_ns() + int(step_s * 1e9)
            with monkeypatch.context() as patch:
                patch.setattr("time.time_ns", lambda shown=shown: shown)
                before = time.monotonic()
                arrival = stamps.receive(here)
            assert before <= arrival.at_s <= time.monotonic()


def test_the_stamp_is_when_it_arrived_and_not_when_it_was_read() -> None:
    """A datagram that lay in the socket for 20 ms arrived 20 ms ago."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        stamps.want_stamps(here)
        there.send(b"x")
        sent = time.monotonic()
        while time.monotonic() < sent + 0.02:
            pass
        assert stamps.receive(here).at_s < sent + 0.01


def test_without_a_stamp_the_time_of_reading_counts() -> None:
    """A socket that gives no stamps is no error."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        there.send(b"x")
        before = time.monotonic()
        arrival = stamps.receive(here)
        assert before <= arrival.at_s <= time.monotonic()
        assert (arrival.data, arrival.ttl) == (b"x", -1)


def test_ttl_source_and_port_are_reported() -> None:
    """A UDP socket that asked for it gets the TTL of what it receives."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
    ):
        here.bind(("127.0.0.1", 0))
        stamps.want_stamps(here)
        stamps.want_ttl(here)
        there.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 37)
        there.sendto(b"x", here.getsockname())
        arrival = stamps.receive(here)
        assert (arrival.ttl, arrival.source, arrival.port) == (37, "127.0.0.1", there.getsockname()[1])


def departed(sock: socket.socket, departures: stamps.Departures, token: int, address: str) -> tuple[float, float]:
    """Send a datagram that `departures` knows by `token`; the clock before and after."""
    before = time.monotonic()
    sock.sendto(b"x", (address, 9))
    departures.sent(token)
    return before, time.monotonic()


@pytest.mark.packets
@pytest.mark.usefixtures("inside")
def test_departures_are_stamped_by_the_kernel() -> None:
    """Each packet gets its own stamp, between the clock before and after it was sent; nothing wakes for it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        departures = stamps.Departures(sock)
        sent = {token: departed(sock, departures, token, SERVER) for token in range(50, 90)}
        left = dict(departures.read())
    assert left.keys() == sent.keys()
    assert all(sent[token][0] - 1e-4 < at_s < sent[token][1] + 1e-4 for token, at_s in left.items())


@pytest.mark.packets
@pytest.mark.usefixtures("inside")
def test_after_a_failure_stamps_still_belong_to_their_packets() -> None:
    """Whether the kernel counted a packet that failed is unknown, and changes nothing for those after it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        departures = stamps.Departures(sock)
        departed(sock, departures, 1, SERVER)
        list(departures.read())
        with pytest.raises(OSError, match="too long"):
            sock.sendto(bytes(65530), (SERVER, 9))
        departures.failed()
        before, after = departed(sock, departures, 2, SERVER)
        ((token, at_s),) = departures.read()
        assert token == 2
        assert before - 1e-4 < at_s < after + 1e-4


@pytest.mark.packets
def test_a_step_of_the_clock_leaves_no_stamp(inside: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """A departure that seems to lie in the future, or long ago, has no stamp."""
    del inside
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        departures = stamps.Departures(sock)
        for step_s in (-3600.0, 3600.0):
            departed(sock, departures, 1, CLIENT)
            departed(sock, departures, 1, SERVER)
            shown = time.time_ns() + int(step_s * 1e9)
            with monkeypatch.context() as patch:
                patch.setattr("time.time_ns", lambda shown=shown: shown)
                assert list(departures.read()) == []


def test_a_socket_that_cannot_stamp_is_no_error() -> None:
    """Where the kernel gives no stamps there are none, and the clock has to do."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        here.settimeout(0)
        departures = stamps.Departures(here)
        here.send(b"x")
        departures.sent(1)
        assert list(departures.read()) == []


def test_lateness_has_a_worst_and_a_usual_case() -> None:
    """What was due before does not count; the share says how many were not later."""
    lateness = Lateness()
    for number in range(200):
        lateness.note(float(number), number / 1000)
    assert lateness.since(100.0) == 0.199
    assert lateness.since(100.0, 0.5) == 0.149
    assert lateness.since(1000.0) == 0.0


def test_waking_late_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait that ended a second after it should have is a second of lateness."""
    reactor = Reactor()
    clock = iter([0.0, 0.0, 1.5, 1.5])
    with monkeypatch.context() as patch:
        patch.setattr("time.monotonic", lambda: next(clock))
        reactor.turn(0.5)
    assert 0.9 < reactor.lateness.since(0.0) < 1.1
    reactor.close()
