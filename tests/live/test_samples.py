"""Every file and every packet of the recorded samples is read to the meaning that it is labelled with, none left out."""

import json
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from netprobe.live import codec, dissect
from netprobe.live.dissect import EchoReply, IcmpError, Quote, Segment
from netprobe.live.wire import HEADER_FIRST
from netprobe.model.probes import Protocol
from netprobe.model.replies import parse_options
from tests.live.live_desk import Desk
from tests.samples import SAMPLES, recorded

pytestmark = recorded

TRACES = sorted(path.stem for path in SAMPLES.glob("atlas-replay/*.net"))
VECTORS = json.loads((SAMPLES / "trippy-vectors" / "vectors.json").read_text()) if SAMPLES.is_dir() else {}
_NEIGHBOUR_DISCOVERY = range(133, 138)  # RFC 4861
_PACKET, _PEER, _TTL = 1, 2, 5  # the kinds of records
_PROTOCOLS = {"ICMP": (codec.PROTOCOL_ICMP, codec.PROTOCOL_ICMPV6), "UDP": (17, 17), "TCP": (6, 6)}


def test_every_file_is_read_by_some_test() -> None:
    """Whatever lies in the folders of packets is of a kind that a test here or in test_recordings reads."""
    kinds = {
        "caracal": {".pcap"},
        "centrace": {".pcap", ".csv"},
        "atlas-replay": {".net", ".out"},
        "trippy-vectors": {".json"},
    }
    for folder, suffixes in kinds.items():
        assert {path.suffix for path in (SAMPLES / folder).iterdir()} == suffixes
    assert sorted(path.stem for path in SAMPLES.glob("atlas-replay/*.out")) == TRACES
    assert len(TRACES) >= 11
    assert len(VECTORS) >= 22
    assert {name.split(":")[1].split("_")[1] for name in VECTORS} == {"dispatch", "recv"}


# -- RIPE Atlas -------------------------------------------------------------------------------------------------------


class Arrived(NamedTuple):
    """A packet that a probe's socket gave: from the IP header on (IPv4), or what follows it."""

    data: bytes
    sender: str
    ttl: int


def records(name: str) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of each record."""
    data = (SAMPLES / "atlas-replay" / f"{name}.net").read_bytes()
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<iQ", data, at)
        yield kind, data[at + 12 : at + 12 + length]
        at += 12 + length


def arrivals(name: str) -> Iterator[Arrived]:
    """The packets, each with what the records behind it say of it."""
    packet: bytes | None = None
    sender, ttl = "", -1
    for kind, record in [*records(name), (_PACKET, b"")]:
        if kind == _PACKET:
            if packet is not None:
                yield Arrived(packet, sender, ttl)
            packet, sender, ttl = record, "", -1
        elif kind == _PEER and len(record) == 28:  # struct sockaddr_in6
            sender = socket.inet_ntop(socket.AF_INET6, record[8:24])
        elif kind == _TTL:
            ttl = int.from_bytes(record, "little")


def printed(name: str) -> dict[str, Any]:
    """What the probe printed."""
    text = (SAMPLES / "atlas-replay" / f"{name}.out").read_text()
    found: dict[str, Any] = json.loads(text[text.index("{") :])
    return found


@pytest.mark.parametrize("name", TRACES)
def test_every_replayed_packet_means_what_the_probe_printed(name: str) -> None:
    """Sender, TTL, size, labels, flags and options of all answers, in order; what was no answer is none here."""
    said = printed(name)
    answers = [reply for hop in said["result"] for reply in hop["result"] if "from" in reply]
    over_v6 = said["af"] == 6
    read = []
    for arrived in arrivals(name):
        if over_v6:
            tcp = said["proto"] == "TCP" and arrived.sender == said["dst_addr"]
            protocol = codec.PROTOCOL_TCP if tcp else codec.PROTOCOL_ICMPV6
            message = dissect.parse_v6(protocol, arrived.sender, arrived.ttl, arrived.data)
            body = arrived.data
        else:
            message = dissect.parse(arrived.data)
            body = arrived.data[(arrived.data[0] & 0xF) * 4 :]
        if message is None:
            assert over_v6
            assert body[0] in _NEIGHBOUR_DISCOVERY
            continue
        read.append(seen(message, body))
        if isinstance(message, IcmpError):
            check_quote(message.quote, said)
    assert read == [
        {
            "from": answer["from"],
            "ttl": answer["ttl"],
            "size": answer["size"],
            "labels": [
                (entry["label"], entry["exp"], entry["s"], entry["ttl"])
                for extension in answer.get("icmpext", {}).get("obj", ())
                for entry in extension.get("mpls", ())
            ],
            "flags": answer.get("flags", ""),
            "mss": [options["mss"] for options in answer.get("hdropts", ()) if "mss" in options],
        }
        for answer in answers
    ]


def seen(message: dissect.Message, body: bytes) -> dict[str, Any]:
    """What a probe prints of an answer."""
    segment = isinstance(message, Segment)
    letters = (("S", codec.SYN), ("A", codec.ACK), ("R", codec.RST))
    return {
        "from": message.source,
        "ttl": message.ttl,
        "size": len(body) - (codec.TCP.size if segment else codec.ICMP.size),
        "labels": list(message.mpls) if isinstance(message, IcmpError) else [],
        "flags": "".join(letter for letter, bit in letters if isinstance(message, Segment) and message.flags & bit),
        "mss": [o.value for o in parse_options(message.options) if o.name == "mss"]
        if isinstance(message, Segment)
        else [],
    }


def check_quote(quote: Quote, said: dict[str, Any]) -> None:
    """A quote is of a probe to the target, by the protocol that was asked for, from the probe's address."""
    assert quote.destination == said["dst_addr"]
    assert quote.source == said["src_addr"]
    assert quote.protocol in _PROTOCOLS[said["proto"]]
    assert quote.ttl <= 1 or quote.destination == said["dst_addr"]


@pytest.mark.parametrize("name", TRACES)
def test_replayed_quotes_tell_the_probes_apart(name: str) -> None:
    """No two probes of a trace look alike in what is quoted of them, whatever the routers did to the rest."""
    over_v6 = printed(name)["af"] == 6
    quotes = []
    for arrived in arrivals(name):
        message = (
            dissect.parse_v6(codec.PROTOCOL_ICMPV6, arrived.sender, arrived.ttl, arrived.data)
            if over_v6
            else dissect.parse(arrived.data)
        )
        if isinstance(message, IcmpError) and message.code in range(16):
            quote = message.quote
            quotes.append((quote.first, quote.second, quote.third, quote.fourth, quote.head))
    assert len(set(quotes)) == len(quotes) > 0


# -- Trippy -----------------------------------------------------------------------------------------------------------


def vector(name: str) -> bytes:
    """The bytes of a vector; empty where the kernel makes the packet."""
    (text,) = VECTORS[name].values()
    return bytes.fromhex(text)


#: Name -> type, code, source of the error (IPv4), quoted destination, protocol, TTL.
_RECEIVED = {
    "ipv4.rs:test_recv_icmp_probe_destination_unreachable_icmp_no_extensions": (3, 1, "20.0.0.254", "20.0.0.254", 1),
    "ipv4.rs:test_recv_icmp_probe_destination_unreachable_udp_no_extensions": (3, 10, "9.9.9.9", "9.9.9.9", 17),
    "ipv4.rs:test_recv_icmp_probe_time_exceeded_icmp_no_extensions": (11, 0, "142.250.61.129", "142.251.222.206", 1),
    "ipv4.rs:test_recv_icmp_probe_time_exceeded_udp_no_extensions": (11, 0, "192.168.1.1", "142.250.204.142", 17),
}


@pytest.mark.parametrize("name", [name for name in VECTORS if "_recv_" in name])
def test_every_received_vector_is_read(name: str) -> None:
    """The name of a vector says the type of the error and the protocol that it quotes, or must not be taken for."""
    data = vector(name)
    over_v6 = name.startswith("ipv6")
    message = dissect.parse_v6(codec.PROTOCOL_ICMPV6, "2001:db8::1", 60, data) if over_v6 else dissect.parse(data)
    assert isinstance(message, IcmpError)
    quoted = {codec.PROTOCOL_ICMP: "icmp", codec.PROTOCOL_ICMPV6: "icmp", 17: "udp", 6: "tcp"}[message.quote.protocol]
    if "wrong" in name:  # a quote of what was not sent
        assert f"wrong_{quoted}_" in name
        with Desk() as desk:
            for token, other in enumerate(Protocol):
                desk.send(other, message.quote.destination, token)
            kind = codec.PROTOCOL_ICMPV6 if over_v6 else HEADER_FIRST
            assert desk.raw(kind, data, "2001:db8::1" if over_v6 else "", 60) == []
    else:
        unreachable = "destination_unreachable" in name
        assert message.type == ((1, 3) if over_v6 else (3, 11))[not unreachable]
        assert f"_{quoted}_" in name
        assert message.mpls == ()
    if name in _RECEIVED:
        kind, code, source, destination, protocol = _RECEIVED[name]
        quote = message.quote
        assert (message.type, message.code, message.source) == (kind, code, source)
        assert (quote.destination, quote.protocol) == (destination, protocol)
    if "with_magic" in name:  # the payload behind the UDP header begins with the tool's name
        assert message.quote.head.startswith(b"trippy")


@pytest.mark.parametrize("name", [name for name in VECTORS if "_dispatch_" in name])
def test_every_sent_vector_is_a_quote(name: str) -> None:
    """What another tool sends is read as an error would quote it: ports, numbers, type of service."""
    data = vector(name)
    if "unprivileged" in name:  # what the tool hands to a UDP socket: a payload without a header
        assert len(set(data)) <= 1
        return
    if name.startswith("ipv6"):
        protocol = codec.PROTOCOL_ICMPV6 if "icmp" in name else 17
        data = struct.pack("!IHBB", 6 << 28, len(data), protocol, 10) + bytes(32) + data
        quote = dissect.parse_quote_v6(data)
    else:
        quote = dissect.parse_quote(data)
    assert quote is not None
    assert quote.ttl == 10
    if "icmp" in name:
        assert quote.first >> 8 in {codec.ICMP_ECHO, codec.ICMPV6_ECHO}
        assert (quote.third, quote.fourth) == (1234, 33434)
    else:
        assert (quote.first, quote.second) == (123, 456)
    assert quote.tos == (0xE0 if "with_tos" in name else 0)
    if name.startswith("ipv4"):
        assert (quote.source, quote.destination) == ("1.2.3.4", "5.6.7.8")


# -- caracal ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("caracal/*.pcap")), ids=lambda path: path.stem)
def test_every_capture_is_read_to_its_name(path: Path) -> None:
    """`udp-icmp6-ttl-exceeded`: a UDP probe, then ICMPv6's time exceeded about it, and nothing else."""
    packets = list(packets_of(path))
    messages = [dissect.parse_packet(packet) for packet in packets]
    if path.stem == "arp":
        assert messages == [None] * len(packets)
        return
    probe, answer = packets
    sent, (_, received, *what) = messages[0], path.stem.split("-")
    assert sent is None or isinstance(sent, dissect.Datagram)
    over_v6 = received == "icmp6"
    quote = dissect.parse_quote_v6(probe) if over_v6 else dissect.parse_quote(probe)
    message = messages[1]
    assert quote is not None
    if what[:2] == ["echo", "reply"]:
        assert isinstance(message, EchoReply)
        assert (message.source, message.ident, message.sequence) == (quote.destination, quote.third, quote.fourth)
        assert answer[-len(message.payload) :] == message.payload
        return
    assert isinstance(message, IcmpError)
    assert (message.type, message.code) == ((3, 0) if over_v6 else (11, 0))
    assert (message.quote.destination, message.quote.protocol) == (quote.destination, quote.protocol)
    assert (message.quote.third, message.quote.fourth) == (quote.third, quote.fourth)
    assert bool(message.mpls) == ("mpls" in what)


def packets_of(path: Path) -> Iterator[bytes]:
    """The IP packets of a pcap file, by its link type: Ethernet, raw, Linux cooked."""
    data = path.read_bytes()
    order = "<" if data[:4] in {b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"} else ">"
    header = {1: 14, 101: 0, 113: 16, 228: 0}[struct.unpack_from(order + "I", data, 20)[0]]
    at = 24
    while at < len(data):
        (length,) = struct.unpack_from(order + "8xI4x", data, at)
        yield data[at + 16 + header : at + 16 + length]
        at += 16 + length
