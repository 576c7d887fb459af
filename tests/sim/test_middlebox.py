"""What a middlebox reads in passing."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.sim.middlebox import Matcher, http_host, query_name, server_name
from netprobe.sim.packet import ACK, Packet
from netprobe.sim.records import Match
from netprobe.sim.wirebytes import client_hello, dns_query
from tests.sim.small import segment

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z0-9]{1,20}){1,3}", fullmatch=True)


def real_hello(name: str) -> bytes:
    """The ClientHello that OpenSSL sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@given(NAMES)
def test_names_are_found_where_they_are(name: str) -> None:
    """The SNI of a ClientHello, the Host of HTTP, the question of DNS."""
    assert server_name(client_hello(name, bytes(32))) == name
    assert http_host(f"GET / HTTP/1.1\r\nAccept: */*\r\nHost: {name}:80\r\n\r\n".encode()) == name
    assert query_name(dns_query(1, name)) == name


def test_a_real_client_hello_is_read() -> None:
    """OpenSSL's ClientHello, which is what comes through a device, gives the same name."""
    assert server_name(real_hello("api16-normal-c-useast1a.tiktokv.com")) == "api16-normal-c-useast1a.tiktokv.com"


def test_a_real_server_accepts_the_client_hello_that_is_made_here() -> None:
    """OpenSSL gets as far as choosing a certificate: the ClientHello of virtual time is a true one."""
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _tls, name, _context: asked.append(name)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(client_hello("www.tiktok.com", bytes(range(32))))
    with pytest.raises(ssl.SSLError, match=r"(?i)no.(shared|suitable)"):
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    assert asked == ["www.tiktok.com"]


def test_names_are_compared_without_case() -> None:
    """DNS names have no case (RFC 4343)."""
    assert server_name(client_hello("WWW.TikTok.com", bytes(32))) == "www.tiktok.com"
    assert query_name(dns_query(1, "WWW.TikTok.com")) == "www.tiktok.com"


@given(st.binary(max_size=600))
def test_no_bytes_make_a_parser_raise(data: bytes) -> None:
    """What strangers send is read or not, and never an exception."""
    for parse in (server_name, http_host, query_name):
        assert isinstance(parse(data), str)


@given(st.data())
def test_mutilated_hellos_make_no_parser_raise(data: st.DataObject) -> None:
    """Cut and flipped ClientHellos too, by a matcher that puts segments together."""
    hello = bytearray(client_hello("www.tiktok.com", bytes(32)))
    for _ in range(data.draw(st.integers(0, 5))):
        hello[data.draw(st.integers(0, len(hello) - 1))] = data.draw(st.integers(0, 255))
    matcher = Matcher(Match(server_name=("*.tiktok.com",)))
    cut = data.draw(st.integers(0, len(hello)))
    for piece, seq in ((hello[:cut], 1), (hello[cut:], 1 + cut)):
        assert matcher.matches(segment(flags=ACK, seq=seq, payload=bytes(piece))) in {True, False}


def test_a_middlebox_forgets_old_flows() -> None:
    """Its memory is bounded, whoever opens connections."""
    matcher = Matcher(Match(server_name=("*.tiktok.com",)))
    hello = client_hello("www.tiktok.com", bytes(32))
    for number in range(10_000):
        packet = segment(flags=ACK, payload=hello)
        packet.source_port, packet.source = number % 60000, f"10.0.{number >> 12}.1"
        assert matcher.matches(packet)
    assert len(matcher._hit) <= 4096


@pytest.mark.parametrize(
    ("patterns", "name", "matches"),
    [
        (("*.tiktok.com",), "www.tiktok.com", True),
        (("*.tiktok.com",), "tiktok.com", False),
        (("*.tiktok.com",), "nottiktok.com", False),
        (("tiktok.com", "*.tiktok.com"), "tiktok.com", True),
        (("*tiktok*",), "a.tiktokcdn.com", True),
        (("*.TikTok.com",), "www.tiktok.com", True),
    ],
)
def test_patterns_of_names(patterns: tuple[str, ...], name: str, matches: bool) -> None:  # noqa: FBT001  # a table's column
    """`*` stands for anything; case does not matter."""
    packet: Packet = segment(flags=ACK, payload=client_hello(name, bytes(32)))
    assert Matcher(Match(server_name=patterns)).matches(packet) is matches
