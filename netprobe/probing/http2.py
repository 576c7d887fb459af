"""One question over HTTP/2 (RFC 9113) by the client's side: bytes in, bytes out, nothing opened here.

A fresh connection, one POST, one answer. The protocol is the package h2's; here is what a guest asks of it, and the
bounds that it keeps to.
"""

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings

PROTOCOL = "h2"  # in ALPN
MESSAGE = "application/dns-message"
_LARGEST_ANSWER = 65535  # of a DNS message
_MOST_BYTES = 4 * _LARGEST_ANSWER
_STREAM = 1
_HEADER, _TYPE, _SETTINGS = 9, 3, 4  # a frame's header in bytes, where its type stands (RFC 9113, 4.1), and that type


class Http2Error(ValueError):
    """The other side breaks the protocol, or ends the request."""


class Exchange:
    """One request and its answer: `body` is asked with, and then what was answered."""

    def __init__(self, authority: str, path: str, body: bytes) -> None:
        self._connection = H2Connection(H2Configuration(client_side=True))
        self._connection.local_settings = Settings(client=True, initial_values={SettingCodes.ENABLE_PUSH: 0})
        self._connection.initiate_connection()
        fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", authority),
            (":path", path),
            ("accept", MESSAGE),
            ("content-length", str(len(body))),
            ("content-type", MESSAGE),
        ]
        self._connection.send_headers(_STREAM, fields)
        self._connection.send_data(_STREAM, body, end_stream=True)
        self.first = self._connection.data_to_send()
        self.status = 0
        self.body = b""
        self.done = False
        self._head = b""  # of the first frame
        self._came = 0

    def receive(self, data: bytes) -> bytes:
        """Take what has come; what it wants to be sent. Raises `Http2Error`."""
        self._came += len(data)
        if self._came > _MOST_BYTES:
            msg = "more than an answer can be"
            raise Http2Error(msg)
        # Whoever speaks HTTP/2 begins with SETTINGS (RFC 9113, 3.4); h2 would wait for millions of bytes of text.
        self._head = (self._head + data)[:_HEADER]
        if len(self._head) > _TYPE and self._head[_TYPE] != _SETTINGS:
            msg = "no HTTP/2"
            raise Http2Error(msg)
        try:
            for event in self._connection.receive_data(data):
                self._take(event)
        except H2Error as error:
            raise Http2Error(str(error)) from None
        return self._connection.data_to_send()

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived():
                self.status = _status(event)
            case DataReceived():
                self.body += event.data
                if len(self.body) > _LARGEST_ANSWER:
                    msg = "more than an answer can be"
                    raise Http2Error(msg)
                self._connection.acknowledge_received_data(event.flow_controlled_length, _STREAM)
            case StreamEnded():
                self.done = True
            case StreamReset() | ConnectionTerminated() if not self.done:
                msg = f"the server ends the request, error {event.error_code}"
                raise Http2Error(msg)


def _status(event: ResponseReceived) -> int:
    text = dict(event.headers).get(b":status", b"")
    if not (len(text) == 3 and text.isdigit()):
        msg = "no status"
        raise Http2Error(msg)
    return int(text)
