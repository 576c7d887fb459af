"""Reads the kernel's own view of links, addresses, routes, neighbours and queues (rtnetlink(7)), without any right.

Generic netlink too (`ask_family`), which drivers of wireless cards speak.

Netlink and not /proc and /sys: those show the namespace that they were mounted in, and know no neighbour's state. Not
pyroute2 either: the few messages read here fit a page, and its import would cost the resident agent 40 MB.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

NEW_LINK, NEW_ADDRESS, NEW_ROUTE, NEW_NEIGHBOUR, NEW_QUEUE = 16, 20, 24, 28, 36  # RTM_NEW*; RTM_GET* is 2 more
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP = 0x1, 0x300
_HEADER = struct.Struct("@IHHII")
_ATTRIBUTE = struct.Struct("@HH")
_ATTRIBUTE_TYPE = 0x3FFF  # the upper bits are flags
_TIMEOUT_S = 2.0
_MOST_DATAGRAMS = 4096  # of about 30 messages each

_NETLINK_GENERIC = 16  # linux/netlink.h; the socket module does not name it
_CONTROL, _GET_FAMILY, _FAMILY_ID, _FAMILY_NAME = 16, 3, 1, 2  # linux/genetlink.h
_GENERIC = struct.Struct("@BBH")  # struct genlmsghdr

#: The fixed part of each message (struct ifinfomsg, ifaddrmsg, rtmsg, ndmsg, tcmsg).
_BODIES = {
    NEW_LINK: struct.Struct("@BxHiII"),
    NEW_ADDRESS: struct.Struct("@BBBBI"),
    NEW_ROUTE: struct.Struct("@BBBBBBBBI"),
    NEW_NEIGHBOUR: struct.Struct("@BxxxiHBB"),
    NEW_QUEUE: struct.Struct("@BxxxiIII"),
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

    def nested(self, attribute: int) -> "Row":
        """The attributes inside an attribute."""
        return Row((), attributes_of(self.attributes.get(attribute, b"")))


_LITTLE = struct.pack("@H", 1) == b"\1\0"


def dump(kind: int, family: int = socket.AF_UNSPEC) -> list[Row]:
    """All messages of `kind` (NEW_LINK, ...). Raises OSError when the kernel refuses."""
    body = _BODIES[kind]
    return _ask(kind + 2, body.pack(family, *[0] * (_count(body) - 1)), _DUMP, kind, body)


def route_to(destination: str) -> Row | None:
    """The route that the kernel would take to the address `destination`, rules and all; None when there is none."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    address = socket.inet_pton(family, destination)
    body = _BODIES[NEW_ROUTE].pack(family, 8 * len(address), 0, 0, 0, 0, 0, 0, 0)
    try:
        rows = _ask(NEW_ROUTE + 2, body + packed(1, address), 0, NEW_ROUTE, _BODIES[NEW_ROUTE])  # RTA_DST
    except OSError as error:
        if error.errno in {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EINVAL}:
            return None
        raise
    return rows[0] if rows else None


def ask_family(name: str, command: int, attributes: bytes = b"", *, every: bool = False) -> list[Row]:
    """What the generic family `name` answers to `command`; `every`: all that it has. Raises OSError when it does not.

    A family that this kernel has not loaded is an OSError too.
    """
    wanted = _GENERIC.pack(_GET_FAMILY, 1, 0) + packed(_FAMILY_NAME, name.encode() + b"\0")
    found = _ask(_CONTROL, wanted, 0, _CONTROL, _GENERIC, _NETLINK_GENERIC)
    family = found[0].number(_FAMILY_ID) if found else 0
    flags = _DUMP if every else 0
    return _ask(family, _GENERIC.pack(command, 0, 0) + attributes, flags, family, _GENERIC, _NETLINK_GENERIC)


def packed(attribute: int, value: bytes) -> bytes:
    """An attribute as it stands in a message."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), attribute) + value + bytes(-len(value) & 3)


def _count(body: struct.Struct) -> int:
    return len(body.unpack(bytes(body.size)))


def _ask(
    kind: int, body: bytes, flags: int, answer: int, fixed: struct.Struct, protocol: int = socket.NETLINK_ROUTE
) -> list[Row]:
    """The messages of type `answer` that come for one of type `kind`, each beginning with `fixed`."""
    request = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body
    rows: list[Row] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol) as sock:
        sock.settimeout(_TIMEOUT_S)
        sock.bind((0, 0))
        sock.sendto(request, (0, 0))
        for _ in range(_MOST_DATAGRAMS):
            for type_, message in messages(sock.recv(1 << 16)):
                if type_ == _DONE:
                    return rows
                if type_ == _ERROR:
                    (code,) = struct.unpack_from("@i", message)
                    if code:
                        raise OSError(-code, os.strerror(-code))
                elif type_ == answer and len(message) >= fixed.size:
                    rows.append(Row(fixed.unpack_from(message), attributes_of(message[fixed.size :])))
            if not flags & _DUMP:
                return rows
    return rows


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The messages of one datagram, each as its type and what follows the header."""
    while len(data) >= _HEADER.size:
        length, type_, *_ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield type_, data[_HEADER.size : length]
        data = data[length + 3 & ~3 :]


def attributes_of(data: bytes) -> dict[int, bytes]:
    """Attributes by type, as far as they are whole."""
    found: dict[int, bytes] = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, type_ = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[type_ & _ATTRIBUTE_TYPE] = data[at + _ATTRIBUTE.size : at + length]
        at += length + 3 & ~3
    return found
