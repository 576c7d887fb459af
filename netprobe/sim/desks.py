"""Where questions come in over a connection and answers go out: behind their length, or in HTTP/2's frames.

Bytes in, bytes out: the same for servers in virtual time and for real ones.
"""

from collections.abc import Callable
from typing import Protocol

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import H2Error

from netprobe.probing.http2 import MESSAGE, Http2Error
from netprobe.sim import wirebytes

Say = Callable[[bytes], None]
#: Takes a question, and what is to be called with the answer.
Ask = Callable[[bytes, Say], None]

TLS_PORT = 853  # RFC 7858, 3.1
_MOST_WAITING = 100  # questions of one connection that are not whole
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


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
        self._first = b""  # until it is clear what the client speaks
        self._connection = H2Connection(H2Configuration(client_side=False))
        self._connection.initiate_connection()
        self._bodies: dict[int, bytes] = {}  # by stream

    def received(self, data: bytes) -> None:
        """Take whole frames."""
        if not takes(self._first + data):
            msg = "no HTTP/2"
            raise Http2Error(msg)
        self._first = (self._first + data)[: len(_PREFACE)]
        try:
            for event in self._connection.receive_data(data):
                self._event(event)
        except H2Error as error:
            raise Http2Error(str(error)) from None
        self._flush()

    def _event(self, event: Event) -> None:
        match event:
            case RequestReceived() if len(self._bodies) < _MOST_WAITING:
                self._bodies[event.stream_id] = b""
            case DataReceived() if event.stream_id in self._bodies:
                self._bodies[event.stream_id] += event.data
                self._connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamReset():
                self._bodies.pop(event.stream_id, None)
            case StreamEnded() if event.stream_id in self._bodies:
                self._asked(event.stream_id, self._bodies.pop(event.stream_id))

    def _asked(self, stream: int, question: bytes) -> None:
        if question:
            self._ask(question, lambda answer: self._answer(stream, answer))
            return
        self._connection.send_headers(stream, [(":status", "405")], end_stream=True)

    def _answer(self, stream: int, answer: bytes) -> None:
        try:
            self._connection.send_headers(stream, [(":status", "200"), ("content-type", MESSAGE)])
            self._connection.send_data(stream, answer, end_stream=True)
        except H2Error:
            return  # the client has gone
        self._flush()

    def _flush(self) -> None:
        data = self._connection.data_to_send()
        if data:
            self._say(data)


def takes(first: bytes) -> bool:
    """Whether a connection that begins so may speak HTTP/2 (RFC 9113, 3.4)."""
    return _PREFACE.startswith(first[: len(_PREFACE)])
