"""What the broker lets leave: each kind of probe, from our numbers, to whom it may go, and not too many."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.live import codec
from netprobe.live.broker import limits
from netprobe.live.broker.limits import Bucket, Destinations, Gate
from netprobe.live.codec import Header

CLIENT, SERVER = "192.0.2.2", "203.0.113.2"
CLIENT_V6, SERVER_V6 = "2001:db8:1::2", "2001:db8:3::2"
PORTS, IDENT = (20000, 512), 0x4200
V4, V6 = Header(CLIENT, SERVER, 3, 4321), Header(CLIENT_V6, SERVER_V6, 3, 4321)
NONCE = bytes(range(8))


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


OWN = {packed(CLIENT), packed(CLIENT_V6)}


def gate(*listed: str, learn: int = 0, rate: float = 1000.0, burst: float = 1000.0) -> Gate:
    """A gate for `listed` addresses."""
    destinations = Destinations([(packed(a), 8 * len(packed(a))) for a in listed], learn, 0.0)
    return Gate(PORTS, IDENT, destinations, Bucket(rate, burst), OWN.__contains__)


def probes(header: Header) -> dict[str, bytes]:
    """A packet of each kind, as the codec makes it."""
    return {
        "echo": codec.build_echo(header, IDENT | 7, 9, 99, NONCE),
        "syn": codec.build_syn(header, 20000, 443, 5, 6),
        "ack": codec.build_ack(header, 20511, 443, 5, 6, NONCE),
        "udp": codec.build_udp(header, 20100, 33434, 99, codec.udp_payload(60, header.destination, NONCE)),
        "quic": codec.build_udp(header, 20100, 443, 99, codec.quic_payload(NONCE)),
    }


@pytest.mark.parametrize("header", [V4, V6])
@pytest.mark.parametrize("kind", ["echo", "syn", "ack", "udp", "quic"])
def test_every_probe_may_leave(header: Header, kind: str) -> None:
    """What the codec makes passes, over IPv4 and IPv6."""
    assert gate(SERVER, SERVER_V6).check(probes(header)[kind], 0.0) == limits.MAY_LEAVE


def changed(packet: bytes, at: int, value: int) -> bytes:
    return packet[:at] + bytes([value]) + packet[at + 1 :]


def resized(packet: bytes) -> bytes:
    """An IPv4 packet with a byte more, which its header counts."""
    size = len(packet) + 1
    return packet[:2] + size.to_bytes(2) + packet[4:] + b"x"


@pytest.mark.parametrize(
    ("what", "packet", "reason"),
    [
        ("an echo reply", changed(probes(V4)["echo"], 20, 0), limits.KIND),
        ("a redirect", changed(probes(V4)["echo"], 20, 5), limits.KIND),
        ("an echo request with a code", changed(probes(V4)["echo"], 21, 1), limits.KIND),
        ("a router advertisement", changed(probes(V6)["echo"], 40, 134), limits.KIND),
        ("a SYN with a payload", resized(probes(V4)["syn"]), limits.KIND),
        ("a RST", changed(probes(V4)["syn"], 33, 0x04), limits.KIND),
        ("a SYN-ACK", changed(probes(V4)["syn"], 33, 0x12), limits.KIND),
        ("a FIN", changed(probes(V4)["ack"], 33, 0x11), limits.KIND),
        ("a UDP length that lies", changed(probes(V4)["udp"], 25, 9), limits.KIND),
        ("another protocol", changed(probes(V4)["udp"], 9, 47), limits.KIND),
        ("IP options", changed(probes(V4)["udp"], 0, 0x46), limits.KIND),
        ("a first fragment", changed(probes(V4)["udp"], 6, 0x20), limits.KIND),
        ("a later fragment", changed(probes(V4)["udp"], 7, 1), limits.KIND),
        ("a length that lies", probes(V4)["udp"] + b"x", limits.KIND),
        ("an IPv6 length that lies", probes(V6)["udp"] + b"x", limits.KIND),
        ("an extension header", changed(probes(V6)["udp"], 6, 43), limits.KIND),
        ("nothing", b"", limits.KIND),
        ("half a header", probes(V4)["echo"][:22], limits.KIND),
        ("somebody else's port", codec.build_syn(V4, 19999, 443, 5, 6), limits.SOURCE),
        ("the port behind our block", codec.build_udp(V4, 20512, 53, 9, b""), limits.SOURCE),
        ("somebody else's identifier", codec.build_echo(V4, 0x4300, 9, 99, NONCE), limits.SOURCE),
        ("somebody else's address", probes(V4._replace(source="192.0.2.3"))["echo"], limits.SOURCE),
        ("a forged IPv6 address", probes(V6._replace(source="2001:db8::3"))["syn"], limits.SOURCE),
        ("a stranger", probes(V4._replace(destination="203.0.113.3"))["echo"], limits.DESTINATION),
        ("more than a jumbo frame", codec.build_echo(V4, IDENT, 9, 99, NONCE, 9217), limits.SIZE),
    ],
)
def test_everything_else_is_refused(what: str, packet: bytes, reason: int) -> None:
    """Whatever is no probe of ours does not leave, and each for its own reason."""
    assert gate(SERVER, SERVER_V6).check(packet, 0.0) == reason, what


@given(st.binary(max_size=200))
def test_arbitrary_bytes_do_not_leave(data: bytes) -> None:
    """And are no error either."""
    assert gate(SERVER, learn=10).check(data, 0.0) != limits.MAY_LEAVE


@given(st.sampled_from(sorted(probes(V4))), st.data())
def test_a_probe_with_any_byte_changed_stays_within_the_limits(kind: str, data: st.DataObject) -> None:
    """Whichever byte is changed, what leaves is from an own address and number, to whom it may go."""
    packet = probes(V4)[kind]
    at = data.draw(st.integers(0, len(packet) - 1))
    packet = changed(packet, at, data.draw(st.integers(0, 255)))
    if gate(SERVER).check(packet, 0.0) == limits.MAY_LEAVE:
        assert packet[12:20] == packed(CLIENT) + packed(SERVER)
        assert packet[9] in {1, 6, 17}
        assert len(packet) == int.from_bytes(packet[2:4])


def test_a_refusal_costs_no_credit() -> None:
    """Only what leaves counts against the rate; then nothing more does until time has passed."""
    door = gate(SERVER, rate=10.0, burst=2.0)
    stranger = probes(V4._replace(destination="203.0.113.3"))["echo"]
    assert [door.check(stranger, 0.0) for _ in range(50)] == [limits.DESTINATION] * 50
    probe = probes(V4)["echo"]
    assert [door.check(probe, 0.0) for _ in range(4)] == [0, 0, limits.RATE, limits.RATE]
    assert door.check(probe, 0.1) == limits.MAY_LEAVE


def test_an_own_address_is_asked_for_again() -> None:
    """An address that this machine had is not trusted for long, one that it gets is seen at once."""
    own = {packed(CLIENT)}
    destinations = Destinations([(packed(SERVER), 32)], 0, 0.0)
    door = Gate(PORTS, IDENT, destinations, Bucket(1e3, 1e3), own.__contains__)
    probe = probes(V4)["echo"]
    assert door.check(probe, 0.0) == limits.MAY_LEAVE
    own.clear()
    assert door.check(probe, 1.0) == limits.MAY_LEAVE
    assert door.check(probe, 6.0) == limits.SOURCE
    own.add(packed(CLIENT))
    assert door.check(probe, 6.0) == limits.MAY_LEAVE


def test_so_many_addresses_are_learned_and_no_more() -> None:
    """Those that were learned stay, the next is refused, and a minute later so many more may come."""
    known = Destinations([], 3, 2.0)
    addresses = [bytes([198, 51, 100, n]) for n in range(20)]
    assert [known.allow(a, 0.0) for a in addresses[:5]] == [True, True, True, False, False]
    assert all(known.allow(a, 1.0) for a in addresses[:3])
    assert [known.allow(a, 61.0) for a in addresses[3:8]] == [True, True, False, False, False]


@pytest.mark.parametrize(
    "address",
    ["0.1.2.3", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
     "::", "ff02::1", "ff0e::1", "::ffff:203.0.113.2"],
)  # fmt: skip
def test_what_is_no_hosts_address_is_never_allowed(address: str) -> None:
    """Multicast, broadcast and the reserved: whatever may still be learned, and whoever named it."""
    size = 8 * len(packed(address))
    assert not Destinations([], 100, 100.0).allow(packed(address), 0.0)
    assert not Destinations([(packed(address), size), (bytes(size // 8), 0)], 100, 100.0).allow(packed(address), 0.0)


def test_prefixes_are_listed_too() -> None:
    """All of a prefix may be probed, what lies beside it may not."""
    known = Destinations([(packed("198.18.0.0"), 15), (packed("2001:db8::"), 33)], 0, 0.0)
    assert [known.allow(packed(a), 0.0) for a in ("198.18.0.1", "198.19.255.255", "2001:db8:7fff::1")] == [True] * 3
    assert [known.allow(packed(a), 0.0) for a in ("198.17.0.1", "198.20.0.0", "2001:db8:8000::1")] == [False] * 3


def test_a_resident_forgets_what_it_learned_long_ago() -> None:
    """Memory is bounded: the oldest of thousands has to be learned again."""
    known = Destinations([], 10_000, 0.0)
    addresses = [n.to_bytes(4) for n in range(0x0A000000, 0x0A000000 + 5000)]
    assert all(known.allow(a, 0.0) for a in addresses)
    assert len(known._learned) == 4096
