"""Packets: bytes in, bytes out; scapy is the oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, ICMPerror, IPerror
from scapy.packet import Raw

from netprobe.sim import packet as ip
from netprobe.sim.packet import Packet, checksum

HERE, THERE = "192.168.1.23", "23.50.131.10"
MADE = (
    Packet(HERE, THERE, ttl=7, ident=99, icmp_type=8, icmp_code=0, icmp_ident=5, icmp_seq=6, payload=b"abc"),
    Packet(HERE, THERE, 64, ip.TCP, source_port=4, destination_port=443, seq=2**32 - 1, flags=2, options=b"\2\4\5\xb4"),
    Packet(HERE, THERE, 64, ip.TCP, source_port=4, destination_port=443, seq=1, ack=2, flags=ip.ACK, payload=b"odd"),
    Packet(HERE, THERE, 64, ip.UDP, tos=0xB8, dont_fragment=False, source_port=4, destination_port=53, payload=b"q"),
)


def _rebuilt(data: bytes) -> bytes:
    """What scapy makes of the same fields when it computes lengths and checksums itself."""
    dissected = IP(data)
    for layer, fields in ((IP, ("chksum", "len")), (TCP, ("chksum",)), (UDP, ("chksum", "len")), (ICMP, ("chksum",))):
        if layer in dissected:
            for field in fields:
                delattr(dissected[layer], field)
    return bytes(dissected)


@pytest.mark.parametrize("packet", MADE, ids=("echo", "syn", "segment", "datagram"))
def test_made_packets_are_what_scapy_makes(packet: Packet) -> None:
    """Lengths and checksums of packets that are made here are byte-identical to scapy's."""
    assert packet.to_bytes() == _rebuilt(packet.to_bytes())
    assert len(packet.to_bytes()) == packet.size


@pytest.mark.parametrize("packet", MADE, ids=("echo", "syn", "segment", "datagram"))
def test_fields_survive_the_wire(packet: Packet) -> None:
    """What is parsed is what was meant."""
    parsed = Packet.from_bytes(packet.to_bytes())
    assert parsed.raw == packet.to_bytes()
    parsed.raw = None
    assert parsed == packet


def test_a_forwarded_packet_changes_in_ttl_and_checksum_only() -> None:
    """Options, odd flags and the payload of somebody else's packet go through untouched."""
    sent = bytes(IP(src="10.0.0.1", dst="10.0.0.2", ttl=9, id=7, options=[]) / UDP(sport=1, dport=2) / Raw(b"x" * 9))
    packet = Packet.from_bytes(sent)
    packet.ttl = 4
    received = packet.to_bytes()
    assert received[:8] + received[9:10] + received[12:] == sent[:8] + sent[9:10] + sent[12:]
    assert IP(received).ttl == 4
    assert received == _rebuilt(received)


def test_an_error_quotes_the_packet_as_it_arrived() -> None:
    """RFC 792: the quote is the header and what followed, with the TTL that it had at the router."""
    error = MADE[1].error("87.186.224.94", ip.TIME_EXCEEDED, 0, ttl=255, arrived_ttl=1)
    seen = IP(error.to_bytes())
    assert (seen.src, seen.dst, seen[ICMP].type, seen[ICMP].code) == ("87.186.224.94", HERE, 11, 0)
    assert seen[IPerror].ttl == 1
    assert bytes(seen[ICMP].payload)[20:] == MADE[1].to_bytes()[20:]
    assert seen[IPerror].chksum == IP(_rebuilt(bytes(seen[IPerror]))).chksum
    assert error.to_bytes() == _rebuilt(error.to_bytes())


def test_old_routers_quote_eight_bytes() -> None:
    """`quote = 8` leaves the ports and the sequence number, enough to know the packet by."""
    error = MADE[2].error("10.0.0.1", ip.TIME_EXCEEDED, 0, ttl=64, arrived_ttl=1, quote=8)
    assert len(error.payload) == 28
    quoted = error.quoted()
    assert (quoted.source_port, quoted.destination_port, quoted.seq) == (4, 443, 1)


def test_quotes_stay_within_576_bytes() -> None:
    """RFC 1812, 4.3.2.3: an error is never longer than 576 bytes."""
    big = Packet(HERE, THERE, protocol=ip.UDP, payload=bytes(1400))
    assert len(big.error("10.0.0.1", ip.TIME_EXCEEDED, 0, ttl=64, arrived_ttl=1).to_bytes()) == 576


def test_fragmentation_needed_names_the_mtu() -> None:
    """RFC 1191: the next hop's MTU stands in the second half of the second word."""
    error = MADE[1].error("10.0.0.1", ip.UNREACHABLE, ip.FRAGMENTATION_NEEDED, ttl=64, arrived_ttl=60, word=1492)
    seen = IP(error.to_bytes())[ICMP]
    assert (seen.type, seen.code, seen.nexthopmtu) == (3, 4, 1492)
    assert ICMPerror not in seen


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x45" + bytes(18),
        b"\x65" + bytes(40),
        MADE[0].to_bytes()[:-1],
        MADE[0].to_bytes() + b"\0",
        MADE[0].to_bytes()[:8] + b"\x09" + MADE[0].to_bytes()[9:],
        bytes(IP(src="10.0.0.1", dst="10.0.0.2", proto=6) / Raw(b"short")),
    ],
    ids=("empty", "short", "version", "cut", "longer", "checksum", "cut transport"),
)
def test_garbage_is_a_value_error(data: bytes) -> None:
    """What is no whole IPv4 packet is refused."""
    with pytest.raises(ValueError, match=r"\w"):
        Packet.from_bytes(data)


def test_a_later_fragment_has_no_ports() -> None:
    """Bytes of a payload are not taken for a transport header."""
    packet = Packet.from_bytes(bytes(IP(src="10.0.0.1", dst="10.0.0.2", proto=17, frag=100) / Raw(b"\0\x35\0\x35rest")))
    assert (packet.fragment, packet.source_port, packet.payload) == (True, 0, b"\0\x35\0\x35rest")


@given(st.binary(max_size=80))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    """No input raises anything but ValueError, as a packet or as a quote."""
    for parse in (Packet.from_bytes, Packet.from_quote):
        try:
            parse(data)
        except ValueError:
            continue


@given(st.binary(max_size=80))
def test_the_checksum_is_that_of_the_rfc(data: bytes) -> None:
    """RFC 1071: adding words with end-around carry gives the same number."""
    padded = data + b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(padded[i : i + 2], "big") for i in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert checksum(data) == total ^ 0xFFFF
