"""What a quote shows of our packet: scapy changes it on the way."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6

from netprobe.live import codec, quotes
from netprobe.live.codec import Header
from netprobe.model.replies import FIELDS

HEADER = Header("192.0.2.2", "203.0.113.2", 5, 0x1234, 0xB9)
HEADER_V6 = Header("2001:db8:1::2", "2001:db8:3::2", 5, 0xABCDE, 0xB9)
NONCE = b"identity"
BUILT = {
    "icmp": codec.build_echo(HEADER, 0x4242, 7, 0x5555, NONCE),
    "syn": codec.build_syn(HEADER, 20000, 443, 0xDEADBEEF, 77),
    "ack": codec.build_ack(HEADER, 20000, 443, 0xDEADBEEF, 99, NONCE),
    "udp": codec.build_udp(HEADER, 20000, 33434, 0x7777, b""),
    "icmp6": codec.build_echo(HEADER_V6, 0x4242, 7, 0x5555, NONCE),
    "syn6": codec.build_syn(HEADER_V6, 20000, 443, 0xDEADBEEF, 77),
    "udp6": codec.build_udp(HEADER_V6, 20000, 33434, 0x7777, NONCE),
}


def arrived(data: bytes) -> IP | IPv6:
    """The probe where its TTL runs out."""
    packet = IP(data) if data[0] >> 4 == 4 else IPv6(data)
    if IP in packet:
        packet.ttl = 1
        del packet.chksum
    else:
        packet.hlim = 1
    return packet


def on_the_way(name: str, change: Callable[[IP | IPv6], None]) -> bytes:
    """The quote of a probe that somebody changed on the way, with right checksums."""
    packet = arrived(BUILT[name])
    for layer in (TCP, UDP, ICMP):
        if layer in packet:
            del packet[layer].chksum
    if ICMPv6EchoRequest in packet:
        del packet[ICMPv6EchoRequest].cksum
    change(packet)
    return bytes(packet)


def seen(name: str, quoted: bytes, *, expired: bool = True) -> dict[str, tuple[int | str, int | str]]:
    return {c.field: (c.sent, c.seen) for c in quotes.changes(BUILT[name], quoted, expired=expired)}


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("kept", [8, 12, 20, 40, 200])
def test_a_packet_that_nobody_changed_shows_no_change(name: str, kept: int) -> None:
    """However much is quoted, padded with zeros (RFC 4884) or not, and whatever stands behind the packet."""
    whole = bytes(arrived(BUILT[name]))
    start = 20 if whole[0] >> 4 == 4 else 40
    quoted = whole[: start + kept]
    assert quotes.changes(BUILT[name], quoted, expired=True) == ()
    assert quotes.changes(BUILT[name], quoted.ljust(128, b"\0"), expired=True) == ()
    assert quotes.changes(BUILT[name], whole + b"trailing bytes", expired=True) == ()


def set_field(layer: type | None, field: str, value: object) -> Callable[[IP | IPv6], None]:
    return lambda packet: setattr(packet[layer] if layer else packet, field, value)


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("icmp", set_field(None, "tos", 1), {"dscp": (46, 0)}),
        ("syn", set_field(None, "tos", 0xB8), {"ecn": (1, 0)}),
        ("udp6", set_field(None, "tc", 0x20), {"dscp": (46, 8), "ecn": (1, 0)}),
        ("syn", set_field(None, "id", 9), {"ip_id": (0x1234, 9)}),
        ("syn6", set_field(None, "fl", 5), {"flow_label": (0xABCDE, 5)}),
        ("syn", set_field(None, "flags", 0), {"dont_fragment": (1, 0)}),
        ("syn", set_field(None, "ttl", 0), {"ttl": (1, 0)}),
        ("icmp6", set_field(None, "hlim", 3), {"ttl": (1, 3)}),
        ("syn", set_field(None, "src", "100.64.0.9"), {"source": ("192.0.2.2", "100.64.0.9"), "checksum": None}),
        ("syn6", set_field(None, "src", "2001:db8::9"), {"source": ("2001:db8:1::2", "2001:db8::9"), "checksum": None}),
        ("syn", set_field(TCP, "sport", 1024), {"source_port": (20000, 1024)}),
        ("ack", set_field(TCP, "seq", 5), {"sequence": (0xDEADBEEF, 5)}),
        ("udp", set_field(UDP, "sport", 1024), {"source_port": (20000, 1024), "checksum": None}),
        ("icmp", set_field(ICMP, "id", 1), {"identifier": (0x4242, 1), "checksum": None}),
        (
            "syn",
            set_field(
                TCP, "options", [("MSS", 1400), ("SAckOK", b""), ("Timestamp", (77, 0)), ("NOP", None), ("WScale", 7)]
            ),
            {"mss": (1460, 1400)},
        ),
        (
            "syn6",
            set_field(TCP, "options", [("MSS", 1440), *[("NOP", None)] * 12, ("NOP", None), ("WScale", 7)]),
            {"options": ("mss,sack,timestamps,nop,window_scale", "mss," + "nop," * 13 + "window_scale")},
        ),
    ],
)
def test_what_was_changed_is_named(
    name: str, change: Callable[[IP | IPv6], None], expected: dict[str, tuple[int, int] | None]
) -> None:
    """Each field that somebody changes on the way is named, with both values, and no other is."""
    found = seen(name, on_the_way(name, change))
    found = {field: values for field, values in found.items() if expected.get(field, values) is not None}
    assert found == {field: values for field, values in expected.items() if values is not None}
    assert set(found) <= set(FIELDS)


def test_a_checksum_alone_is_a_change() -> None:
    """A NAT that puts addresses and ports back in the quote, but not the checksum, gives itself away."""
    packet = arrived(BUILT["udp"])
    packet[UDP].chksum = 0x1111
    assert seen("udp", bytes(packet)) == {"checksum": (0x7777, 0x1111)}


@pytest.mark.parametrize(
    "garble",
    [
        lambda p: setattr(p, "id", 0x3412),
        lambda p: setattr(p, "id", 0x1235),
        lambda p: setattr(p, "id", 0x3413),
        lambda p: setattr(p, "len", p.len - 20),
        lambda p: setattr(p, "len", (p.len & 0xFF) << 8),
        lambda p: setattr(p, "chksum", 0),
    ],
)
def test_what_routers_garble_in_quotes_is_no_change(garble: Callable[[IP], None]) -> None:
    """The identification and the length in another order of bytes, off by one or by the header: that is the quote's."""
    packet = IP(bytes(arrived(BUILT["syn"])))
    garble(packet)
    assert quotes.changes(BUILT["syn"], bytes(packet), expired=True) == ()


def test_swapped_fragment_bits_are_no_change() -> None:
    """A router that swaps the bytes of the fragment field has not cleared DF."""
    quoted = bytearray(bytes(arrived(BUILT["syn"])))
    quoted[6:8] = b"\0\x40"
    assert quotes.changes(BUILT["syn"], bytes(quoted), expired=True) == ()


def test_the_ttl_counts_only_where_it_ran_out() -> None:
    """Who says unreachable quotes the TTL that was left, which is nobody's fault."""
    packet = arrived(BUILT["udp"])
    packet.ttl = 55
    assert quotes.changes(BUILT["udp"], bytes(packet), expired=False) == ()


@given(st.sampled_from(sorted(BUILT)), st.data())
def test_any_quote_is_survived(name: str, data: st.DataObject) -> None:
    """Whatever a quote holds behind the header that made it ours, nothing raises and every field has a name."""
    sent = BUILT[name]
    at_least = 28 if sent[0] >> 4 == 4 else 48
    quoted = data.draw(st.binary(min_size=at_least, max_size=160))
    quoted = sent[:1] + quoted[1:]
    assert {change.field for change in quotes.changes(sent, quoted, expired=True)} <= set(FIELDS)
