"""Reads the kernel's own view of links, addresses, routes and neighbours (rtnetlink(7)), without any right.

Netlink and not /proc and /sys: those show the namespace that they were mounted in, and know no neighbour's state. Not
pyroute2 either: the few messages read here fit a page, and its import would cost the resident agent 40 MB.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

NEW_LINK, NEW_ADDRESS, NEW_ROUTE, NEW_NEIGHBOUR = 16, 20, 24, 28  # RTM_NEW*; RTM_GET* is 2 more
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP = 0x1, 0x300
_HEADER = struct.Struct("@IHHII")
_ATTRIBUTE = struct.Struct("@HH")
_ATTRIBUTE_TYPE = 0x3FFF  # the upper bits are flags
_TIMEOUT_S = 2.0
_MOST_DATAGRAMS = 4096  # of about 30 messages each

#: The fixed part of each message (struct ifinfomsg, ifaddrmsg, rtmsg, ndmsg).
_BODIES = {
    NEW_LINK: struct.Struct("@BxHiII"),
    NEW_ADDRESS: struct.Struct("@BBBBI"),
    NEW_ROUTE: struct.Struct("@BBBBBBBBI"),
    NEW_NEIGHBOUR: struct.Struct("@BxxxiHBB"),
}


class Row(NamedTuple):
    """One message: the numbers of its fixed part, and its attributes by type."""

    fields: tuple[int, ...]
    attributes: dict[int, bytes]

    def number(self, attribute: int, default: int = 0) -> int:
        """An attribute as an unsigned number in host order."""
        value = self.attributes.get(attribute)
        return int.from_bytes(value, "little" if _LITTLE else "big") if value else default

    def text(self, attribute: int) -> str:
        """An attribute as a C string."""
        return self.attributes.get(attribute, b"").split(b"\0", 1)[0].decode("utf-8", "replace")

    def address(self, attribute: int) -> str:
        """An attribute as an IP address, empty without one."""
        value = self.attributes.get(attribute, b"")
        family = {4: socket.AF_INET, 16: socket.AF_INET6}.get(len(value))
        return socket.inet_ntop(family, value) if family else ""


_LITTLE = struct.pack("@H", 1) == b"\1\0"


def dump(kind: int, family: int = socket.AF_UNSPEC) -> list[Row]:
    """All messages of `kind` (NEW_LINK, ...). Raises OSError when the kernel refuses."""
    body = _BODIES[kind]
    return _ask(kind, body.pack(family, *[0] * (_count(body) - 1)), _DUMP)


def route_to(destination: str) -> Row | None:
    """The route that the kernel would take to the address `destination`, rules and all; None when there is none."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    address = socket.inet_pton(family, destination)
    body = _BODIES[NEW_ROUTE].pack(family, 8 * len(address), 0, 0, 0, 0, 0, 0, 0)
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(address), 1) + address  # RTA_DST
    try:
        rows = _ask(NEW_ROUTE, body + attribute, 0)
    except OSError as error:
        if error.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL}:
            return None
        raise
    return rows[0] if rows else None


def _count(body: struct.Struct) -> int:
    return len(body.unpack(bytes(body.size)))


def _ask(kind: int, body: bytes, flags: int) -> list[Row]:
    request = _HEADER.pack(_HEADER.size + len(body), kind + 2, _REQUEST | flags, 1, 0) + body
    rows: list[Row] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(_TIMEOUT_S)
        sock.bind((0, 0))
        sock.sendto(request, (0, 0))
        for _ in range(_MOST_DATAGRAMS):
            for type_, message in _messages(sock.recv(1 << 16)):
                if type_ == _DONE:
                    return rows
                if type_ == _ERROR:
                    (code,) = struct.unpack_from("@i", message)
                    if code:
                        raise OSError(-code, os.strerror(-code))
                elif type_ == kind:
                    rows.append(_row(_BODIES[kind], message))
            if not flags & _DUMP:
                return rows
    return rows


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _HEADER.size:
        length, type_, *_ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield type_, data[_HEADER.size : length]
        data = data[length + 3 & ~3 :]


def _row(body: struct.Struct, message: bytes) -> Row:
    attributes: dict[int, bytes] = {}
    at = body.size
    while at + _ATTRIBUTE.size <= len(message):
        length, type_ = _ATTRIBUTE.unpack_from(message, at)
        if length < _ATTRIBUTE.size:
            break
        attributes[type_ & _ATTRIBUTE_TYPE] = message[at + _ATTRIBUTE.size : at + length]
        at += length + 3 & ~3
    return Row(body.unpack_from(message), attributes)
