"""Whole packets, and what follows an IPv6 header: what the parsers make of them, and packets to begin with."""

import ipaddress
import itertools
import struct
from collections.abc import Iterator
from pathlib import Path

from netprobe.live import (
    codec,
    dissect,
    extensions,
)
from netprobe.live.dissect import Datagram, EchoReply, IcmpError, Quote, Segment
from netprobe.model.record import to_json
from tests.live.live_desk import CLIENT, CLIENT_V6, ROUTER, ROUTER_V6, SERVER, SERVER_V6

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
V6_PROTOCOLS = (codec.PROTOCOL_ICMPV6, codec.PROTOCOL_TCP, codec.PROTOCOL_UDP)


def packets(data: bytes) -> None:
    """An IPv4 packet is a message whose fields fit the packet, or None; read twice it is the same."""
    message = dissect.parse(data)
    assert message == dissect.parse(bytes(bytearray(data)))
    if message is not None:
        ipaddress.IPv4Address(message.source)
        assert len(data) >= 28
        _check_message(message, data)
    whole = dissect.parse_packet(data)
    if whole is not None:
        ipaddress.ip_address(whole.source)
        if isinstance(whole, Datagram):
            assert struct.pack("!HH", whole.source_port, whole.destination_port) in data
            assert data.endswith(whole.payload)
        elif data[0] >> 4 == 4:
            assert whole == message
    _check_quote(dissect.parse_quote(data), data)
    for place, unit in ((5, 4), (4, 8)):
        _check_extensions(extensions.read(data, place, unit), data)
    nonce = dissect.quic_nonce(data)
    assert nonce is None or (len(nonce) == codec.NONCE_BYTES and nonce in data)


def packets_v6(data: bytes) -> None:
    """So is what follows an IPv6 header; the first byte says which protocol it is."""
    if not data:
        return
    protocol, body = V6_PROTOCOLS[data[0] % len(V6_PROTOCOLS)], data[1:]
    message = dissect.parse_v6(protocol, ROUTER_V6, 63, body)
    assert message == dissect.parse_v6(protocol, ROUTER_V6, 63, bytes(bytearray(body)))
    if message is not None:
        assert (message.source, message.ttl, message.ip_id) == (ROUTER_V6, 63, -1)
        _check_message(message, body)
    _check_quote(dissect.parse_quote_v6(body), body)


def _check_message(message: dissect.Message, data: bytes) -> None:
    assert 0 <= message.ttl <= 255
    assert -1 <= message.ip_id <= 0xFFFF
    to_json(message)
    match message:
        case EchoReply():
            assert data.endswith(message.payload)
            assert struct.pack("!HH", message.ident, message.sequence) in data
        case IcmpError():
            assert 0 <= message.mtu <= 0xFFFF
            assert (message.type, message.code) in itertools.pairwise(data)
            _check_quote(message.quote, data)
            _check_extensions(message.extensions, data)
        case Segment():
            ports = struct.pack("!HH", message.source_port, message.destination_port)
            assert ports + struct.pack("!II", message.sequence, message.acknowledges) in data


def _check_quote(quote: Quote | None, data: bytes) -> None:
    if quote is None:
        return
    addresses = [ipaddress.ip_address(text) for text in (quote.source, quote.destination)]
    assert len({address.version for address in addresses}) == 1
    assert b"".join(address.packed for address in addresses) in data
    assert max(quote.protocol, quote.ttl, quote.tos) <= 0xFF
    assert quote.ident <= (0xFFFF if addresses[0].version == 4 else 0xFFFFF)
    assert len(quote.head) <= codec.HEAD_BYTES
    words = (quote.first, quote.second, quote.third, quote.fourth)
    tcp = quote.protocol == codec.PROTOCOL_TCP
    assert (struct.pack("!HHI", *words[:3]) if tcp else struct.pack("!HHHH", *words)) in data


def _check_extensions(said: extensions.Extensions, data: bytes) -> None:
    assert len(said.mpls) <= 16
    assert len(said.interfaces) + said.unknown <= 32
    for interface in said.interfaces:
        assert len(interface.name) <= 255
        assert max(interface.index, interface.mtu) <= 0xFFFFFFFF
        if interface.address:
            assert ipaddress.ip_address(interface.address).packed in data
    for label, traffic_class, bottom, ttl in said.mpls:
        assert struct.pack("!I", label << 12 | traffic_class << 9 | bottom << 8 | ttl) in data


def probes() -> Iterator[bytes]:
    """Probes of ours, and probes cut short."""
    for destination, source, ident in ((SERVER, CLIENT, 4321), (SERVER_V6, CLIENT_V6, 0xABCDE)):
        header = codec.Header(source, destination, 1, ident)
        yield codec.build_syn(header, 20000, 443, 0xDEADBEEF, 7)
        yield codec.build_udp(header, 20000, 33434, 77, codec.udp_payload(0, destination, b"identity"))
        yield codec.build_udp(header, 20000, 443, 77, codec.quic_payload(b"identity"))
        yield codec.build_echo(header, 0x4201, 9, 99, b"identity")


def extension() -> bytes:
    stack = struct.pack("!HBBII", 12, 1, 1, 29657 << 12 | 1, 25437 << 12 | 0x101)
    # RFC 5837: index, an IPv4 address, a name and an MTU.
    interface = struct.pack("!HBBIHH4s8sI", 28, 2, 0x0F, 7, 1, 0, b"\xc6\x33\x64\2", b"\x08ge0/0\0\0", 1500)
    objects = stack + interface
    return struct.pack("!BBH", 0x20, 0, codec.checksum(b"\x20\0\0\0" + objects)) + objects


def about(quote: bytes) -> Iterator[bytes]:
    """ICMP messages about `quote`, from the router's header on: all kinds, with and without an extension."""
    over_v6 = quote[0] >> 4 == 6
    kept = quote[: 48 if over_v6 else 28]
    for kind, body in itertools.product((1, 2, 3, 4) if over_v6 else (3, 11, 12), (quote[:128], kept)):
        yield from_router(bytes([kind, 0]) + bytes(6) + body, over_v6=over_v6)
        length = bytes([0, 0, 16, 0, 0, 0]) if over_v6 else bytes([0, 0, 0, 32, 0, 0])
        yield from_router(bytes([kind, 0]) + length + body.ljust(128, b"\0") + extension(), over_v6=over_v6)


def from_router(icmp: bytes, *, over_v6: bool) -> bytes:
    """An ICMP message in an IP packet."""
    header = codec.Header(*((ROUTER_V6, CLIENT_V6) if over_v6 else (ROUTER, CLIENT)), 250, 9)
    return codec._ip(header, codec.PROTOCOL_ICMPV6 if over_v6 else codec.PROTOCOL_ICMP, icmp)


def v4_seeds() -> Iterator[bytes]:
    for quote in probes():
        if quote[0] >> 4 == 4:
            yield quote
            yield from about(quote)
            if quote[9] == codec.PROTOCOL_ICMP:
                yield quote[:20] + b"\0" + quote[21:]
    for path in sorted(SAMPLES.glob("*/*.pcap")):
        data = path.read_bytes()
        for at in (packet for packet in range(24, min(len(data), 3000)) if data[packet] == 0x45):
            yield data[at : at + 200]


def v6_seeds() -> Iterator[bytes]:
    for quote in probes():
        if quote[0] >> 4 == 6:
            yield b"\0" + quote
            yield from (b"\0" + packet[40:] for packet in about(quote))
            yield b"\0" + b"\0" * 7 + quote[:6] + b"\0" + quote[7:40] + bytes([quote[6], 0]) + bytes(6) + quote[40:]
    yield b"\1" + codec.build_syn(codec.Header(SERVER_V6, CLIENT_V6, 60, 1), 443, 20000, 1, 2)[40:]
    yield b"\0\x81\0\0\0\x42\1\0\1identity"
    for path in sorted(SAMPLES.glob("atlas-replay/*-6*.net")):
        yield b"\0" + path.read_bytes()[12:212]
