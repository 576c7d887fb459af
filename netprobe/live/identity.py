"""What makes a reply believable: numbers that only this process can know, in the bits that an 8-byte quote brings back.

A keyed hash (BLAKE2s, RFC 7693, with a secret made at start) over the probe's destination and its token gives the TCP
sequence number, the ICMP sequence number and nonce, the UDP checksum and the IP identification. Whoever was not on the
path of the probe has to guess at least 32 bits (the source port's or identifier's among them), not to count up.
"""

import struct
from _blake2 import blake2s  # `hashlib` has it too, and loads OpenSSL for the others
from os import urandom
from typing import NamedTuple

from netprobe.model.probes import Flow, Protocol

_MARK = struct.Struct("!IHHH8sI")
_REMEMBER_FLOWS = 4096


class Mark(NamedTuple):
    """One probe's numbers; `check` is its UDP checksum, or the ICMP checksum that its whole flow shares.

    None of the 16-bit ones is 0 or 0xFFFF, which have meanings of their own on the wire.
    """

    isn: int
    ip_id: int
    sequence: int
    check: int
    nonce: bytes
    timestamp: int


class Identity:
    """Makes marks for probes and constants for flows from one secret."""

    def __init__(self, secret: bytes | None = None) -> None:
        self._secret = secret or urandom(32)
        self._constants: dict[Flow, tuple[int, int]] = {}

    def mark(self, flow: Flow, token: int, attempt: int = 0) -> Mark:
        """The numbers of one probe; another `attempt` gives others, should these be in use."""
        digest = self._hash(f"probe {flow.protocol} {flow.destination} {flow.port} {flow.label} {token} {attempt}")
        isn, ip_id, sequence, check, nonce, timestamp = _MARK.unpack_from(digest)
        if flow.protocol is Protocol.ICMP:
            _, check = self.flow_constants(flow)
        return Mark(isn, _inner(ip_id), _inner(sequence), _inner(check), nonce, timestamp)

    def flow_constants(self, flow: Flow) -> tuple[int, int]:
        """The low byte of the ICMP identifier and the ICMP checksum that all probes of `flow` share."""
        known = self._constants.get(flow)
        if known is None:
            if len(self._constants) >= _REMEMBER_FLOWS:
                self._constants.clear()
            digest = self._hash(f"flow {flow.protocol} {flow.destination} {flow.port} {flow.label}")
            low, check = struct.unpack_from("!BH", digest)
            known = self._constants[flow] = low, check
        return known

    def flow_label(self, flow: Flow) -> int:
        """The IPv6 flow label (RFC 6437, 20 bits, never 0) that all probes of `flow` share."""
        digest = self._hash(f"label {flow.protocol} {flow.destination} {flow.port} {flow.label}")
        return int.from_bytes(digest[:4]) % 0xFFFFF + 1

    def _hash(self, text: str) -> bytes:
        return blake2s(text.encode(), key=self._secret).digest()


def _inner(number: int) -> int:
    """`number` moved into 1 to 0xFFFE."""
    return number % 0xFFFE + 1
