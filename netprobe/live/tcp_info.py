"""What the kernel counts of a TCP connection (linux/tcp.h, struct tcp_info)."""

import socket
import struct
from typing import NamedTuple

_IP_TCP_BYTES = 52  # headers of a segment with time stamps
_ACKED_AT, _SEGMENTS_AT, _BYTES_AT = 120, 136, 200  # tcpi_bytes_acked, tcpi_segs_out, tcpi_bytes_sent
_HEARD_AT, _RTT_AT, _SENT_AGAIN_AT = 56, 68, 100  # tcpi_last_ack_recv (ms), tcpi_rtt (us), tcpi_total_retrans
_SYN_SENT = 2  # tcpi_state, the first byte
_SIZE = 208


class Counted(NamedTuple):
    """So far: packets that were sent, their bytes with headers, and payload that the other side has acknowledged."""

    packets: int = 0
    size: int = 0
    acknowledged: int = 0


def counted(sock: socket.socket) -> Counted:
    """What the kernel has counted for this connection; nothing where it does not tell."""
    info = _info(sock)
    if len(info) < _SIZE:
        return Counted()
    (segments,) = struct.unpack_from("@I", info, _SEGMENTS_AT)
    (acknowledged,) = struct.unpack_from("@Q", info, _ACKED_AT)
    (payload,) = struct.unpack_from("@Q", info, _BYTES_AT)
    return Counted(segments, segments * _IP_TCP_BYTES + payload, acknowledged)


def connected_after(sock: socket.socket, elapsed_s: float) -> float:
    """How long the handshake of a connection took that is just noticed, `elapsed_s` after it was begun.

    By the kernel's clock: who notices late has not waited any longer. Where a SYN was sent again there is no round trip
    (Karn's algorithm, RFC 6298, 3), but the time at which the SYN-ACK came.
    """
    info = _info(sock)
    if len(info) < _SENT_AGAIN_AT + 4:
        return elapsed_s
    heard_ms, rtt_us, again = (struct.unpack_from("@I", info, at)[0] for at in (_HEARD_AT, _RTT_AT, _SENT_AGAIN_AT))
    took_s = rtt_us / 1e6 if rtt_us and not again else elapsed_s - heard_ms / 1e3
    return took_s if 0.0 < took_s < elapsed_s else elapsed_s


def is_opening(sock: socket.socket) -> bool:
    """Whether the SYN-ACK is still waited for."""
    return _info(sock)[:1] == bytes([_SYN_SENT])


def _info(sock: socket.socket) -> bytes:
    """The structure, as much of it as this kernel has; nothing where it does not tell."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    except OSError:
        return b""
