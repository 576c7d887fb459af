"""What the servers of a scenario say, and what they make of hostile bytes. No packet is sent here."""

import asyncio
import ssl
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from netprobe.sim.records import Entry, Fault, Scenario, Server
from netprobe.sim.servers import answers, web
from netprobe.sim.servers import dns as dns_server
from netprobe.sim.servers.answers import Condition
from netprobe.sim.servers.authority import Authority
from tests.sim.real_scenario import scenario

AUTHORITY = Authority()
NAME = "www.tiktok.com"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    """The small network."""
    return scenario(tmp_path_factory.mktemp("line"))


def faulty(base: Scenario, *faults: Fault) -> Scenario:
    """`base` with faults."""
    return Scenario(**{**{f: getattr(base, f) for f in base.__struct_fields__}, "faults": faults})


def edge(base: Scenario) -> Server:
    """The server of the platform's names."""
    return base.servers[0]


# --- tables


def test_page_is_what_the_file_says(line: Scenario) -> None:
    """Status and headers come from the server's table, the title says which host it is."""
    said = answers.page(line, edge(line), NAME, "/", 0.0)
    assert said == answers.Page(200, {"server": "Edge", "x-cache": "HIT"}, NAME, 0.001)


def test_connectivity_check_has_no_content(line: Scenario) -> None:
    """A captive portal would answer it with a page."""
    assert answers.page(line, edge(line), "www.example.com", "/generate_204?x=1", 0.0).status == 204


def test_port_80_knows_the_names_that_are_served(line: Scenario) -> None:
    """Others are not found there, unless the server says the same to everybody; an address is no name."""
    served = partial(answers.page, line, edge(line), now=0.0, plain=True)
    assert served(host=NAME, path="/").status == 200
    assert served(host="www.example.com", path="/generate_204").status == 404
    assert served(host="192.0.2.1", path="/").status == served(host="", path="/").status == 200
    portal = replace(edge(line), status=302, headers={"location": "http://login.example/"})
    for path in ("/", "/generate_204"):
        assert answers.page(line, portal, "www.example.com", path, 0.0, plain=True).status == 302


def test_port_80_leads_to_the_page_over_tls(line: Scenario) -> None:
    """And to nothing else; what devices look for portals with stays as it is."""
    modern = partial(answers.page, line, replace(edge(line), upgrades=True), NAME, now=0.0)
    led = modern("/a?b=1", plain=True)
    assert (led.status, led.headers["location"]) == (301, f"https://{NAME}/a?b=1")
    assert modern("/a?b=1").status == 200
    assert modern("/generate_204", plain=True).status == 204
    assert modern("/library/test/success.html", plain=True).title == "Success"


def test_http_fault_lasts_its_time_and_concerns_its_names(line: Scenario) -> None:
    """Maintenance begins, ends, and leaves other names alone."""
    fault = Fault(
        "http", ("edge",), 10.0, 20.0, status=503, headers={"retry-after": "600"}, delay_ms=50, server_name=("www.*",)
    )
    busy = faulty(line, fault)
    seen = [answers.page(busy, edge(busy), NAME, "/", now).status for now in (9.9, 10.0, 19.9, 20.0)]
    assert seen == [200, 503, 503, 200]
    assert answers.page(busy, edge(busy), "tiktok.com", "/", 15.0).status == 200
    during = answers.page(busy, edge(busy), NAME, "/", 15.0)
    assert during.headers["retry-after"] == "600"
    assert during.title == "503 Service Unavailable"
    assert during.delay_s == pytest.approx(0.051)


def test_status_of_a_vendor_s_own_is_kept(line: Scenario) -> None:
    """Numbers that no RFC knows are shown as they are."""
    busy = faulty(line, Fault("http", ("edge",), status=520))
    assert answers.page(busy, edge(busy), NAME, "/", 0.0).title == "520"


def test_certificate_fault_lasts_its_time(line: Scenario) -> None:
    """A certificate is wrong while the fault is on, for the names that it concerns."""
    bad = faulty(line, Fault("certificate", ("edge",), 5.0, 6.0, expired=True, server_name=(NAME,)))
    assert [answers.certificate(bad, edge(bad), NAME, now).condition for now in (0.0, 5.0, 6.0)] == [
        Condition.VALID,
        Condition.EXPIRED,
        Condition.VALID,
    ]
    assert answers.certificate(bad, edge(bad), "tiktok.com", 5.0).condition is Condition.VALID


def test_certificate_of_somebody_else_is_valid_for_them(line: Scenario) -> None:
    """A CDN that has lost a customer's certificate shows its own, which is in order."""
    bad = faulty(line, Fault("certificate", ("edge",), wrong_name="a248.e.akamai.net"))
    assert answers.certificate(bad, edge(bad), NAME, 0.0) == answers.Shown(("a248.e.akamai.net",))
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(web.Site(bad, edge(bad), lambda: 0.0, AUTHORITY).context(NAME), NAME)


def test_alias_leads_to_the_addresses(line: Scenario) -> None:
    """A name with an alias is answered with the chain and what is at its end."""
    said = answers.resolve(line, NAME)
    assert (said.rcode, said.aliases) == ("NOERROR", ((NAME, "www.tiktok.com.edge.net"),))
    assert said.addresses == ("23.50.131.10", "23.50.131.11")


def test_unknown_names_do_not_exist(line: Scenario) -> None:
    """A name that nobody knows is NXDOMAIN, one above known names is empty (RFC 8020)."""
    assert [answers.resolve(line, name).rcode for name in ("nobody.invalid", "tiktok.com")] == ["NXDOMAIN", "NOERROR"]


def test_aliases_in_a_circle_end(line: Scenario) -> None:
    """A circle of aliases is cut."""
    fields = {f: getattr(line, f) for f in line.__struct_fields__}
    circle = Scenario(**{**fields, "names": {"a.test": Entry((), alias="b.test"), "b.test": Entry((), alias="a.test")}})
    assert len(answers.resolve(circle, "a.test").aliases) <= 8


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("dns", ("provider",), rcode="SERVFAIL"), answers.Records("SERVFAIL")),
        (Fault("dns", ("provider",), silence=True), answers.Records("")),
        (Fault("dns", ("provider",), addresses=("127.0.0.1",)), answers.Records("NOERROR", addresses=("127.0.0.1",))),
        (Fault("dns", ("provider",), rcode="NXDOMAIN", names=("*.example.com",)), None),
        (Fault("dns", ("forwarder",), rcode="NXDOMAIN"), None),
        (Fault("dns", ("provider",), delay_ms=100), None),
    ],
)
def test_resolver_says_what_its_fault_makes_it_say(line: Scenario, fault: Fault, said: answers.Records | None) -> None:
    """A fault speaks for the resolvers and names that it concerns, the others are left alone."""
    bad = faulty(line, fault)
    assert answers.tampered(bad, bad.resolvers[1], NAME, 0.0) == said


def test_slow_resolver_takes_its_time(line: Scenario) -> None:
    """Delays of faults are added to the resolver's own."""
    slow = faulty(line, Fault("dns", ("provider",), delay_ms=100, names=("www.*",)))
    assert answers.thinking_s(slow, slow.resolvers[1], NAME, 0.0) == pytest.approx(0.101)
    assert answers.thinking_s(slow, slow.resolvers[1], "tiktok.com", 0.0) == pytest.approx(0.001)


# --- certificates


def handshake(server: ssl.SSLContext, name: str, *, ca: bytes = AUTHORITY.pem) -> ssl.SSLObject:
    """A TLS handshake in memory with the client of the standard library; raises what the client raises."""
    context = ssl.create_default_context(cadata=ca.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=name)
    host = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for side in (client, host):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client


@pytest.mark.parametrize("name", [NAME, "tiktok.com", "v16.tiktok.com"])
def test_served_names_are_vouched_for(line: Scenario, name: str) -> None:
    """A client that trusts the lab believes every name that the server serves."""
    assert handshake(AUTHORITY.context(edge(line).serves), name).version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("name", "condition", "complaint"),
    [
        ("www.example.com", Condition.VALID, "Hostname mismatch"),
        ("a.b.tiktok.com", Condition.VALID, "Hostname mismatch"),
        (NAME, Condition.EXPIRED, "certificate has expired"),
        (NAME, Condition.NOT_YET_VALID, "certificate is not yet valid"),
        (NAME, Condition.UNKNOWN_ISSUER, "unable to get local issuer certificate"),
        (NAME, Condition.SELF_SIGNED, "self-signed certificate"),
        ("www.example.com", Condition.EXPIRED, "Hostname mismatch"),
    ],
)
def test_wrong_certificates_are_refused(line: Scenario, name: str, condition: Condition, complaint: str) -> None:
    """Each way of being wrong draws the complaint that it draws in life."""
    with pytest.raises(ssl.SSLCertVerificationError, match=complaint):
        handshake(AUTHORITY.context(edge(line).serves, condition), name)


def test_labs_do_not_trust_each_other(line: Scenario) -> None:
    """Every lab has an authority of its own."""
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(AUTHORITY.context(edge(line).serves), NAME, ca=Authority().pem)


def test_addresses_can_be_served() -> None:
    """A resolver that is reached by its address has a certificate for it."""
    assert handshake(AUTHORITY.context(["one.one.one.one", "1.1.1.1"]), "1.1.1.1").version()


# --- HTTP


async def thinking(done: Callable[[], bool]) -> None:
    """Let a server think until it has said something; one that stays silent takes as long as any answer may."""
    for _ in range(20):
        if done():
            return
        await asyncio.sleep(0.001)


class Wire(asyncio.Transport):
    """What a connection writes, and whether it has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False

    def write(self, data: Any) -> None:
        assert not self.ended
        self.written += bytes(data)

    def close(self) -> None:
        self.ended = True

    abort = close


def converse(base: Scenario, *pieces: bytes, eof: bool = False) -> Wire:
    """Feed `pieces` to a connection of the edge server and let it think."""
    wire = Wire()

    async def run() -> None:
        connection = web.Site(base, edge(base), lambda: 0.0).connection()
        connection.connection_made(wire)
        for piece in pieces:
            if not wire.ended:
                connection.data_received(piece)
                await asyncio.sleep(0)
        if eof and not wire.ended:
            connection.eof_received()
        await thinking(lambda: bool(wire.written))
        connection.connection_lost(None)

    asyncio.run(run())
    return wire


REQUEST = b"GET / HTTP/1.1\r\nHost: www.tiktok.com\r\n\r\n"


def test_request_in_single_bytes_is_answered(line: Scenario) -> None:
    """How a request is cut into segments does not matter."""
    wire = converse(line, *(REQUEST[i : i + 1] for i in range(len(REQUEST))))
    assert wire.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nserver: Edge\r\n" in wire.written
    assert b"<title>www.tiktok.com</title>" in wire.written
    assert not wire.ended


def test_client_that_has_finished_is_answered_and_left(line: Scenario) -> None:
    """A half-closed connection still gets its answer."""
    wire = converse(line, REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), eof=True)
    assert wire.written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert wire.ended


def test_head_has_no_body(line: Scenario) -> None:
    """HEAD tells how long the page would be and does not send it."""
    wire = converse(line, REQUEST.replace(b"GET", b"HEAD"))
    assert b"\r\ncontent-length: 1" in wire.written
    assert wire.written.endswith(b"\r\n\r\n")


def test_host_is_not_markup(line: Scenario) -> None:
    """What a client calls itself into the page is escaped."""
    assert b"<b>" not in converse(line, REQUEST.replace(b"www.tiktok.com", b"<b>")).written


def test_garbage_is_refused(line: Scenario) -> None:
    """What is no HTTP draws 400 and the end."""
    wire = converse(line, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")
    assert wire.written.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert wire.ended


def test_endless_headers_are_refused(line: Scenario) -> None:
    """A client cannot make the server keep more than h11 allows."""
    wire = converse(line, b"GET / HTTP/1.1\r\n", *([b"x: " + b"y" * 4096 + b"\r\n"] * 30))
    assert wire.written.startswith(b"HTTP/1.1 431 ")
    assert wire.ended


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=60) | st.just(REQUEST), max_size=4), st.booleans())
def test_no_bytes_break_a_connection(pieces: list[bytes], eof: bool) -> None:  # noqa: FBT001  # hypothesis calls it
    """Whatever a client sends, nothing is raised."""
    converse(LINE, *pieces, eof=eof)


# --- DNS


class Datagrams(asyncio.DatagramTransport):
    """What a resolver sends, to whom."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[bytes, dns_server.Peer]] = []

    def sendto(self, data: Any, addr: Any = None) -> None:
        self.sent.append((bytes(data), addr))


CLIENT: dns_server.Peer = ("192.168.1.23", 40000)
UPSTREAM: dns_server.Peer = ("194.25.2.129", 53)


def resolver(
    base: Scenario,
    number: int,
    *messages: tuple[bytes, dns_server.Peer],
    then: Callable[[Datagrams, Any], None] | None = None,
) -> Datagrams:
    """Hand datagrams to a resolver and let it think."""
    wire = Datagrams()

    async def run() -> None:
        one = base.resolvers[number]
        service = dns_server.Door(dns_server.Service(base, one, UPSTREAM[0] if one.upstream else "", lambda: 0.0))
        service.connection_made(wire)
        for message, peer in messages:
            service.datagram_received(message, peer)
        await thinking(lambda: bool(wire.sent))
        if then:
            then(wire, service)

    asyncio.run(run())
    return wire


def asked(name: str, kind: str = "A", **options: Any) -> tuple[bytes, dns_server.Peer]:
    """A question as a client sends it."""
    return dns.message.make_query(name, kind, **options).to_wire(), CLIENT


def answered(wire: Datagrams) -> dns.message.Message:
    """The first answer to the client."""
    data = next(data for data, peer in wire.sent if peer == CLIENT)
    return dns.message.from_wire(data)


def test_known_name_is_answered(line: Scenario) -> None:
    """Aliases and addresses come in one answer and in the file's order; recursion is available, EDNS understood."""
    said = answered(resolver(line, 1, asked("WWW.TikTok.com", use_edns=0)))
    assert [rrset.to_text().split()[0] for rrset in said.answer] == ["WWW.TikTok.com.", "www.tiktok.com.edge.net."]
    assert [rdata.address for rdata in said.answer[1]] == ["23.50.131.10", "23.50.131.11"]
    assert said.flags & dns.flags.RA
    assert said.edns == 0


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [("nobody.invalid", "A", "NXDOMAIN"), ("www.example.com", "AAAA", "NOERROR"), (".", "NS", "NOERROR")],
)
def test_negative_answer_names_its_zone(line: Scenario, name: str, kind: str, rcode: str) -> None:
    """An answer without records has the SOA by which it may be kept (RFC 2308)."""
    said = answered(resolver(line, 1, asked(name, kind)))
    assert (dns.rcode.to_text(said.rcode()), said.answer) == (rcode, [])
    assert "SOA" in said.authority[0].to_text()


def test_long_answer_is_cut(line: Scenario) -> None:
    """What does not fit into a datagram is marked, so that the client asks by TCP."""
    fields = {f: getattr(line, f) for f in line.__struct_fields__}
    many = Entry(tuple(f"198.51.100.{n}" for n in range(100)))
    long = Scenario(**{**fields, "names": {"many.test": many}})
    said = answered(resolver(long, 1, asked("many.test")))
    assert said.flags & dns.flags.TC
    assert said.answer == []


def test_other_questions_are_refused(line: Scenario) -> None:
    """A resolver says what it does not do."""
    chaos = dns.message.make_query("version.bind", "TXT", rdclass="CH").to_wire()
    status = bytearray(asked(NAME)[0])
    status[2] |= 2 << 3  # RFC 1035, 4.1.1: opcode STATUS
    assert answered(resolver(line, 1, (chaos, CLIENT))).rcode() == dns.rcode.REFUSED
    reply = next(data for data, _ in resolver(line, 1, (bytes(status), CLIENT)).sent)
    assert reply[3] & 0x0F == dns.rcode.NOTIMP


def test_silent_resolver_says_nothing(line: Scenario) -> None:
    """A fault that silences leaves the client to its time-out."""
    assert resolver(faulty(line, Fault("dns", ("provider",), silence=True)), 1, asked(NAME)).sent == []


def test_forwarder_asks_and_passes_the_answer_on(line: Scenario) -> None:
    """The question goes to the upstream under another number, the answer to who asked, under theirs."""

    def then(wire: Datagrams, service: dns_server.Door) -> None:
        (question, peer) = wire.sent[0]
        assert peer == UPSTREAM
        reply = dns.message.make_response(dns.message.from_wire(question))
        reply.set_rcode(dns.rcode.SERVFAIL)
        service.datagram_received(reply.to_wire(), ("203.0.113.66", 53))
        assert len(wire.sent) == 1, "an answer from somewhere else is not believed"
        service.datagram_received(reply.to_wire(), UPSTREAM)

    message = asked(NAME)
    wire = resolver(line, 0, message, then=then)
    said = answered(wire)
    assert (said.id, said.rcode()) == (dns.message.from_wire(message[0]).id, dns.rcode.SERVFAIL)


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=80), st.sampled_from([CLIENT, UPSTREAM]), st.sampled_from([0, 1]))
def test_no_bytes_break_a_resolver(data: bytes, peer: dns_server.Peer, number: int) -> None:
    """Whatever arrives, nothing is raised."""

    async def run() -> None:
        one = LINE.resolvers[number]
        service = dns_server.Door(dns_server.Service(LINE, one, UPSTREAM[0] if one.upstream else "", lambda: 0.0))
        service.connection_made(Datagrams())
        service.datagram_received(data, peer)
        service.datagram_received(struct.pack("!HH", 7, 0x8180) + data, peer)

    asyncio.run(run())


def _line() -> Scenario:
    import tempfile  # noqa: PLC0415  # hypothesis wants its fixture before pytest has one

    with tempfile.TemporaryDirectory() as folder:
        return scenario(Path(folder))


LINE = _line()
