"""What servers answer: DNS messages, certificates, HTTP, and what comes instead of TLS."""

import math
import socket
import struct
from collections.abc import Iterator
from typing import Any

import msgspec
from hpack import Encoder
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, SettingsFrame

from netprobe.live import (
    certificate,
    connection,
    dns,
    quic_words,
    trust,
)
from netprobe.model.record import to_json
from netprobe.model.services import (
    HEADERS_THAT_MATTER,
    Answer,
    Certificate,
    Fetch,
    Handshake,
    Lookup,
    QuicHandshake,
    QuicHandshaken,
    Response,
    Transport,
)
from netprobe.probing import feed, name_stream
from netprobe.sim.feeds import FORMATS, Feed, FeedEntry, written
from tests.fuzz.doubles import Clock, Ended, Later, Stream

_LOOKUP = Lookup("www.example.com", "192.0.2.53")
_DNS_ID = 0x1234


def answers(data: bytes) -> None:
    """A DNS message is an answer to the question or none, over UDP as over TCP, whatever its sections hold."""
    ended = Ended()
    clock: Any = Clock()
    kind = socket.SOCK_STREAM if data and data[-1] & 1 else socket.SOCK_DGRAM  # where it says nothing
    question = dns.Question(_LOOKUP, clock, ended, lambda *_: None)
    sock: Any = Stream(struct.pack("!H", len(data) + 2) + b"\x12\x34" + data, kind=kind)
    question._sock = sock
    question._asked[_DNS_ID] = 9.0
    question._timers = [Later(11.0), Later(13.0)]  # type: ignore[list-item]
    if kind == socket.SOCK_STREAM:
        question._read_tcp()
    elif not data or not data[0] & 2:  # a truncated answer would open a connection
        question._consider(b"\x12\x34" + data, 10.0)
        if question._sock is not None:
            question._give_up()
    for answer in ended.outcomes:
        assert isinstance(answer, Answer)
        assert len(answer.addresses) <= 64
        assert len(answer.aliases) <= 16
        assert all(text.isprintable() for text in (*answer.addresses, *answer.aliases, answer.rcode))
        assert answer.rtt_s is None or 0 <= answer.rtt_s < 1e6
        assert 0 <= answer.ttl_s <= 0xFFFFFFFF
        assert bool(answer.rcode) != bool(answer.error)
        to_json(answer)


def answer_seeds() -> Iterator[bytes]:
    import dns.message as messages  # noqa: PLC0415  # only this group needs it
    import dns.rcode as dns_rcode  # noqa: PLC0415
    import dns.rrset as rrsets  # noqa: PLC0415

    for records, rcode in (
        ((), 3),
        (("www.example.com. 300 IN A 203.0.113.5", "www.example.com. 300 IN A 203.0.113.6"), 0),
        (("www.example.com. 30 IN CNAME e.cdn.example.", "e.cdn.example. 20 IN A 203.0.113.5"), 0),
        (('www.example.com. 30 IN TXT "a\\000b" "c"', "www.example.com. 1 IN AAAA 2001:db8::1"), 0),
        (("www.example.com. 30 IN CNAME www.example.com.",), 2),
    ):
        response = messages.make_response(messages.make_query("www.example.com", "A", id=_DNS_ID, use_edns=False))
        response.set_rcode(dns_rcode.Rcode(rcode))
        for record in records:
            name, ttl, kind, rdtype, value = record.split(" ", 4)
            response.answer.append(rrsets.from_text(name, int(ttl), kind, rdtype, value))
        yield response.to_wire()[2:] + b"\0"
        yield response.to_wire()[2:] + b"\1"


def streams(data: bytes) -> None:
    """Bytes of a resolver over TCP or HTTP/2 are an answer, not whole yet, or refused; however they are cut."""
    posted = not data or data[0] & 1
    lookup = Lookup("www.example.com", "192.0.2.53", transport=Transport.HTTPS if posted else Transport.TCP)
    carried = name_stream.carriage(lookup, bytes(20))
    try:
        for at in range(1, len(data), 7):
            reply = carried.receive(data[at : at + 7])
            assert len(reply) <= 16384 + 9
            if carried.done:
                break
    except ValueError:
        return
    assert carried.message is None or len(carried.message) <= 65535
    assert carried.message is None or carried.done
    assert carried.status == 0 or 100 <= carried.status <= 999


def stream_seeds() -> Iterator[bytes]:
    answer = b"\x12\x34\x81\x80" + bytes(8)
    yield b"\0" + struct.pack("!H", len(answer)) + answer
    settings = SettingsFrame().serialize()
    end = DataFrame(1, answer, flags=["END_STREAM"]).serialize()
    # As HPACK has it: 200 and 404 by their numbers, a change of the table's size and 503 in clear, 503 in Huffman's code.
    for status in (b"\x88", b"\x8d", b"\x3f\xe1\x1f\x08\x03503", b"\x48\x83\x6c\x0c\xff"):
        fields = status + Encoder().encode([("content-type", "application/dns-message")])
        yield b"\1" + settings + HeadersFrame(1, fields, flags=["END_HEADERS"]).serialize() + end
    yield b"\1" + settings + PingFrame(opaque_data=bytes(8)).serialize() + GoAwayFrame().serialize()


def certificates(data: bytes) -> None:
    """DER is a certificate with bounded, printable names, or None."""
    read = certificate.read(data)
    if read is None:
        return
    assert isinstance(read, Certificate)
    assert len(read.names) <= 100
    assert all(len(text) <= 200 and text.isprintable() for text in (read.subject, read.issuer, *read.names))
    assert math.isfinite(read.not_before_s)
    assert math.isfinite(read.not_after_s)
    to_json(read)


def certificate_seeds() -> Iterator[bytes]:
    import ssl  # noqa: PLC0415  # only this group needs it

    from tests.live.live_authority import Authority  # noqa: PLC0415

    authority = Authority("Fuzz")
    yield ssl.PEM_cert_to_DER_cert(authority.pem.decode())


_FETCH = Fetch(Handshake("192.0.2.80", 80), body_limit=4096)
_PIECES = 3


def heads(data: bytes) -> None:
    """An HTTP answer, in pieces, is a response with bounded, printable headers, and one outcome comes of it."""
    ended = Ended()
    clock: Any = Clock()
    talk = connection.Conversation(_FETCH, clock, trust.Trust(), ended, lambda *_: None)
    cut = len(data) // _PIECES + 1
    sock: Any = Stream(*(data[at : at + cut] for at in range(0, len(data), cut)))
    talk._sock = sock
    talk._established()
    talk._readable()
    (response,) = ended.outcomes
    assert isinstance(response, Response)
    assert 0 <= response.status <= 999
    assert len(response.title) <= 120
    assert set(response.headers) <= set(HEADERS_THAT_MATTER)
    assert all(len(text) <= 200 and text.isprintable() for text in (*response.headers.values(), response.title))
    assert len(talk._body) <= _FETCH.body_limit
    to_json(response)


def head_seeds() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 39\r\n\r\n<html><title>It  works</title></html>\r\n"
    yield b"HTTP/1.1 302 Found\r\nLocation: http://a/\r\nVia: 1.1 b\r\nVia: 1.1 c\r\nContent-Length: 0\r\n\r\n"
    yield b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 503 \xff\r\nRetry-After: 9\r\n\r\nabc"
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    yield b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 40


def records(data: bytes) -> None:
    """Bytes instead of TLS end the handshake, once, in words that can be shown."""
    ended = Ended()
    clock: Any = Clock()
    talk = connection.Conversation(_TLS, clock, _TRUST, ended, lambda *_: None)
    sock: Any = Stream(data)
    talk._sock = sock
    talk._phase = "tls"
    talk._tls = _TRUST.context(verify=False).wrap_bio(talk._incoming, talk._outgoing, server_hostname="example.com")
    talk._shake_hands()
    talk._readable()
    (handshaken,) = ended.outcomes
    assert handshaken.error
    assert handshaken.detail.isprintable()
    to_json(handshaken)


_TLS = Handshake("192.0.2.80", 443, "example.com", verify=False)
_TRUST = trust.Trust()


def record_seeds() -> Iterator[bytes]:
    yield b"\x15\x03\x01\0\2\2\x28"  # an alert: handshake failure
    yield b"\x16\x03\x03\0\x2e\2\0\0\x2a\x03\x03" + bytes(32) + b"\0\x13\x01\0\0\x04\0\x2b\0\0"
    yield b"HTTP/1.1 403 Forbidden\r\n\r\n"


def words(data: bytes) -> None:
    """What the QUIC helper says, which reads strangers' bytes all day, is messages or refused."""
    rest = data
    while True:
        try:
            cut = quic_words.unpack(rest)
            if cut is None:
                return
            message, after = cut
            told = msgspec.json.decode(message, type=quic_words.Told)
        except ValueError:
            return
        assert len(after) < len(rest)
        rest = after
        to_json(told)


def word_seeds() -> Iterator[bytes]:
    asked = QuicHandshake("192.0.2.80", server_name="www.example.com")
    shown = Certificate("CN=a", "CN=b", ("www.example.com",), 0.0, 1e9)
    done = QuicHandshaken(
        asked, "done", initial_s=0.01, handshake_s=0.02, version="QUICv1", alpn="h3", certificate=shown
    )
    yield quic_words.pack(quic_words.Told(1, done, 9, 9999))
    failed = QuicHandshaken(asked, "handshake", "closed", "why", 0x128)
    yield quic_words.pack(quic_words.Told(1, failed)) + quic_words.pack(quic_words.Told(2, failed))


def feeds(data: bytes) -> None:
    """A feed is read or is none; its text is short and can be printed."""
    found = feed.parse(data)
    assert bool(found.format) == (found.error != "no feed")
    assert len(found.entries) <= feed.MOST_ENTRIES
    for entry in found.entries:
        assert len(entry.title) <= feed.TITLE_LIMIT
        assert len(entry.text) <= feed.TEXT_LIMIT
        assert f"{entry.title}{entry.text}{entry.link}".isprintable()
        assert entry.published_s is None or entry.published_s > 0


def feed_seeds() -> Iterator[bytes]:
    """One of each format, with what a feed may hold beside, and one that would grow."""
    rows = (FeedEntry("Maintenance <b>tonight</b>", 60.0, "From ten &amp; to twelve"), FeedEntry("Outage"))
    for kind in FORMATS:
        yield written(Feed("/", "Status", rows, kind), "a.example", 1.8e9)
    yield b'<?xml version="1.0" encoding="latin1"?><rss><channel><item><title><![CDATA[x]]></title></item></channel></rss>'
    yield b'<!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss><channel><title>&b;</title></channel></rss>'
