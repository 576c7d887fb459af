"""How a connection carries a DNS question and its answer: over TCP, over TLS (RFC 7858), over HTTPS (RFC 8484).

Bytes in, bytes out: the live network and the simulated one speak through the same few lines.
"""

from typing import Protocol

from netprobe.model.services import Handshake, Lookup, Transport
from netprobe.probing.http2 import PROTOCOL, Exchange

PORTS = {Transport.UDP: 53, Transport.TCP: 53, Transport.TLS: 853, Transport.HTTPS: 443}
PATH = "/dns-query"  # what all public resolvers have chosen (RFC 8484, 4.1.1, writes it in its examples)
_OK = 200


class Carriage(Protocol):
    """A question on its way, and its answer."""

    @property
    def first(self) -> bytes:
        """What is sent first."""

    @property
    def status(self) -> int:
        """What HTTP says of it; 0 where there is no HTTP, or no answer."""

    @property
    def message(self) -> bytes | None:
        """The answer, once it is whole."""

    @property
    def done(self) -> bool:
        """Whether nothing else is to come."""

    def receive(self, data: bytes) -> bytes:
        """Take what has come; what has to be sent on it. Raises ValueError where it breaks the protocol."""


class _Prefixed:
    """A message behind its length (RFC 1035, 4.2.2), as TCP and TLS carry it."""

    status = 0

    def __init__(self, query: bytes) -> None:
        self.first = len(query).to_bytes(2) + query
        self.message: bytes | None = None
        self._buffer = b""

    @property
    def done(self) -> bool:
        """There is one answer."""
        return self.message is not None

    def receive(self, data: bytes) -> bytes:
        """Wait for the whole of it."""
        self._buffer += data
        end = 2 + int.from_bytes(self._buffer[:2])
        if len(self._buffer) >= max(2, end):
            self.message = self._buffer[2:end]
        return b""


class _Posted(Exchange):
    """A message in the body of a POST."""

    def __init__(self, lookup: Lookup, query: bytes) -> None:
        super().__init__(lookup.server_name or lookup.resolver, PATH, query)

    @property
    def message(self) -> bytes | None:
        """The body of an answer that is one."""
        return self.body if self.done and self.status == _OK else None


def carriage(lookup: Lookup, query: bytes) -> Carriage:
    """What carries `query`, the bytes of `lookup`, over its transport."""
    return _Posted(lookup, query) if lookup.transport is Transport.HTTPS else _Prefixed(query)


def protocols(lookup: Lookup) -> tuple[str, ...]:
    """What its TLS handshake offers in ALPN (RFC 7301)."""
    return (PROTOCOL,) if lookup.transport is Transport.HTTPS else ()


def handshake_of(lookup: Lookup) -> Handshake:
    """The connection that the lookup needs; its resolver has to prove who it is wherever there is TLS."""
    secure = lookup.transport in {Transport.TLS, Transport.HTTPS}
    name = (lookup.server_name or lookup.resolver) if secure else ""
    return Handshake(lookup.resolver, PORTS[lookup.transport], name, timeout_s=lookup.timeout_s)
