"""How connections end, by what really happened on the wire."""

import datetime as dt
import queue
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from netprobe.live import CannotMeasure, errors
from netprobe.live.vantage import LiveVantage
from netprobe.model.services import Fetch, Handshake, Handshaken, Response
from netprobe.probing.ask import fetch, handshake
from netprobe.probing.run import one, run
from tests.live.live_authority import NOW, Authority
from tests.live.live_network import SERVER, SILENT, Network
from tests.live.live_servers import after_hello, plain, reset, sending, serving, silence, tls

pytestmark = [pytest.mark.packets, pytest.mark.usefixtures("inside")]

NAME = "www.example.com"
PAGE = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 37\r\n\r\n"
PAGE += b"<title>\n Hello,\t\x1b[31mworld </title>...."
CLIENT_HELLO_REFUSED = b"\x15\x03\x03\x00\x02\x02"  # a fatal alert (RFC 8446, 6), without its description

Shake = Callable[..., Handshaken]
Get = Callable[..., Response]


@pytest.fixture(scope="module")
def trusted(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tests' own authority."""
    path = tmp_path_factory.mktemp("trust") / "ca.pem"
    path.write_bytes(authority.pem)
    return path


@pytest.fixture
def shake(trusted: Path) -> Shake:
    """Shake hands with the server, trusting the tests' authority."""

    def shake(address: str = SERVER, **fields: object) -> Handshaken:
        request = Handshake(address, **{"server_name": NAME, "timeout_s": 5.0, **fields})  # type: ignore[arg-type]
        with LiveVantage(str(trusted)) as vantage:
            return run(one(handshake(request)), vantage)

    return shake


@pytest.fixture
def get(trusted: Path) -> Get:
    """Fetch a page from the server's port 80."""

    def get(**fields: object) -> Response:
        request = Fetch(Handshake(SERVER, 80, timeout_s=1.0), **fields)  # type: ignore[arg-type]
        with LiveVantage(str(trusted)) as vantage:
            return run(one(fetch(request)), vantage)

    return get


def test_a_good_handshake_is_done(network: Network, authority: Authority, tmp_path: Path, shake: Shake) -> None:
    """Both phases are timed, and the certificate is described."""
    with serving(network.server, SERVER, 443, tls(authority.issue_file(tmp_path / "server.pem", NAME))):
        done = shake()
    assert (done.phase, done.error, done.done) == ("done", "", True)
    assert done.connect_s is not None
    assert done.tls_s is not None
    assert 0 < done.connect_s + done.tls_s < 5
    assert done.tls_version == "TLSv1.3"
    assert done.certificate is not None
    assert done.certificate.names == (NAME,)
    assert done.certificate.issuer == "CN=Tests root, O=Tests"


@pytest.mark.parametrize(
    ("names", "dates", "issuer", "detail"),
    [
        ((NAME,), {"begin": NOW - dt.timedelta(days=9), "end": NOW - dt.timedelta(days=1)}, None, "expired"),
        ((NAME,), {"begin": NOW + dt.timedelta(days=1), "end": NOW + dt.timedelta(days=9)}, None, "not yet valid"),
        (("www.example.net",), {}, None, "Hostname mismatch"),
        ((NAME,), {}, "Somebody else", "unable to get local issuer certificate"),
    ],
)
def test_a_bad_certificate_is_told(
    network: Network,
    authority: Authority,
    tmp_path: Path,
    shake: Shake,
    names: tuple[str, ...],
    dates: dict[str, dt.datetime],
    issuer: str | None,
    detail: str,
) -> None:
    """Verification fails with the reason; unverified, the same handshake is done and shows the certificate."""
    signer = Authority(issuer) if issuer else authority
    with serving(network.server, SERVER, 443, tls(signer.issue_file(tmp_path / "server.pem", *names, **dates))):
        refused, unchecked = shake(), shake(verify=False)
    assert (refused.phase, refused.error) == ("tls", "certificate")
    assert detail in refused.detail
    assert unchecked.done
    assert unchecked.certificate is not None
    assert unchecked.certificate.names == names
    assert unchecked.certificate.issuer == f"CN={issuer or 'Tests'} root, O={issuer or 'Tests'}"


@pytest.mark.parametrize(
    ("then", "error", "detail"),
    [
        (reset, "reset", "ECONNRESET"),
        (sending(b""), "closed", ""),
        (sending(CLIENT_HELLO_REFUSED + bytes([40])), "alert", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (sending(CLIENT_HELLO_REFUSED + bytes([112])), "alert", "TLSV1_UNRECOGNIZED_NAME"),
        (sending(b"HTTP/1.1 403 Forbidden\r\n\r\n"), "alert", "not acceptable TLS: WRONG_VERSION_NUMBER"),
        (silence, "timeout", ""),
    ],
    ids=["reset", "closed", "refusal", "unknown name", "not TLS", "silence"],
)
def test_what_follows_the_client_hello_is_told_apart(
    network: Network, shake: Shake, then: Callable[..., None], error: str, detail: str
) -> None:
    """A connection that was made and then fails in TLS says how."""
    with serving(network.server, SERVER, 443, after_hello(then)):
        ended = shake(timeout_s=0.5)
    assert (ended.phase, ended.error, ended.detail) == ("tls", error, detail)
    assert ended.connect_s is not None
    assert ended.tls_s is None


def test_a_closed_port_refuses(shake: Shake) -> None:
    """A RST to the SYN is a refusal."""
    ended = shake(port=4444)
    assert (ended.phase, ended.error, ended.detail) == ("connect", "refused", "ECONNREFUSED")


def test_a_dropped_syn_times_out(network: Network, shake: Shake) -> None:
    """Silence is a time-out, at the time that was given."""
    with network.second.firewall("forward tcp dport 443 drop"):
        ended = shake(timeout_s=0.3)
    assert (ended.phase, ended.error) == ("connect", "timeout")


@pytest.mark.parametrize(
    ("rule", "error", "detail"),
    [
        ("reject with icmp type host-unreachable", "unreachable", "EHOSTUNREACH (host unreachable, says 198.51.100.2)"),
        ("reject with icmp type admin-prohibited", "unreachable", "EHOSTUNREACH (prohibited, says 198.51.100.2)"),
        ("reject with icmp type port-unreachable", "unreachable", "ECONNREFUSED (port unreachable, says 198.51.100.2)"),
        ("reject with tcp reset", "refused", "ECONNREFUSED"),
    ],
)
def test_a_firewall_on_the_way_is_named(network: Network, shake: Shake, rule: str, error: str, detail: str) -> None:
    """An ICMP error says who sent it; a forged RST cannot be told from the server's by the kernel's socket."""
    with network.second.firewall(f"forward tcp dport 443 {rule}"):
        ended = shake()
    assert (ended.phase, ended.error, ended.detail) == ("connect", error, detail)


def test_a_host_that_does_not_exist_is_unreachable(shake: Shake) -> None:
    """The last router says so once its link did not answer."""
    ended = shake(SILENT)
    assert (ended.phase, ended.error) == ("connect", "unreachable")
    assert ended.detail == "EHOSTUNREACH (host unreachable, says 198.51.100.2)"


def test_a_connection_that_never_leaves_is_local(network: Network, shake: Shake) -> None:
    """No route and the own firewall are this machine's affair."""
    with network.client.firewall("output tcp dport 443 reject with icmp type admin-prohibited"):
        ended = shake()
    assert (ended.phase, ended.error) == ("connect", "local")
    network.client.run("ip", "route", "add", "unreachable", SILENT)
    ended = shake(SILENT)
    network.client.run("ip", "route", "del", "unreachable", SILENT)
    assert (ended.phase, ended.error, ended.detail) == ("connect", "local", "EHOSTUNREACH")


@pytest.mark.parametrize("name", ["x" * 64 + ".example", ".example", "a\0b"])
def test_a_name_that_is_none_is_local(network: Network, shake: Shake, name: str) -> None:
    """A server name that cannot be put into a ClientHello is no exception."""
    with serving(network.server, SERVER, 443, after_hello(silence)):
        ended = shake(server_name=name)
    assert (ended.phase, ended.error) == ("tls", "local")


def test_without_a_name_there_is_no_tls(network: Network, shake: Shake) -> None:
    """A handshake without a server name is over when TCP is connected."""
    with serving(network.server, SERVER, 80, silence):
        done = shake(port=80, server_name="")
    assert done.done
    assert done.tls_s is None
    assert done.certificate is None


def test_a_page_over_tls_is_fetched(network: Network, authority: Authority, tmp_path: Path, trusted: Path) -> None:
    """Status, the headers that matter, a harmless title and the times of all phases."""
    with (
        serving(network.server, SERVER, 443, tls(authority.issue_file(tmp_path / "server.pem", NAME), PAGE)),
        LiveVantage(str(trusted)) as vantage,
    ):
        found = run(one(fetch(Fetch(Handshake(SERVER, server_name=NAME)))), vantage)
        usage = vantage.usage()
    assert (found.status, found.error, found.title, found.body_bytes) == (200, "", "Hello, �[31mworld", 37)
    assert found.headers == {"server": "nginx", "content-type": "text/html"}
    assert found.handshaken.done
    assert found.first_byte_s is not None
    assert 0 < found.first_byte_s < 5
    assert usage.packets_sent >= 4, "the connection's packets are counted"
    assert usage.bytes_sent > 500


def test_a_request_does_not_wait_for_an_acknowledgement(network: Network) -> None:
    """Nagle's algorithm (RFC 896) is off: what follows the handshake's end at once leaves at once."""
    with serving(network.server, SERVER, 80, plain(PAGE)), errors.connect(SERVER, 80, socket.SOCK_STREAM) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    ("answer", "then", "status", "error"),
    [
        (b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 120\r\n\r\n", None, 503, ""),
        (b"HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", None, 302, ""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", None, 204, ""),
        (b"", None, 0, "closed"),
        (b"", reset, 0, "reset"),
        (b"", silence, 0, "timeout"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", None, 0, "malformed"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, silence, 0, "malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", None, 200, "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", reset, 200, "reset"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", silence, 200, "timeout"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", silence, 200, "malformed"),
    ],
)
def test_every_end_of_an_answer_has_its_word(
    network: Network, get: Get, answer: bytes, then: Callable[..., None] | None, status: int, error: str
) -> None:
    """What came is kept, and how it ended is told."""
    with serving(network.server, SERVER, 80, plain(answer, then=then)):
        found = get()
    assert (found.status, found.error, found.handshaken.done) == (status, error, True)
    assert found.headers.get("retry-after", "120") == "120"


def test_arbitrary_answers_do_no_harm(network: Network, get: Get) -> None:
    """Whatever bytes a server sends, there is exactly one outcome and no exception."""
    chance = random.Random(20260101)
    pieces = [
        b"HTTP/1.1 ",
        b"200",
        b" OK",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Length: ",
        b"9" * 30,
        b"-1",
        b"\0",
        b"\xff\xfe",
    ]
    pieces += [
        b"Transfer-Encoding: chunked",
        b"<title>",
        b"ffffffffffffffff",
        b" ",
        b":",
        b"Connection: upgrade",
        b"101",
    ]
    for _ in range(100):
        answer = b"".join(chance.choices(pieces, k=chance.randint(1, 20)))
        with serving(network.server, SERVER, 80, plain(b"HTTP/1.1 200 OK\r\n" * chance.randint(0, 1) + answer)):
            assert get().error in {"", "malformed", "closed", "reset"}


def test_a_body_is_read_up_to_its_limit(network: Network, get: Get) -> None:
    """A server that sends for ever is cut off."""
    with serving(network.server, SERVER, 80, plain(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 300_000, then=silence)):
        found = get(body_limit=1000)
    assert (found.status, found.error) == (200, "")
    assert 1000 <= found.body_bytes < 200_000


def test_the_head_alone_can_be_asked_for(network: Network, get: Get) -> None:
    """HEAD has no body, whatever its Content-Length says."""
    with serving(network.server, SERVER, 80, plain(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", then=silence)):
        found = get(method="HEAD")
    assert (found.status, found.error, found.body_bytes) == (200, "", 0)


def test_a_request_larger_than_the_buffers_leaves_whole(network: Network, get: Get) -> None:
    """What the socket does not take at once follows when it can."""
    with serving(network.server, SERVER, 80, plain(b"HTTP/1.1 414 URI Too Long\r\nContent-Length: 0\r\n\r\n")):
        assert get(path="/" + "x" * 6_000_000).status == 414


def test_a_body_is_sent(network: Network, get: Get) -> None:
    """As many bytes as were asked for, of a length that the head announces, also when they fill the buffers."""
    seen: queue.Queue[tuple[bytes, int]] = queue.Queue()

    def take(connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data or len(data.partition(b"\r\n\r\n")[2]) < 3_000_000:
            data += connection.recv(1 << 20)
        head, _, body = data.partition(b"\r\n\r\n")
        seen.put((head, len(body)))
        connection.sendall(PAGE)

    with serving(network.server, SERVER, 80, take):
        found = get(method="PUT", upload_bytes=3_000_000)
    head, size = seen.get(timeout=1)
    assert (found.status, head.split()[0], size) == (200, b"PUT", 3_000_000)
    assert b"Content-Length: 3000000" in head


def test_an_impossible_request_is_local(network: Network, get: Get) -> None:
    """A path with a line break is not sent."""
    with serving(network.server, SERVER, 80, silence):
        assert get(path="/\r\nX: y").error == "local"


def test_an_unreadable_trust_store_is_told(tmp_path: Path) -> None:
    """--ca-file has to be a file of certificates."""
    with pytest.raises(CannotMeasure, match="no such file: /nowhere"):
        LiveVantage("/nowhere")
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(CannotMeasure, match=r"empty\.pem has no PEM certificate"):
        LiveVantage(str(empty))


@pytest.mark.parametrize(("mss", "largest"), [(536, 536), (0, 1460)])
def test_segments_are_as_small_as_wanted(shake: Shake, network: Network, mss: int, largest: int) -> None:
    """A small MSS is offered to the server, which keeps to it (RFC 9293, 3.7.1)."""
    seen: queue.Queue[int] = queue.Queue()

    def note(connection: socket.socket) -> None:
        seen.put(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))

    with serving(network.server, SERVER, 443, note):
        shake(server_name="", mss=mss)
        kept = seen.get(timeout=5)  # the server may accept after the client has gone
    assert largest - 12 <= kept <= largest  # time stamps take 12 bytes of each segment
