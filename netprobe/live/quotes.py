"""What became of a probe on its way, by what an ICMP error quotes of it: the packet that left against the quote.

Pure arithmetic on bytes. What routers are known to garble while they quote is no change: the IP identification and
length in another order of bytes or off by a little (Malone and Luckie, "Analysis of ICMP quotations", PAM 2007), the
checksum of the IP header. What a NAT changed on the way there and put back in the quote does not show either: Linux
does that (RFC 5508, 4.2 asks for it). One that leaves another source port in the quote hides it from us altogether:
what is not of our block of ports the socket's filter keeps out.
"""

import socket
from collections.abc import Iterator

from netprobe.live import codec
from netprobe.model.replies import Change, TcpOption, parse_options

COMPARED_BYTES = codec.IPV6.size + 40  # up to the last option of our own TCP segments
_EXPIRED_TTL = 1  # a packet is quoted as it came in, before the TTL that it does not have was taken from it
_IP_BYTES = 20
_TCP_BYTES = 20


def changes(sent: bytes, quoted: bytes, *, expired: bool) -> tuple[Change, ...]:
    """What differs between a probe's bytes as it left and as an ICMP error quotes them, in the packet's order.

    `expired`: the error is a time exceeded, so the quoted TTL has to be 1. Fields that the quote cuts are not compared.
    `sent` needs the packet's first `COMPARED_BYTES` only.
    """
    quoted = quoted[: len(sent)]
    if codec.is_v6_packet(sent):
        if quoted[:7] == sent[:7] and quoted[8:] == sent[8 : len(quoted)] and quoted[7] == _EXPIRED_TTL:
            return ()
        return (*_ipv6(sent, quoted, expired=expired), *_transport(sent, quoted, sent[6], codec.IPV6.size))
    # Nearly every quote: nothing but the TTL and the header's checksum differ.
    if quoted[:8] == sent[:8] and quoted[12:] == sent[12 : len(quoted)] and quoted[8] == _EXPIRED_TTL:
        return ()
    return (*_ipv4(sent, quoted, expired=expired), *_transport(sent, quoted, sent[9], (quoted[0] & 0x0F) * 4))


def mangled(number: int) -> tuple[int, ...]:
    """What routers make of 16 bits when they quote them: the same, the bytes swapped, one more."""
    other = swapped(number)
    return number, other, number + 1 & 0xFFFF, other + 1 & 0xFFFF


def swapped(number: int) -> int:
    """16 bits in the other order of bytes."""
    return (number >> 8) | (number & 0xFF) << 8


def _ipv4(sent: bytes, quoted: bytes, *, expired: bool) -> Iterator[Change]:
    _, was_tos, was_length, was_id, was_fragment, _, _, _, was_source, was_destination = codec.IP.unpack_from(sent)
    _, tos, length, ident, fragment, ttl, _, _, source, destination = codec.IP.unpack_from(quoted)
    yield from _class(was_tos, tos)
    # Some stacks quote the length without the header, or with it twice.
    lengths = {was_length + off for off in (0, -_IP_BYTES, _IP_BYTES)}
    if length not in lengths and swapped(length) not in lengths:
        yield Change("length", was_length, length)
    if ident not in mangled(was_id):
        yield Change("ip_id", was_id, ident)
    if fragment != was_fragment and swapped(fragment) != was_fragment:
        flags = (was_fragment & codec.DONT_FRAGMENT, fragment & codec.DONT_FRAGMENT)
        if flags[0] != flags[1]:
            yield Change("dont_fragment", *(int(bool(flag)) for flag in flags))
    if expired and ttl != _EXPIRED_TTL:
        yield Change("ttl", _EXPIRED_TTL, ttl)
    for field, was, now in (("source", was_source, source), ("destination", was_destination, destination)):
        if now != was:
            yield Change(field, socket.inet_ntoa(was), socket.inet_ntoa(now))


def _ipv6(sent: bytes, quoted: bytes, *, expired: bool) -> Iterator[Change]:
    was_first, was_length, _, _, was_source, was_destination = codec.IPV6.unpack_from(sent)
    first, length, _, ttl, source, destination = codec.IPV6.unpack_from(quoted)
    yield from _class(was_first >> 20 & 0xFF, first >> 20 & 0xFF)
    if length != was_length:
        yield Change("length", was_length, length)
    if first & 0xFFFFF != was_first & 0xFFFFF:
        yield Change("flow_label", was_first & 0xFFFFF, first & 0xFFFFF)
    if expired and ttl != _EXPIRED_TTL:
        yield Change("ttl", _EXPIRED_TTL, ttl)
    for field, was, now in (("source", was_source, source), ("destination", was_destination, destination)):
        if now != was:
            yield Change(field, socket.inet_ntop(socket.AF_INET6, was), socket.inet_ntop(socket.AF_INET6, now))


def _class(was: int, now: int) -> Iterator[Change]:
    """DSCP and ECN, which different people change for different reasons (RFC 2474, RFC 3168)."""
    if was >> 2 != now >> 2:
        yield Change("dscp", was >> 2, now >> 2)
    if was & 3 != now & 3:
        yield Change("ecn", was & 3, now & 3)


def _transport(sent: bytes, quoted: bytes, protocol: int, at: int) -> Iterator[Change]:
    """The transport header. RFC 4884 pads a short quote with zeros, so that zeros at its end prove nothing."""
    start = codec.IPV6.size if codec.is_v6_packet(sent) else _IP_BYTES
    was, now = sent[start:], quoted[at:].rstrip(b"\0")
    if len(now) < 8:  # the first 8 bytes are promised (RFC 792), whatever they are
        now = quoted[at : at + 8]
    if protocol == codec.PROTOCOL_TCP:
        yield from _tcp(was, now)
    elif protocol == codec.PROTOCOL_UDP:
        yield from _numbers(("source_port", 0, 2), was=was, now=now)
        yield from _numbers(("checksum", 6, 2), was=was, now=now)
    else:
        yield from _numbers(("identifier", 4, 2), was=was, now=now)
        yield from _numbers(("sequence", 6, 2), was=was, now=now)
        yield from _numbers(("checksum", 2, 2), was=was, now=now)


def _numbers(*fields: tuple[str, int, int], was: bytes, now: bytes) -> Iterator[Change]:
    """The big-endian numbers of `fields` (name, where, how long) that differ, of those that the quote has."""
    for name, at, size in fields:
        if len(now) >= at + size and was[at : at + size] != now[at : at + size]:
            yield Change(name, int.from_bytes(was[at : at + size]), int.from_bytes(now[at : at + size]))


def _tcp(was: bytes, now: bytes) -> Iterator[Change]:
    found = list(_numbers(("source_port", 0, 2), ("sequence", 4, 4), was=was, now=now))
    if len(now) >= (was[12] >> 4) * 4:
        found += _options(parse_options(was[_TCP_BYTES:]), parse_options(now[_TCP_BYTES : (now[12] >> 4) * 4]))
    yield from found
    if not found:  # else it has to differ
        yield from _numbers(("checksum", 16, 2), was=was, now=now)


def _options(was: tuple[TcpOption, ...], now: tuple[TcpOption, ...]) -> Iterator[Change]:
    """Which options there are, and the MSS, which routers in front of a narrow link lower."""
    names, seen = (",".join(option.name for option in options) for options in (was, now))
    if names != seen:
        yield Change("options", names, seen)
    sizes = [next((option.value for option in options if option.name == "mss"), 0) for options in (was, now)]
    if all(sizes) and sizes[0] != sizes[1]:
        yield Change("mss", *sizes)
