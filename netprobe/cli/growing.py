"""The live view of a trace: what is known is drawn again in place, by the thread that measures, between two events."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from netprobe.cli.console import colourful, width
from netprobe.report.lines import render
from netprobe.report.page import page
from netprobe.report.trace import Whose
from netprobe.tracing import Pass, Progress, Stage

_DOING = {
    Stage.NAMES: "looking up names",
    Stage.PATHS: "tracing",
    Stage.ROUNDS: "counting loss",
    Stage.TESTS: "asking those who stay silent at another pace",
    Stage.WAYS: "looking for all ways",
    Stage.OVER: "done",
}

_SURE = {Stage.WAYS: "at least", Stage.TESTS: "at most"}


@contextmanager
def growing(work: Pass, method: str, port: int, whose: Whose, now: Callable[[], float]) -> Iterator[Callable[[], None]]:
    """What to call to draw it again; the screen is clean again when the block ends."""
    ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
    with Live(console=Console(), auto_refresh=False, transient=True, vertical_overflow="crop") as live:

        def look() -> None:
            progress = work.progress(now())
            alone = len(work.targets) == 1
            lines = page(
                work.known() if alone else work.glance(),
                _doing(progress),
                method,
                port,
                whose,
                width=width() - 1,
                height=shutil.get_terminal_size((80, 24)).lines - 1,
                left_s=progress.left_s,
            )
            text = Text.from_ansi(render(lines, colour=colourful(sys.stdout), ascii_only=ascii_only))
            live.update(text, refresh=True)

        yield look


def _doing(progress: Progress) -> str:
    text = _DOING[progress.stage]
    if progress.of > 1:
        text += f": {progress.done} of {progress.of}"
    if progress.left_s is not None:
        text += f", {_SURE.get(progress.stage, 'about')} {progress.left_s:.0f} s more; Ctrl-C shows what is known"
    return text
