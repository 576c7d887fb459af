"""The resident's life: a round when one is due, its facts and incidents kept, until it is told to end.

A signal ends it at once while it measures or waits, and after the write while it writes. What goes wrong in one round
is said once, and the next round comes all the same.
"""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import FrameType
from typing import Any

from netprobe.agent.notify import notify, watchdog_s
from netprobe.agent.schedule import next_at, next_due
from netprobe.agent.store import Store, StoreError
from netprobe.diagnosis.incidents import starved, track
from netprobe.model.record import Record
from netprobe.model.report import Incident, Report
from netprobe.probing.run import Progress

_ENDING = (signal.SIGTERM, signal.SIGINT)
_LONGEST_SLEEP_S = 3600.0


class Keep(Record, frozen=True):
    """How long rounds are kept: until either bound is reached."""

    days: int
    rounds: int


class _Stop(BaseException):
    """A signal asked the agent to end. Not an `Exception`, so that nobody on the way mistakes it for a failed round."""


class Agent:
    """Measures every `every_s` seconds with `measure` and keeps what it finds in `store`.

    `cannot` are the errors by which `measure` says that this machine does not let it measure: the first round's is
    raised, a later one is logged and waited out. `log` gets one line of text for everything worth one.
    """

    def __init__(
        self,
        measure: Callable[[Progress], Report],
        store: Store,
        every_s: float,
        *,
        keep: Keep,
        rng: Random,
        log: Callable[[str], None],
        cannot: tuple[type[Exception], ...] = (),
    ) -> None:
        self._measure = measure
        self._store = store
        self._every_s = every_s
        self._keep = keep
        self._rng = rng
        self._log = log
        self._cannot = cannot
        self._told = ""
        self._at_rest = True
        self._stopped = False
        self._heard_at = 0.0

    def run(self, *, once: bool = False) -> None:
        """Measure until a signal ends it, or `once`."""
        with self._signals():
            try:
                self._rounds(once=once)
            except _Stop:
                self._log("asked to end")
            finally:
                notify("STOPPING=1")

    def _rounds(self, *, once: bool) -> None:
        due = time.monotonic()
        notify("READY=1")
        self.round(first=True)
        while not once:
            now = time.monotonic()
            due = next_due(due, now, self._every_s)
            self._sleep(next_at(due, now, self._every_s, self._rng) - now)
            self.round()

    def round(self, *, first: bool = False) -> None:
        """Measure once, keep the report, and begin, go on with or end an incident."""
        try:
            report = self._measure(self._alive)
        except self._cannot as error:
            if first:
                raise
            self._say_once(f"cannot measure: {error}")
            return
        with self._undisturbed():
            try:
                before = self._store.track()
                step = track(before, report.verdict, report.taken_s, self._store.next_incident())
                changed = [incident for incident in (step.closed, step.track.open) if incident]
                self._store.add(report, step.track, changed)
                self._store.prune(report.taken_s, self._keep.days, self._keep.rounds)
            except StoreError as error:
                if first:
                    raise
                self._say_once(str(error))
                return
        for incident in changed:
            self._announce(incident, new=before.open is None or before.open.id != incident.id)
        said = f"{report.verdict.component.value}: {report.verdict.sentence}"
        said += " (this computer was too busy to measure: the round does not count)" if starved(report.verdict) else ""
        notify(f"STATUS={said}")
        self._say_once(said)

    def _announce(self, incident: Incident, *, new: bool) -> None:
        if incident.ended_s is not None:
            self._log(f"incident {incident.id} is over: {incident.component.value}, {incident.cause}")
        elif new:
            self._log(f"incident {incident.id} begins: {incident.component.value}, {incident.cause}")

    def _say_once(self, text: str) -> None:
        if text != self._told:
            self._told = text
            self._log(text)

    def _alive(self, done: int, started: int, result: Any) -> None:
        """Tell the watchdog that the measurement goes on."""
        del done, started, result
        limit_s = watchdog_s()
        now = time.monotonic()
        if limit_s is not None and now - self._heard_at >= limit_s / 2:
            self._heard_at = now
            notify("WATCHDOG=1")

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (rest := until - time.monotonic()) > 0:
            notify("WATCHDOG=1")
            time.sleep(min(rest, watchdog_s() or _LONGEST_SLEEP_S))

    @contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._on_signal) for number in _ENDING}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stopped = True
        if self._at_rest:
            self._at_rest = False  # a second signal does not disturb the way out
            raise _Stop

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """A signal that comes in here takes effect at the end."""
        self._at_rest = False
        try:
            yield
        finally:
            self._at_rest = True
        if self._stopped:
            raise _Stop


def to_stderr(text: str) -> None:
    """One line for the journal, which adds the time itself."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
