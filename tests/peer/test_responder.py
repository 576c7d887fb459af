"""What the responder writes is what scapy would: foreign eyes on the other side of our tracer."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6
from scapy.packet import Packet, Raw

from netprobe.model.probes import Protocol
from tests.peer.responder import build_reply, parse
from tests.peer.simulation import Hop, Simulation

OWN, TARGET, ROUTER = "192.0.2.2", "203.0.113.80", "198.51.100.1"
OWN_V6, TARGET_V6, ROUTER_V6 = "2001:db8::2", "2001:db8:ff::80", "2001:db8:5::1"


def head(*, over_v6: bool, ttl: int = 2) -> Packet:
    if over_v6:
        return IPv6(src=OWN_V6, dst=TARGET_V6, hlim=ttl, tc=184, fl=77)
    return IP(src=OWN, dst=TARGET, ttl=ttl, tos=184, id=77)


def body(protocol: Protocol, *, over_v6: bool) -> Packet:
    if protocol is Protocol.ICMP:
        return ICMPv6EchoRequest(id=9, seq=8, data=b"odd") if over_v6 else ICMP(id=9, seq=8) / b"odd"
    if protocol is Protocol.UDP:
        return UDP(sport=5000, dport=33434) / b"what it says"
    return TCP(sport=5000, dport=443, seq=0xFFFFFFFF, flags="S", options=[("MSS", 1400)])


@pytest.mark.parametrize("over_v6", [False, True])
@pytest.mark.parametrize("protocol", [Protocol.ICMP, Protocol.UDP, Protocol.TCP])
def test_replies_are_what_scapy_builds(protocol: Protocol, *, over_v6: bool) -> None:
    """A router's and the target's reply to each kind of probe, byte for byte, checksums computed by scapy."""
    own, target, router = (OWN_V6, TARGET_V6, ROUTER_V6) if over_v6 else (OWN, TARGET, ROUTER)
    packet = bytes(head(over_v6=over_v6) / body(protocol, over_v6=over_v6))
    probe = parse(packet, protocol)
    assert probe is not None
    assert (probe.ttl, probe.tos, probe.ident, probe.size, probe.sound) == (2, 184, 77, len(packet), True)
    simulation = Simulation("", target, protocol, (Hop(1, router), Hop(2, target)))

    def reply(source: str, *layers: Packet) -> bytes:
        whole = IPv6(src=source, dst=own, hlim=63) if over_v6 else IP(src=source, dst=own, ttl=63, id=0)
        for layer in layers:
            whole /= layer
        return bytes(whole)

    exceeded = ICMPv6TimeExceeded() if over_v6 else ICMP(type=11, code=0)
    quote = Raw(packet if over_v6 else packet[:28])
    assert build_reply(packet, probe, router, simulation) == reply(router, exceeded, quote)
    said = build_reply(packet, probe, target, simulation)
    if protocol is Protocol.ICMP:
        echo = ICMPv6EchoReply(id=9, seq=8, data=b"odd") if over_v6 else ICMP(type=0, id=9, seq=8) / b"odd"
        assert said == reply(target, echo)
    elif protocol is Protocol.UDP:
        closed = ICMPv6DestUnreach(code=4) if over_v6 else ICMP(type=3, code=3)
        assert said == reply(target, closed, quote)
    else:
        assert said == reply(target, TCP(sport=443, dport=5000, seq=0, ack=0, flags="SA", window=0xFFFF))


@pytest.mark.parametrize("over_v6", [False, True])
def test_a_broken_probe_is_noticed(*, over_v6: bool) -> None:
    """One bit of a header or of the payload that is not as its checksum or length says."""
    packet = bytes(head(over_v6=over_v6) / body(Protocol.UDP, over_v6=over_v6))
    for at in (5, len(packet) - 1):
        broken = packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1 :]
        probe = parse(broken, Protocol.UDP)
        assert probe is not None
        assert not probe.sound


def test_what_is_no_probe_is_left_alone() -> None:
    """A RST, an echo reply, and a datagram where SYNs are expected draw nothing."""
    for other in (TCP(flags="R"), ICMP(type=0), UDP()):
        packet = bytes(head(over_v6=False) / other)
        assert parse(packet, Protocol.TCP) is None
    assert parse(bytes(head(over_v6=False) / ICMP(type=0)), Protocol.ICMP) is None
