"""The little of HTTP/2 (RFC 9113) that one question to a resolver needs: bytes in, bytes out, nothing opened here.

A fresh connection, one POST, one answer. Public resolvers ask for HTTP/2 (RFC 8484, 5.2), and what of it is needed is a
page of code where a library would be a megabyte of a small agent's memory. Of the answer's header fields the status
alone is read: it is always the first (RFC 9113, 8.3), so that nothing of HPACK's memory (RFC 7541) is needed.
"""

import struct
from collections.abc import Iterator

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PROTOCOL = "h2"  # in ALPN
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
ACK = END_STREAM = 0x1
END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_HEADER = 9
_LARGEST_FRAME = 16384  # RFC 9113, 6.5.2: what nobody may exceed unless we allow it
_LARGEST_ANSWER = 65535  # of a DNS message, and what the first window lets a server send
_MOST_BYTES = 4 * _LARGEST_ANSWER
_STREAM = 1
#: SETTINGS_HEADER_TABLE_SIZE 0: refer to nothing that was said before; SETTINGS_ENABLE_PUSH 0.
_OWN_SETTINGS = struct.pack("!HIHI", 1, 0, 2, 0)
_MESSAGE = b"application/dns-message"
#: The static table's statuses (RFC 7541, A), and the digits of HPACK's Huffman code (RFC 7541, B) by length and bits.
_STATUSES = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
_STATUS = 8
_DIGITS = {(5, code): str(code) for code in range(3)} | {(6, 0x16 + digit): str(digit) for digit in range(3, 10)}


class Http2Error(ValueError):
    """The other side breaks the protocol, or ends the request."""


class Exchange:
    """One request and its answer, by the client's side: `body` is asked with, and then what was answered."""

    def __init__(self, authority: str, path: str, body: bytes) -> None:
        fields = [
            b"\x83\x87",  # :method POST, :scheme https
            literal(1, authority.encode("ascii", "replace")),
            literal(4, path.encode("ascii", "replace")),
            literal(19, _MESSAGE),  # accept
            literal(28, str(len(body)).encode()),
            literal(31, _MESSAGE),  # content-type
        ]
        self.first = (
            PREFACE
            + frame(SETTINGS, 0, 0, _OWN_SETTINGS)
            + frame(HEADERS, END_HEADERS, _STREAM, b"".join(fields))
            + frame(DATA, END_STREAM, _STREAM, body)
        )
        self.status = 0
        self.body = b""
        self.done = False
        self._came = 0
        self._buffer = b""

    def receive(self, data: bytes) -> bytes:
        """Take what has come; what it wants to be sent. Raises `Http2Error`."""
        self._came += len(data)
        if self._came > _MOST_BYTES:
            msg = "more than an answer can be"
            raise Http2Error(msg)
        self._buffer += data
        reply = b""
        while not self.done and (found := split_frame(self._buffer)) is not None:
            kind, flags, stream, payload, self._buffer = found
            reply += self._take(kind, flags, stream, payload)
        return reply

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        if kind in {SETTINGS, PING} and not flags & ACK:
            return frame(kind, ACK, 0, payload if kind == PING else b"")
        if (kind == GOAWAY and int.from_bytes(payload[:4]) < _STREAM) or kind == RST_STREAM:
            msg = f"the server ends the request, error {int.from_bytes(payload[-4:])}"
            raise Http2Error(msg)
        if kind == PUSH_PROMISE:
            msg = "the server pushes what nobody wants"
            raise Http2Error(msg)
        if stream != _STREAM or kind not in {DATA, HEADERS}:
            return b""
        payload = content(kind, flags, payload)
        if kind == DATA:
            self.body += payload
            if len(self.body) > _LARGEST_ANSWER:
                msg = "more than an answer can be"
                raise Http2Error(msg)
        elif self.status < 200:  # neither an answer yet nor its trailers
            self.status = _status(payload)
        self.done = bool(flags & END_STREAM)
        return b""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame (RFC 9113, 4.1)."""
    return len(payload).to_bytes(3) + struct.pack("!BBI", kind, flags, stream) + payload


def split_frame(data: bytes) -> tuple[int, int, int, bytes, bytes] | None:
    """The first whole frame's type, flags, stream and payload, and what follows it; None while it is not whole."""
    size = int.from_bytes(data[:3])
    if len(data) >= 3 and size > _LARGEST_FRAME:
        msg = "a frame larger than allowed"
        raise Http2Error(msg)
    if len(data) < _HEADER + size:
        return None
    kind, flags, stream = struct.unpack_from("!BBI", data, 3)
    return kind, flags, stream & 0x7FFFFFFF, data[_HEADER : _HEADER + size], data[_HEADER + size :]


def content(kind: int, flags: int, payload: bytes) -> bytes:
    """A frame's payload without padding and priority (RFC 9113, 6.1, 6.2)."""
    padding = 0
    if flags & _PADDED:
        padding, payload = payload[0] if payload else 1, payload[1:]
    if kind == HEADERS and flags & _PRIORITY:
        payload = payload[5:]
    if padding > len(payload):
        msg = "more padding than frame"
        raise Http2Error(msg)
    return payload[: len(payload) - padding]


def literal(name: int, value: bytes) -> bytes:
    """A header field that nobody needs to remember (RFC 7541, 6.2.2); `name` is an entry of the static table."""
    return _integer(0, 4, name) + _integer(0, 7, len(value)) + value


def _integer(first: int, bits: int, value: int) -> bytes:
    """RFC 7541, 5.1."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([first | value])
    out, value = [first | limit], value - limit
    while value >= 0x80:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    return bytes([*out, value])


def _status(block: bytes) -> int:
    """The status with which a header block begins."""
    try:
        return _first_status(block)
    except IndexError:
        msg = "no status"
        raise Http2Error(msg) from None


def _first_status(block: bytes) -> int:
    at = 0
    while block[at] & 0xE0 == 0x20:  # the table's size changes (RFC 7541, 6.3)
        at += 1
        if block[at - 1] & 0x1F == 0x1F:
            while block[at] & 0x80:
                at += 1
            at += 1
    first = block[at]
    if first & 0x80:
        status = _STATUSES.get(first & 0x7F, 0)
    else:
        name = first & (0x3F if first & 0x40 else 0x0F)  # to be remembered, or not
        size = block[at + 1] & 0x7F
        value = block[at + 2 : at + 2 + size]
        text = "".join(_digits(value)) if block[at + 1] & 0x80 else value.decode("ascii", "replace")
        status = int(text) if name == _STATUS and len(text) == 3 and text.isascii() and text.isdigit() else 0
    if status < 100:
        msg = "no status"
        raise Http2Error(msg)
    return status


def _digits(code: bytes) -> Iterator[str]:
    """Digits in HPACK's Huffman code; it ends where no digit is."""
    bits = "".join(f"{byte:08b}" for byte in code[:4])
    at = 0
    while at + 5 <= len(bits):
        size = next((n for n in (5, 6) if (n, int(bits[at : at + n], 2)) in _DIGITS and at + n <= len(bits)), 0)
        if not size:
            return
        yield _DIGITS[size, int(bits[at : at + size], 2)]
        at += size
