"""TCP in virtual time: what gets through, what is believed, and when it gives up."""

import pytest

from netprobe.sim import packet as ip
from netprobe.sim.cards import Cards
from netprobe.sim.clockwork import Clockwork
from netprobe.sim.network import SERVERS, Delivery, Network
from netprobe.sim.packet import Packet
from netprobe.sim.records import Fault, Link
from netprobe.sim.routing import CLIENT
from netprobe.sim.tcp import Tcp
from netprobe.sim.tcp_options import offered_mss
from tests.sim import small
from tests.sim.small import SERVER, fault, line

HERE, THERE = (small.CLIENT, 40000), (SERVER, 443)


class Ear:
    """An upper layer that keeps what it hears."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.data = b""

    def connected(self) -> None:
        self.said.append("connected")

    def received(self, data: bytes) -> None:
        self.data += data

    def ended(self, how: str, by: Packet | None) -> None:
        del by
        self.said.append(how)


class Pair:
    """Both ends of a connection over a network."""

    def __init__(self, *faults: Fault, loss: float = 0.0, mtu: int = 1500, seed: int = 0) -> None:
        links = tuple(
            Link(link.ends, link.delay_ms, loss=loss, mtu=mtu if link.ends == ("r2", "r3") else 1500)
            for link in line().links
        )
        scenario = line(*faults, links=links)
        self.clock = Clockwork(Network(scenario, seed), Cards(scenario), self.deliver)
        self.near, self.far = Ear(), Ear()
        self.largest = 0  # packet that was delivered, in bytes
        self.client = Tcp(self.clock, CLIENT, HERE, THERE, 1000, self.near)
        self.server = Tcp(self.clock, SERVERS, THERE, HERE, 2**32 - 3, self.far)

    def deliver(self, delivery: Delivery) -> None:
        packet = delivery.packet
        if not packet.is_error:
            self.largest = max(self.largest, packet.size)
        if packet.is_error:
            (self.client if delivery.node == CLIENT else self.server).icmp_error(packet)
        elif delivery.node == CLIENT:
            self.client.receive(packet)
        elif self.server.state == "closed" and packet.flags & ip.SYN:
            self.server.accept(packet)
        else:
            self.server.receive(packet)

    def run(self, until: float = 300.0) -> None:
        while self.clock.step(until):
            pass


def connected(*faults: Fault, loss: float = 0.0, seed: int = 0) -> Pair:
    pair = Pair(*faults, loss=loss, seed=seed)
    pair.client.connect()
    pair.run(20.0)
    return pair


def test_bytes_go_both_ways_over_the_end_of_the_sequence_numbers() -> None:
    """Numbers wrap at 2**32; nothing else does."""
    pair = connected()
    assert (pair.near.said, pair.far.said) == (["connected"], ["connected"])
    pair.client.send(b"a" * 5000)
    pair.server.send(b"b" * 9000)
    pair.run()
    assert (pair.far.data, pair.near.data) == (b"a" * 5000, b"b" * 9000)


@pytest.mark.parametrize("seed", range(25))
def test_loss_is_made_good(seed: int) -> None:
    """Every byte arrives once and in order, whatever is lost."""
    pair = connected(loss=0.03, seed=seed)
    message = bytes(range(256)) * 30
    pair.client.send(message)
    pair.server.send(message)
    pair.run()
    assert (pair.far.data, pair.near.data) == (message, message)


def test_silence_ends_in_a_time_out() -> None:
    """After six retransmissions, each after twice the time, it gives up."""
    pair = connected(fault("down", "r3", begin_s=30.0))
    pair.run(30.0)
    pair.clock.now = 30.0
    pair.client.send(b"hello")
    pair.run()
    assert pair.near.said == ["connected", "timeout"]
    assert pair.clock.now == pytest.approx(30.0 + 0.22 * (2**6 - 1) + 0.22 * 2**6, rel=0.1)


def test_a_closed_connection_says_so_to_the_other_side() -> None:
    """A FIN is an end, and not an error."""
    pair = connected()
    pair.server.close()
    pair.run()
    assert pair.near.said == ["connected", "closed"]


def test_a_reset_out_of_sequence_is_not_believed() -> None:
    """RFC 5961: a blind RST must hit the very next number."""
    pair = connected()
    for seq, said in ((12345, ["connected"]), (2**32 - 2, ["connected", "reset"])):
        forged = Packet(
            SERVER, small.CLIENT, 64, ip.TCP, source_port=443, destination_port=40000, seq=seq, flags=ip.RST
        )
        pair.clock.send(forged, SERVERS)
        pair.run()
        assert pair.near.said == said


def test_a_refusal_must_acknowledge_the_syn() -> None:
    """A RST that does not is somebody else's."""
    pair = Pair(fault("drop", "r4"))
    pair.client.connect()
    for ack, said in ((5, []), (1001, ["refused"])):
        forged = Packet(SERVER, small.CLIENT, 64, ip.TCP, source_port=443, destination_port=40000, ack=ack)
        forged.flags = ip.RST | ip.ACK
        pair.client.receive(forged)
        assert pair.near.said == said


def test_icmp_ends_an_attempt_and_not_a_connection() -> None:
    """Linux gives up a connect() on any unreachable, and is patient afterwards (RFC 1122, 4.2.3.9)."""
    error = small.segment().error("10.0.0.3", ip.UNREACHABLE, ip.HOST_UNREACHABLE, ttl=64, arrived_ttl=62)
    pair = Pair()
    pair.client.connect()
    pair.client.icmp_error(error)
    assert pair.near.said == ["unreachable"]
    pair = connected()
    pair.client.icmp_error(error)
    assert pair.near.said == ["connected"]


def test_small_segments_when_one_side_wants_them() -> None:
    """Neither side sends more than the smaller of the two MSS (RFC 9293, 3.7.1)."""
    pair = Pair()
    pair.client = Tcp(pair.clock, CLIENT, HERE, THERE, 1000, pair.near, mss=536)
    pair.client.connect()
    pair.run(1.0)
    pair.server.send(bytes(5000))
    pair.client.send(bytes(3000))
    pair.run()
    assert (len(pair.near.data), len(pair.far.data)) == (5000, 3000)
    assert pair.largest == 536 + 40


def test_segments_shrink_when_a_router_says_so() -> None:
    """Both sides follow "fragmentation needed" (RFC 1191), and what was under way arrives all the same."""
    pair = Pair(mtu=1400)
    pair.client.connect()
    pair.run(1.0)
    pair.server.send(bytes(5000))
    pair.client.send(bytes(5000))
    pair.run(3.0)
    assert (len(pair.near.data), len(pair.far.data)) == (5000, 5000)


def test_large_segments_die_where_nobody_says_so() -> None:
    """A black hole lets a connection open and small answers pass, and then there is silence."""
    hole = fault("drop", "r3", match={"larger_than": 1400, "destination": [f"{small.CLIENT}/32"]})
    pair = Pair(hole, mtu=1400)
    pair.client.connect()
    pair.run(1.0)
    pair.client.send(bytes(5000))
    pair.server.send(bytes(5000))
    pair.run()
    assert (len(pair.near.data), len(pair.far.data)) == (0, 5000)


@pytest.mark.parametrize(
    "options", [b"", b"\x00", b"\x01\x01\x02", b"\x02\x04\x05", b"\x02\x00\x05\xb4", b"\xff\x00\x01"]
)
def test_odd_options_offer_the_default(options: bytes) -> None:
    """Options that are cut or make no sense offer nothing."""
    assert offered_mss(options) == 536
