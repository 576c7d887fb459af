"""What is printed gets there whole."""

import io
import sys

import pytest

from netprobe.cli.console import show_json


class Reluctant(io.RawIOBase):
    """Takes a few bytes at a time, as a pipe does from a process that is stopped and continued."""

    def __init__(self) -> None:
        self.taken = b""

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override]  # what is written here
        part = bytes(data[:7])
        self.taken += part
        return len(part)


def test_json_is_written_to_the_end_without_a_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that takes a part of it only is followed by one of the rest."""
    raw = Reluctant()
    stream = io.TextIOWrapper(raw, write_through=True)  # type: ignore[type-var]  # what PYTHONUNBUFFERED makes
    monkeypatch.setattr(sys, "stdout", stream)
    show_json(b'{"much": "more than seven bytes"}')
    assert raw.taken == b'{"much": "more than seven bytes"}\n'
