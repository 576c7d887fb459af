"""A tap on the own network devices: packets of ours as they leave and as they come in, before any firewall sees them.

A packet socket (packet(7)) gets its copy of what leaves behind netfilter's OUTPUT and every queue, and of what comes in
before netfilter's INPUT; what is missing on either side was lost inside this machine. Without link-layer headers it is
the same on Ethernet, Wi-Fi, PPP and TUN. It is for looking only: nothing here sends.
"""

import contextlib
import socket
import struct
from typing import NamedTuple, Protocol

from netprobe.live import bpf, stamps

_ALL_PROTOCOLS = 3  # linux/if_ether.h: to see what leaves takes all of them; the filter chooses
_SOL_PACKET, _PACKET_STATISTICS = 263, 6  # linux/socket.h, linux/if_packet.h
_STATISTICS = struct.Struct("@II")  # struct tpacket_stats: packets, dropped; reading sets both to 0
_SO_RCVBUFFORCE, _SO_MEMINFO = 33, 55
_MEMINFO_DROPS = 8  # linux/sock_diag.h
_BUFFER = 1 << 21  # some thousand packets may wait
_MOST_AT_ONCE = 4096
_LARGEST_PACKET, _ANCILLARY_BYTES = 65535, 64


class Seen(NamedTuple):
    """A packet on a device of this machine: `at_ns` is Unix time by the kernel, `at_s` the same on our clock."""

    outgoing: bool
    device: str
    at_ns: int
    at_s: float
    data: bytes


class Tap(Protocol):
    """Tells what was seen since it was asked last."""

    def read(self) -> list[Seen]:
        """What has been seen since, oldest first. Never waits."""
        ...

    def missed(self) -> int:
        """How many packets the kernel could not keep for us since this was asked last."""
        ...

    def close(self) -> None:
        """Look no longer."""
        ...


class LocalTap:
    """A tap on all devices, over a packet socket that has its filter already."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self) -> list[Seen]:
        """What has been seen since, oldest first. Never waits."""
        found: list[Seen] = []
        now, wall_ns = stamps.clocks()
        for _ in range(_MOST_AT_ONCE):
            try:
                data, ancillary, _, (device, _, kind, *_) = self._sock.recvmsg(_LARGEST_PACKET, _ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError:  # a device went down: reading it clears it
                continue
            if kind in {socket.PACKET_OUTGOING, socket.PACKET_HOST}:
                at_ns = stamps.unix_ns(ancillary) or wall_ns
                found.append(Seen(kind == socket.PACKET_OUTGOING, device, at_ns, now - (wall_ns - at_ns) * 1e-9, data))
        return found

    def missed(self) -> int:
        """How many packets the kernel could not keep for us since this was asked last."""
        said = self._sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        return int(_STATISTICS.unpack(said)[1])

    def close(self) -> None:
        """Close the socket: the kernel takes some 10 ms for it."""
        self._sock.close()


def open_tap(blocks: bpf.Blocks) -> LocalTap:
    """Open a packet socket, its filter attached before anything can be read, and locked.

    Raises OSError without CAP_NET_RAW.
    """
    with contextlib.ExitStack() as opened:
        kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
        sock = opened.enter_context(socket.socket(socket.AF_PACKET, kind, socket.htons(_ALL_PROTOCOLS)))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        with contextlib.suppress(PermissionError):  # only CAP_NET_ADMIN may go beyond the system's limit
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        stamps.want_stamps(sock)
        bpf.attach_without_leak(sock, bpf.tap_filter(blocks))
        opened.pop_all()
    return LocalTap(sock)


def overflowed(sock: socket.socket) -> int:
    """How many packets `sock` had no room for since it was opened (SO_MEMINFO, Linux 4.12)."""
    try:
        said = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_MEMINFO_DROPS + 1))
    except OSError:
        return 0
    return int(struct.unpack_from("@I", said, 4 * _MEMINFO_DROPS)[0]) if len(said) > 4 * _MEMINFO_DROPS else 0
