"""What the kernel tells about a datagram or a connection that failed, in the words of the model.

IP_RECVERR and IPV6_RECVERR queue the ICMP error beside the errno: who sent it, and whether it came from the network or
from this very machine. The errno alone says EHOSTUNREACH for a router's answer, a loop and a dead next hop alike.
"""

import errno
import ipaddress
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

from netprobe.live.binding import bind

_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}  # level, option
_MSG_ERRQUEUE = 0x2000
_EXTENDED_ERROR = struct.Struct("@IBBBBII")  # struct sock_extended_err of linux/errqueue.h
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
_TIME_EXCEEDED, _TIME_EXCEEDED_V6 = 11, 3
_MOST_ERRORS = 16
#: Where the address lies in a sockaddr_in and in a sockaddr_in6, by the errors' origin.
_ADDRESS_IN = {_ORIGIN_ICMP: (socket.AF_INET, 4, 8), _ORIGIN_ICMP6: (socket.AF_INET6, 8, 24)}

DEFAULT_TTL = -1  # what the kernel takes for a socket that asks for none (ip(7), ipv6(7))

_TEXTS = {(3, 0): "network unreachable", (3, 1): "host unreachable", (3, 3): "port unreachable"}
_TEXTS |= {(3, 9): "prohibited", (3, 10): "prohibited", (3, 13): "prohibited"}
#: The same of ICMPv6 (RFC 4443, 3.1).
_TEXTS_V6 = {(1, 0): "network unreachable", (1, 3): "host unreachable", (1, 4): "port unreachable"}
_TEXTS_V6 |= {(1, 1): "prohibited", (1, 5): "prohibited", (1, 6): "prohibited"}

#: errno -> the model's error, for connections and datagrams.
OUTCOMES = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ENOPROTOOPT: "unreachable",
    errno.EPROTO: "unreachable",
    errno.EMSGSIZE: "unreachable",
    errno.EACCES: "unreachable",
}


class Trouble(NamedTuple):
    """An ICMP error that the kernel queued, of ICMPv6 where it is `over_v6`.

    `local`: this machine made it, the packet never left.
    """

    code: int
    icmp_type: int
    icmp_code: int
    offender: str
    local: bool
    over_v6: bool = False

    @property
    def time_exceeded(self) -> bool:
        """Whether it only says that a packet's TTL ran out, as in a routing loop."""
        return self.icmp_type == (_TIME_EXCEEDED_V6 if self.over_v6 else _TIME_EXCEEDED)

    @property
    def too_large(self) -> bool:
        """Whether it only says that a packet does not fit the way."""
        return self.code == errno.EMSGSIZE

    @property
    def refusal(self) -> bool:
        """Whether it says that nobody listens there."""
        return self.code == errno.ECONNREFUSED

    @property
    def text(self) -> str:
        """The error and who sent it."""
        texts = _TEXTS_V6 if self.over_v6 else _TEXTS
        what = "time exceeded" if self.time_exceeded else texts.get((self.icmp_type, self.icmp_code), "unreachable")
        return f"{what}, says {self.offender}" if self.offender else what


def name(error: Exception) -> str:
    """The errno's name, or what an error without one says."""
    code = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(code or 0, str(error))


def connect(
    address: str,
    port: int,
    kind: socket.SocketKind,
    *,
    mss: int = 0,
    link: str = "",
    before: Callable[[socket.socket], None] | None = None,
) -> socket.socket:
    """A non-blocking socket that is connected, or connecting, to a numeric address, with ICMP errors queued.

    `mss` bounds the TCP segments of both directions: Linux offers no more, and sends no more. 0 leaves it to the link.
    `link` is the interface that the socket is bound to, empty for none. `before` may prepare the socket.

    Raises OSError when the kernel says at once that there is no way, and ValueError for what is not an address: no name
    is ever looked up here.
    """
    version = ipaddress.ip_address(address).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        want_errors(sock)
        bind(sock, link)
        if mss:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, mss)
        if kind is socket.SOCK_STREAM:
            # RFC 896: a request would wait until the end of our handshake is acknowledged: a round trip more.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if before:
            before(sock)
        sock.connect((address, port))
    except BlockingIOError:  # connecting
        return sock
    except BaseException:
        sock.close()
        raise
    return sock


def set_ttl(sock: socket.socket, ttl: int) -> None:
    """Have what follows leave with `ttl`, the hop limit in IPv6."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)


def want_errors(sock: socket.socket, *, on: bool = True) -> None:
    """Queue ICMP errors on a socket, for `troubles`."""
    sock.setsockopt(*_RECVERR[sock.family], int(on))


def troubles(sock: socket.socket) -> list[Trouble]:
    """The ICMP errors that were queued on `sock`, oldest first; reading them clears its error state."""
    found = []
    for _ in range(_MOST_ERRORS):
        try:
            _, ancillary, _, _ = sock.recvmsg(0, 512, _MSG_ERRQUEUE)
        except OSError:
            break
        for level, kind, value in ancillary:
            if (level, kind) in _RECVERR.values() and len(value) >= _EXTENDED_ERROR.size:
                code, origin, icmp_type, icmp_code, *_ = _EXTENDED_ERROR.unpack_from(value)
                found.append(_trouble(sock, code, origin, icmp_type, icmp_code, value[_EXTENDED_ERROR.size :]))
    return found


def _trouble(sock: socket.socket, code: int, origin: int, icmp_type: int, icmp_code: int, offender: bytes) -> Trouble:
    if origin not in _ADDRESS_IN:
        return Trouble(code, -1, -1, "", local=True)
    family, start, end = _ADDRESS_IN[origin]
    who = socket.inet_ntop(family, offender[start:end]) if len(offender) >= end else ""
    own, remote = (name[0] if name else "" for name in (_name(sock.getsockname), _name(sock.getpeername)))
    local = bool(who) and who == own != remote
    return Trouble(code, icmp_type, icmp_code, who, local, over_v6=family == socket.AF_INET6)


def _name(ask: object) -> tuple[str, int] | None:
    try:
        return ask()  # type: ignore[operator,no-any-return]
    except OSError:
        return None
