"""Where questions come in over a connection and answers go out: behind their length, or in HTTP/2's frames.

Bytes in, bytes out: the same for servers in virtual time and for real ones.
"""

from collections.abc import Callable
from typing import Protocol

from netprobe.probing import http2
from netprobe.sim import wirebytes

Say = Callable[[bytes], None]
#: Takes a question, and what is to be called with the answer.
Ask = Callable[[bytes, Say], None]

TLS_PORT = 853  # RFC 7858, 3.1
_MOST_WAITING = 100  # questions of one connection that are not whole
_OK = b"\x88"  # :status 200
_NOT_ALLOWED = http2.literal(8, b"405")


class Desk(Protocol):
    """One connection's."""

    def received(self, data: bytes) -> None:
        """Bytes of the client. Raises ValueError for what breaks the protocol."""


class PrefixedDesk:
    """Messages behind their length (RFC 1035, 4.2.2)."""

    def __init__(self, ask: Ask, say: Say) -> None:
        self._ask = ask
        self._say = say
        self._buffer = b""

    def received(self, data: bytes) -> None:
        """Take whole questions."""
        self._buffer += data
        while (found := wirebytes.split_message(self._buffer)) is not None:
            wire, self._buffer = found
            self._ask(wire, lambda answer: self._say(wirebytes.with_length(answer)))


class PostedDesk:
    """Messages in POST requests of HTTP/2 (RFC 8484), to whatever path; it says so to other requests."""

    def __init__(self, ask: Ask, say: Say) -> None:
        self._ask = ask
        self._say = say
        self._buffer = b""
        self._greeted = False
        self._bodies: dict[int, bytes] = {}  # by stream

    def received(self, data: bytes) -> None:
        """Take whole frames."""
        self._buffer += data
        if not self._greeted:
            if not takes(self._buffer):
                msg = "no HTTP/2"
                raise http2.Http2Error(msg)
            if len(self._buffer) < len(http2.PREFACE):
                return
            self._greeted, self._buffer = True, self._buffer[len(http2.PREFACE) :]
            self._say(http2.frame(http2.SETTINGS, 0, 0))
        while (found := http2.split_frame(self._buffer)) is not None:
            kind, flags, stream, payload, self._buffer = found
            self._frame(kind, flags, stream, payload)

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind in {http2.SETTINGS, http2.PING} and not flags & http2.ACK:
            self._say(http2.frame(kind, http2.ACK, 0, payload if kind == http2.PING else b""))
        elif kind == http2.RST_STREAM:
            self._bodies.pop(stream, None)
        elif kind == http2.HEADERS and len(self._bodies) < _MOST_WAITING:
            self._bodies.setdefault(stream, b"")
        elif kind == http2.DATA and stream in self._bodies:
            self._bodies[stream] += http2.content(kind, flags, payload)
            if payload:
                self._say(http2.frame(http2.WINDOW_UPDATE, 0, 0, len(payload).to_bytes(4)))
        if kind in {http2.HEADERS, http2.DATA} and flags & http2.END_STREAM and stream in self._bodies:
            self._asked(stream, self._bodies.pop(stream))

    def _asked(self, stream: int, question: bytes) -> None:
        if not question:
            self._say(http2.frame(http2.HEADERS, http2.END_HEADERS | http2.END_STREAM, stream, _NOT_ALLOWED))
            return
        fields = _OK + http2.literal(31, b"application/dns-message")
        head = http2.frame(http2.HEADERS, http2.END_HEADERS, stream, fields)
        self._ask(question, lambda answer: self._say(head + http2.frame(http2.DATA, http2.END_STREAM, stream, answer)))


def takes(first: bytes) -> bool:
    """Whether a connection that begins so may speak HTTP/2 (RFC 9113, 3.4)."""
    return first.startswith(http2.PREFACE[: len(first)])
