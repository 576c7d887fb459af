"""What a middlebox reads in passing: the name in a TLS ClientHello (QUIC's too), in plain HTTP, in a DNS question.

The bytes are hostile; every parser answers with an empty name rather than an exception.
"""

import re
from fnmatch import translate
from functools import lru_cache
from typing import TypeVar

from netprobe.sim import prefixes
from netprobe.sim.packet import TCP, UDP, Packet
from netprobe.sim.quic import headers
from netprobe.sim.quic.hello import Hello
from netprobe.sim.records import Match

K = TypeVar("K")
V = TypeVar("V")
_Flow = tuple[str, str, int, int]

QUIC = "quic"
PROTOCOLS = {"icmp": 1, "tcp": TCP, "udp": UDP, QUIC: UDP}
_HANDSHAKE = 0x16
_QUIC_BITS = headers.LONG | headers.FIXED
_CLIENT_HELLO = 0x01
_SERVER_NAME = 0
_FLOWS = 4096  # how many flows a middlebox remembers
_HELLO_LIMIT = 16384  # RFC 8446, 5.1: a record's plaintext
_LABEL_LIMIT = 63
_NAME_LIMIT = 255
METHODS = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTIONS ", b"CONNECT ")


def server_name(data: bytes) -> str:
    """The host name in the SNI (RFC 6066, 3) of the TLS ClientHello that `data` begins with, as far as it is there."""
    try:
        return _server_name(data)
    except IndexError:
        return ""


def _server_name(data: bytes) -> str:
    if data[0] != _HANDSHAKE or data[5] != _CLIENT_HELLO:
        return ""
    at = 5 + 4 + 2 + 32  # record header, handshake header, version, random
    at += 1 + data[at]  # session id
    at += 2 + _short(data, at)  # cipher suites
    at += 1 + data[at]  # compression methods
    end = at + 2 + _short(data, at)
    at += 2
    while at < end:
        kind, size = _short(data, at), _short(data, at + 2)
        if kind == _SERVER_NAME:
            length = _short(data, at + 7)  # behind the list's length and the name's type
            name = data[at + 9 : at + 9 + length]
            return name.decode("ascii", "replace").lower() if length == len(name) <= _NAME_LIMIT else ""
        at += 4 + size
    return ""


def _short(data: bytes, at: int) -> int:
    return data[at] << 8 | data[at + 1]


def http_host(data: bytes) -> str:
    """The Host of a plain HTTP request."""
    if not data.startswith(METHODS):
        return ""
    for line in data.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == b"host":
            return value.strip().decode("ascii", "replace").lower().partition(":")[0][:_NAME_LIMIT]
    return ""


@lru_cache(maxsize=256)  # a question is read by each box that it comes to, and by who answers it
def query_name(message: bytes) -> str:
    """The name in the first question of a DNS query (RFC 1035, 4.1); questions are not compressed."""
    at, labels, total = 12, [], 0
    while at < len(message) and 0 < message[at] <= _LABEL_LIMIT and total <= _NAME_LIMIT:
        size = message[at]
        labels.append(message[at + 1 : at + 1 + size])
        total += size + 1
        at += 1 + size
    if at >= len(message) or message[at] != 0:
        return ""
    return b".".join(labels).decode("ascii", "replace").lower()


@lru_cache(maxsize=512)
def name_pattern(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for a tuple of names in which `*` stands for anything."""
    return re.compile("|".join(translate(pattern.lower()) for pattern in patterns))


class Matcher:
    """Decides whether a packet is one that a fault is about.

    A flow whose first bytes matched by name stays matched, because the rest of the conversation carries no name; a
    ClientHello that does not fit into one segment is put together first.
    """

    def __init__(self, match: Match) -> None:
        self._protocol = PROTOCOLS.get(match.protocol)
        self._port = match.port
        self._larger_than = match.larger_than
        self._source = tuple(prefixes.mask(prefix) for prefix in match.source)
        self._destination = tuple(prefixes.mask(prefix) for prefix in match.destination)
        self._server_name = name_pattern(match.server_name) if match.server_name else None
        self._query_name = name_pattern(match.query_name) if match.query_name else None
        self._only_quic = match.protocol == QUIC
        self._speaking: dict[_Flow, None] = {}  # flows that have begun with QUIC, from either end
        self._said: dict[_Flow, Hello] = {}
        self._hit: dict[_Flow, None] = {}
        self._begun: dict[_Flow, tuple[int, bytes]] = {}

    def matches(self, packet: Packet) -> bool:
        """Whether every condition that was given holds."""
        if self._protocol is not None and packet.protocol != self._protocol:
            return False
        if self._only_quic and not self._is_quic(packet):
            return False
        if self._larger_than and packet.size <= self._larger_than:
            return False
        if self._port and self._port not in {packet.destination_port, packet.source_port}:
            return False
        if self._source and not prefixes.within(packet.source, self._source):
            return False
        if self._destination and not prefixes.within(packet.destination, self._destination):
            return False
        if self._query_name is not None and not self._asks(packet):
            return False
        return self._server_name is None or self._names(packet)

    def _asks(self, packet: Packet) -> bool:
        assert self._query_name is not None  # noqa: S101  # the caller has looked
        data = packet.payload[2:] if packet.protocol == TCP else packet.payload  # RFC 1035, 4.2.2: a length first
        is_question = len(data) > 12 and data[2] < 0x80  # RFC 1035, 4.1.1: QR, the first flag, is set in answers
        return packet.protocol in {TCP, UDP} and is_question and bool(self._query_name.match(query_name(data)))

    def _names(self, packet: Packet) -> bool:
        assert self._server_name is not None  # noqa: S101  # the caller has looked
        if packet.protocol not in {TCP, UDP} or packet.fragment:
            return False
        flow = (packet.source, packet.destination, packet.source_port, packet.destination_port)
        data = packet.payload
        if not data or flow in self._hit:
            return flow in self._hit
        if packet.protocol == UDP:
            return self._names_in_quic(data, flow)
        expected, begun = self._begun.pop(flow, (0, b""))
        if begun and packet.seq == expected:
            data = begun + data
        name = server_name(data) or http_host(data)
        if name:
            if self._server_name.match(name):
                remember(self._hit, flow, None)
                return True
        elif data[0] == _HANDSHAKE and len(data) < _HELLO_LIMIT:
            remember(self._begun, flow, (packet.seq + len(packet.payload), data))
        return False

    def _names_in_quic(self, data: bytes, flow: _Flow) -> bool:
        """Whether the ClientHello that a QUIC connection begins with, in one datagram or more, is there and matches."""
        assert self._server_name is not None  # noqa: S101  # the caller has looked
        if data[0] & _QUIC_BITS != _QUIC_BITS:
            return False
        hello = self._said.pop(flow, None) or Hello()
        new = hello.feed(data)
        if hello.seen:
            remember(self._said, flow, hello)
        if not new or not self._server_name.match(server_name(hello.begun)):
            return False
        del self._said[flow]
        remember(self._hit, flow, None)
        return True

    def _is_quic(self, packet: Packet) -> bool:
        """Whether it belongs to a flow of the port of QUIC that has had a long header in it."""
        ends = (packet.source, packet.destination, packet.source_port, packet.destination_port)
        if packet.fragment or headers.PORT not in ends[2:]:
            return False
        if ends in self._speaking or (ends[1], ends[0], ends[3], ends[2]) in self._speaking:
            return True
        if headers.long_header(packet.payload) is None:
            return False
        remember(self._speaking, ends, None)
        return True


def remember(memory: dict[K, V], key: K, value: V) -> None:
    """Keep `value`; a middlebox that remembers too much forgets what it has heard first."""
    if len(memory) >= _FLOWS:
        del memory[next(iter(memory))]
    memory[key] = value
