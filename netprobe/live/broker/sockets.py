"""Opens the raw sockets of a wire, so that nothing but what their filters pass is ever read from them."""

import _socket
import array
import errno
import struct

from netprobe.live.broker import moments

TYPE_CHECKING = False  # the typing module is a megabyte
if TYPE_CHECKING:
    from collections.abc import Sequence

_SO_ATTACH_FILTER, _SO_LOCK_FILTER, _SO_RCVBUFFORCE = 26, 44, 33
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_IP_HDRINCL, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE = 3, 10, 3
_IPV6_MTU_DISCOVER, _IPV6_PMTUDISC_PROBE, _IPV6_RECVHOPLIMIT = 23, 3, 51  # linux/in6.h
_RECEIVE_BUFFER = 1 << 21  # a burst of errors from many hops at once must not be lost on the last metre
_TAP_BUFFER = 1 << 21  # some thousand packets may wait
_ALL_PROTOCOLS = 3  # linux/if_ether.h: to see what leaves takes all of them; the filter chooses
_SOL_PACKET, _PACKET_STATISTICS = 263, 6  # linux/socket.h, linux/if_packet.h
_STATISTICS = struct.Struct("@II")  # struct tpacket_stats: packets, dropped; reading sets both to 0
_SO_MEMINFO, _MEMINFO_DROPS = 55, 8  # linux/sock_diag.h
_RET = 0x06

_IP_PKTINFO, _IPV6_PKTINFO = 8, 50
_IN_PKTINFO, _IN6_PKTINFO = struct.Struct("@i4x4x"), struct.Struct("@16xi")  # linux/in.h, ipv6.h: the interface's index

#: A BPF program that lets nothing through.
DROP_ALL = struct.pack("=HBBI", _RET, 0, 0, 0)


class RawSockets:
    """The raw sockets of one version of IP: one that sends, two that receive and let nothing through yet.

    Raises OSError; PermissionError without CAP_NET_RAW.
    """

    __slots__ = ("icmp", "sender", "tcp")

    def __init__(self, family: int) -> None:
        over_v6 = family == _socket.AF_INET6
        icmp = _socket.IPPROTO_ICMPV6 if over_v6 else _socket.IPPROTO_ICMP
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        opened: list[_socket.socket] = []
        try:
            for protocol in (_socket.IPPROTO_RAW, icmp, _socket.IPPROTO_TCP):
                opened.append(_socket.socket(family, kind, protocol))
                attach(opened[-1], DROP_ALL)
            self.sender, self.icmp, self.tcp = opened
            # Without IP_RECVERR the kernel keeps it to itself when a queue of its own is full (raw(7)).
            # A probe for the path's MTU is to be stopped by the path, not by what the kernel remembers of it (ip(7)).
            if over_v6:  # there IPPROTO_RAW implies that the header is ours
                self.sender.setsockopt(_socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
                self.sender.setsockopt(_socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _IPV6_PMTUDISC_PROBE)
            else:
                self.sender.setsockopt(_socket.IPPROTO_IP, _IP_HDRINCL, 1)
                self.sender.setsockopt(_socket.IPPROTO_IP, _IP_RECVERR, 1)
                self.sender.setsockopt(_socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
            for sock in (self.icmp, self.tcp):
                _prepare(sock, _RECEIVE_BUFFER)
                if over_v6:  # which does not show it in the packet
                    sock.setsockopt(_socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
        except OSError:
            for sock in opened:
                sock.close()
            raise

    def close(self) -> None:
        """Close all three."""
        for sock in (self.sender, self.icmp, self.tcp):
            sock.close()


def open_all() -> tuple[RawSockets, RawSockets | None]:
    """The sockets of IPv4 and of IPv6, None for those on a machine whose kernel has no IPv6. Raises OSError."""
    v4 = RawSockets(_socket.AF_INET)
    try:
        return v4, RawSockets(_socket.AF_INET6)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            return v4, None
        v4.close()
        raise


def open_tap(program: bytes) -> _socket.socket:
    """A packet socket on all devices that shows what `program` passes, without link-layer headers. Raises OSError."""
    kind = _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    sock = _socket.socket(_socket.AF_PACKET, kind, _socket.htons(_ALL_PROTOCOLS))
    try:
        attach(sock, DROP_ALL)
        _prepare(sock, _TAP_BUFFER)
        let_through([sock], [program])
    except OSError:
        sock.close()
        raise
    return sock


def missed(tap: _socket.socket) -> int:
    """How many packets the kernel could not keep for a tap since this was asked last."""
    said = tap.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
    return int(_STATISTICS.unpack(said)[1])


def overflowed(sock: _socket.socket) -> int:
    """How many packets `sock` had no room for since it was opened (SO_MEMINFO, Linux 4.12)."""
    try:
        said = sock.getsockopt(_socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_MEMINFO_DROPS + 1))
    except OSError:
        return 0
    return int(struct.unpack_from("@I", said, 4 * _MEMINFO_DROPS)[0]) if len(said) > 4 * _MEMINFO_DROPS else 0


def _prepare(sock: _socket.socket, room: int) -> None:
    """A receiving socket with `room` bytes and stamps."""
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVBUF, room)
    try:  # noqa: SIM105  # contextlib costs memory
        sock.setsockopt(_socket.SOL_SOCKET, _SO_RCVBUFFORCE, room)
    except PermissionError:  # only CAP_NET_ADMIN may go beyond the system's limit
        pass
    sock.setsockopt(_socket.SOL_SOCKET, moments.SO_TIMESTAMPNS, 1)


def receiving(v4: RawSockets, v6: RawSockets | None) -> list[_socket.socket]:
    """The receiving sockets, in the order in which their filters are given and their arrivals are numbered."""
    return [v4.icmp, v4.tcp, *((v6.icmp, v6.tcp) if v6 else ())]


def attach(sock: _socket.socket, program: bytes) -> None:
    """Put `program` on `sock`, in place of the one before. Raises OSError when the kernel refuses it."""
    code = array.array("B", program)
    address, _ = code.buffer_info()
    sock.setsockopt(_socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program) // 8, address))


def let_through(sockets: "Sequence[_socket.socket]", programs: "Sequence[bytes]") -> None:
    """Open each socket to what its program passes, for good: nobody can replace a filter that is locked.

    Packets may have been queued between socket() and the filter that drops all: those are thrown away first.
    """
    for sock, program in zip(sockets, programs, strict=False):  # no IPv6, no use for its programs
        empty(sock)
        attach(sock, program)
        sock.setsockopt(_socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)


def empty(sock: _socket.socket) -> None:
    """Throw away what is queued on a non-blocking socket."""
    while True:
        try:
            sock.recv(1)
        except BlockingIOError:
            return
        except OSError:  # a pending error of the socket, which reading has cleared
            continue


def leaving_by(index: int, family: int) -> "list[tuple[int, int, bytes]]":
    """What sendmsg(2) takes beside a packet that is to leave by the interface `index`; nothing for 0 (ip(7))."""
    if not index:
        return []
    if family == _socket.AF_INET6:
        return [(_socket.IPPROTO_IPV6, _IPV6_PKTINFO, _IN6_PKTINFO.pack(index))]
    return [(_socket.IPPROTO_IP, _IP_PKTINFO, _IN_PKTINFO.pack(index))]
