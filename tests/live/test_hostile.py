"""A real server that means harm: what it sends is bounded, harmless to show, and an observation like any other."""

import contextlib
import json
import socket
import ssl
import unicodedata
from collections.abc import Iterator
from itertools import chain, repeat

import msgspec
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from netprobe.diagnosis import diagnose
from netprobe.diagnosis.causes import tables
from netprobe.live.vantage import LiveVantage
from netprobe.model.record import to_json
from netprobe.model.report import Report
from netprobe.model.services import Fetch, Handshake, Response
from netprobe.probing.ask import fetch
from netprobe.probing.run import one, run
from netprobe.report.details import details
from netprobe.report.html import page
from netprobe.report.lines import render
from netprobe.report.text import answer
from netprobe.topology.platform import load_platform
from tests.live.live_authority import Authority
from tests.live.live_network import SERVER, Network
from tests.live.live_servers import Handler, read_request, serving
from tests.report.samples import sample, whose

pytestmark = [pytest.mark.packets, pytest.mark.usefixtures("inside")]

NAME = "www.example.com"
#: Clears the screen, sets the window's title, types for the user, goes back over the line, turns what follows round.
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b6n\x08\x7f\u202eevil\u2028<script>alert(1)</script>"
OK = b"HTTP/1.1 200 OK\r\n"


def pouring(pieces: Iterator[bytes]) -> Handler:
    """Sends piece after piece until nobody wants any more."""

    def handle(connection: socket.socket) -> None:
        read_request(connection)
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)

    return handle


def get(timeout_s: float = 1.0, **fields: object) -> Response:
    request = Fetch(Handshake(SERVER, 80, timeout_s=timeout_s), **fields)  # type: ignore[arg-type]
    with LiveVantage() as vantage:
        return run(one(fetch(request)), vantage)


@pytest.mark.parametrize(
    ("pieces", "status", "error"),
    [
        ([OK, b"Server: ", b"y" * (1 << 20)], 0, "malformed"),
        ([OK, *repeat(b"X-Many: 1\r\n", 100_000)], 0, "malformed"),
        ([OK, *repeat(b"X-Few: 1\r\n", 2_000), b"Content-Length: 2\r\n\r\nok"], 200, ""),
        ([OK, b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"e" * (1 << 20) + b"\r\n"], 200, "malformed"),
        (chain([OK, b"Transfer-Encoding: chunked\r\n\r\n"], repeat(b"1\r\nx\r\n")), 200, ""),
        (chain([OK, b"Transfer-Encoding: chunked\r\n\r\n"], repeat(b"400\r\n" + b"x" * 1024 + b"\r\n")), 200, ""),
        (chain([OK, b"\r\n"], repeat(b"<title>" * 1000)), 200, ""),
        (repeat(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), 0, "malformed"),
        (repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 500), 0, "malformed"),
        ([b"HTTP/1.1 200 ", b"\x1b[2J" * 1000, b"\r\nContent-Length: 0\r\n\r\n"], 200, ""),
    ],
    ids=[
        *("a header of a megabyte", "a megabyte of headers", "many headers", "a chunk's megabyte", "tiny chunks"),
        *("an endless body", "a page of titles", "early hints for ever", "continues for ever", "a status that acts"),
    ],
)
def test_no_answer_is_without_end(network: Network, pieces: Iterator[bytes], status: int, error: str) -> None:
    """Each is over when enough has come, and not when the patience is: little of what is sent is read."""
    with serving(network.server, SERVER, 80, pouring(iter(pieces))):
        found = get(timeout_s=60.0)
    assert (found.status, found.error) == (status, error)
    assert found.arrived_bytes < 1_500_000
    assert found.body_bytes < 200_000


def test_a_trickle_ends_with_the_patience(network: Network) -> None:
    """A byte now and then keeps nobody waiting: the time-out is that of the whole request."""

    def trickle(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK)
        connection.settimeout(0.05)
        with contextlib.suppress(ConnectionError):
            for byte in b"X-Slow: " + b"y" * 1000:
                connection.sendall(bytes([byte]))
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(1):  # it has gone
                        return

    with serving(network.server, SERVER, 80, trickle):
        found = get(timeout_s=1.0)
    assert (found.status, found.error) == (0, "timeout")
    assert found.arrived_bytes > len(OK)


@pytest.fixture(scope="module")
def hostile(network: Network, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Response:
    """What comes of asking a server whose certificate, headers and page hold what acts on a terminal."""
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "ca.pem").write_bytes(authority.pem)
    acting = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ESCAPES[:60])])
    ascii_only = "".join(c for c in ESCAPES if c < "\x7f")
    (folder / "server.pem").write_bytes(authority.issue(NAME, f"{ascii_only}.example", subject=acting)[1])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    # What HTTP forbids in a header would be no header: this is what it lets through (RFC 9110, 5.5).
    lets_through = (
        ESCAPES.replace("\x08", "").encode("utf-8").replace(b"\x1b", b"\xc2\x9b").replace(b"\x07", b"\xc2\x9c")
    )
    lets_through = lets_through.replace(b"\x7f", b"\xc2\x9d")
    text = b"<title>" + ESCAPES.encode() + b"</title>"
    head = b"HTTP/1.1 302 Found\r\nServer: " + lets_through + b"\r\nLocation: https://" + lets_through + b"/\r\n"
    head += (
        b"Via: " + lets_through + b"\r\nRetry-After: " + lets_through + b"\r\nContent-Type: " + lets_through + b"\r\n"
    )

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            read_request(secure)
            secure.sendall(head + b"Content-Length: %d\r\n\r\n" % len(text) + text)

    with (
        network.client.inside(),
        serving(network.server, SERVER, 443, handle),
        LiveVantage(str(folder / "ca.pem")) as vantage,
    ):
        return run(one(fetch(Fetch(Handshake(SERVER, 443, NAME)))), vantage)


def test_what_is_kept_of_a_hostile_server_can_be_printed(hostile: Response) -> None:
    """Certificate, headers and title: every character is one that is seen, and nothing was lost for it."""
    assert (hostile.status, hostile.error, hostile.handshaken.done) == (302, "", True)
    assert hostile.handshaken.certificate is not None
    assert NAME in hostile.handshaken.certificate.names
    assert len(hostile.handshaken.certificate.names) == 2
    assert {"server", "location", "via", "retry-after", "content-type"} <= set(hostile.headers)
    assert "owned" in hostile.title
    assert "owned" in hostile.headers["server"]
    assert "owned" in hostile.handshaken.certificate.subject
    texts = list(strings(json.loads(to_json(hostile))))
    assert all(text.isprintable() and len(text) <= 300 for text in texts)


def test_no_report_carries_what_acts(hostile: Response) -> None:
    """The answer, the measurements, JSON and the page, where every page of the platform is that server's."""
    report = sample("healthy")
    platform = load_platform()
    put = tuple(
        msgspec.structs.replace(o, fact=msgspec.structs.replace(hostile, fetch=o.fact.fetch))
        if isinstance(o.fact, Response)
        else o
        for o in report.observations
    )
    dirty: Report = msgspec.structs.replace(report, observations=put, verdict=diagnose(put, platform, whose))
    text = render(answer(dirty, tables().causes)) + render(details(dirty, whose, width=110))
    assert "owned" in text
    assert harmless(text.replace("\n", ""))
    encoded = to_json(dirty)
    assert all(byte >= 0x20 for byte in encoded)
    assert all(harmless(one) for one in strings(json.loads(encoded)))
    shown = page(dirty, tables().causes, whose)
    assert harmless(shown.replace("\n", ""))
    assert "<script" not in shown


def harmless(text: str) -> bool:
    """No control, format, surrogate or unassigned character, and no separator of lines but the space."""
    return not any(unicodedata.category(c)[0] == "C" or unicodedata.category(c) in {"Zl", "Zp"} for c in text)


def strings(value: object) -> Iterator[str]:
    """Every string in a piece of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inside in value.items():
            yield key
            yield from strings(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from strings(inside)
