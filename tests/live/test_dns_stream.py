"""Lookups over TCP, TLS and HTTPS: real resolvers and other people's tools say the same, and every end has its word."""

import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import dns.message
import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from netprobe.live.vantage import LiveVantage
from netprobe.model.services import Answer, Lookup, Transport
from netprobe.probing.ask import Ask
from netprobe.probing.run import gather, run
from tests.live.live_authority import Authority
from tests.live.live_network import SERVER, SILENT, Network
from tests.live.live_servers import Handler, after_hello, reset, sending, serving, silence
from tests.live.test_dns import CHAIN, NAME, answering

pytestmark = [pytest.mark.packets, pytest.mark.usefixtures("inside")]

UPSTREAM = "203.0.113.3"  # dnsmasq
RESOLVER = "dns.example.com"  # unbound, by its certificate
SECURE = (Transport.TLS, Transport.HTTPS)
_PATIENCE_S = 10.0
_DNSMASQ = f"""
no-resolv
no-hosts
no-daemon
bind-interfaces
listen-address={UPSTREAM}
cname={NAME},edge.cdn.example
host-record=edge.cdn.example,203.0.113.5,2001:db8::5
host-record=many.example.com,203.0.113.6
local=/example.com/
local=/example/
"""
_UNBOUND = """
server:
  interface: {server}@53
  interface: {server}@853
  interface: {server}@443
  access-control: 0.0.0.0/0 allow
  tls-service-key: "{chain}"
  tls-service-pem: "{chain}"
  use-syslog: no
  logfile: ""
  chroot: ""
  username: ""
  directory: ""
  pidfile: ""
  num-threads: 1
  module-config: "iterator"
  local-zone: "example." nodefault
  do-ip6: no
forward-zone:
  name: "."
  forward-addr: {upstream}
remote-control:
  control-enable: no
"""


@pytest.fixture(scope="module")
def trusted(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tests' own authority."""
    path = tmp_path_factory.mktemp("trust") / "ca.pem"
    path.write_bytes(authority.pem)
    return path


@pytest.fixture(scope="module")
def resolvers(network: Network, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """unbound, which speaks everything and asks dnsmasq, which knows the names."""
    folder = tmp_path_factory.mktemp("resolvers")
    chain = authority.issue_file(folder / "chain.pem", RESOLVER)
    (folder / "dnsmasq.conf").write_text(_DNSMASQ)
    (folder / "unbound.conf").write_text(_UNBOUND.format(server=SERVER, upstream=UPSTREAM, chain=chain))
    with ExitStack() as stack:
        for words in (
            ("dnsmasq", f"--conf-file={folder}/dnsmasq.conf"),
            ("unbound", "-d", "-c", f"{folder}/unbound.conf"),
        ):
            process = subprocess.Popen(
                network.server.command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        with network.client.inside():
            for address, port in ((UPSTREAM, 53), (SERVER, 53), (SERVER, 853), (SERVER, 443)):
                _wait_for(address, port)
        yield


def _wait_for(address: str, port: int) -> None:
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            socket.create_connection((address, port), 1.0).close()
        except OSError:
            assert time.monotonic() < until, f"nobody listens at {address}, port {port}"
            time.sleep(0.02)
        else:
            return


def asked(trusted: Path, *lookups: Lookup) -> list[Answer]:
    with LiveVantage(str(trusted)) as vantage:
        return run(gather([Ask(lookup) for lookup in lookups]), vantage)


def lookup(transport: Transport, name: str = NAME, **fields: object) -> Lookup:
    secure = transport in SECURE
    given: dict[str, object] = {"server_name": RESOLVER if secure else "", "timeout_s": 5.0, **fields}
    return Lookup(name, SERVER, transport=transport, **given)  # type: ignore[arg-type]


_TOOLS = {
    Transport.UDP: ("dig", "+noedns"),
    Transport.TCP: ("dig", "+tcp", "+noedns"),
    Transport.TLS: ("kdig", "+tls-ca={ca}", f"+tls-hostname={RESOLVER}"),
    Transport.HTTPS: ("kdig", "+https=/dns-query", "+tls-ca={ca}", f"+tls-hostname={RESOLVER}"),
}


def told_by(network: Network, transport: Transport, trusted: Path, name: str, kind: str) -> tuple[str, list[str]]:
    """What a foreign tool says: the status, and the records of the answer."""
    words = [word.format(ca=trusted) for word in _TOOLS[transport]]
    shown = ("+comments",) if words[0] == "dig" else ("+header",)
    printed = network.client.run(*words, f"@{SERVER}", name, kind, "+noall", *shown, "+answer")
    status = re.search(r"opcode: QUERY[;,] status: (\w+)", printed)
    assert status, printed
    rows = [line.split() for line in printed.splitlines() if line and not line.startswith(";")]
    return status[1], sorted(row[4].removesuffix(".") for row in rows)


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize(("name", "kind"), [(NAME, "A"), (NAME, "AAAA"), ("nobody.example.com", "A")])
@pytest.mark.usefixtures("resolvers")
def test_facts_agree_with_foreign_tools(
    network: Network, trusted: Path, transport: Transport, name: str, kind: str
) -> None:
    """Over each transport the same status and records as dig and kdig show, from unbound, which asks dnsmasq."""
    (answer,) = asked(trusted, lookup(transport, name, record_type=kind))
    assert (answer.rcode, sorted((*answer.addresses, *answer.aliases))) == told_by(
        network, transport, trusted, name, kind
    )
    assert answer.error == ""
    assert answer.rtt_s is not None
    assert (answer.connection is None) == (transport is Transport.UDP)
    if answer.connection:
        assert (answer.connection.phase, answer.connection.error) == ("done", "")
        assert bool(answer.connection.tls_version) == (transport in SECURE)
    assert answer.status == (200 if transport is Transport.HTTPS else 0)


@pytest.mark.usefixtures("resolvers")
def test_dnsmasq_is_asked_directly(network: Network, trusted: Path) -> None:
    """By UDP and TCP it says what dig hears from it."""
    found = asked(trusted, Lookup(NAME, UPSTREAM), Lookup(NAME, UPSTREAM, transport=Transport.TCP))
    heard = network.client.run("dig", f"@{UPSTREAM}", NAME, "+short").split()
    assert [[*a.aliases, *a.addresses] for a in found] == [[row.removesuffix(".") for row in heard]] * 2


@pytest.mark.parametrize("transport", SECURE)
@pytest.mark.usefixtures("resolvers")
def test_a_resolver_has_to_prove_who_it_is(trusted: Path, transport: Transport) -> None:
    """A certificate for somebody else is told, and nothing is asked; the address alone does not do."""
    for name in ("other.example.com", ""):
        (answer,) = asked(trusted, lookup(transport, server_name=name))
        assert (answer.rcode, answer.error) == ("", "certificate")
        assert answer.connection is not None
        assert (answer.connection.phase, answer.connection.error) == ("tls", "certificate")
        assert "mismatch" in answer.connection.detail


def posted(connection: socket.socket) -> bytes:
    """The body of the first request over HTTP/2: what follows DATA of stream 1 with END_STREAM."""
    begin, data = b"\x00\x01\x00\x00\x00\x01", b""
    while begin not in data:
        data += connection.recv(65536)
    return data[data.index(begin) + len(begin) :]


def saying(data: bytes) -> Handler:
    """A server that says the same to every request."""

    def handle(connection: socket.socket) -> None:
        posted(connection)
        connection.sendall(data)

    return handle


def http2_answer(status: bytes, body: Callable[[bytes], bytes], *, more: bytes = b"") -> Handler:
    """A server that reads one request over HTTP/2 and answers with `status`, as HPACK has it, and what `body` makes."""

    def handle(connection: socket.socket) -> None:
        query = posted(connection)
        answer = body(query)
        frames = HeadersFrame(1, status, flags=["END_HEADERS"]), DataFrame(1, answer, flags=["END_STREAM"])
        connection.sendall(SettingsFrame().serialize() + more + b"".join(frame.serialize() for frame in frames))

    return handle


def over_tls(chain: Path, handler: Handler, alpn: tuple[str, ...] = ("h2",)) -> Handler:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    if alpn:
        context.set_alpn_protocols(alpn)

    def handle(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            handler(secure)

    return handle


def right(query: bytes) -> bytes:
    return answering(*CHAIN)(dns.message.from_wire(query), 1)[0]


HUFFMAN_503 = b"\x08\x83\x6c\x0c\xff"  # "503": 011011 00000 011001, and ones to the end of the byte


@pytest.mark.parametrize(
    ("handler", "alpn", "error", "status"),
    [
        (http2_answer(b"\x88", right), ("h2",), "", 200),
        (http2_answer(b"\x3f\xe1\x1f\x08\x03200", right), ("h2",), "", 200),
        (http2_answer(b"\x88", right, more=PingFrame(opaque_data=bytes(8)).serialize()), ("h2",), "", 200),
        (http2_answer(b"\x8d", lambda _: b"not found"), ("h2",), "status", 404),
        (http2_answer(HUFFMAN_503, lambda _: b""), ("h2",), "status", 503),
        (http2_answer(b"\x88", lambda _: b"<html>"), ("h2",), "malformed", 200),
        (http2_answer(b"\x90", right), ("h2",), "malformed", 0),
        (http2_answer(b"", right), ("h2",), "malformed", 0),
        (saying(SettingsFrame().serialize() + GoAwayFrame().serialize()), ("h2",), "malformed", 0),
        (saying(SettingsFrame().serialize() + RstStreamFrame(1).serialize()), ("h2",), "malformed", 0),
        (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ("h2",), "malformed", 0),
        (saying(b""), ("h2",), "closed", 0),
        (silence, (), "malformed", 0),
    ],
)
def test_every_end_of_an_https_lookup_has_its_word(  # a table's columns
    network: Network, authority: Authority, trusted: Path, tmp_path: Path,
    handler: Handler, alpn: tuple[str, ...], error: str, status: int,
) -> None:  # fmt: skip
    """An answer, a status that is none, bytes that are no HTTP/2, an end: facts, and no exception."""
    chain = authority.issue_file(tmp_path / "chain.pem", RESOLVER)
    with serving(network.server, "203.0.113.4", 443, over_tls(chain, handler, alpn)):
        asking = Lookup(NAME, "203.0.113.4", transport=Transport.HTTPS, server_name=RESOLVER, timeout_s=5.0)
        (answer,) = asked(trusted, asking)
    assert (answer.error, answer.status, answer.usable) == (error, status, not error)
    assert answer.connection is not None
    assert answer.connection.done


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (after_hello(reset), "reset"),
        (after_hello(sending(b"\x00")), "closed"),
        (after_hello(sending(b"\x00\x05hello")), "malformed"),
        (silence, "timeout"),
    ],
)
def test_every_end_of_a_tcp_lookup_has_its_word(network: Network, trusted: Path, handler: Handler, error: str) -> None:
    """What became of the connection, and when it was there."""
    with serving(network.server, "203.0.113.4", 53, handler):
        (answer,) = asked(trusted, Lookup(NAME, "203.0.113.4", transport=Transport.TCP, timeout_s=0.5))
    assert (answer.rcode, answer.error) == ("", error)
    assert answer.connection is not None
    assert answer.connection.connect_s is not None


@pytest.mark.parametrize("transport", [t for t in Transport if t is not Transport.UDP])
def test_nobody_there(network: Network, trusted: Path, transport: Transport) -> None:
    """A port that is closed, an address that is silent, and one that is none."""
    del network
    found = asked(
        trusted,
        Lookup(NAME, "203.0.113.5", transport=transport, timeout_s=0.5),
        Lookup(NAME, SILENT, transport=transport, timeout_s=0.3),
        Lookup(NAME, "nowhere", transport=transport),
        Lookup("a..b", SERVER, transport=transport),
    )
    assert [a.error for a in found] == [
        "refused",
        "unreachable" if found[1].error != "timeout" else "timeout",
        "local",
        "malformed",
    ]
