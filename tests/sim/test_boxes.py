"""Middleboxes with a memory: throttles, cut-offs, block pages, firewalls that know connections, injectors."""

import pytest

from netprobe.model.services import Fetch, Handshake, Response
from netprobe.sim import packet as ip
from netprobe.sim.network import Network
from netprobe.sim.packet import Packet
from netprobe.sim.records import Fault
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.wirebytes import client_hello, dns_query, parse_dns_answer
from tests.sim.small import CLIENT, RESOLVER, SERVER, datagram, echo, fault, line, segment
from tests.sim.test_network import outcome

HELLO = client_hello("www.tiktok.com", bytes(32))
BY_NAME = {"server_name": ["*.tiktok.com"]}
GET = b"GET / HTTP/1.1\r\nHost: www.tiktok.com\r\n\r\n"


def back(size: int, **fields: int | str) -> Packet:
    """Data from the server to the client's segments."""
    packet = Packet(SERVER, CLIENT, protocol=ip.TCP, source_port=443, destination_port=4000, flags=ip.ACK)
    packet.payload = bytes(size)
    for key, value in fields.items():
        setattr(packet, key, value)
    return packet


def got(network: Network, packets: list[Packet], now: float, step_s: float) -> list[float]:
    """When what the server sends at a steady pace comes out at the client."""
    for number, packet in enumerate(packets):
        network.inject(packet, "servers", now + number * step_s)
    return [d.at_s for d in network.advance(now + 3600) if d.node == "client"]


def fetched(*faults: Fault, name: str = "www.tiktok.com", port: int = 80) -> Response:
    """A request in virtual time."""
    vantage = VirtualVantage(line(*faults))
    handshake = Handshake(SERVER, server_name=name if port == 443 else "", port=port, timeout_s=9.0, verify=False)
    vantage.send(Fetch(handshake, path="/"))
    event = vantage.receive(60.0)
    assert event is not None
    assert isinstance(event.outcome, Response)
    return event.outcome


def test_a_throttle_lets_its_rate_pass() -> None:
    """Of 400 kbit/s at a policer of 100 a quarter arrives; nothing is late."""
    network = Network(line(fault("throttle", "r2", match=BY_NAME, rate_kbit=100.0, burst_kb=3.0)))
    assert outcome(network, segment(flags=ip.ACK, payload=HELLO))
    arrived = got(network, [back(1210) for _ in range(400)], 1.0, 0.025)  # 1250 bytes on the wire each
    assert len(arrived) == pytest.approx(100 + 2, abs=1)


def test_a_throttle_with_a_queue_holds_up_first() -> None:
    """What fits into the queue comes later, at the rate; the rest is lost."""
    network = Network(line(fault("throttle", "r2", match=BY_NAME, rate_kbit=100.0, burst_kb=1.5, queue_ms=1000.0)))
    outcome(network, segment(flags=ip.ACK, payload=HELLO))
    arrived = got(network, [back(1210) for _ in range(40)], 1.0, 0.0)
    assert len(arrived) == 1 + 10  # 1 s of 100 kbit/s
    assert arrived[-1] - arrived[0] == pytest.approx(0.98, abs=0.02)


def test_a_throttle_knows_whom_it_is_about() -> None:
    """Another name's connection and another protocol are as fast as ever."""
    network = Network(line(fault("throttle", "r2", match=BY_NAME, rate_kbit=8.0, burst_kb=1.5)))
    outcome(network, segment(flags=ip.ACK, payload=client_hello("www.example.com", bytes(32))))
    assert len(got(network, [back(1210) for _ in range(50)], 1.0, 0.0)) == 50
    assert all(outcome(network, echo(size=1000)) for _ in range(50))


def test_a_cutoff_comes_after_the_bytes_said() -> None:
    """16 KB come back; then nothing passes any more, in either direction, but on other connections."""
    network = Network(line(fault("cutoff", "r2", match=BY_NAME, after_bytes=16384)))
    outcome(network, segment(flags=ip.ACK, payload=HELLO))
    assert len(got(network, [back(1024) for _ in range(20)], 1.0, 0.01)) == 16
    assert got(network, [back(0)], 3.0, 0.01) == []
    assert outcome(network, segment(flags=ip.ACK, payload=b"more")) == []
    other = segment(flags=ip.ACK, payload=b"more")
    other.source_port = 4001
    assert outcome(network, other)[0].node == "servers"


def test_a_cutoff_may_count_packets() -> None:
    """Acknowledgements without data do not count."""
    network = Network(line(fault("cutoff", "r2", after_packets=3)))
    outcome(network, segment(flags=ip.ACK, payload=HELLO))
    assert len(got(network, [back(n % 2 * 100) for n in range(12)], 1.0, 0.01)) == 7


def test_a_cutoff_ends_a_handshake_in_silence() -> None:
    """A client that cannot get the server's flight waits for it until its time is over."""
    answer = fetched(fault("cutoff", "r2", match=BY_NAME, after_bytes=1000), port=443)
    assert (answer.handshaken.phase, answer.handshaken.error) == ("tls", "timeout")


def test_a_block_page_comes_in_the_server_s_name() -> None:
    """The client reads a whole page, in sequence; the server hears a RST and nothing of the request."""
    page = fault("block_page", "r2", match=BY_NAME, status=403, title="Blocked by order")
    network = Network(line(page))
    told, reset = sorted(
        outcome(network, segment(port=80, flags=ip.ACK, seq=7, ack=9, payload=GET)), key=lambda d: d.node
    )
    assert (told.node, told.packet.source, told.packet.seq, told.packet.ack) == ("client", SERVER, 9, 7 + len(GET))
    assert told.packet.flags & ip.FIN
    assert (reset.node, reset.packet.flags, reset.packet.payload) == ("servers", ip.RST, b"")
    fin = outcome(network, segment(port=80, flags=ip.FIN | ip.ACK, seq=7 + len(GET), ack=99))
    assert [(d.node, d.packet.flags, d.packet.ack) for d in fin] == [("client", ip.ACK, 8 + len(GET))]
    answer = fetched(fault("block_page", "r2", status=403, title="Blocked by order"))
    assert (answer.status, answer.title, answer.error) == (403, "Blocked by order", "")


def test_a_block_page_leaves_the_rest_alone() -> None:
    """TLS carries no request that it could answer, other names are none of its business."""
    page = fault("block_page", "r2", match=BY_NAME, title="Blocked")
    assert fetched(page, port=443).status == 200
    other = segment(port=80, flags=ip.ACK, payload=GET.replace(b"tiktok", b"tiktak"))
    assert [d.node for d in outcome(Network(line(page)), other)] == ["servers"]


def test_a_block_page_may_lead_elsewhere() -> None:
    """A redirect is a page with a status and a header."""
    answer = fetched(fault("block_page", "r2", status=302, headers={"location": "http://10.10.34.35/"}))
    assert (answer.status, answer.headers["location"]) == (302, "http://10.10.34.35/")


def test_a_long_block_page_comes_whole() -> None:
    """A page that needs several segments."""
    answer = fetched(fault("block_page", "r2", body="<title>No</title>" + "x" * 5000))
    assert (answer.title, answer.body_bytes) == ("No", 5017)


def test_a_firewall_that_knows_connections() -> None:
    """What follows a SYN passes both ways; an ACK of no connection does not, nor does one after too long."""
    network = Network(line(fault("stateful", "r2", idle_s=60.0)))
    assert outcome(network, segment(flags=ip.ACK)) == []
    assert outcome(network, segment(flags=ip.SYN))
    assert outcome(network, back(10, flags=ip.ACK), 30.0, at="servers")
    assert outcome(network, segment(flags=ip.ACK), 80.0)
    assert outcome(network, segment(flags=ip.ACK), 200.0) == []
    assert outcome(network, echo(), 201.0)
    assert fetched(fault("stateful", "r2"), port=443).status == 200


def test_an_injector_beside_the_path_cannot_keep_the_packet() -> None:
    """The segment arrives, then the RSTs, each in sequence for who gets it."""
    network = Network(line(fault("reset", "r2", match=BY_NAME, injected=True)))
    heard = outcome(network, segment(flags=ip.ACK, seq=100, ack=500, payload=HELLO))
    at_server = [d.packet for d in heard if d.node == "servers"]
    assert [(p.payload, p.seq, p.flags & ip.RST) for p in at_server] == [
        (HELLO, 100, 0),
        (b"", 100 + len(HELLO), ip.RST),
    ]
    assert [d.packet.seq for d in heard if d.node == "client"] == [500]
    answer = fetched(fault("reset", "r2", match=BY_NAME, injected=True), port=443)
    assert (answer.handshaken.phase, answer.handshaken.error) == ("tls", "reset")


def test_an_injected_fin_closes() -> None:
    """The client believes that the server has finished; what carries no data draws no FIN."""
    ends = fault("reset", "r2", match=BY_NAME, fin=True)
    answer = fetched(ends, port=443)
    assert (answer.handshaken.phase, answer.handshaken.error) == ("tls", "closed")
    network = Network(line(ends))
    assert len(outcome(network, segment(flags=ip.ACK, payload=HELLO))) == 2
    assert outcome(network, segment(flags=ip.ACK)) == []


def test_several_injectors_forge_several_answers() -> None:
    """One answer for each address, all before the question has got to the resolver."""
    forging = fault("dns", "r1", addresses=("10.9.9.9", "10.8.8.8", "10.7.7.7"), separate=True)
    *forged, question = outcome(Network(line(forging)), datagram(RESOLVER, payload=dns_query(7, "www.tiktok.com")))
    said = [parse_dns_answer(d.packet.payload).addresses for d in forged]
    assert said == [("10.9.9.9",), ("10.8.8.8",), ("10.7.7.7",)]
    assert question.node == "servers"


def test_what_is_no_question_draws_no_answer() -> None:
    """Rubbish to port 53 passes, whatever it looks like."""
    for payload in (bytes(20), bytes(12) + b"\x3f", bytes(12) + b"\xc0\x0c\0\1\0\1"):
        rubbish = datagram(RESOLVER, payload=payload)
        assert [d.node for d in outcome(Network(line(fault("dns", "r1", addresses=("10.9.9.9",)))), rubbish)] == [
            "servers"
        ]


def test_a_redirect_is_answered_in_the_name_of_whom_it_was_for() -> None:
    """The other server gets the packet, the client an answer from where it has asked; other ports are left alone."""
    other = "93.184.216.34"
    network = Network(line(fault("redirect", "r3", match={"protocol": "tcp", "port": 443}, to=other)))
    (syn,) = outcome(network, segment(flags=ip.SYN))
    assert (syn.packet.destination, syn.packet.ttl) == (other, 60)
    reply = back(0, source=other, flags=ip.SYN | ip.ACK)
    assert [d.packet.source for d in outcome(network, reply, at="servers")] == [SERVER]
    assert outcome(network, segment(flags=ip.SYN, port=80))[0].packet.destination == SERVER
    assert outcome(network, segment(other, flags=ip.SYN))[0].packet.destination == other
    answer = fetched(fault("redirect", "r3", match={"port": 443}, to=other), port=443)
    assert answer.handshaken.certificate is not None
    assert answer.handshaken.certificate.names == ("www.example.com",)


def test_a_box_has_its_times_and_bears_another() -> None:
    """A cut-off from 10 s on beside a delay that is there all the time."""
    network = Network(line(fault("delay", "r2", delay_ms=500.0), fault("cutoff", "r2", after_bytes=1, begin_s=10.0)))
    outcome(network, segment(flags=ip.ACK))
    assert got(network, [back(10)], 1.0, 0.0) == [pytest.approx(1.5 + 0.0101, abs=0.01)]
    outcome(network, segment(flags=ip.ACK), 10.0)
    assert got(network, [back(10)], 11.0, 0.0) == []
