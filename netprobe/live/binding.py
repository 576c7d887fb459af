"""Binding what is sent to one interface, whatever the routes say: whole sockets, or single packets of a shared one."""

import errno
import socket

from netprobe.live.broker.sockets import leaving_by


def bind(sock: socket.socket, link: str) -> None:
    """Bind a socket to the interface `link`; empty: leave it to the routes. Raises OSError (ENODEV, EPERM).

    The first binding of a socket takes no right since Linux 5.7.
    """
    if link:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())


def index_of(link: str) -> int:
    """The number of the interface `link`, 0 for an empty name. Raises OSError (ENODEV)."""
    if not link:
        return 0
    try:
        return socket.if_nametoindex(link)
    except OSError as error:
        raise OSError(errno.ENODEV, f"no such interface: {link}") from error


def by(link: str, family: int) -> list[tuple[int, int, bytes]]:
    """What sendmsg(2) takes beside a packet that is to leave by the interface `link`; nothing for an empty name."""
    return leaving_by(index_of(link), family)
