"""The whole vantage behind kernel routers, driven by the sessions that a diagnosis uses."""

import json
import re
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from netprobe.live.prober import Prober
from netprobe.live.vantage import LiveVantage
from netprobe.model.host import HostState
from netprobe.model.probes import Flow, Path, Probe, Protocol, Reply, ReplyKind, Train
from netprobe.model.services import Fetch, Handshake, Lookup
from netprobe.probing.ask import inspect
from netprobe.probing.run import gather, one, run
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.train import TrainSession
from tests.live.live_network import CLIENT, HOPS, HOPS_V6, SERVER, SERVER_V6, SILENT, Network
from tests.live.live_servers import after_hello, listening, plain, reset, sending, serving, silence

pytestmark = [pytest.mark.packets, pytest.mark.usefixtures("inside")]

OPEN, CLOSED = 443, 81
ADDRESSES = [f"203.0.113.{last}" for last in range(2, 10)]


@pytest.fixture
def vantage() -> Iterator[LiveVantage]:
    with LiveVantage() as made:
        yield made


@pytest.fixture
def open_port(network: Network) -> Iterator[None]:
    """The server listens, on all of its addresses, with the kernel's own TCP."""
    with listening(network.server, "0.0.0.0", OPEN, socket.SOCK_STREAM):  # noqa: S104  # inside a namespace
        yield


def trace(vantage: LiveVantage, protocol: Protocol, port: int = 0, destination: str = SERVER, **options: float) -> Path:
    return run(one(Traceroute(Flow(protocol, destination, port), **options)), vantage)  # type: ignore[arg-type]


def replies(vantage: LiveVantage, *probes: Probe, within_s: float = 0.5) -> dict[int, list[Reply]]:
    """The replies to each probe, in order of arrival, until all have one."""
    tokens = [vantage.send(probe) for probe in probes]
    found: dict[int, list[Reply]] = {token: [] for token in tokens}
    until = vantage.now() + within_s
    while (event := vantage.receive(until)) is not None:
        assert isinstance(event.outcome, Reply)
        found[event.token].append(event.outcome)
        if all(found.values()):
            break
    return found


def only(found: dict[int, list[Reply]]) -> Reply:
    ((reply,),) = found.values()
    return reply


@pytest.mark.usefixtures("open_port")
@pytest.mark.parametrize(
    ("protocol", "port", "last"),
    [
        (Protocol.ICMP, 0, ReplyKind.ECHO_REPLY),
        (Protocol.TCP, OPEN, ReplyKind.SYN_ACK),
        (Protocol.TCP, CLOSED, ReplyKind.RST),
        (Protocol.UDP, 33434, ReplyKind.UNREACHABLE),
        (Protocol.QUIC, 443, ReplyKind.UNREACHABLE),
    ],
)
def test_every_method_sees_the_hops_that_traceroute_sees(
    network: Network, vantage: LiveVantage, protocol: Protocol, port: int, last: ReplyKind
) -> None:
    """Kernel routers answer each kind of probe; the hop list is traceroute's."""
    path = trace(vantage, protocol, port)
    seen = [hop.addresses for hop in path.hops]
    printed = network.client.run("traceroute", "-n", "-q", "1", "-w", "2", SERVER)
    assert seen == [(address,) for address in re.findall(r"^ *\d+  (\S+)  ", printed, re.MULTILINE)]
    assert seen == [(HOPS[0],), (HOPS[1],), (SERVER,)]
    assert path.reached
    assert path.rtt_s is not None
    assert 0 < path.rtt_s < 0.5
    assert {x.reply.kind for x in path.hops[-1].exchanges if x.reply} == {last}
    for hop in path.hops[:-1]:
        reply = hop.exchanges[0].reply
        assert reply is not None
        assert (reply.kind, reply.icmp_type, reply.icmp_code) == (ReplyKind.TIME_EXCEEDED, 11, 0)
        assert (reply.quoted_ttl, reply.quoted_tos) == (1, 0)
        assert reply.ttl == 64 - (hop.ttl - 1)


@pytest.mark.usefixtures("open_port")
def test_trains_are_answered(vantage: LiveVantage) -> None:
    """Echo and SYN trains over eight addresses at once: everything comes back, and belongs to its probe."""
    sessions = [
        TrainSession(protocol, address, port=port, count=5, interval_s=0.005)
        for address in ADDRESSES
        for protocol, port in ((Protocol.ICMP, 0), (Protocol.TCP, OPEN), (Protocol.TCP, CLOSED))
    ]
    trains: list[Train] = run(gather(sessions), vantage, rate=2000)
    assert len(trains) == 24
    for train in trains:
        assert train.answered == 5
        assert train.accepted == (0 if train.port == CLOSED else 5)
        assert {x.reply.source for x in train.exchanges if x.reply} == {train.destination}
    assert vantage.usage().packets_sent == 120
    assert vantage.usage().bytes_sent == 40 * 38 + 80 * 60


@pytest.mark.usefixtures("open_port")
def test_traces_over_each_other_do_not_mix(vantage: LiveVantage) -> None:
    """Sixteen traces at once, two flows to each address: each finds its own path."""
    flows = [
        Flow(protocol, address, 0 if protocol is Protocol.ICMP else OPEN)
        for address in ADDRESSES
        for protocol in (Protocol.ICMP, Protocol.TCP)
    ]
    paths: list[Path] = run(gather([Traceroute(flow) for flow in flows]), vantage, rate=5000)
    for flow, path in zip(flows, paths, strict=True):
        assert [hop.addresses for hop in path.hops] == [(HOPS[0],), (HOPS[1],), (flow.destination,)]


@pytest.mark.usefixtures("open_port")
def test_the_kernel_takes_half_open_connections_back(network: Network, vantage: LiveVantage) -> None:
    """The RST to a SYN-ACK on a held port leaves nothing half-open on the server."""
    only(replies(vantage, Probe(Flow(Protocol.TCP, SERVER, OPEN))))
    assert network.server.run("ss", "-Htn", "state", "syn-recv") == ""


@pytest.mark.usefixtures("open_port")
def test_a_second_syn_of_a_half_open_flow_draws_an_ack(network: Network, vantage: LiveVantage) -> None:
    """Where the RST is lost, the server's ACK of the first SYN is told from a SYN-ACK of the second."""
    flow = Flow(Protocol.TCP, SERVER, OPEN)
    with network.first.firewall("forward tcp flags rst drop"):
        (first,) = replies(vantage, Probe(flow)).items()
        second = vantage.send(Probe(flow, sequence=1))
        event = vantage.receive(vantage.now() + 0.5)
    assert first[1][0].kind is ReplyKind.SYN_ACK
    assert event is not None
    assert isinstance(event.outcome, Reply)
    assert (event.token, event.outcome.kind) == (first[0], ReplyKind.ACK)
    assert event.token != second


@pytest.mark.parametrize(
    ("rule", "kind", "code"),
    [
        ("reject with icmp type admin-prohibited", ReplyKind.UNREACHABLE, 13),
        ("reject with icmp type host-prohibited", ReplyKind.UNREACHABLE, 10),
        ("reject with icmp type net-unreachable", ReplyKind.UNREACHABLE, 0),
        ("reject with tcp reset", ReplyKind.RST, -1),
    ],
)
def test_a_firewall_on_the_way_answers(
    network: Network, vantage: LiveVantage, rule: str, kind: ReplyKind, code: int
) -> None:
    """What a firewall on the way says is kept with its code and its address; a forged RST has the server's."""
    with network.second.firewall(f"forward tcp dport {OPEN} {rule}"):
        reply = only(replies(vantage, Probe(Flow(Protocol.TCP, SERVER, OPEN))))
    assert (reply.kind, reply.icmp_code) == (kind, code)
    assert reply.source == (SERVER if kind is ReplyKind.RST else HOPS[1])


NAT = """
table ip nat {
    chain post { type nat hook postrouting priority 100; oifname outer counter masquerade random; }
}
"""
STATEFUL = """
table ip stateful {
    chain in { type filter hook input priority 0; policy drop; ct state established,related accept; }
    chain forward { type filter hook forward priority 0; policy drop; ct state established,related accept; }
}
"""


@pytest.fixture
def behind_nat(network: Network) -> Iterator[None]:
    """The home router masquerades with random ports, as if it served a whole street."""
    network.first.run("nft", "-f", "-", stdin=NAT)
    yield
    assert "packets 0 " not in network.first.run("nft", "list", "table", "ip", "nat"), "nothing was translated"
    network.first.run("nft", "delete", "table", "ip", "nat")


@pytest.fixture
def behind_own_firewall(network: Network) -> Iterator[None]:
    """The client lets in what it asked for, and nothing else."""
    network.client.run("nft", "-f", "-", stdin=STATEFUL)
    yield
    network.client.run("nft", "delete", "table", "ip", "stateful")


@pytest.mark.usefixtures("open_port", "behind_nat", "behind_own_firewall")
@pytest.mark.parametrize(
    ("protocol", "port"), [(Protocol.ICMP, 0), (Protocol.TCP, OPEN), (Protocol.TCP, CLOSED), (Protocol.UDP, 33434)]
)
def test_translation_and_a_stateful_firewall_hide_no_hop(vantage: LiveVantage, protocol: Protocol, port: int) -> None:
    """Ports and identifiers that a NAT rewrites come back as they were; errors are related to what we sent."""
    path = trace(vantage, protocol, port)
    assert [hop.addresses for hop in path.hops] == [(HOPS[0],), (HOPS[1],), (SERVER,)]
    train = run(one(TrainSession(protocol, SERVER, port=port, interval_s=0.01)), vantage)
    assert train.answered == 3


def test_nobody_there_is_told_by_the_last_router(vantage: LiveVantage) -> None:
    """Two hops answer, then the second says host unreachable, or nothing within the time."""
    path = trace(vantage, Protocol.ICMP, destination=SILENT, timeout_s=0.3)
    assert not path.reached
    assert [hop.addresses for hop in path.hops][:2] == [(HOPS[0],), (HOPS[1],)]


def test_what_could_not_be_sent_is_an_event(network: Network, vantage: LiveVantage) -> None:
    """No route, a forbidden route, the own firewall, a packet too large, an address of another kind."""
    network.client.run("ip", "route", "add", "unreachable", SILENT)
    network.client.run("ip", "route", "add", "prohibit", "203.0.113.98")
    network.client.run("ip", "route", "add", "throw", "203.0.113.97")
    network.client.run("ip", "route", "del", "default")
    try:
        gone = [only(replies(vantage, Probe(Flow(Protocol.ICMP, a)))) for a in (SILENT, "203.0.113.98", SERVER)]
    finally:
        network.client.run("ip", "route", "add", "default", "via", HOPS[0])
        for last in (99, 98, 97):
            network.client.run("ip", "route", "del", f"203.0.113.{last}")
    with network.client.firewall(f"output ip daddr {SERVER} drop"):
        gone.append(only(replies(vantage, Probe(Flow(Protocol.ICMP, SERVER)))))
    gone.append(only(replies(vantage, Probe(Flow(Protocol.ICMP, SERVER), size=1501))))
    gone.append(only(replies(vantage, Probe(Flow(Protocol.ICMP, "::ffff:192.0.2.1")))))
    gone.append(only(replies(vantage, Probe(Flow(Protocol.ICMP, "no.address")))))
    assert {reply.kind for reply in gone} == {ReplyKind.SEND_FAILED}
    assert [reply.error for reply in gone] == [
        "EHOSTUNREACH",
        "EACCES",
        "ENETUNREACH",
        "EPERM",
        "EMSGSIZE",
        "EAFNOSUPPORT",
        "EAFNOSUPPORT",
    ]
    assert vantage.usage().packets_sent == 0


def test_a_dead_next_hop_is_a_packet_that_never_left(vantage: LiveVantage) -> None:
    """What the kernel gives up for want of a link-layer address has not left, whenever it says so."""
    reply = only(replies(vantage, Probe(Flow(Protocol.ICMP, "192.0.2.222")), within_s=5.0))
    assert (reply.kind, reply.error, reply.source) == (ReplyKind.SEND_FAILED, "EHOSTUNREACH", CLIENT)


def test_probes_have_the_size_and_ttl_that_was_asked_for(network: Network, vantage: LiveVantage) -> None:
    """What is on the wire is what was ordered: whole IP packet in bytes, TTL, and never an IP identification of 0."""
    with capture(network) as packets:
        only(replies(vantage, Probe(Flow(Protocol.ICMP, SERVER), size=1500)))
        only(replies(vantage, Probe(Flow(Protocol.ICMP, SERVER), ttl=9)))
    sizes = [(packet[8] + 2, int.from_bytes(packet[2:4])) for packet in packets]
    assert sizes == [(64, 1500), (9, 38)]
    assert all(packet[4:6] != b"\0\0" for packet in packets)


@contextmanager
def capture(network: Network) -> Iterator[list[bytes]]:
    """The echo requests that reach the server."""
    packets: list[bytes] = []
    with network.server.inside():
        sniffer = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with sniffer:
        yield packets
        sniffer.settimeout(0)
        while True:
            try:
                packet = sniffer.recv(2000)
            except BlockingIOError:
                break
            if packet[20] == 8:
                packets.append(packet)


def test_round_trips_are_measured_between_stamps(vantage: LiveVantage) -> None:
    """Reading late does not lengthen a round trip: the kernel's stamp counts."""
    with ExitStack() as stack:
        token = vantage.send(Probe(Flow(Protocol.ICMP, SERVER)))
        # Another process keeps us busy for 50 ms while the reply lies in the socket.
        stack.callback(subprocess.run, [sys.executable, "-c", "import time; time.sleep(0.05)"], check=True)
    event = vantage.receive(vantage.now() + 1)
    assert event is not None
    assert event.token == token
    assert isinstance(event.outcome, Reply)
    assert event.outcome.rtt_s < 0.05


def test_every_request_draws_one_event_in_its_time(network: Network, vantage: LiveVantage) -> None:
    """Two hundred requests to servers that misbehave in every way, all at once: one event each, none too late."""
    with ExitStack() as stack:
        for port, handler in (
            (8001, silence),
            (8002, after_hello(reset)),
            (8003, sending(b"\0" * 99)),
            (8004, plain(b"")),
        ):
            stack.enter_context(serving(network.server, SERVER, port, handler))
        due: dict[int, float] = {}
        for number in range(50):
            patience = 0.2 + number / 100
            shake = Handshake(SERVER, 8001 + number % 5, ("", "www.example.com")[number % 2], timeout_s=patience)
            nobody = Handshake((SILENT, "", "no.address", "0.0.0.0")[number % 4], timeout_s=patience)  # noqa: S104
            for request in (
                shake,
                Fetch(shake),
                nobody,
                Lookup("www.example.com", (SERVER, SILENT)[number % 2], timeout_s=patience),
            ):
                due[vantage.send(request)] = vantage.now() + patience
        seen: list[int] = []
        until = vantage.now() + 10
        while len(seen) < len(due) and (event := vantage.receive(until)) is not None:
            seen.append(event.token)
            assert not isinstance(event.outcome, Reply)
            assert event.at_s < due[event.token] + 0.5
    assert sorted(seen) == sorted(due)
    assert vantage.receive(vantage.now() + 0.05) is None


def test_the_machine_is_seen_as_its_namespace_sees_it(network: Network, vantage: LiveVantage) -> None:
    """Links, default route and gateway of this namespace; after a packet, the gateway's link-layer state."""
    only(replies(vantage, Probe(Flow(Protocol.ICMP, HOPS[0]))))
    state: HostState = run(one(inspect()), vantage)
    (link,) = state.links
    assert (link.name, link.state, link.carrier, link.mtu, link.wireless) == ("uplink", "up", True, 1500, False)
    assert f"{CLIENT}/24" in link.addresses
    assert (state.default_link, state.gateway) == ("uplink", HOPS[0])
    assert state.neighbour in {"reachable", "delay", "stale"}
    network.client.run("ip", "route", "del", "default")
    try:
        without: HostState = run(one(inspect()), vantage)
    finally:
        network.client.run("ip", "route", "add", "default", "via", HOPS[0])
    assert (without.default_link, without.gateway, without.neighbour) == ("", "", "")


def test_round_trips_lie_between_the_kernels_stamps(vantage: LiveVantage) -> None:
    """Every probe is stamped when it leaves, so what this process did before and after is not in the round trip."""
    flow = Flow(Protocol.ICMP, SERVER)
    tokens = [vantage.send(Probe(flow, sequence=number)) for number in range(20)]
    began = vantage.now()
    while vantage.now() < began + 0.05:
        pass
    found = [vantage.receive(began + 1.0) for _ in tokens]
    rtts = [event.outcome.rtt_s for event in found if event and isinstance(event.outcome, Reply)]
    assert len(rtts) == 20
    assert isinstance(vantage._prober, Prober)
    assert all(sent.stamped for sent in vantage._prober._outstanding._sent.values())
    assert vantage.lateness_s() > 0.04, "the replies had lain there for so long"
    assert statistics.median(rtts) < vantage.lateness_s()


@pytest.fixture
def open_port_v6(network: Network) -> Iterator[None]:
    """The server listens over IPv6."""
    with listening(network.server, "::", OPEN, socket.SOCK_STREAM):
        yield


@pytest.mark.usefixtures("open_port_v6")
@pytest.mark.parametrize(
    ("protocol", "port", "last", "icmp"),
    [
        (Protocol.ICMP, 0, ReplyKind.ECHO_REPLY, (129, 0)),
        (Protocol.TCP, OPEN, ReplyKind.SYN_ACK, (-1, -1)),
        (Protocol.TCP, CLOSED, ReplyKind.RST, (-1, -1)),
        (Protocol.UDP, 33434, ReplyKind.UNREACHABLE, (1, 4)),
        (Protocol.QUIC, 443, ReplyKind.UNREACHABLE, (1, 4)),
    ],
)
def test_every_method_sees_the_hops_of_ipv6(
    network: Network, vantage: LiveVantage, protocol: Protocol, port: int, last: ReplyKind, icmp: tuple[int, int]
) -> None:
    """Kernel routers of IPv6 answer each kind of probe; the hop list is traceroute's."""
    path = trace(vantage, protocol, port, SERVER_V6)
    seen = [hop.addresses for hop in path.hops]
    printed = network.client.run("traceroute", "-6", "-n", "-q", "1", "-w", "2", SERVER_V6)
    assert seen == [(address,) for address in re.findall(r"^ *\d+  (\S+)  ", printed, re.MULTILINE)]
    assert seen == [(HOPS_V6[0],), (HOPS_V6[1],), (SERVER_V6,)]
    assert path.reached
    ends = [x.reply for x in path.hops[-1].exchanges if x.reply]
    assert {(reply.kind, reply.icmp_type, reply.icmp_code) for reply in ends} == {(last, *icmp)}
    for hop in path.hops[:-1]:
        reply = hop.exchanges[0].reply
        assert reply is not None
        assert (reply.kind, reply.icmp_type, reply.quoted_ttl) == (ReplyKind.TIME_EXCEEDED, 3, 1)
        assert reply.ttl == 64 - (hop.ttl - 1)
    assert isinstance(vantage._prober, Prober)
    assert any(sent.stamped for sent in vantage._prober._outstanding._sent.values())


def test_too_big_for_a_link_of_ipv6(network: Network, vantage: LiveVantage) -> None:
    """The router before a narrow link says what it takes, to every probe: what the kernel has learned is no matter."""
    network.first.run("ip", "link", "set", "outer", "mtu", "1400")
    try:
        for number in range(3):
            probe = Probe(Flow(Protocol.ICMP, SERVER_V6), sequence=number, size=1500)
            reply = only(replies(vantage, probe, within_s=2.0))
            assert (reply.kind, reply.icmp_type, reply.mtu) == (ReplyKind.UNREACHABLE, 2, 1400)
            assert (reply.source, reply.from_destination) == (HOPS_V6[0], False)
    finally:
        network.first.run("ip", "link", "set", "outer", "mtu", "1500")


def test_no_way_over_ipv6_is_said(network: Network, vantage: LiveVantage) -> None:
    """Without a route nothing leaves."""
    network.client.run("ip", "-6", "route", "delete", "default")
    try:
        reply = only(replies(vantage, Probe(Flow(Protocol.ICMP, SERVER_V6))))
    finally:
        network.client.run("ip", "-6", "route", "add", "default", "via", HOPS_V6[0])
    assert (reply.kind, reply.error) == (ReplyKind.SEND_FAILED, "ENETUNREACH")


def test_the_command_traces_ipv6(network: Network) -> None:
    """`netprobe trace` of an IPv6 address gives its hops."""
    said = json.loads(network.client.run(sys.executable, "-m", "netprobe", "trace", "--json", SERVER_V6))
    assert said["reached"]
    assert [hop["replies"][0]["address"] for hop in said["hops"]] == [*HOPS_V6, SERVER_V6]
