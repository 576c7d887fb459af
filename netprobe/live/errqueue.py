"""A socket's error queue (IP_RECVERR, ip(7)): the ICMP errors that its packets drew, and when those packets left.

It needs no right at all, and tells who sent an error, its type, code and TTL, and the head of our packet behind the IP
header (of UDP, behind UDP's). What it does not tell is the quoted IP header. Whatever lies in it came from strangers.
"""

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from netprobe.live import codec, stamps
from netprobe.live.extensions import LEGACY_QUOTE_BYTES, NOTHING, Extensions, structure

_IP_RECVERR, _IPV6_RECVERR = 11, 25
_IP_RECVERR_RFC4884, _IPV6_RECVERR_RFC4884 = 26, 31  # Linux 5.9
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE = 10, 23, 3
_MSG_ERRQUEUE = 0x2000
_EXTENDED_ERROR = struct.Struct("@IBBBBIHBx")  # struct sock_extended_err of linux/errqueue.h, ee_data as RFC 4884's
_NUMBER = struct.Struct("@I")
_NUMBER_AT = 12  # ee_data once more, as a number
_LOCAL, _ICMP, _ICMPV6, _TIMESTAMPING = 1, 2, 3, 4
_BROKEN_EXTENSION = 1  # SO_EE_RFC4884_FLAG_INVALID
_LARGEST_QUOTE, _ANCILLARY_BYTES = 2048, 512  # an ICMPv6 error has up to 1280 bytes
_MOST_ENTRIES = 256  # then the sessions get their turn


class Departed(NamedTuple):
    """The socket's packet of this `number` was given to the device, by the kernel's stamp (monotonic seconds)."""

    number: int
    at_s: float


class Failed(NamedTuple):
    """An ICMP error, as a socket's owner is told of it.

    `destination` is where our packet went; `quote` what follows its IP header (UDP: its UDP header) as far as the
    router sent it back. `ttl` is the error's own on arrival, -1 where unknown. `mtu` is the next hop's where a packet
    was too big, else 0.
    """

    at_s: float
    waited_s: float
    source: str
    destination: str
    ttl: int
    type: int
    code: int
    mtu: int
    quote: bytes
    extensions: Extensions = NOTHING


def prepare(sock: socket.socket) -> None:
    """Queue errors and stamp arrivals; tell TTLs; leave the path's MTU to the path (RFC 1191), and set DF (IPv4).

    What a kernel does not know is left out: it then tells less.
    """
    over_v6 = sock.family == socket.AF_INET6
    level = socket.IPPROTO_IPV6 if over_v6 else socket.IPPROTO_IP
    wanted = (
        (_IPV6_RECVERR if over_v6 else _IP_RECVERR, 1),
        (_IPV6_RECVERR_RFC4884 if over_v6 else _IP_RECVERR_RFC4884, 1),
        (_IPV6_MTU_DISCOVER if over_v6 else _IP_MTU_DISCOVER, _PMTUDISC_PROBE),
    )
    for option, value in wanted:
        with suppress(OSError):
            sock.setsockopt(level, option, value)
    stamps.want_ttl(sock)
    stamps.want_stamps(sock)


def read(sock: socket.socket) -> Iterator[Departed | Failed]:
    """What waits in the queue of `sock`, oldest first. Never waits, never raises.

    What the own kernel refused at once (EMSGSIZE) is left out: whoever sent it has been told by the errno.
    """
    for _ in range(_MOST_ENTRIES):
        try:
            data, ancillary, _, address = sock.recvmsg(_LARGEST_QUOTE, _ANCILLARY_BYTES, _MSG_ERRQUEUE)
        except OSError:
            return
        entry = _entry(data, ancillary, address[0] if address else "", _stripped(sock))
        if entry is not None:
            yield entry


def _stripped(sock: socket.socket) -> int:
    """Bytes of the quoted packet's headers that the kernel keeps to itself: IP without options, and UDP."""
    udp = sock.type == socket.SOCK_DGRAM and sock.proto in {0, socket.IPPROTO_UDP}
    return (codec.IPV6.size if sock.family == socket.AF_INET6 else codec.IP.size) + (codec.UDP.size if udp else 0)


def _entry(
    data: bytes, ancillary: list[tuple[int, int, bytes]], destination: str, stripped: int
) -> Departed | Failed | None:
    at_s, waited_s, ttl = stamps.moment(ancillary)
    for level, kind, value in ancillary:
        if (level, kind) not in stamps.QUEUED_ERROR or len(value) < _EXTENDED_ERROR.size:
            continue
        _, origin, icmp_type, code, _, info, extension_at, flags = _EXTENDED_ERROR.unpack_from(value)
        if origin == _TIMESTAMPING:
            return Departed(_NUMBER.unpack_from(value, _NUMBER_AT)[0], at_s)
        source = _address(value[_EXTENDED_ERROR.size :])
        if origin not in {_ICMP, _ICMPV6} or not source:
            return None
        at = 0 if flags & _BROKEN_EXTENSION else extension_at or LEGACY_QUOTE_BYTES - stripped
        behind = structure(data[at:]) if at else None
        too_big = (origin, icmp_type, code) == (_ICMP, 3, 4) or (origin, icmp_type) == (_ICMPV6, 2)
        mtu = min(info, 0xFFFF) if too_big else 0
        quote = data[:at] if behind else data
        return Failed(at_s, waited_s, source, destination, ttl, icmp_type, code, mtu, quote, behind or NOTHING)
    return None


def _address(sockaddr: bytes) -> str:
    """The address in a sockaddr_in or sockaddr_in6 (SO_EE_OFFENDER); empty when there is none."""
    if len(sockaddr) < 8:
        return ""
    (family,) = struct.unpack_from("@H", sockaddr)
    if family == socket.AF_INET:
        return socket.inet_ntoa(sockaddr[4:8])
    if family == socket.AF_INET6 and len(sockaddr) >= 24:
        return socket.inet_ntop(socket.AF_INET6, sockaddr[8:24])
    return ""


def agrees(quoted: bytes, payload: bytes) -> bool:
    """Whether `quoted` can be the head of `payload`: a router may quote less, or pad with zeros (RFC 4884, 4.2)."""
    common = quoted[: len(payload)]
    return payload.startswith(common) or not any(common)
