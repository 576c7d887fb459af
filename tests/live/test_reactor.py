"""Waiting."""

import socket
import time
from collections.abc import Iterator
from functools import partial

import pytest

from netprobe.live.reactor import READ, Reactor


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    reactor = Reactor()
    yield reactor
    reactor.close()


def test_a_turn_ends_when_something_arrives(reactor: Reactor) -> None:
    """A packet ends the wait, and its watcher is called."""
    here, there = socket.socketpair()
    with here, there:
        read: list[bytes] = []
        reactor.watch(here.fileno(), READ, lambda: read.append(here.recv(10)))
        there.send(b"x")
        reactor.turn(reactor.now() + 60)
        assert read == [b"x"]


def test_timers_are_called_in_order_and_only_when_due(reactor: Reactor) -> None:
    """Timers come in order of time; a cancelled one never does."""
    now = reactor.now()
    called: list[object] = []

    def note(delay: float) -> None:
        called.append((delay, reactor.now() - now >= delay))

    for delay in (3e-3, 1e-3, 2e-3):
        reactor.at(now + delay, partial(note, delay))
    reactor.at(now + 1e-3, lambda: called.append("cancelled")).cancel()
    for _ in range(10):
        reactor.turn(now + 1)
        if len(called) == 3:
            break
    assert called == [(1e-3, True), (2e-3, True), (3e-3, True)]


def test_the_wait_is_counted_in_microseconds(reactor: Reactor) -> None:
    """A wait that ends within a millisecond is not rounded up to one (the best of many: other work may interfere)."""
    late = []
    for _ in range(50):
        until = reactor.now() + 0.0002
        reactor.turn(until)
        late.append(reactor.now() - until)
    assert 0 <= min(late) < 0.0005


def test_a_watcher_that_an_earlier_one_removed_is_not_called(reactor: Reactor) -> None:
    """Both sockets are ready in one turn; the first call forgets the other."""
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[object] = []

    def call(mine: int, other: int) -> None:
        called.append(mine)
        reactor.forget(pairs[other][0].fileno())

    for number, (here, there) in enumerate(pairs):
        reactor.watch(here.fileno(), READ, partial(call, number, 1 - number))
        there.send(b"x")
    reactor.turn(reactor.now())
    assert len(called) == 1
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_a_turn_without_time_still_looks(reactor: Reactor) -> None:
    """A deadline in the past means: whatever is there already."""
    here, there = socket.socketpair()
    with here, there:
        read: list[bytes] = []
        reactor.watch(here.fileno(), READ, lambda: read.append(here.recv(10)))
        there.send(b"x")
        reactor.turn(time.monotonic() - 1)
        assert read == [b"x"]
