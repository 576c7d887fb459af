"""Where output goes: what the terminal can show, and writing lines to it."""

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from netprobe.report.lines import Line

_PLAIN = frozenset({"dumb", "unknown", ""})  # terminals that are known to know no escape sequences


def colourful(stream: TextIO) -> bool:
    """Whether to colour: a terminal, unless NO_COLOR is set (no-color.org) or it is a dumb one."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in _PLAIN


def animated(stream: TextIO) -> bool:
    """Whether something may be redrawn in place there: a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in _PLAIN


def width() -> int:
    """Columns of the terminal; 80 on a pipe."""
    import shutil

    return max(40, shutil.get_terminal_size((80, 24)).columns)


def show(lines: "Iterable[Line]", stream: TextIO | None = None) -> None:
    """Write `lines` as the stream can show them."""
    from netprobe.report.lines import render

    stream = stream or sys.stdout
    ascii_only = "utf" not in (stream.encoding or "").lower()
    stream.write(render(lines, colour=colourful(stream), ascii_only=ascii_only))
    stream.flush()


def show_json(data: bytes) -> None:
    """Write one line of JSON. It is UTF-8 whatever the locale says (RFC 8259, 8.1)."""
    sys.stdout.flush()
    left = memoryview(data + b"\n")
    while (
        left
    ):  # without a buffer (PYTHONUNBUFFERED) a write that a stop interrupts (Ctrl-Z, then fg) takes a part only
        left = left[sys.stdout.buffer.write(left) or 0 :]
    sys.stdout.flush()
