"""Address translation: who is seen on either side, what answers, what ends it."""

import msgspec
import pytest

from netprobe.model.services import Fetch, Handshake, Lookup, Response
from netprobe.sim import packet as ip
from netprobe.sim.network import Delivery, Network
from netprobe.sim.packet import Packet
from netprobe.sim.records import Fault, Nat, Scenario
from netprobe.sim.rewriting import clamp_mss, set_end, set_quoted_end
from netprobe.sim.tcp_options import offered_mss, syn_options
from netprobe.sim.virtual import VirtualVantage
from tests.sim.small import CLIENT, RESOLVER, ROUTERS, SERVER, datagram, echo, fault, line, segment
from tests.sim.test_network import only, outcome

OUTER, CARRIER = "100.64.7.9", "87.128.4.4"


def translated(*faults: Fault, ports: int = 0, nats: dict[str, Nat] | None = None, **keys: int) -> Scenario:
    """The line with a home router (r1) that translates, or with what `nats` says."""
    found = nats or {"r1": Nat(OUTER, ports, **keys)}
    plain = line(*faults)
    routers = tuple(msgspec.structs.replace(r, nat=found.get(r.name)) for r in plain.routers)
    return msgspec.structs.replace(plain, routers=routers)


def answer(arrived: Packet, **fields: int) -> Packet:
    """What the server says to what has come."""
    packet = Packet(
        arrived.destination,
        arrived.source,
        protocol=arrived.protocol,
        source_port=arrived.destination_port,
        destination_port=arrived.source_port,
    )
    for key, value in fields.items():
        setattr(packet, key, value)
    return packet


def there_and_back(network: Network, packet: Packet, now: float = 0.0) -> tuple[Packet, list[Delivery]]:
    """A packet as the server sees it, and what its answer is to the client."""
    arrived = only(network, packet, now)
    flags = {"flags": ip.SYN | ip.ACK} if packet.protocol == ip.TCP else {}
    if packet.protocol == ip.ICMP:
        flags = {"icmp_type": ip.ECHO_REPLY, "icmp_code": 0, "icmp_ident": arrived.icmp_ident}
    return arrived, outcome(network, answer(arrived, **flags), now, at="servers")


@pytest.mark.parametrize("packet", [segment(flags=ip.SYN), datagram(RESOLVER), echo()], ids=["tcp", "udp", "icmp"])
def test_the_far_side_sees_the_router_and_the_client_itself(packet: Packet) -> None:
    """Outside everything comes from the router's address; the answer is the client's own again. The TTL counts on."""
    port = packet.source_port
    arrived, back = there_and_back(Network(translated()), packet)
    assert (arrived.source, arrived.ttl) == (OUTER, 64 - (2 if packet.protocol == ip.UDP else 4))
    (delivery,) = back
    assert (delivery.node, delivery.packet.destination) == ("client", CLIENT)
    assert delivery.packet.destination_port == port


def test_each_ttl_is_still_answered_by_its_router() -> None:
    """A traceroute through a translator: its own hop, those behind it, and quotes that are the client's packets."""
    network = Network(translated())
    for ttl, address in enumerate(ROUTERS, 1):
        for sent in (echo(ttl=ttl), segment(ttl=ttl, flags=ip.SYN, seq=9), datagram(SERVER, ttl=ttl, port=33434)):
            error = only(network, sent)
            quote = error.quoted()
            assert (error.source, error.destination, quote.ttl) == (address, CLIENT, 1)
            assert (quote.source, quote.source_port, quote.icmp_seq) == (CLIENT, sent.source_port, sent.icmp_seq)


def test_quotes_of_translated_ports_are_the_client_s() -> None:
    """Where the port had to be another one, errors still name the client's."""
    network = Network(translated(ports=8))
    arrived = only(network, segment(flags=ip.SYN))
    assert 1024 <= arrived.source_port < 1032
    quote = only(network, segment(flags=ip.SYN, ttl=3)).quoted()
    assert (quote.source, quote.source_port) == (CLIENT, 4000)


def test_only_who_was_asked_may_answer() -> None:
    """What nobody asked for is answered by the router, not by the client behind it."""
    network = Network(translated())
    arrived = only(network, segment(flags=ip.SYN))
    stranger = answer(arrived, flags=ip.ACK, seq=5, ack=6)
    stranger.source = "93.184.216.34"
    (refused,) = outcome(network, stranger, at="servers")
    assert (refused.node, refused.packet.flags & ip.RST) == ("servers", ip.RST)


def test_ports_run_out_and_come_back() -> None:
    """New connections fail while all ports are taken, old ones live; an ended one makes room."""
    network = Network(translated(ports=2))
    first, second, third = (segment(flags=ip.SYN) for _ in range(3))
    second.source_port, third.source_port = 4001, 4002
    arrived, back = there_and_back(network, first)
    assert back
    assert there_and_back(network, second)[1]
    assert outcome(network, third) == []
    assert outcome(network, segment(flags=ip.ACK), 1.0)
    assert outcome(network, answer(arrived, flags=ip.RST), 2.0, at="servers")
    third.ttl = 64
    assert outcome(network, third, 3.0) == []  # the port is kept for a moment
    third.ttl = 64
    assert outcome(network, third, 13.0)


def test_a_mapping_ends_when_it_was_idle_for_too_long() -> None:
    """What answers too late is for nobody."""
    for late, passes in ((20.0, True), (40.0, False)):
        network = Network(translated(udp_s=30))
        arrived = only(network, datagram(RESOLVER))
        back = outcome(network, answer(arrived), late, at="servers")
        assert [d.node for d in back] == (["client"] if passes else ["servers"])


def test_exhaustion_begins_and_ends() -> None:
    """`exhausted`: what is new finds no port from 10 s to 20 s; what began earlier goes on."""
    network = Network(translated(fault("exhausted", "r1", begin_s=10.0, end_s=20.0)))
    assert outcome(network, segment(flags=ip.SYN), 9.0)
    assert outcome(network, segment(flags=ip.ACK), 11.0)
    assert outcome(network, datagram(RESOLVER), 12.0) == []
    assert outcome(network, datagram(RESOLVER), 21.0)


def test_part_of_the_new_connections_find_no_port() -> None:
    """A connection that finds none finds none when it tries again; half of them do."""
    network = Network(translated(fault("exhausted", "r1", fraction=0.5)))

    def lucky(port: int) -> bool:
        packet = segment(flags=ip.SYN)
        packet.source_port = port
        return bool(outcome(network, packet))

    first = [lucky(port) for port in range(3000, 3200)]
    assert 70 <= sum(first) <= 130
    assert [lucky(port) for port in range(3000, 3200)] == first


def test_two_translators_in_a_row() -> None:
    """A home router behind a carrier's: the server sees the carrier's address only."""
    network = Network(translated(nats={"r1": Nat(OUTER), "r3": Nat(CARRIER, ports=100)}))
    arrived, back = there_and_back(network, segment(flags=ip.SYN))
    assert (arrived.source, arrived.ttl) == (CARRIER, 60)
    assert [(d.node, d.packet.destination, d.packet.destination_port) for d in back] == [("client", CLIENT, 4000)]
    seen = [only(network, echo(ttl=ttl)) for ttl in range(1, 5)]
    assert [error.source for error in seen] == list(ROUTERS)
    assert {error.quoted().source for error in seen} == {CLIENT}


def test_faults_at_a_translator_see_the_inside() -> None:
    """What a home router drops or resets it drops by the names and addresses of its own network, both ways."""
    network = Network(translated(fault("drop", "r1", match={"source": [f"{CLIENT}/32"], "protocol": "icmp"})))
    assert outcome(network, echo()) == []
    assert only(network, echo(ttl=1)).source == ROUTERS[0]
    network = Network(translated(fault("drop", "r1", match={"destination": [f"{CLIENT}/32"]})))
    assert there_and_back(network, segment(flags=ip.SYN))[1] == []


def test_forged_packets_find_their_way_through() -> None:
    """A RST that is injected beyond the translator, in the server's name, reaches the client."""
    network = Network(translated(fault("reset", "r3")))
    heard = outcome(network, segment(flags=ip.SYN))
    assert sorted((d.node, d.packet.destination) for d in heard) == [("client", CLIENT), ("servers", SERVER)]


def test_names_and_pages_come_through() -> None:
    """A forwarder on the translating router asks its upstream, and a page is fetched."""
    vantage = VirtualVantage(translated())
    vantage.send(Lookup("www.tiktok.com", ROUTERS[0]))
    event = vantage.receive(9.0)
    assert event is not None
    assert event.outcome.addresses == (SERVER,)  # type: ignore[union-attr]  # an Answer
    vantage.send(Fetch(Handshake(SERVER, server_name="www.tiktok.com", timeout_s=9.0), path="/"))
    event = vantage.receive(30.0)
    assert event is not None
    assert isinstance(event.outcome, Response)
    assert event.outcome.status == 200


@pytest.mark.parametrize("packet", [segment(flags=ip.SYN, options=syn_options()), datagram(payload=b"ab"), echo()])
def test_bytes_are_rewritten_as_if_they_had_been_made_so(packet: Packet) -> None:
    """Checksums put right by the difference are those of a packet that is made anew; so are those in quotes."""
    data = packet.to_bytes()
    for source in (True, False):
        kept, fresh = Packet.from_bytes(data), Packet.from_bytes(data)
        fresh.raw = None
        set_end(kept, OUTER, 1234, source=source)
        set_end(fresh, OUTER, 1234, source=source)
        assert kept.to_bytes() == fresh.to_bytes()
        error = Packet(ROUTERS[1], CLIENT, icmp_type=ip.TIME_EXCEEDED, icmp_code=0, payload=data)
        set_quoted_end(error, OUTER, 1234, source=source)
        assert error.payload == fresh.to_bytes()
        error.payload = data[:28]
        set_quoted_end(error, OUTER, 1234, source=source)
        assert error.payload == fresh.to_bytes()[:28]


@pytest.mark.parametrize("padding", [b"", b"\1"], ids=["even", "odd"])
def test_a_clamp_lowers_what_a_syn_offers(padding: bytes) -> None:
    """Never raises it; the bytes stay right wherever the option stands."""
    packet = segment(flags=ip.SYN, options=padding + syn_options(1460))
    kept = Packet.from_bytes(packet.to_bytes())
    for one in (packet, kept):
        clamp_mss(one, 1400)
        assert offered_mss(one.options) == 1400
        clamp_mss(one, 1452)
        assert offered_mss(one.options) == 1400
    assert kept.to_bytes() == packet.to_bytes()
    over_v6 = Packet("2001:db8::1", "2001:db8::2", protocol=ip.TCP, flags=ip.SYN, options=padding + syn_options(1440))
    over_v6 = Packet.from_bytes(over_v6.to_bytes())
    clamp_mss(over_v6, 1400)
    assert offered_mss(Packet.from_bytes(over_v6.to_bytes()).options) == 1400


def test_a_router_clamps_both_ways() -> None:
    """SYN and SYN-ACK; what is no SYN stays as it is."""
    plain = line()
    routers = tuple(msgspec.structs.replace(r, mss_clamp=1300 if r.name == "r2" else 0) for r in plain.routers)
    network = Network(msgspec.structs.replace(plain, routers=routers))
    syn = only(network, segment(flags=ip.SYN, options=syn_options()))
    assert offered_mss(syn.options) == 1300
    back = answer(syn, flags=ip.SYN | ip.ACK)
    back.options = syn_options()
    assert offered_mss(only(network, back, at="servers").options) == 1300
