"""Writes down what passes the client's Ethernet card, in a process of its own: started by a `World` inside it.

    python -m netprobe.sim.recorder FILE

It says that it is ready with a line, and ends when its standard input does, after what has come in until then.
"""

import select
import socket
import struct
import sys
import time
from pathlib import Path

from netprobe.capture import Capture, Packet
from netprobe.sim.devices import CLIENT_DEVICE

_ETH_P_ALL = 0x0003
_TYPES = (0x0800, 0x86DD)  # IPv4 and IPv6; ARP is no packet of the Internet
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_BUFFER = 16 << 20
_TIMESPEC = struct.Struct("@qq")
_LARGEST = 65535
_BATCH = 512


def _open() -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))  # no link-layer header
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:  # root of a user namespace only
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    sock.bind((CLIENT_DEVICE, _ETH_P_ALL))
    sock.setblocking(False)  # noqa: FBT003  # the one argument that setblocking has
    return sock


def _waiting(sock: socket.socket) -> list[Packet]:
    """The packets that lie in the socket, in order, at most a batch."""
    found: list[Packet] = []
    while len(found) < _BATCH:
        try:
            data, ancillary, _, address = sock.recvmsg(_LARGEST, 128)
        except OSError:  # nothing more; or the device went down, which comes back
            break
        if address[1] in _TYPES:
            found.append(Packet(_stamp(ancillary), data))
    return found


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> int:
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack_from(value)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return time.time_ns()


def main(path: Path) -> None:
    """Write packets to `path` until standard input ends."""
    try:
        capture = Capture(path)
    except OSError as error:
        print(f"{path}: {error.strerror}", flush=True)  # noqa: T201  # the parent reads it
        return
    with _open() as sock:
        print("ready", flush=True)  # noqa: T201  # the same
        over = False
        while not over:
            readable, _, _ = select.select([sock, sys.stdin], (), ())
            over = sys.stdin in readable
            while packets := _waiting(sock):
                capture.write(packets)
    capture.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
