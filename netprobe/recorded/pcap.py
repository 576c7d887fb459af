"""The IP packets of a capture file: classic pcap, of either byte order and either resolution of time.

The format is draft-ietf-opsawg-pcap, the link types are those of https://www.tcpdump.org/linktypes.html. Every byte of
it may be a stranger's: what is cut ends the file, what is no IP packet is left out.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

#: Magic number -> byte order, and the fraction of a second that the second word of a stamp counts.
_MAGICS = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
}
_FILE_HEADER = 24
_LINK_TYPE_AT = 20
#: Link type -> bytes before the IP header: none, BSD loopback, Ethernet, raw IP, Linux cooked, IPv4, IPv6, cooked v2.
_LINK_HEADERS = {0: 4, 1: 14, 12: 0, 101: 0, 113: 16, 228: 0, 229: 0, 276: 20}
_ETHERNET, _VLAN, _TAG_BYTES = 1, b"\x81\x00", 4  # IEEE 802.1Q
_LARGEST = 262_144  # of a packet, as tcpdump has it


class Recorded(NamedTuple):
    """An IP packet, as far as it was kept, and when it passed (seconds of Unix time)."""

    at_s: float
    packet: bytes


def packets(path: Path) -> Iterator[Recorded]:
    """The packets of a file, in its order. Raises OSError, and ValueError for what is no such file."""
    data = path.read_bytes()
    known = _MAGICS.get(data[:4])
    if known is None or len(data) < _FILE_HEADER:
        msg = f"{path}: not a pcap file; pcapng is converted by: editcap -F pcap FILE NEW"
        raise ValueError(msg)
    order, unit = known
    link = struct.unpack_from(order + "I", data, _LINK_TYPE_AT)[0] & 0xFFFF
    if link not in _LINK_HEADERS:
        msg = f"{path}: packets of link type {link}; known are {', '.join(map(str, _LINK_HEADERS))}"
        raise ValueError(msg)
    record = struct.Struct(order + "IIII")
    at = _FILE_HEADER
    while at + record.size <= len(data):
        seconds, fraction, kept, _ = record.unpack_from(data, at)
        at += record.size
        if kept > _LARGEST or at + kept > len(data):
            return  # the writer was killed, or this is no pcap from here on
        packet = _ip(data[at : at + kept], link)
        if packet:
            yield Recorded(seconds + fraction * unit, packet)
        at += kept


def _ip(frame: bytes, link: int) -> bytes:
    start = _LINK_HEADERS[link]
    if link == _ETHERNET and frame[12:14] == _VLAN:
        start += _TAG_BYTES
    packet = frame[start:]
    return packet if packet and packet[0] >> 4 in {4, 6} else b""
