"""Whole packets, as a tap shows them: our own probes are known when they leave, and any bytes may come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.live import codec, dissect
from netprobe.live.dissect import Datagram, IcmpError
from netprobe.live.outstanding import Outstanding
from netprobe.model.probes import Flow, Probe, Protocol
from tests.live.live_desk import SERVER, SERVER_V6, Desk

HEADS = st.sampled_from([b"", b"\x45", b"\x46", b"\x60", b"\x45" + bytes(8) + b"\x11", b"\x60" + bytes(5) + b"\x11"])


@given(HEADS, st.binary(max_size=120))
def test_any_bytes_can_be_read(head: bytes, rest: bytes) -> None:
    """Never an exception; and nothing is taken for an answer where nothing was sent."""
    dissect.parse_packet(head + rest)
    nothing_sent = Outstanding()
    assert nothing_sent.of_packet(head + rest, outgoing=True) is None
    assert nothing_sent.of_packet(head + rest, outgoing=False) is None


@pytest.mark.parametrize("destination", [SERVER, SERVER_V6])
@pytest.mark.parametrize("protocol", Protocol)
def test_a_probe_is_known_by_its_own_packet(protocol: Protocol, destination: str) -> None:
    """Each of many, by what was handed to the wire; and it answers no probe."""
    with Desk() as desk:
        port = 0 if protocol is Protocol.ICMP else 443
        for token in range(1, 20):
            probe = Probe(Flow(protocol, destination, port, label=token % 3), ttl=token, sequence=token)
            desk.prober.send(probe, token, desk.reactor.now())
        packets = desk._tray.packets
        assert [desk.prober.probe_of(packet, outgoing=True) for packet in packets] == list(range(1, 20))
        assert not any(desk.prober.probe_of(packet, outgoing=False) for packet in packets)


@pytest.mark.parametrize(("source", "destination"), [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")])
def test_a_datagram_is_read_whole(source: str, destination: str) -> None:
    """Addresses, ports and payload, in either version of IP."""
    header = codec.Header(source, destination, 61, 77)
    packet = codec.build_udp(header, 443, 20000, 99, b"what it says")
    found = dissect.parse_packet(packet)
    assert isinstance(found, Datagram)
    assert (found.source, found.ttl, found.source_port, found.destination_port) == (source, 61, 443, 20000)
    assert found.payload.startswith(b"what it says")


def test_what_a_tap_shows_again_is_not_a_second_guess() -> None:
    """A forged quote is counted when a socket reads it; the tap's copy of it makes nobody more suspicious."""
    outstanding = Outstanding()
    probe = codec.build_syn(codec.Header("192.0.2.2", SERVER, 3, 7), 20000, 443, 1, 2)
    error = (
        codec.build_echo(codec.Header("198.51.100.2", "192.0.2.2", 3, 7), 0, 0, 1, bytes(8))[:20] + b"\x0b" + bytes(7)
    )
    assert isinstance(dissect.parse_packet(error + probe), IcmpError)
    for _ in range(50):
        assert outstanding.of_packet(error + probe, outgoing=False) is None
    assert not outstanding._misses
