"""What the bridge makes of frames. Its devices are sockets here: no packet is sent."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET6, inet_pton

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.sim import routing
from netprobe.sim.cards import Cards
from netprobe.sim.devices import CLIENT_MAC
from netprobe.sim.ethernet import GATEWAY_MAC, answer, arp_reply, neighbours
from netprobe.sim.ipv6 import build_header
from netprobe.sim.network import Network
from netprobe.sim.packet import ECHO, Packet, checksum
from netprobe.sim.records import Scenario
from netprobe.sim.tun import Bridge
from tests.sim.real_scenario import CONTROL, EDGE, EDGE_V6, HOPS, HOPS_V6, dual, scenario

CLIENT = "192.168.1.23"
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
PATIENCE_S = 10.0


class Devices:
    """The far ends of a bridge's two devices: what a kernel would read and write."""

    def __init__(self, folder: Path, *, over_v6: bool = False) -> None:
        self.client, client = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.servers, servers = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._until, self._end = os.pipe()
        self._ours = (client, servers)
        for one in (client, servers):
            one.setblocking(False)  # noqa: FBT003  # the socket module's own
        for one in (self.client, self.servers):
            one.settimeout(PATIENCE_S)
        network = Network(dual(folder) if over_v6 else scenario(folder), 0)
        self.bridge = Bridge(network, {routing.CLIENT: client.fileno()}, servers.fileno(), time.monotonic())
        self._thread = threading.Thread(target=self.bridge.run, args=(self._until,))

    def start(self) -> None:
        """Let the bridge work."""
        self._thread.start()

    def stop(self) -> None:
        """End it as the end of its caller does."""
        os.close(self._end)
        if self._thread.ident is not None:
            self._thread.join()
        os.close(self._until)
        for one in (self.client, self.servers, *self._ours):
            one.close()


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[Devices]:
    """A bridge at work."""
    made = Devices(tmp_path)
    made.start()
    yield made
    made.stop()


def echo(source: str, destination: str, *, ttl: int = 64, number: int = 1) -> bytes:
    """An echo request."""
    return Packet(source, destination, ttl=ttl, icmp_type=ECHO, icmp_code=0, icmp_seq=number).to_bytes()


def test_frame_for_the_gateway_reaches_the_servers(devices: Devices) -> None:
    """A packet crosses every router on its way, and padding of its frame is not part of it."""
    devices.client.send(GATEWAY_MAC + CLIENT_MAC + IPV4 + echo(CLIENT, EDGE) + bytes(18))
    arrived = Packet.from_bytes(devices.servers.recv(2048))
    assert (arrived.source, arrived.destination, arrived.ttl) == (CLIENT, EDGE, 64 - len(HOPS))


def test_frames_for_others_are_left_alone(devices: Devices) -> None:
    """The gateway takes what is addressed to it, as one card among others."""
    for number, mac in enumerate((b"\xff" * 6, b"\x02\0\0\0\0\x99", GATEWAY_MAC), 1):
        devices.client.send(mac + CLIENT_MAC + IPV4 + echo(CLIENT, EDGE, number=number))
    assert Packet.from_bytes(devices.servers.recv(2048)).icmp_seq == 3


def test_packet_for_the_client_comes_in_a_frame_for_it(devices: Devices) -> None:
    """What a server sends arrives in a frame from the gateway, with the TTL that this server begins with."""
    devices.servers.send(echo(CONTROL, CLIENT))
    frame = devices.client.recv(2048)
    assert frame[:14] == CLIENT_MAC + GATEWAY_MAC + IPV4
    assert Packet.from_bytes(frame[14:]).ttl == 128 - len(HOPS)


def test_expired_packet_is_answered_by_the_router(devices: Devices) -> None:
    """The router at which the TTL runs out says so."""
    devices.client.send(GATEWAY_MAC + CLIENT_MAC + IPV4 + echo(CLIENT, EDGE, ttl=2))
    error = Packet.from_bytes(devices.client.recv(2048)[14:])
    assert (error.source, error.icmp_type) == (HOPS[1], 11)


def test_frames_of_ipv6_are_carried_too(tmp_path: Path) -> None:
    """There in a frame for the gateway, with padding; back in one of IPv6 for the client."""
    made = Devices(tmp_path, over_v6=True)
    made.start()
    try:
        made.client.send(GATEWAY_MAC + CLIENT_MAC + IPV6 + echo("2001:db8:1::23", EDGE_V6) + bytes(6))
        arrived = Packet.from_bytes(made.servers.recv(2048))
        assert (arrived.source, arrived.destination, arrived.ttl) == ("2001:db8:1::23", EDGE_V6, 64 - len(HOPS_V6))
        made.servers.send(echo(EDGE_V6, "2001:db8:1::23"))
        frame = made.client.recv(2048)
        assert frame[:14] == CLIENT_MAC + GATEWAY_MAC + IPV6
        assert Packet.from_bytes(frame[14:]).ttl == 64 - len(HOPS_V6)
    finally:
        made.stop()


@given(st.binary(max_size=100), st.booleans())
def test_no_frame_breaks_the_bridge(data: bytes, aimed: bool) -> None:  # noqa: FBT001  # hypothesis calls it
    """Whatever a device delivers, nothing is raised."""
    BRIDGE._from_client(BRIDGE._ports[routing.CLIENT], GATEWAY_MAC + CLIENT_MAC + IPV4 + data if aimed else data)
    BRIDGE._from_client(BRIDGE._ports[routing.CLIENT], GATEWAY_MAC + CLIENT_MAC + IPV6 + data)
    BRIDGE._from_servers(data)


ARP_REQUEST = bytes.fromhex("ffffffffffff0200000000010806000108000604000102000000000100000000000000000000c0a80101")


def test_arp_reply_is_the_gateway_s() -> None:
    """Who asks for the gateway is told its address, in a frame for them."""
    asked = ARP_REQUEST[:28] + bytes([192, 168, 1, 23]) + ARP_REQUEST[32:]
    said = arp_reply(asked, frozenset({bytes([192, 168, 1, 1])}))
    assert said is not None
    assert (said[:6], said[6:12], said[20:22]) == (ARP_REQUEST[6:12], GATEWAY_MAC, b"\0\x02")
    assert (said[22:28], said[28:32], said[38:42]) == (GATEWAY_MAC, bytes([192, 168, 1, 1]), bytes([192, 168, 1, 23]))


GATEWAY_V6 = inet_pton(AF_INET6, "fe80::1")


def solicitation(source: str, *, hop_limit: int = 255, target: bytes = GATEWAY_V6) -> bytes:
    """A frame in which somebody asks for the gateway's card (RFC 4861, 4.3)."""
    body = bytes([135, 0, 0, 0]) + bytes(4) + target + b"\x01\x01" + CLIENT_MAC
    ends = inet_pton(AF_INET6, source) + inet_pton(AF_INET6, "ff02::1:ff00:1")
    return bytes.fromhex("3333ff000001") + CLIENT_MAC + IPV6 + build_header(ends, hop_limit, 58, 0, 0, len(body)) + body


@pytest.mark.parametrize(
    ("source", "to", "mac", "flags"),
    [
        ("2001:db8:1::23", "2001:db8:1::23", CLIENT_MAC, 0xE0),
        ("fe80::ff:fe00:1", "fe80::ff:fe00:1", CLIENT_MAC, 0xE0),
        ("::", "ff02::1", bytes.fromhex("333300000001"), 0xA0),  # who has no address yet
    ],
)
def test_neighbour_advertisements_are_the_gateway_s(source: str, to: str, mac: bytes, flags: int) -> None:
    """A router's, in answer, with its card, from the address that was asked for, with a right checksum."""
    said = answer(solicitation(source), {GATEWAY_V6})
    assert said is not None
    assert said[:14] == mac + GATEWAY_MAC + IPV6
    packet = said[14:]
    assert (packet[7], packet[8:24], packet[24:40]) == (255, GATEWAY_V6, inet_pton(AF_INET6, to))
    assert checksum(packet[8:40] + bytes([0, 0, 0, 32, 0, 0, 0, 58]) + packet[40:]) == 0
    assert (packet[40], packet[44], packet[48:64], packet[64:]) == (136, flags, GATEWAY_V6, b"\x02\x01" + GATEWAY_MAC)


def test_solicitations_from_afar_and_for_others_draw_nothing() -> None:
    """RFC 4861, 7.1.1: a hop limit below 255 says that a router was between."""
    assert answer(solicitation("fe80::2", hop_limit=254), {GATEWAY_V6}) is None
    assert answer(solicitation("fe80::2", target=bytes(16)), {GATEWAY_V6}) is None


def test_the_gateway_s_box_answers_for_what_hangs_on_it(tmp_path: Path) -> None:
    """Its own addresses, also the link-local one, and those of the client's own network."""

    def near(whole: Scenario) -> set[str]:
        return {str(ip_address(packed)) for packed in neighbours(whole, Cards(whole).all[0])}

    assert near(dual(tmp_path)) == {"192.168.1.1", "2001:db8:1::1", "fe80::1"}
    assert near(scenario(tmp_path)) == {"192.168.1.1"}


@given(st.binary(max_size=120))
def test_no_solicitation_breaks_the_gateway(data: bytes) -> None:
    """Whatever its bytes and its length."""
    for aimed in (data, CLIENT_MAC * 2 + IPV6 + data, solicitation("fe80::2")[:14] + bytes(6) + b"\x3a\xff" + data):
        assert answer(aimed, {GATEWAY_V6}) is None or len(aimed) >= 78


@given(st.binary(max_size=80))
def test_arp_of_others_is_ignored(frame: bytes) -> None:
    """No other frame draws a reply, whatever its bytes and its length."""
    assert arp_reply(frame, frozenset({bytes([192, 168, 1, 1])})) is None


def _bridge() -> Bridge:
    import tempfile  # noqa: PLC0415  # hypothesis wants its fixture before pytest has one

    with tempfile.TemporaryDirectory() as folder:
        return Bridge(Network(scenario(Path(folder)), 0), {routing.CLIENT: -1}, -1, time.monotonic())


BRIDGE = _bridge()
