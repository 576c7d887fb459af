"""A tap on the own network devices: packets of ours as they leave and as they come in, before any firewall sees them.

A packet socket (packet(7)) gets its copy of what leaves behind netfilter's OUTPUT and every queue, and of what comes in
before netfilter's INPUT; what is missing on either side was lost inside this machine. Without link-layer headers it is
the same on Ethernet, Wi-Fi, PPP and TUN. It is for looking only: nothing here sends.
"""

import _socket
import socket
from typing import NamedTuple, Protocol

from netprobe.live import bpf, stamps
from netprobe.live.broker import sockets

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

    def __init__(self, sock: _socket.socket) -> None:
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
        return sockets.missed(self._sock)

    def close(self) -> None:
        """Close the socket: the kernel takes some 10 ms for it."""
        self._sock.close()


def open_tap(blocks: bpf.Blocks) -> LocalTap:
    """Open a packet socket, its filter attached before anything can be read, and locked.

    Raises OSError without CAP_NET_RAW.
    """
    return LocalTap(sockets.open_tap(bpf.tap_filter(blocks)))
