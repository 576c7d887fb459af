"""The resident's life, with a measurement that costs nothing."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest

from netprobe.agent.notify import notify, watchdog_s
from netprobe.agent.service import Agent, Keep
from netprobe.agent.store import Store, StoreError
from netprobe.live import CannotMeasure
from netprobe.model.report import Report
from netprobe.model.verdict import Component
from netprobe.probing.run import Progress
from tests.report.samples import sample

Measure = Callable[[Progress], Report]


class Script:
    """A measurement that plays scenarios one after the other and sends itself a signal when they are used up."""

    def __init__(self, *scenarios: str, ending: signal.Signals = signal.SIGTERM) -> None:
        self.left = list(scenarios)
        self.taken_s = 0.0
        self.ending = ending

    def __call__(self, progress: Progress) -> Report:
        if not self.left:
            signal.raise_signal(self.ending)
        progress(1, 2, None)
        self.taken_s += 300.0
        name = self.left.pop(0)
        if name == "cannot":
            message = "raw sockets need CAP_NET_RAW"
            raise CannotMeasure(message)
        return msgspec.structs.replace(sample(name), taken_s=self.taken_s)


@contextmanager
def agent(folder: Path, measure: Measure, log: list[str]) -> Iterator[tuple[Agent, Store]]:
    """An agent that waits as little as possible between rounds."""
    with Store.write(folder) as store:
        keep = Keep(days=90, rounds=1000)
        yield Agent(measure, store, 0.01, keep=keep, rng=Random(1), log=log.append, cannot=(CannotMeasure,)), store


def test_an_outage_is_one_incident(tmp_path: Path) -> None:
    """It begins with the first bad round and ends with the first good one."""
    log: list[str] = []
    outage = ["healthy", "healthy", *["isp-core-black-hole"] * 3, "healthy"]
    with agent(tmp_path, Script(*outage), log) as (one, store):
        one.run()
        (incident,) = store.incidents()
        assert len(list(store.rounds())) == 6
    assert (incident.component, incident.began_s, incident.ended_s, incident.rounds) == (
        Component.ISP,
        900.0,
        1800.0,
        3,
    )
    assert [row.partition(":")[0] for row in log] == [
        "none",
        "incident 1 begins",
        "isp",
        "incident 1 is over",
        "none",
        "asked to end",
    ]


def test_a_restart_goes_on_with_the_open_incident(tmp_path: Path) -> None:
    """The agent that comes back does not begin a second one."""
    with agent(tmp_path, Script("isp-core-black-hole"), []) as (one, _):
        one.run()
    log: list[str] = []
    with agent(tmp_path, Script("isp-core-black-hole", "healthy"), log) as (one, store):
        one.run()
        (incident,) = store.incidents()
    assert incident.ended_s is not None
    assert "begins" not in " ".join(log)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, ending: signal.Signals) -> None:
    """The handlers of before are back, and the records are closed properly."""
    before = signal.getsignal(ending)
    log: list[str] = []
    with agent(tmp_path, Script("healthy", ending=ending), log) as (one, _):
        one.run()
    assert signal.getsignal(ending) is before
    assert log[-1] == "asked to end"
    assert not (tmp_path / "netprobe.db-wal").exists()


def test_a_signal_ends_it_while_it_waits(tmp_path: Path) -> None:
    """Nobody waits for the next round to shut a machine down."""
    with Store.write(tmp_path) as store:
        keep = Keep(days=90, rounds=1000)
        one = Agent(Script("healthy"), store, 3600.0, keep=keep, rng=Random(1), log=print)
        main = threading.main_thread().ident
        assert main is not None
        timer = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGTERM))
        timer.start()
        one.run()
        timer.join()
        assert len(list(store.rounds())) == 1


def test_a_signal_while_it_writes_takes_effect_after_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The round that is being written is kept whole."""
    kept = Store.add

    def add(self: Store, *what: object) -> None:
        signal.raise_signal(signal.SIGTERM)
        kept(self, *what)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "add", add)
    with agent(tmp_path, Script("healthy", "healthy"), []) as (one, store):
        one.run()
        assert len(list(store.rounds())) == 1


def test_once_is_one_round(tmp_path: Path) -> None:
    """--once measures once and ends by itself."""
    with agent(tmp_path, Script("healthy", "healthy"), []) as (one, store):
        one.run(once=True)
        assert len(list(store.rounds())) == 1


def test_a_machine_that_cannot_measure_at_all_is_said_at_once(tmp_path: Path) -> None:
    """The first round's failure is the caller's; later ones are logged once and waited out."""
    with agent(tmp_path, Script("cannot"), []) as (one, _), pytest.raises(CannotMeasure):
        one.run()
    log: list[str] = []
    with agent(tmp_path, Script("healthy", "cannot", "cannot", "healthy"), log) as (one, store):
        one.run()
        assert len(list(store.rounds())) == 2
    assert log.count("cannot measure: raw sockets need CAP_NET_RAW") == 1


def test_records_that_cannot_be_written_do_not_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is said once, and the rounds after it are kept again."""
    kept, calls = Store.add, []

    def add(self: Store, *what: object) -> None:
        calls.append(1)
        if len(calls) in {2, 3}:
            message = "the disk is full"
            raise StoreError(message)
        kept(self, *what)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "add", add)
    log: list[str] = []
    with agent(tmp_path, Script(*["healthy"] * 4), log) as (one, store):
        one.run()
        assert len(list(store.rounds())) == 2
    assert log.count("the disk is full") == 1


def test_the_service_manager_hears_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """READY at the start, WATCHDOG while it lives, STATUS with the verdict, STOPPING at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "2000000")
        monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
        assert watchdog_s() == 1.0
        with agent(tmp_path, Script("healthy", "healthy"), []) as (one, _):
            one.run()
        manager.settimeout(0.0)
        heard = []
        while True:
            try:
                heard.append(manager.recv(4096).decode())
            except BlockingIOError:
                break
    assert heard[0] == "READY=1"
    assert heard[-1] == "STOPPING=1"
    assert "WATCHDOG=1" in heard
    assert any(state.startswith("STATUS=none: ") for state in heard)


def test_without_a_service_manager_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, a socket that is gone, a watchdog of somebody else: no error."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "@netprobe-test-nobody-listens")
    notify("READY=1")
    monkeypatch.setenv("WATCHDOG_USEC", "1000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "soon")
    assert watchdog_s() is None
