"""Packets that other people's measurements recorded mean to us what they meant to them."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from netprobe.live import codec
from netprobe.live.codec import EchoReply, IcmpError, Segment

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded samples are not beside the repository")

_LINK_HEADER = {1: 14, 101: 0, 113: 16, 228: 0}  # pcap's link types: Ethernet, raw, Linux cooked, raw IPv4


def packets_of(path: Path) -> Iterator[bytes]:
    """The IP packets of a pcap file."""
    data = path.read_bytes()
    order = "<" if data[:4] in {b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"} else ">"
    (link,) = struct.unpack_from(order + "I", data, 20)
    at = 24
    while at < len(data):
        (length,) = struct.unpack_from(order + "8xI4x", data, at)
        yield data[at + 16 + _LINK_HEADER[link] : at + 16 + length]
        at += 16 + length


def captured(name: str) -> Iterator[bytes]:
    return packets_of(SAMPLES / "caracal" / name)


def replayed(name: str) -> Iterator[bytes]:
    """The IPv4 packets that a RIPE Atlas probe's sockets saw: records of a type, a length and bytes."""
    data = (SAMPLES / "atlas-replay" / name).read_bytes()
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<iQ", data, at)
        if kind == 1:
            yield data[at + 12 : at + 12 + length]
        at += 12 + length


@pytest.mark.parametrize(
    ("name", "source", "quoted", "protocol"),
    [
        ("icmp-icmp-ttl-exceeded.pcap", None, None, codec.PROTOCOL_ICMP),
        ("icmp-icmp-ttl-exceeded-mpls.pcap", "12.122.28.42", "65.83.239.127", codec.PROTOCOL_ICMP),
        ("udp-icmp-ttl-exceeded.pcap", "72.14.204.68", "8.8.8.8", codec.PROTOCOL_UDP),
    ],
)
def test_captured_time_exceeded(name: str, source: str | None, quoted: str | None, protocol: int) -> None:
    """Every captured time exceeded is read, and quotes the probe that was captured before it."""
    packets = list(captured(name))
    errors = [message for message in map(codec.parse, packets) if isinstance(message, IcmpError)]
    assert errors
    probes = [codec.parse_quote(packet) for packet in packets]
    for error in errors:
        assert error.type == codec.ICMP_TIME_EXCEEDED
        assert error.quote.protocol == protocol
        assert source in {None, error.source}
        assert quoted in {None, error.quote.destination}
        assert any(
            probe
            and (probe.destination, probe.third, probe.fourth)
            == (error.quote.destination, error.quote.third, error.quote.fourth)
            for probe in probes
            if probe is not error.quote
        )


def test_captured_labels_despite_a_wrong_length() -> None:
    """A length field that is not true (RFC 4884 demands 128 bytes at least) does not hide the labels."""
    errors = [codec.parse(packet) for packet in captured("icmp-icmp-ttl-exceeded-mpls.pcap")]
    assert [error.mpls for error in errors if isinstance(error, IcmpError)] == [((29657, 0, 0, 1), (25437, 0, 1, 1))]


def test_captured_echo_reply() -> None:
    """A captured echo reply is read as one."""
    replies = [codec.parse(packet) for packet in captured("icmp-icmp-echo-reply.pcap")]
    assert any(isinstance(reply, EchoReply) for reply in replies)


@pytest.mark.parametrize("name", ["arp.pcap", "icmp6-icmp6-echo-reply.pcap", "udp-icmp6-ttl-exceeded.pcap"])
def test_captured_other_things_are_left_alone(name: str) -> None:
    """ARP and IPv6 are none of this parser's business."""
    assert [codec.parse(packet) for packet in captured(name)] == [None] * len(list(captured(name)))


@pytest.mark.parametrize(
    ("name", "kind", "source", "destination", "protocol"),
    [
        ("destination_unreachable_icmp_no_extensions", 3, "20.0.0.254", "20.0.0.254", 1),
        ("destination_unreachable_udp_no_extensions", 3, "9.9.9.9", "9.9.9.9", 17),
        ("time_exceeded_icmp_no_extensions", 11, "142.250.61.129", "142.251.222.206", 1),
        ("time_exceeded_udp_no_extensions", 11, "192.168.1.1", "142.250.204.142", 17),
    ],
)
def test_trippy_vectors(name: str, kind: int, source: str, destination: str, protocol: int) -> None:
    """Packets that another traceroute's tests receive mean the same here."""
    vectors = json.loads((SAMPLES / "trippy-vectors" / "vectors.json").read_text())
    error = codec.parse(bytes.fromhex(vectors[f"ipv4.rs:test_recv_icmp_probe_{name}"]["expected_read_buf"]))
    assert isinstance(error, IcmpError)
    assert (error.type, error.source, error.quote.destination, error.quote.protocol) == (
        *(kind, source),
        *(destination, protocol),
    )


@pytest.mark.parametrize("name", ["evtraceroute-4", "evtraceroute-4T"])
def test_replayed_traceroutes(name: str) -> None:
    """Every packet that an Atlas probe saw is read: the sender, its TTL, the labels and what answered at the end."""
    text = (SAMPLES / "atlas-replay" / f"{name}.out").read_text()
    printed = json.loads(text[text.index("{") :])
    expected = [
        (
            reply["from"],
            reply["ttl"],
            "flags" in reply,
            tuple(
                (entry["label"], entry["exp"], entry["s"], entry["ttl"])
                for extension in reply.get("icmpext", {}).get("obj", ())
                for entry in extension.get("mpls", ())
            ),
        )
        for hop in printed["result"]
        for reply in hop["result"]
        if "from" in reply
    ]
    read = [codec.parse(packet) for packet in replayed(f"{name}.net")]
    assert [
        (message.source, message.ttl, isinstance(message, Segment), getattr(message, "mpls", ()))
        for message in read
        if message
    ] == expected


def test_captured_censorship() -> None:
    """Every packet of traces through censors is read; every error about the traced address quotes a segment to it."""
    for path in sorted((SAMPLES / "centrace").glob("*.pcap")):
        packets = list(packets_of(path))
        sent = {
            (quote.destination, quote.first, quote.second, quote.third)
            for quote in map(codec.parse_quote, packets)
            if quote and quote.protocol == codec.PROTOCOL_TCP
        }
        for message in map(codec.parse, packets):
            assert isinstance(message, Segment | IcmpError)
            if isinstance(message, IcmpError) and message.quote.destination == path.name.split("_")[0]:
                quote = message.quote
                assert (quote.destination, quote.first, quote.second, quote.third) in sent
