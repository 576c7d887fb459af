"""Packets that other people's measurements recorded mean to us what they meant to them."""

import csv
import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from netprobe.live import codec, dissect, replies
from netprobe.live.dissect import EchoReply, IcmpError, Segment
from netprobe.model.probes import Reply
from netprobe.probing.injection import Grade, Heard, injected
from tests.samples import SAMPLES, recorded

pytestmark = recorded

_NEIGHBOUR_SOLICITATION = 135  # RFC 4861
_LINK_HEADER = {1: 14, 101: 0, 113: 16, 228: 0}  # pcap's link types: Ethernet, raw, Linux cooked, raw IPv4


def packets_of(path: Path) -> Iterator[bytes]:
    """The IP packets of a pcap file."""
    return (packet for _, packet in timed_packets_of(path))


def timed_packets_of(path: Path) -> Iterator[tuple[float, bytes]]:
    """When each was captured (Unix time), and the IP packets of a pcap file."""
    data = path.read_bytes()
    order = "<" if data[:4] in {b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"} else ">"
    (link,) = struct.unpack_from(order + "I", data, 20)
    at = 24
    while at < len(data):
        seconds, microseconds, length = struct.unpack_from(order + "III4x", data, at)
        yield seconds + microseconds * 1e-6, data[at + 16 + _LINK_HEADER[link] : at + 16 + length]
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
    errors = [message for message in map(dissect.parse, packets) if isinstance(message, IcmpError)]
    assert errors
    probes = [dissect.parse_quote(packet) for packet in packets]
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
    errors = [dissect.parse(packet) for packet in captured("icmp-icmp-ttl-exceeded-mpls.pcap")]
    assert [error.mpls for error in errors if isinstance(error, IcmpError)] == [((29657, 0, 0, 1), (25437, 0, 1, 1))]


def test_captured_echo_reply() -> None:
    """A captured echo reply is read as one."""
    replies = [dissect.parse(packet) for packet in captured("icmp-icmp-echo-reply.pcap")]
    assert any(isinstance(reply, EchoReply) for reply in replies)


def parse_v6(packet: bytes) -> dissect.Message | None:
    """What a captured IPv6 packet says."""
    return dissect.parse_v6(packet[6], socket.inet_ntop(socket.AF_INET6, packet[8:24]), packet[7], packet[40:])


@pytest.mark.parametrize(
    ("name", "protocol"),
    [("icmp6-icmp6-ttl-exceeded.pcap", codec.PROTOCOL_ICMPV6), ("udp-icmp6-ttl-exceeded.pcap", codec.PROTOCOL_UDP)],
)
def test_captured_time_exceeded_of_ipv6(name: str, protocol: int) -> None:
    """The error is read, and its quote is the probe that was captured before it, but for the hop limit."""
    probe, error = captured(name)
    assert parse_v6(probe) is None
    said, sent = parse_v6(error), dissect.parse_quote_v6(probe)
    assert isinstance(said, IcmpError)
    assert sent is not None
    assert (said.source, said.type, said.code, said.ttl) == ("2a04:8ec0:0:a::1:119", 3, 0, 63)
    quote = said.quote
    assert (quote.destination, quote.protocol, quote.ttl) == ("2001:4860:4860::8888", protocol, 1)
    assert (quote.source, quote.ident, quote.first, quote.second, quote.third, quote.fourth, quote.head) == (
        *(sent.source, sent.ident, sent.first, sent.second, sent.third),
        *(sent.fourth, sent.head),
    )


def test_captured_echo_reply_of_ipv6() -> None:
    """A captured ICMPv6 echo reply is read as one; the request before it is not."""
    request, reply = captured("icmp6-icmp6-echo-reply.pcap")
    assert parse_v6(request) is None
    assert parse_v6(reply) == EchoReply("2001:4860:4860::8888", 118, -1, 24000, 55003, reply[48:])


@pytest.mark.parametrize("name", ["arp.pcap", "icmp6-icmp6-echo-reply.pcap", "udp-icmp6-ttl-exceeded.pcap"])
def test_captured_other_things_are_left_alone(name: str) -> None:
    """ARP and IPv6 are none of the IPv4 parser's business."""
    assert [dissect.parse(packet) for packet in captured(name)] == [None] * len(list(captured(name)))


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
    error = dissect.parse(bytes.fromhex(vectors[f"ipv4.rs:test_recv_icmp_probe_{name}"]["expected_read_buf"]))
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
    read = [dissect.parse(packet) for packet in replayed(f"{name}.net")]
    assert [
        (message.source, message.ttl, isinstance(message, Segment), getattr(message, "mpls", ()))
        for message in read
        if message
    ] == expected


@pytest.mark.parametrize("name", ["evtraceroute-6", "evtraceroute-6U"])
def test_replayed_traceroutes_of_ipv6(name: str) -> None:
    """Every ICMPv6 message that an Atlas probe saw is read: who sent it, its hop limit, and what answered at the end."""
    text = (SAMPLES / "atlas-replay" / f"{name}.out").read_text()
    printed = json.loads(text[text.index("{") :])
    answers = [reply for hop in printed["result"] for reply in hop["result"] if "from" in reply]
    data = (SAMPLES / "atlas-replay" / f"{name}.net").read_bytes()
    at = 0
    seen: list[IcmpError | EchoReply] = []
    body, sender = b"", ""
    while at < len(data):
        kind, length = struct.unpack_from("<iQ", data, at)
        record = data[at + 12 : at + 12 + length]
        at += 12 + length
        if kind == 1:
            body = record
        elif kind == 2:
            sender = socket.inet_ntop(socket.AF_INET6, record[8:24])
        elif kind == 5:
            message = dissect.parse_v6(codec.PROTOCOL_ICMPV6, sender, int.from_bytes(record, "little"), body)
            if body[0] == _NEIGHBOUR_SOLICITATION:
                assert message is None
            else:
                assert isinstance(message, IcmpError | EchoReply)
                seen.append(message)
    assert [(message.source, message.ttl) for message in seen] == [(reply["from"], reply["ttl"]) for reply in answers]
    errors = [message for message in seen if isinstance(message, IcmpError)]
    protocol = codec.PROTOCOL_ICMPV6 if name == "evtraceroute-6" else codec.PROTOCOL_UDP
    assert {(error.quote.destination, error.quote.protocol) for error in errors} == {(printed["dst_addr"], protocol)}
    at_the_end = [message for message in seen if message.source == printed["dst_addr"]]
    assert all(
        isinstance(message, EchoReply) or (message.type, message.code) == (codec.ICMPV6_UNREACHABLE, 4)
        for message in at_the_end
    )


def test_captured_censorship() -> None:
    """Every packet of traces through censors is read; every error about the traced address quotes a segment to it."""
    for path in sorted((SAMPLES / "centrace").glob("*.pcap")):
        packets = list(packets_of(path))
        sent = {
            (quote.destination, quote.first, quote.second, quote.third)
            for quote in map(dissect.parse_quote, packets)
            if quote and quote.protocol == codec.PROTOCOL_TCP
        }
        for message in map(dissect.parse, packets):
            assert isinstance(message, Segment | IcmpError)
            if isinstance(message, IcmpError) and message.quote.destination == path.name.split("_")[0]:
                quote = message.quote
                assert (quote.destination, quote.first, quote.second, quote.third) in sent


def connections_of(path: Path) -> list[tuple[Reply, ...]]:
    """For each connection that a recorded client opened to the traced address: the segments that it got, as replies."""
    server = path.name.split("_")[0]
    heard: dict[int, tuple[float, Heard]] = {}
    for at_s, packet in timed_packets_of(path):
        segment = dissect.parse(packet)
        if not isinstance(segment, Segment):
            continue
        if segment.source != server and segment.flags & (codec.SYN | codec.ACK) == codec.SYN:
            heard[segment.source_port] = (at_s, Heard())
        elif segment.source == server and segment.destination_port in heard:
            began_s, its = heard[segment.destination_port]
            its.add(replies.of_segment(segment, at_s - began_s))
    return [its.replies for _, its in heard.values()]


def test_captured_ends_of_connections() -> None:
    """Ends forged by recorded devices look forged or odd; of connections with a name that nobody minds none does."""
    labels = list(csv.DictReader((SAMPLES / "centrace" / "labels.csv").read_text().splitlines()))
    devices = {row["endpoint"] for row in labels if "inject" in row["note"] or "middlebox" in row["note"]}
    suspicious = {Grade.LIKELY, Grade.DOUBTFUL}
    compared = 0
    for path in sorted((SAMPLES / "centrace").glob("*.pcap")):
        server, name, asked = path.stem.removesuffix("_0").split("_")
        grades = [injected(heard).grade for heard in connections_of(path)]
        if asked == name and server in devices:
            assert suspicious & set(grades), path.name
        elif asked != name:
            assert not suspicious & set(grades), path.name
            compared += grades.count(Grade.CONSISTENT)
    assert compared > 100
