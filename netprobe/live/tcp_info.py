"""What the kernel counts of a TCP connection (linux/tcp.h, struct tcp_info)."""

import socket
import struct
from typing import NamedTuple

_IP_TCP_BYTES = 52  # headers of a segment with time stamps
_ACKED_AT, _SEGMENTS_AT, _BYTES_AT = 120, 136, 200  # tcpi_bytes_acked, tcpi_segs_out, tcpi_bytes_sent
_SIZE = 208


class Counted(NamedTuple):
    """So far: packets that were sent, their bytes with headers, and payload that the other side has acknowledged."""

    packets: int = 0
    size: int = 0
    acknowledged: int = 0


def counted(sock: socket.socket) -> Counted:
    """What the kernel has counted for this connection; nothing where it does not tell."""
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return Counted()
    if len(info) < _SIZE:
        return Counted()
    (segments,) = struct.unpack_from("@I", info, _SEGMENTS_AT)
    (acknowledged,) = struct.unpack_from("@Q", info, _ACKED_AT)
    (payload,) = struct.unpack_from("@Q", info, _BYTES_AT)
    return Counted(segments, segments * _IP_TCP_BYTES + payload, acknowledged)
