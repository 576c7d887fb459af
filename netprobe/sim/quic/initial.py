"""Initial packets, which everybody on the way can read: their keys follow from a connection id (RFC 9001, 5.2).

Versions 1 and 2 (RFC 9369) differ in numbers only. What is read comes from strangers: whatever is wrong with it,
nothing is raised.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from netprobe.sim.quic.headers import FIXED, LONG, VERSION_1, VERSION_2, long_header

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Kind(IntEnum):
    """What a long header leads (RFC 9000, 17.2), by the number that version 1 gives it."""

    INITIAL = 0
    ZERO_RTT = 1
    HANDSHAKE = 2
    RETRY = 3


class _Version(NamedTuple):
    """What is different from version to version. `turn` is what version 2 adds to the number of a kind."""

    salt: bytes
    prefix: bytes
    turn: int


_VERSIONS = {
    VERSION_1: _Version(bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"), b"quic", 0),  # RFC 9001, 5.2
    VERSION_2: _Version(bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"), b"quicv2", 1),  # RFC 9369, 3.2, 3.3
}
_TAG_BYTES = 16
_SAMPLE_BYTES = 16
_NUMBER_BYTES = 4
_PADDING, _PING, _ACK, _ACK_ECN, _CRYPTO, _CLOSE = 0x00, 0x01, 0x02, 0x03, 0x06, 0x1C
_MOST_FRAMES = 1500  # a datagram has no more bytes


class Keys(NamedTuple):
    """One side's: for the payload (AES-128-GCM, with `iv`) and for the header."""

    key: bytes
    iv: bytes
    header: bytes


class Packet(NamedTuple):
    """One packet of a datagram: `whole` begins with its header; what is protected begins at `at`."""

    kind: Kind
    version: int
    destination: bytes
    source: bytes
    whole: bytes
    at: int


class Crypto(NamedTuple):
    """A piece of the handshake's messages, and where in them it belongs."""

    offset: int
    data: bytes


class Close(NamedTuple):
    """The other side has had enough (RFC 9000, 19.19)."""

    code: int
    reason: bytes


@lru_cache(maxsize=1024)
def initial_keys(version: int, connection: bytes, *, of_client: bool) -> Keys:
    """The keys of the side that is the client, or of the other, for the `connection` id that the client began with."""
    row = _VERSIONS[version]
    secret = hmac.digest(row.salt, connection, "sha256")
    own = _expand(secret, b"client in" if of_client else b"server in", 32)
    return Keys(
        *(_expand(own, row.prefix + label, size) for label, size in ((b" key", 16), (b" iv", 12), (b" hp", 16)))
    )


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446, 7.1) of one block."""
    label = b"tls13 " + label
    info = struct.pack("!HB", size, len(label)) + label + b"\0"
    return hmac.digest(secret, info + b"\1", hashlib.sha256)[:size]


@lru_cache(maxsize=1024)
def _aead(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # most networks have no QUIC

    return AESGCM(key)


def _mask(key: bytes, sample: bytes) -> bytes:
    """RFC 9001, 5.4.3."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415  # as above

    made: bytes = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(sample)  # noqa: S305  # the RFC wants it
    return made


def read_number(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length (RFC 9000, 16) and where it ends. Raises `IndexError`."""
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        raise IndexError
    return int.from_bytes(data[at : at + size], "big") & (1 << (8 * size - 2)) - 1, at + size


def write_number(number: int) -> bytes:
    """A number in as few bytes as it takes."""
    power = next(n for n in range(4) if number < 1 << ((8 << n) - 2))
    return (number | power << ((8 << power) - 2)).to_bytes(1 << power, "big")


def packets(data: bytes) -> Iterator[Packet]:
    """The packets with long headers of versions that we know that a datagram begins with (RFC 9000, 12.2)."""
    while (header := long_header(data)) is not None and header.version in _VERSIONS and header.first & FIXED:
        kind = Kind(((header.first >> 4) - _VERSIONS[header.version].turn) % 4)
        at = header.at
        try:
            if kind is Kind.INITIAL:
                size, at = read_number(data, at)  # a token
                at += size
            size, at = read_number(data, at) if kind is not Kind.RETRY else (len(data) - at, at)
        except IndexError:
            return
        end = at + size
        if end > len(data):
            return
        yield Packet(kind, header.version, header.destination, header.source, data[:end], at)
        data = data[end:]


def opened(packet: Packet, keys: Keys) -> bytes | None:
    """The frames of an Initial; None where these are not its keys."""
    whole, at = packet.whole, packet.at
    sample = whole[at + _NUMBER_BYTES : at + _NUMBER_BYTES + _SAMPLE_BYTES]
    if len(sample) < _SAMPLE_BYTES:
        return None
    mask = _mask(keys.header, sample)
    first = whole[0] ^ mask[0] & 0x0F
    size = (first & 0x03) + 1
    number = bytes(a ^ b for a, b in zip(whole[at : at + size], mask[1:], strict=False))
    header = bytes([first]) + whole[1:at] + number
    try:
        return _aead(keys.key).decrypt(_nonce(keys.iv, int.from_bytes(number)), whole[at + size :], header)
    except Exception:  # noqa: BLE001  # cryptography's InvalidTag, which is not imported for its name alone
        return None


def sealed(
    version: int, ends: tuple[bytes, bytes], number: int, frames: bytes, keys: Keys, *, token: bytes = b""
) -> bytes:
    """An Initial packet with `frames`; `ends` are the connection ids that it is for and comes from."""
    first = LONG | FIXED | (Kind.INITIAL + _VERSIONS[version].turn) << 4 | _NUMBER_BYTES - 1
    header = long_packet(first, version, ends) + write_number(len(token)) + token
    header += struct.pack("!H", 0x4000 | _NUMBER_BYTES + len(frames) + _TAG_BYTES) + number.to_bytes(_NUMBER_BYTES)
    protected = _aead(keys.key).encrypt(_nonce(keys.iv, number), frames, header)
    mask = _mask(keys.header, protected[:_SAMPLE_BYTES])
    at = len(header) - _NUMBER_BYTES
    hidden = bytes(a ^ b for a, b in zip(header[at:], mask[1:], strict=False))
    return bytes([first ^ mask[0] & 0x0F]) + header[1:at] + hidden + protected


def long_packet(first: int, version: int, ends: tuple[bytes, bytes]) -> bytes:
    """A long header, as far as all versions have it (RFC 8999, 5.1)."""
    (destination, source) = ends
    ids = bytes([len(destination)]) + destination + bytes([len(source)]) + source
    return struct.pack("!BI", first, version) + ids


def handshake_packet(version: int, ends: tuple[bytes, bytes], body: bytes) -> bytes:
    """A Handshake packet that carries `body` where in life protected bytes are."""
    first = LONG | FIXED | (Kind.HANDSHAKE + _VERSIONS[version].turn) % 4 << 4 | _NUMBER_BYTES - 1
    return long_packet(first, version, ends) + struct.pack("!H", 0x4000 | len(body)) + body


def _nonce(iv: bytes, number: int) -> bytes:
    """RFC 9001, 5.3."""
    return (int.from_bytes(iv) ^ number).to_bytes(len(iv))


def crypto_frame(offset: int, data: bytes) -> bytes:
    """RFC 9000, 19.6."""
    return bytes([_CRYPTO]) + write_number(offset) + write_number(len(data)) + data


def ack_frame(number: int) -> bytes:
    """Packets up to `number` have come (RFC 9000, 19.3)."""
    return bytes([_ACK]) + write_number(number) + b"\0\0" + write_number(number)


def close_frame(code: int) -> bytes:
    """The end of a connection, in words of the transport (RFC 9000, 19.19)."""
    return bytes([_CLOSE]) + write_number(code) + b"\0\0"


def frames(payload: bytes) -> Iterator[Crypto | Close]:
    """What of an Initial's frames matters; the rest of a payload that is broken is left out."""
    at = 0
    try:
        for _ in range(_MOST_FRAMES):
            if at >= len(payload):
                return
            kind, at = payload[at], at + 1
            if kind == _PADDING:
                at = len(payload) - len(payload[at:].lstrip(b"\0"))
            elif kind in {_ACK, _ACK_ECN}:
                at = _behind_ack(payload, at, ecn=kind == _ACK_ECN)
            elif kind == _CRYPTO:
                offset, at = read_number(payload, at)
                size, at = read_number(payload, at)
                yield Crypto(offset, payload[at : at + size])
                at += size
            elif kind == _CLOSE:
                code, at = read_number(payload, at)
                _, at = read_number(payload, at)
                size, at = read_number(payload, at)
                yield Close(code, payload[at : at + size])
                return
            elif kind != _PING:
                return  # RFC 9000, 12.4: an Initial has no others
    except IndexError:
        return


def _behind_ack(payload: bytes, at: int, *, ecn: bool) -> int:
    for _ in range(2):
        _, at = read_number(payload, at)  # the largest, the delay
    ranges, at = read_number(payload, at)
    for _ in range(min(1 + 2 * ranges + 3 * ecn, _MOST_FRAMES)):
        _, at = read_number(payload, at)
    return at
