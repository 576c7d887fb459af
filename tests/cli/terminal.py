"""A terminal of some size for a command: what it showed, frame by frame, as far as our output needs one."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
_SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[()][A-Z0-9]|[\r\n\b]|[^\x1b\r\n\b]+|\x1b")


@dataclass
class Screen:
    """Lines of text and a cursor: understands what moves and erases, and notes what would not have fitted."""

    columns: int
    rows: int
    lines: list[str] = field(default_factory=lambda: [""])
    row: int = 0
    column: int = 0
    widest: int = 0
    farthest_up: int = 0  # rows that were drawn again at once
    unknown: list[str] = field(default_factory=list)

    def feed(self, text: str) -> None:
        for found in _SEQUENCE.finditer(text):
            self._one(found)

    def _one(self, found: "re.Match[str]") -> None:
        whole, arguments, command = found.group(0), found.group(1), found.group(2)
        if whole == "\n":
            self.row, self.column = self.row + 1, 0
            while len(self.lines) <= self.row:
                self.lines.append("")
        elif whole == "\r":
            self.column = 0
        elif command == "A":
            up = int(arguments or 1)
            self.row = max(0, self.row - up)
            self.farthest_up = max(self.farthest_up, up)
        elif command == "K":
            self.lines[self.row] = "" if arguments == "2" else self.lines[self.row][: self.column]
        elif command in {"m", "h", "l"}:
            pass
        elif whole[0] == "\x1b":
            self.unknown.append(whole)
        else:
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + whole + line[self.column + len(whole) :]
            self.column += len(whole)
            self.widest = max(self.widest, self.column)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)


@dataclass
class Session:
    """What a command did on the terminal."""

    code: int
    raw: str
    screen: Screen
    frames: list[str]


def on_terminal(
    command: Sequence[str],
    columns: int = 80,
    rows: int = 24,
    *,
    environment: Mapping[str, str] | None = None,
    stop_at: str = "",
    stop_with: signal.Signals = signal.SIGINT,
    seconds: float = 60.0,
) -> Session:
    """Run `command` on a terminal of that size. Once `stop_at` is seen, the process group gets `stop_with`."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    own = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "LINES", "NO_COLOR"}}
    own |= {"TERM": "xterm-256color", "PYTHONUTF8": "1"} | dict(environment or {})
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, env=own, start_new_session=True
    )
    os.close(theirs)
    screen, raw, frames = Screen(columns, rows), "", [""]
    deadline, stopped = time.monotonic() + seconds, False
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(ours, 1 << 16)
            except OSError:  # EIO: the last one has closed it
                break
            text = data.decode("utf-8", "replace")
            raw += text
            screen.feed(text)
            if screen.text != frames[-1]:
                frames.append(screen.text)
            if stop_at and not stopped and stop_at in screen.text:
                stopped = True
                os.killpg(process.pid, stop_with)
        return Session(process.wait(timeout=10), raw, screen, frames)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        os.close(ours)
