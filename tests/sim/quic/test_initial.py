"""Initial packets are read and made as RFC 9001 and RFC 9369 say, and as aioquic does."""

import random

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, ProtocolNegotiated
from hypothesis import given
from hypothesis import strategies as st

from netprobe.sim.middlebox import server_name
from netprobe.sim.quic import initial
from netprobe.sim.quic.headers import SMALLEST, VERSION_1, VERSION_2
from netprobe.sim.quic.hello import Hello
from netprobe.sim.quic.initial import Close, Crypto, Kind
from netprobe.sim.quic.server import farewell
from netprobe.sim.servers.authority import Authority
from netprobe.sim.wirebytes import quic_hello
from tests.sim.quic.speakers import PEER, V1, V2, datagrams, long_winded

CONNECTION = bytes.fromhex("8394c8f03e515708")  # of the RFCs' examples


@pytest.mark.parametrize(
    ("version", "of_client", "key", "iv", "header"),
    [
        (VERSION_1, True, "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2"),
        (VERSION_1, False, "cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e", "c206b8d9b9f0f37644430b490eeaa314"),
        (VERSION_2, True, "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"),
        (VERSION_2, False, "82db637861d55e1d011f19ea71d5d2a7", "dd13c276499c0249d3310652", "edf6d05c83121201b436e16877593c3a"),
    ],
)  # fmt: skip
def test_keys_are_those_of_the_examples(version: int, of_client: bool, key: str, iv: str, header: str) -> None:  # noqa: FBT001  # a row of the table
    """RFC 9001, A.1, and RFC 9369, A.1."""
    keys = initial.initial_keys(version, CONNECTION, of_client=of_client)
    assert (keys.key.hex(), keys.iv.hex(), keys.header.hex()) == (key, iv, header)


@pytest.mark.parametrize("version", [V1, V2])
def test_the_name_is_read(version: int) -> None:
    """What aioquic's client asks for, in its first datagram."""
    (data,) = datagrams("www.tiktok.com", version=version)
    hello = Hello()
    assert hello.feed(data)
    assert hello.whole
    assert server_name(hello.begun) == "www.tiktok.com"
    assert not hello.feed(data), "which said nothing new"


@pytest.mark.parametrize("version", [V1, V2])
@pytest.mark.parametrize("order", range(4))
def test_the_name_is_read_from_several_datagrams(version: int, order: int) -> None:
    """A ClientHello of several datagrams is put together, in whatever order they come, and some twice."""
    sent = long_winded("v16m.byteicdn.com", version=version)
    assert len(sent) > 1
    come = [*sent, sent[0]]
    random.Random(order).shuffle(come)
    hello = Hello()
    for data in come:
        assert not hello.whole or server_name(hello.begun) == "v16m.byteicdn.com"
        hello.feed(data)
    assert hello.whole
    assert server_name(hello.begun) == "v16m.byteicdn.com"


def test_a_missing_datagram_leaves_a_gap() -> None:
    """Without its first piece nothing is known of a ClientHello, and nothing is made up."""
    sent = long_winded("v16m.byteicdn.com")
    hello = Hello()
    for data in sent[1:]:
        hello.feed(data)
    assert not hello.whole
    assert server_name(hello.begun) == ""


@pytest.mark.parametrize("version", [VERSION_1, VERSION_2])
def test_what_is_sealed_is_opened(version: int) -> None:
    """By the keys of its sender and by no others; a bit that has flipped is noticed."""
    keys = initial.initial_keys(version, CONNECTION, of_client=True)
    said = initial.ack_frame(7) + initial.crypto_frame(3, b"hello") + initial.crypto_frame(70000, b"you")
    whole = initial.sealed(version, (CONNECTION, b"own"), 9, said, keys, token=b"token")
    (packet,) = initial.packets(whole + b"\0short")
    assert (packet.kind, packet.version, packet.destination, packet.source) == (
        Kind.INITIAL,
        version,
        CONNECTION,
        b"own",
    )
    opened = initial.opened(packet, keys)
    assert opened == said
    assert list(initial.frames(opened)) == [Crypto(3, b"hello"), Crypto(70000, b"you")]
    assert initial.opened(packet, initial.initial_keys(version, CONNECTION, of_client=False)) is None
    flipped = bytearray(whole)
    flipped[-1] ^= 1
    (broken,) = initial.packets(bytes(flipped))
    assert initial.opened(broken, keys) is None


@pytest.mark.parametrize("version", [V1, V2])
def test_a_client_of_others_understands_a_farewell(version: int) -> None:
    """The client of aioquic takes our CONNECTION_CLOSE for what it is."""
    configuration = QuicConfiguration(is_client=True, server_name="a.b", supported_versions=[version])
    client = QuicConnection(configuration=configuration)
    client.connect(PEER, now=0.0)
    ((asked, _),) = client.datagrams_to_send(now=0.0)
    hello = Hello()
    hello.feed(asked)
    client.receive_datagram(farewell(asked, hello, b"ourselves", 2), PEER, now=0.01)
    client.handle_timer(now=10.0)
    events = iter(client.next_event, None)
    (ended,) = [event for event in events if isinstance(event, ConnectionTerminated)]
    assert ended.error_code == 2


def test_a_server_of_others_understands_our_client() -> None:
    """The server of aioquic reads the ClientHello that a simulated client sends: it shows its certificate."""
    hello = quic_hello("www.tiktok.com", bytes(range(32)), ("h3",), b"8 bytes!")
    keys = initial.initial_keys(VERSION_1, CONNECTION, of_client=True)
    said = initial.crypto_frame(0, hello).ljust(1200, b"\0")
    sent = initial.sealed(VERSION_1, (CONNECTION, b"8 bytes!"), 0, said, keys)
    assert len(sent) >= SMALLEST
    proof, key = Authority().proof(("*.tiktok.com",))
    server = QuicConnection(
        configuration=QuicConfiguration(is_client=False, alpn_protocols=["h3"], certificate=proof, private_key=key),
        original_destination_connection_id=CONNECTION,
    )
    server.receive_datagram(sent, PEER, now=0.0)
    events = list(iter(server.next_event, None))
    assert [event.alpn_protocol for event in events if isinstance(event, ProtocolNegotiated)] == ["h3"]
    answered = b"".join(data for data, _ in server.datagrams_to_send(now=0.0))
    assert next(initial.packets(answered)).kind is Kind.INITIAL
    assert len(answered) > 2400, "with a certificate"


@given(st.binary(max_size=1300), st.integers(0, 1300))
def test_hostile_bytes_are_read(data: bytes, at: int) -> None:
    """Nothing is raised, whatever comes, and whatever a good packet is turned into."""
    good = SAMPLE[:at] + data + SAMPLE[at + len(data) :]
    for bad in (data, good, SAMPLE[:6] + data):
        hello = Hello()
        hello.feed(bad)
        hello.feed(bad)
        server_name(hello.begun)
        assert len(hello.begun) <= 5 + 16384
        for packet in initial.packets(bad):
            assert len(packet.whole) <= len(bad)


@given(st.binary(max_size=200))
def test_any_frames_are_read(payload: bytes) -> None:
    """What is behind a broken frame is left out."""
    for frame in initial.frames(payload):
        assert isinstance(frame, Crypto | Close)


SAMPLE = datagrams("www.tiktok.com")[0]
