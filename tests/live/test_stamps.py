"""Kernel stamps on the monotonic clock."""

import socket
import time

import pytest

from netprobe.live import stamps


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
