"""Long headers and version negotiation: read from what strangers send, and the same as others make of them."""

import pytest
from aioquic._buffer import Buffer
from aioquic.quic.packet import QuicPacketType, encode_quic_version_negotiation, pull_quic_header
from hypothesis import given
from hypothesis import strategies as st

from netprobe.live import codec, dissect
from netprobe.sim.quic import headers


def test_negotiation_is_what_aioquic_makes() -> None:
    """The same bytes as those of a server of others, but for the spare bits of the first, which are random in life."""
    asked = codec.quic_payload(b"identity").ljust(1200, b"\0")
    said = headers.negotiation(asked)
    ours, theirs = (
        said,
        encode_quic_version_negotiation(
            source_cid=b"identity"[::-1], destination_cid=b"identity", supported_versions=list(headers.VERSIONS)
        ),
    )
    assert ours[1:] == theirs[1:]
    assert ours[0] & 0xC0 == 0xC0
    assert dissect.quic_nonce(said) == b"identity", "which is how a probe knows it for its own"


def test_negotiation_is_read_by_aioquic() -> None:
    """A client of others reads the versions and both connection ids."""
    header = pull_quic_header(Buffer(data=headers.negotiation(headers.unknown_version(77))))
    assert header.packet_type is QuicPacketType.VERSION_NEGOTIATION
    assert header.supported_versions == [1, 0x6B3343CF]
    assert header.destination_cid == (77).to_bytes(8, "big")


@pytest.mark.parametrize(
    "data",
    [
        headers.unknown_version(5)[:1199],  # RFC 9000, 6.1: too small to begin a connection
        headers.negotiation(headers.unknown_version(5)).ljust(1200, b"\0"),  # never answered by another one
        bytes([0xC0]) + (1).to_bytes(4, "big") + bytes([0, 0]).ljust(1300, b"\0"),  # a version that it speaks
        bytes(1200),  # a short header
        b"",
    ],
)
def test_what_draws_no_negotiation(data: bytes) -> None:
    """Small datagrams, negotiations, known versions and what is no long header are not answered with one."""
    assert headers.negotiation(data) == b""


@given(st.binary(max_size=1300))
def test_any_bytes_are_read(data: bytes) -> None:
    """Whatever comes is a header, or none; what is read of it lies within it."""
    header = headers.long_header(data)
    if header is not None:
        assert header.at == 7 + len(header.destination) + len(header.source) <= len(data)
    assert headers.negotiated(data) >= 0
    assert len(headers.negotiation(data)) <= len(data), "an answer that is longer than the question would amplify it"
