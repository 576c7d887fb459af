"""Showing what a diagnosis is doing while it runs: a live view on a terminal, a line a step on a pipe."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from netprobe.model.report import Observation
from netprobe.report.outcome import went_well

if TYPE_CHECKING:
    from rich.console import RenderableType


class Step(NamedTuple):
    """What is being looked at, for people; the purposes of its observations begin with one of `purposes`."""

    name: str
    purposes: tuple[str, ...]


#: In the order in which a survey comes to them.
STEPS = (
    Step("This computer", ("host",)),
    Step("Home router", ("gateway",)),
    Step("Name service", ("lookup.", "resolver.")),
    Step("Other services", ("control.",)),
    Step("{platform}", ("edge.",)),
    Step("IPv6", ("v6.",)),
    Step("Looking closer", ("sni.", "quic.", "plain.", "uplink.", "zone.", "region.", "recheck.")),
)
_REDRAWS_A_SECOND = 8


class Tally:
    """Counts the observations of each step as they come in. It is the engine's `Progress`."""

    def __init__(self) -> None:
        self.tried = [0] * len(STEPS)
        self.worked = [0] * len(STEPS)
        self.done = 0
        self.started = 0

    def __call__(self, done: int, started: int, result: Any) -> None:
        """A session ended."""
        self.done, self.started = done, started
        if isinstance(result, Observation):
            step = next((n for n, s in enumerate(STEPS) if result.purpose.startswith(s.purposes)), None)
            if step is not None:
                self.tried[step] += 1
                self.worked[step] += went_well(result.fact)
                self.note(step)

    def note(self, step: int) -> None:
        """Something about `step` has come in; a display that cares shows it."""


class _Plain(Tally):
    """A line on stderr when the first observation of a step comes in."""

    def __init__(self, platform: str) -> None:
        super().__init__()
        self._platform = platform

    def note(self, step: int) -> None:
        """Say that a step was begun."""
        if self.tried[step] == 1:
            sys.stderr.write(f"looking at: {_name(step, self._platform)}\n")
            sys.stderr.flush()


class _Live(Tally):
    """Every step with its counts, redrawn in place on a terminal's stderr."""

    def __init__(self, platform: str) -> None:
        super().__init__()
        from rich.console import Console
        from rich.live import Live
        from rich.progress_bar import ProgressBar

        self._platform = platform
        self._began_s = time.monotonic()
        self._bar = ProgressBar(width=24, complete_style="cyan", finished_style="cyan")
        self.view = Live(
            console=Console(stderr=True),
            get_renderable=self._draw,
            refresh_per_second=_REDRAWS_A_SECOND,
            transient=True,
        )

    def _draw(self) -> "RenderableType":
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for step, tried in enumerate(self.tried):
            if tried:
                worked = self.worked[step]
                style = "green" if worked == tried else "yellow" if worked else "red"
                mark = Text("  ✓" if worked == tried else "  ✗" if not worked else "  ≈", style)
                table.add_row(mark, _name(step, self._platform), Text(f"{worked} of {tried} fine", "dim"))
        self._bar.update(self.done, max(1, self.started))
        seconds = time.monotonic() - self._began_s
        table.add_row("", self._bar, Text(f"{self.done} of {self.started} checks, {seconds:.0f} s", "dim"))
        return table


def _name(step: int, platform: str) -> str:
    return STEPS[step].name.format(platform=platform)


@contextmanager
def watching(platform: str, *, quiet: bool = False) -> Iterator[Tally]:
    """The display that fits where stderr goes: live on a terminal, lines on a pipe; none with `quiet` on a pipe."""
    if sys.stderr.isatty():
        display = _Live(platform)
        with display.view:
            yield display
    else:
        yield Tally() if quiet else _Plain(platform)
