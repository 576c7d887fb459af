"""Sockets, clocks and listeners that are none."""

import socket
from collections.abc import Callable
from typing import Any

from netprobe.live.reactor import Lateness


class Ancillary:
    """A socket whose ancillary data is made of arbitrary bytes."""

    family = socket.AF_INET
    _kinds = ((1, 35), (0, 2), (41, 52), (1, 37), (0, 11), (41, 25), (7, 7))

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = 3

    def recvmsg(self, *_sizes: int) -> Any:
        if not self._left or not self._data:
            raise BlockingIOError
        self._left -= 1
        items: list[tuple[int, int, bytes]] = []
        at = 0
        while at + 2 <= len(self._data) and len(items) < 8:
            length = self._data[at + 1] % 64
            items.append((*self._kinds[self._data[at] % len(self._kinds)], self._data[at + 2 : at + 2 + length]))
            at += 2 + length
        return b"x", items, 0, ("192.0.2.9", 53)

    def setsockopt(self, *_option: int) -> None:
        """Whatever is asked for."""

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.2", 1

    def getpeername(self) -> tuple[str, int]:
        return "192.0.2.9", 53


class Ended:
    """Whom a question or a conversation tells its end."""

    def __init__(self) -> None:
        self.outcomes: list[Any] = []

    def __call__(self, outcome: Any) -> None:
        self.outcomes.append(outcome)


class Clock:
    """A reactor that watches nothing."""

    def __init__(self) -> None:
        self.lateness = Lateness()

    def now(self) -> float:
        return 10.0

    def watch(self, *_arguments: Any) -> None:
        """Nothing is watched."""

    def forget(self, *_arguments: Any) -> None:
        """Nothing was."""

    def at(self, when: float, call: Callable[[], None]) -> Any:
        del call
        return Later(when)


class Later:
    """A timer that never comes."""

    def __init__(self, when: float) -> None:
        self.when = when

    def cancel(self) -> None:
        """Nothing was to come."""


class Stream:
    """A connected socket that gives what it was made with, in pieces."""

    type = socket.SOCK_STREAM
    family = socket.AF_INET

    def __init__(self, *pieces: bytes, kind: int = socket.SOCK_STREAM) -> None:
        self._pieces = list(pieces)
        self.type = kind  # type: ignore[assignment]

    def recv(self, _size: int) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""

    def send(self, data: bytes) -> int:
        return len(data)

    def fileno(self) -> int:
        return 99

    def getsockopt(self, *_option: int) -> bytes:
        return b""

    def close(self) -> None:
        """Nothing to close."""
