"""A vantage with somebody in front of the screen: looks and stops come between two events."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from netprobe.cli.attended import Attended, Stopped
from netprobe.model.probes import Flow, Probe, Protocol
from netprobe.model.services import Lookup
from netprobe.probing.port import Event, Request
from netprobe.sim.scenario import load
from netprobe.sim.virtual import VirtualVantage
from tests.probing.line import DESTINATION, LineVantage


def test_somebody_looks_now_and_then() -> None:
    """Every tenth of a second of the vantage's time, however long nothing comes."""
    looks: list[float] = []
    inner = LineVantage(3)
    attended = Attended(inner, lambda: looks.append(inner.now()), every_s=0.1)
    assert attended.receive(inner.now() + 1.0) is None
    assert 9 <= len(looks) <= 11


def test_events_pass() -> None:
    """Nothing is held back, nothing is changed."""
    attended = Attended(LineVantage(3), lambda: None)
    token = attended.send(Probe(Flow(Protocol.ICMP, DESTINATION), ttl=1))
    event = attended.receive(attended.now() + 1.0)
    assert event is not None
    assert event.token == token
    assert attended.usage().packets_sent == 1


class Slow(LineVantage):
    """Waits in real time, as the live vantage does."""

    def receive(self, until: float) -> Event | None:
        threading.Event().wait(5.0)
        return super().receive(until)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_waits_is_stopped_at_once(number: signal.Signals, code: int) -> None:
    """By Ctrl-C or a time-out's SIGTERM, with the exit code that a shell would give."""
    attended = Attended(Slow(3))
    timer = threading.Timer(0.1, os.kill, (os.getpid(), number))
    timer.start()
    with attended.stoppable(), pytest.raises(Stopped) as stopped:
        attended.receive(attended.now() + 10.0)
    timer.join()
    assert stopped.value.code == code


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Signals mean after a test what they did before."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_block_that_nobody_stops_leaves_no_trace() -> None:
    """Signals mean behind it what they did before."""
    before = signal.getsignal(signal.SIGINT)
    with Attended(LineVantage(3)).stoppable():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_that_comes_twice_stops_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the terminal, and passed on: what is known is printed undisturbed. A later one is meant."""
    attended = Attended(LineVantage(3))
    with attended.stoppable():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopped):
            attended.receive(attended.now())
    os.kill(os.getpid(), signal.SIGINT)
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    monkeypatch.setattr(time, "monotonic", lambda: float("inf"))
    os.kill(os.getpid(), signal.SIGINT)
    assert raised == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


def test_a_stop_between_two_events_waits_for_the_next() -> None:
    """A session is never torn apart."""
    attended = Attended(LineVantage(3))
    with attended.stoppable():
        os.kill(os.getpid(), signal.SIGINT)
        assert attended.now() > 0.0  # goes on
        with pytest.raises(Stopped):
            attended.receive(attended.now())


def test_other_requests_pass_too() -> None:
    """Lookups, for instance."""
    attended = Attended(VirtualVantage(load("healthy"), 1))
    request: Request = Lookup("www.tiktok.com", load("healthy").client.resolvers[0])
    token = attended.send(request)
    event = attended.receive(attended.now() + 5.0)
    assert event is not None
    assert event.token == token
