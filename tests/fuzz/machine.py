"""What the own kernel and files say, parts of which strangers may have written."""

import ipaddress
import math
import socket
import struct
from collections.abc import Iterator
from typing import Any

from netprobe.live import (
    errors,
    errqueue,
    host,
    netlink,
    stamps,
    wireless,
)
from tests.fuzz.doubles import Ancillary


def ancillary(data: bytes) -> None:
    """A stamp is a moment that has been, and no more than seconds ago; an error queue is read to its end."""
    if not data:
        return
    sock: Any = Ancillary(data)
    arrival = stamps.receive(sock)
    assert math.isfinite(arrival.at_s)
    assert 0 <= arrival.waited_s <= 5
    assert isinstance(arrival.ttl, int)
    departures = stamps.Departures(sock)
    departures.sent(7)
    assert all(token == 7 and math.isfinite(at_s) for token, at_s in departures.read())
    for trouble in errors.troubles(Ancillary(data)):  # type: ignore[arg-type]
        if trouble.offender:
            ipaddress.ip_address(trouble.offender)
        assert trouble.text
    for over_v6 in (False, True):
        queue: Any = Ancillary(data)
        queue.family, queue.proto, queue.type = (socket.AF_INET, socket.AF_INET6)[over_v6], 1, socket.SOCK_DGRAM
        for entry in errqueue.read(queue):
            assert math.isfinite(entry.at_s)
            if isinstance(entry, errqueue.Failed):
                ipaddress.ip_address(entry.source)
                assert 0 <= entry.mtu <= 0xFFFF
                assert max(entry.type, entry.code) <= 0xFF
                assert len(entry.quote) <= len(data)


def ancillary_seeds() -> Iterator[bytes]:
    stamp = struct.pack("@qq", 1_700_000_000, 5)
    error = struct.pack("@IBBBBII", 113, 2, 3, 1, 0, 0, 0) + struct.pack("@HH4s8x", 2, 0, b"\x0a\0\0\1")
    departure = struct.pack("@IBBBBII", 42, 4, 0, 0, 0, 0, 0)
    yield b"\0\x10" + stamp + b"\1\4" + struct.pack("@i", 57)
    yield b"\3\x10" + stamp + b"\4" + bytes([len(departure)]) + departure
    yield b"\4" + bytes([len(error)]) + error + b"\2\4" + struct.pack("@i", 64)


class Text:
    """A path to a file of these bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def open(self, *, encoding: str, errors: str) -> Any:
        import io  # noqa: PLC0415  # only this group needs it

        return io.TextIOWrapper(io.BytesIO(self._data), encoding=encoding, errors=errors)


def files(data: bytes) -> None:
    """resolv.conf and hosts give addresses and printable names, whatever is in them."""
    path: Any = Text(data)
    found = host.resolvers(path)
    assert len(found) <= 3
    for address in found:
        ipaddress.ip_address(address)
    names = host._overrides(path)
    assert len(names) <= 50
    assert all(len(name) <= 200 and name.isprintable() for name in names)


def file_seeds() -> Iterator[bytes]:
    yield b"# c\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\noptions ndots:5\n"
    yield b"127.0.0.1 localhost\n203.0.113.5 www.example.com a.b ; c\n\xff\xfe\n"


def rows(data: bytes) -> None:
    """A netlink datagram is messages with attributes of its own bytes."""
    for kind, message in netlink.messages(data):
        body = netlink._BODIES.get(kind)
        if body is None or len(message) < body.size:
            continue
        row = netlink.Row(body.unpack_from(message), netlink.attributes_of(message[body.size :]))
        radio = wireless._told(row.nested(wireless._STA_INFO))
        assert radio.signal_dbm is None or -128 <= radio.signal_dbm < 0
        assert radio.retries is None or 0 <= radio.retries <= 1
        for number in row.attributes:
            assert row.number(number) >= 0
            assert isinstance(row.text(number), str)
            if row.address(number):
                ipaddress.ip_address(row.address(number))


def row_seeds() -> Iterator[bytes]:
    attribute = struct.pack("@HH4s", 8, 1, b"\xc0\0\2\1") + struct.pack("@HH8s", 9, 3, b"eth0\0")
    station = netlink.packed(7, b"\xaf") + netlink.packed(10, bytes(4)) + netlink.packed(11, b"\1\0\0\0")
    attribute += netlink.packed(wireless._STA_INFO, station)
    for kind, body in netlink._BODIES.items():
        message = bytes(body.size) + attribute
        yield struct.pack("@IHHII", 16 + len(message), kind, 2, 1, 0) + message
