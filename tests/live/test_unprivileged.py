"""Probes without CAP_NET_RAW, behind kernel routers: the same hops, the same answers, and what no rung carries."""

import json
import os
import re
import select
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path as File
from typing import NoReturn

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw

from netprobe.live import CannotMeasure, codec, ladder, lone
from netprobe.live.unprivileged import UnprivilegedProber
from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Flow, Path, Probe, Protocol, Reply, ReplyKind, Train
from netprobe.model.unsent import NOT_CARRIED
from netprobe.model.verdict import EXIT_CANNOT_MEASURE
from netprobe.probing.pmtu import PathMtuSession
from netprobe.probing.run import gather, one, run
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.train import TrainSession
from tests.live.live_network import CLIENT, HOPS, HOPS_V6, SERVER, SERVER_V6, SILENT, Namespace, Network
from tests.live.live_servers import listening
from tests.ordinary import ordinary

pytestmark = [pytest.mark.packets, pytest.mark.usefixtures("ipv6_is_up", "inside", "ping_sockets")]

OPEN, CLOSED = 443, 81
ROUTER = HOPS[0]
EVERYBODY, NOBODY = "0 2147483647", "1 0"
ORDINARY = ordinary()
CARRIED = (Protocol.ICMP, Protocol.TCP, Protocol.UDP, Protocol.QUIC)
ROOT = File(__file__).parents[2]


def allow_ping_sockets(network: Network, groups: str) -> None:
    network.client.run("sysctl", "-q", "-w", f"net.ipv4.ping_group_range={groups}")


@pytest.fixture(scope="module")
def ipv6_is_up(network: Network) -> None:
    """Links that were made a moment ago carry IPv6 a moment later."""
    ping = network.client.command("ping", "-6", "-n", "-c", "1", "-W", "1", SERVER_V6)
    for _ in range(20):
        if subprocess.run(ping, capture_output=True, check=False, timeout=10).returncode == 0:
            return
    pytest.fail("no IPv6 behind the routers")


@pytest.fixture
def ping_sockets(network: Network) -> Iterator[None]:
    """Everybody may open them on the client."""
    allow_ping_sockets(network, EVERYBODY)
    yield
    allow_ping_sockets(network, NOBODY)


def no_raw_sockets() -> NoReturn:
    raise CannotMeasure("raw sockets need CAP_NET_RAW")


@pytest.fixture
def vantage(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveVantage]:
    monkeypatch.setattr(ladder, "open_wire", no_raw_sockets)
    with LiveVantage() as made:
        assert isinstance(made._prober, UnprivilegedProber)
        yield made


@pytest.fixture
def open_port(network: Network) -> Iterator[None]:
    """The server listens, on all of its addresses of both versions, with the kernel's own TCP."""
    with listening(network.server, "::", OPEN, socket.SOCK_STREAM) as listener:
        listener.listen(1024)  # nobody accepts, and what was reset stays in the queue
        yield


def replies(vantage: LiveVantage, *probes: Probe, within_s: float = 0.5) -> dict[int, list[Reply]]:
    """The replies to each probe, in order of arrival, until all have one."""
    tokens = [vantage.send(probe) for probe in probes]
    found: dict[int, list[Reply]] = {token: [] for token in tokens}
    until = vantage.now() + within_s
    while not all(found.values()) and (event := vantage.receive(until)) is not None:
        assert isinstance(event.outcome, Reply)
        found[event.token].append(event.outcome)
    return found


def only(found: dict[int, list[Reply]]) -> Reply:
    ((reply,),) = found.values()
    return reply


def failure(vantage: LiveVantage, probe: Probe) -> str:
    reply = only(replies(vantage, probe))
    assert reply.kind is ReplyKind.SEND_FAILED
    return reply.error


# -- the same as on raw sockets ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("open_port")
@pytest.mark.parametrize(
    ("protocol", "port", "last", "codes"),
    [
        (Protocol.ICMP, 0, ReplyKind.ECHO_REPLY, {4: (0, 0), 6: (129, 0)}),
        (Protocol.TCP, OPEN, ReplyKind.SYN_ACK, {4: (-1, -1), 6: (-1, -1)}),
        (Protocol.TCP, CLOSED, ReplyKind.RST, {4: (-1, -1), 6: (-1, -1)}),
        (Protocol.UDP, 33434, ReplyKind.UNREACHABLE, {4: (3, 3), 6: (1, 4)}),
        (Protocol.QUIC, 443, ReplyKind.UNREACHABLE, {4: (3, 3), 6: (1, 4)}),
    ],
)
@pytest.mark.parametrize("version", [4, 6])
def test_every_rung_sees_the_hops_that_traceroute_sees(
    network: Network,
    vantage: LiveVantage,
    protocol: Protocol,
    port: int,
    last: ReplyKind,
    codes: dict[int, tuple[int, int]],
    version: int,
) -> None:
    """An ordinary user's traceroute prints the same addresses; each error has its type, code and TTL."""
    server, expired = (SERVER, (11, 0)) if version == 4 else (SERVER_V6, (3, 0))
    path: Path = run(one(Traceroute(Flow(protocol, server, port))), vantage)
    printed = network.client.run(*ORDINARY, "traceroute", "-n", "-q", "1", "-w", "2", server)
    seen = [hop.addresses for hop in path.hops]
    assert seen == [(address,) for address in re.findall(r"^ *\d+  (\S+)  ", printed, re.MULTILINE)]
    assert seen == [(address,) for address in (*(HOPS if version == 4 else HOPS_V6), server)]
    assert path.reached
    assert path.rtt_s is not None
    assert 0 < path.rtt_s < 0.5
    ends = {(x.reply.kind, x.reply.icmp_type, x.reply.icmp_code) for x in path.hops[-1].exchanges if x.reply}
    assert ends == {(last, *codes[version])}
    for hop in path.hops[:-1]:
        reply = hop.exchanges[0].reply
        assert reply is not None
        assert (reply.kind, reply.icmp_type, reply.icmp_code) == (ReplyKind.TIME_EXCEEDED, *expired)
        assert reply.ttl == 64 - (hop.ttl - 1)
        assert 0 < reply.rtt_s < 0.5


def connections(network: Network) -> set[str]:
    """The client's connections to the open port, as other tests may have left them in TIME-WAIT."""
    return set(network.client.run("ss", "-Htan", "dst", f"203.0.113.0/24 and dport = {OPEN}").splitlines())


@pytest.mark.usefixtures("open_port")
def test_trains_are_answered(network: Network, vantage: LiveVantage) -> None:
    """Echo and SYN trains over eight addresses at once: everything comes back, and the server keeps nothing."""
    before = connections(network)
    sessions = [
        TrainSession(protocol, f"203.0.113.{last}", port=port, count=5, interval_s=0.005)
        for last in range(2, 10)
        for protocol, port in ((Protocol.ICMP, 0), (Protocol.TCP, OPEN), (Protocol.TCP, CLOSED))
    ]
    trains: list[Train] = run(gather(sessions), vantage, rate=2000)
    for train in trains:
        assert train.answered == 5
        assert train.accepted == (0 if train.port == CLOSED else 5)
        assert {x.reply.source for x in train.exchanges if x.reply} == {train.destination}
    assert vantage.usage().packets_sent == 120 + 2 * 40, "an accepted connection takes the kernel's ACK and RST too"
    assert connections(network) <= before, "nothing of a connection is left"
    assert network.server.run("ss", "-Htn", "state", "syn-recv") == ""


@pytest.mark.usefixtures("open_port")
def test_traces_over_each_other_do_not_mix(vantage: LiveVantage) -> None:
    """Thirty-two traces at once, four flows to each address: each finds its own path."""
    flows = [
        Flow(protocol, f"203.0.113.{last}", 0 if protocol is Protocol.ICMP else OPEN)
        for last in range(2, 10)
        for protocol in CARRIED
    ]
    paths: list[Path] = run(gather([Traceroute(flow) for flow in flows]), vantage, rate=5000)
    for flow, path in zip(flows, paths, strict=True):
        assert [hop.addresses for hop in path.hops] == [(HOPS[0],), (HOPS[1],), (flow.destination,)]


def await_stamps(vantage: LiveVantage, flow: Flow) -> None:
    """Linux begins to stamp what arrives a moment after it was asked to; until then a stamp is of the reading."""
    for _ in range(50):
        began = vantage.now()
        vantage.send(Probe(flow))
        while vantage.now() < began + 0.005:
            pass
        vantage.receive(began + 1.0)
        if vantage.lateness_s(began) > 0.002:
            return
    pytest.fail("the kernel stamps nothing on arrival")


@pytest.mark.parametrize("protocol", [Protocol.ICMP, Protocol.UDP])
@pytest.mark.parametrize("server", [SERVER, SERVER_V6])
def test_round_trips_lie_between_the_kernels_stamps(vantage: LiveVantage, protocol: Protocol, server: str) -> None:
    """What this process does between sending and reading is not in the round trip."""
    flow = Flow(protocol, server, 0 if protocol is Protocol.ICMP else 33434)
    await_stamps(vantage, flow)
    tokens = [vantage.send(Probe(flow, sequence=number)) for number in range(20)]
    began = vantage.now()
    while vantage.now() < began + 0.05:
        pass
    found = [vantage.receive(began + 1.0) for _ in tokens]
    rtts = sorted(event.outcome.rtt_s for event in found if event and isinstance(event.outcome, Reply))
    assert len(rtts) == 20
    assert vantage.lateness_s() > 0.04, "the replies had lain there for so long"
    assert rtts[10] < 0.5 * vantage.lateness_s()


@pytest.mark.usefixtures("open_port")
def test_the_kernel_measures_the_handshake(vantage: LiveVantage) -> None:
    """The round trip of a SYN-ACK is the kernel's, however late this process reads of it."""
    token = vantage.send(Probe(Flow(Protocol.TCP, SERVER, OPEN)))
    began = vantage.now()
    while vantage.now() < began + 0.05:
        pass
    event = vantage.receive(began + 1.0)
    assert event is not None
    assert isinstance(event.outcome, Reply)
    assert (event.token, event.outcome.kind) == (token, ReplyKind.SYN_ACK)
    assert 0 < event.outcome.rtt_s < 0.03


# -- what routers and firewalls say -----------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", CARRIED)
def test_a_router_that_prohibits_is_heard(network: Network, vantage: LiveVantage, protocol: Protocol) -> None:
    """Administratively prohibited (RFC 1812): from the router, with type and code, and no answer of the destination."""
    rule = f"forward ip daddr {SERVER} reject with icmp type admin-prohibited"
    with network.second.firewall(rule):
        reply = only(replies(vantage, Probe(Flow(protocol, SERVER, 0 if protocol is Protocol.ICMP else OPEN))))
    assert (reply.kind, reply.icmp_type, reply.icmp_code) == (ReplyKind.UNREACHABLE, 3, 13)
    assert reply.source == HOPS[1]
    assert not reply.from_destination


@pytest.mark.parametrize("protocol", CARRIED)
def test_silence_is_no_reply(network: Network, vantage: LiveVantage, protocol: Protocol) -> None:
    """What a router swallows draws no event, and no exception."""
    port = 0 if protocol is Protocol.ICMP else OPEN
    with network.second.firewall(f"forward ip daddr {SERVER} drop"):
        assert list(replies(vantage, Probe(Flow(protocol, SERVER, port)), within_s=1.2).values()) == [[]]


def test_a_syn_is_sent_once(network: Network, vantage: LiveVantage) -> None:
    """The kernel does not send it again: what is counted is what was sent, and a late answer has no wrong time."""
    with network.second.firewall(f"forward tcp dport {OPEN} counter drop"):
        replies(vantage, *[Probe(Flow(Protocol.TCP, SERVER, OPEN))] * 3, within_s=2.5)
        counted = re.search(r"counter packets (\d+)", network.second.run("nft", "list", "table", "ip", "test"))
    assert counted is not None
    assert int(counted[1]) == vantage.usage().packets_sent == 3


@pytest.mark.parametrize(("protocol", "error"), [(Protocol.ICMP, "EPERM"), (Protocol.UDP, "EPERM")])
def test_a_local_firewall_is_told_from_the_network(
    network: Network, vantage: LiveVantage, protocol: Protocol, error: str
) -> None:
    """What the own firewall drops has never left."""
    with network.client.firewall(f"output ip daddr {SERVER} drop"):
        assert failure(vantage, Probe(Flow(protocol, SERVER, 0 if protocol is Protocol.ICMP else 33434))) == error
    assert vantage.usage().packets_sent == 0


@pytest.mark.parametrize("protocol", CARRIED)
def test_without_a_way_nothing_leaves(network: Network, vantage: LiveVantage, protocol: Protocol) -> None:
    """No route, and no address: each is an errno."""
    port = 0 if protocol is Protocol.ICMP else OPEN
    network.client.run("ip", "route", "add", "unreachable", "198.18.0.1")
    try:
        assert failure(vantage, Probe(Flow(protocol, "198.18.0.1", port))) == "EHOSTUNREACH"
    finally:
        network.client.run("ip", "route", "delete", "unreachable", "198.18.0.1")
    for nonsense in ("www.example.com", "", "::ffff:192.0.2.1", "1.2.3"):
        assert failure(vantage, Probe(Flow(protocol, nonsense, port))) == "EAFNOSUPPORT"
    assert failure(vantage, Probe(Flow(protocol, SERVER, port), ttl=0)) == "EINVAL"
    assert failure(vantage, Probe(Flow(protocol, SERVER, port), ttl=256)) == "EINVAL"
    assert vantage.usage().packets_sent == 0


def test_an_error_for_one_probe_does_not_stop_the_next(vantage: LiveVantage) -> None:
    """The kernel hands an error to whoever calls next: the probe that is sent then leaves all the same."""
    found = replies(vantage, *[Probe(Flow(Protocol.ICMP, SERVER), ttl=1 + n % 3, sequence=n) for n in range(30)])
    assert [reply.source for (reply,) in found.values()] == [*HOPS, SERVER] * 10


@pytest.mark.parametrize("protocol", [Protocol.ICMP, Protocol.UDP])
def test_the_path_mtu_is_found(network: Network, vantage: LiveVantage, protocol: Protocol) -> None:
    """Probes are not fragmented, the router tells the next hop's MTU, and what the kernel remembers is left aside."""
    port = 0 if protocol is Protocol.ICMP else 33434
    network.second.run("ip", "link", "set", "outer", "mtu", "1340")
    try:
        for _ in range(2):
            found = run(one(PathMtuSession(Flow(protocol, SERVER, port))), vantage)
            assert (found.mtu, found.told) == (1340, ((HOPS[1], 1340),))
            reply = only(replies(vantage, Probe(Flow(protocol, SERVER_V6, port), size=1400)))
            assert (reply.source, reply.icmp_type, reply.mtu) == (HOPS_V6[1], 2, 1340)
    finally:
        network.second.run("ip", "link", "set", "outer", "mtu", "1500")


def test_a_version_negotiation_needs_the_nonce(network: Network, vantage: LiveVantage) -> None:
    """A QUIC server's answer brings the connection id back; any other datagram is no answer."""
    for swap, answered in ((True, True), (False, False)):
        with listening(network.server, SERVER, OPEN, socket.SOCK_DGRAM) as server:

            def answer(server: socket.socket = server, swap: bool = swap) -> None:  # noqa: FBT001
                server.settimeout(5)
                data, client = server.recvfrom(2048)
                theirs, ours = data[6:14], data[15:23]
                server.sendto(b"\x80\0\0\0\0\x08" + (ours if swap else theirs) + b"\x08" + theirs, client)

            thread = threading.Thread(target=answer)
            thread.start()
            (found,) = replies(vantage, Probe(Flow(Protocol.QUIC, SERVER, OPEN))).values()
            thread.join(5)
        assert [reply.kind for reply in found] == ([ReplyKind.UDP_DATA] if answered else [])


def test_a_plain_datagram_answers_udp(network: Network, vantage: LiveVantage) -> None:
    """Whatever a server sends back to the probe's own port is an answer, with its TTL."""
    with listening(network.server, SERVER, 53, socket.SOCK_DGRAM) as server:
        token = vantage.send(Probe(Flow(Protocol.UDP, SERVER, 53)))
        server.settimeout(5)
        _, client = server.recvfrom(2048)
        server.sendto(b"hello", client)
        event = vantage.receive(vantage.now() + 1)
    assert event is not None
    assert isinstance(event.outcome, Reply)
    assert (event.token, event.outcome.kind, event.outcome.ttl) == (token, ReplyKind.UDP_DATA, 62)


# -- routers as they are not on Linux ---------------------------------------------------------------------------------


class OddRouter:
    """Stands on the first router: reads what expires there, and answers in its own way."""

    def __init__(self, namespace: Namespace, stack: ExitStack) -> None:
        with namespace.inside():
            self._wire = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)))
            self._wire.bind(("inner", 0x0800))
            self._out = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))

    def expired(self) -> bytes:
        """The next packet whose TTL ends here."""
        while select.select([self._wire], [], [], 2.0)[0]:
            packet = self._wire.recv(2048)
            if packet[8] == 1 and socket.inet_ntoa(packet[12:16]) == CLIENT:
                return packet
        raise AssertionError("no packet came")

    def say(self, message: bytes) -> None:
        """An ICMP message, checksum filled in."""
        filled = message[:2] + struct.pack("!H", codec.checksum(message)) + message[4:]
        packet = bytes(IP(src=ROUTER, dst=CLIENT, ttl=63, proto=1) / Raw(filled))
        self._out.sendto(packet, (CLIENT, 0))


@contextmanager
def odd_router(network: Network) -> Iterator[OddRouter]:
    """Its own time-exceeded messages are dropped; what the odd router says has another TTL."""
    with ExitStack() as stack:
        stack.enter_context(network.first.firewall("output icmp type time-exceeded ip ttl 64 drop"))
        yield OddRouter(network.first, stack)


def time_exceeded(quote: bytes, behind: bytes = b"", words: int = 0) -> bytes:
    return bytes([11, 0, 0, 0, 0, words, 0, 0]) + quote + behind


def mpls(label: int, ttl: int) -> bytes:
    """An RFC 4884 extension with one RFC 4950 entry."""
    body = b"\x20\0\0\0" + struct.pack("!HBBI", 8, 1, 1, label << 12 | 1 << 8 | ttl)
    return body[:2] + struct.pack("!H", codec.checksum(body)) + body[4:]


@pytest.mark.parametrize("protocol", CARRIED)
@pytest.mark.parametrize("kept", [28, 40, 1500])
def test_a_short_quote_is_recognised(network: Network, vantage: LiveVantage, protocol: Protocol, kept: int) -> None:
    """Eight bytes of a probe are enough (RFC 792), on every rung."""
    port = 0 if protocol is Protocol.ICMP else OPEN
    with odd_router(network) as router:
        tokens = [vantage.send(Probe(Flow(protocol, SERVER, port), ttl=1, sequence=n)) for n in range(3)]
        quotes = [router.expired() for _ in tokens]
        for quote in reversed(quotes):
            router.say(time_exceeded(quote[:kept]))
        events = [vantage.receive(vantage.now() + 1) for _ in tokens]
    assert sorted(event.token for event in events if event) == tokens
    for event in events:
        assert event is not None
        assert isinstance(event.outcome, Reply)
        assert (event.outcome.kind, event.outcome.source) == (ReplyKind.TIME_EXCEEDED, ROUTER)


@pytest.mark.parametrize("protocol", CARRIED)
@pytest.mark.parametrize("words", [0, 32], ids=["legacy", "rfc4884"])
def test_mpls_labels_are_read(network: Network, vantage: LiveVantage, protocol: Protocol, words: int) -> None:
    """A label stack behind a quote of 128 bytes (RFC 4884, RFC 4950), with and without its length."""
    with odd_router(network) as router:
        vantage.send(Probe(Flow(protocol, SERVER, 0 if protocol is Protocol.ICMP else OPEN), ttl=1))
        router.say(time_exceeded(router.expired()[:128].ljust(128, b"\0"), mpls(24015, 7), words))
        event = vantage.receive(vantage.now() + 1)
    assert event is not None
    assert isinstance(event.outcome, Reply)
    assert event.outcome.mpls == ((24015, 0, 1, 7),)


def _other_destination(packet: IP) -> None:
    packet.dst = "203.0.113.77"


def _other_port(packet: IP) -> None:
    if ICMP in packet:
        packet[ICMP].id ^= 1
    else:
        packet[TCP if TCP in packet else UDP].sport ^= 1


def _other_identity(packet: IP) -> None:
    if ICMP in packet:
        packet[ICMP].seq ^= 1
    elif TCP in packet:
        packet[TCP].seq ^= 0x10000  # the kernel takes the number that follows the SYN, too
    else:
        data = bytearray(packet[Raw].load)
        data[7] ^= 1
        packet[Raw].load = bytes(data)


@pytest.mark.parametrize("protocol", CARRIED)
@pytest.mark.parametrize("change", [_other_destination, _other_port, _other_identity], ids=lambda f: f.__name__)
def test_a_forged_quote_is_refused(network: Network, vantage: LiveVantage, protocol: Protocol, change: object) -> None:
    """Another destination, port or identifier, or another keyed number: it is not about our probe."""
    with odd_router(network) as router:
        vantage.send(Probe(Flow(protocol, SERVER, 0 if protocol is Protocol.ICMP else OPEN), ttl=1))
        quote = IP(router.expired())
        change(quote)  # type: ignore[operator]
        router.say(time_exceeded(bytes(quote)))
        assert vantage.receive(vantage.now() + 0.2) is None


def test_an_echo_flow_looks_alike_to_load_balancers(network: Network, vantage: LiveVantage) -> None:
    """All probes of a flow have one identifier and one checksum (Paris traceroute); another label has another."""
    with odd_router(network) as router:
        for label in (0, 1):
            for number in range(8):
                vantage.send(Probe(Flow(Protocol.ICMP, SERVER, 0, label), ttl=1, sequence=number))
        packets = [IP(router.expired()) for _ in range(16)]
    keys = [(packet[ICMP].id, packet[ICMP].chksum) for packet in packets]
    assert len(set(keys[:8])) == len(set(keys[8:])) == 1
    assert keys[0] != keys[8]
    assert len({packet[ICMP].seq for packet in packets}) == 16
    assert all(packet.flags.DF for packet in packets)


@pytest.mark.parametrize("protocol", CARRIED)
@pytest.mark.parametrize("server", [SERVER, SERVER_V6])
def test_a_mark_is_carried_by_every_rung(
    network: Network, vantage: LiveVantage, protocol: Protocol, server: str
) -> None:
    """DSCP leaves as it was asked for; tcpdump reads it on the wire."""
    marked = f"ip6 dst {server} and ip6[0:2] & 0x0ff0 == 0x0b80" if ":" in server else f"dst {server} and ip[1] == 0xb8"
    with network.client.capturing("uplink", marked, count=1) as heard:
        vantage.send(Probe(Flow(protocol, server, 0 if protocol is Protocol.ICMP else CLOSED, tos=46 << 2)))
        vantage.receive(vantage.now() + 1.0)
    assert len(heard) == 1


# -- limits -----------------------------------------------------------------------------------------------------------


def test_what_no_rung_carries_is_said(network: Network, vantage: LiveVantage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TCP ACK, a large SYN, an echo where ping sockets are closed: nothing leaves, and the reply says why."""
    assert failure(vantage, Probe(Flow(Protocol.ACK, SERVER, OPEN))) == NOT_CARRIED
    assert failure(vantage, Probe(Flow(Protocol.TCP, SERVER, OPEN), size=1400)) == NOT_CARRIED
    allow_ping_sockets(network, NOBODY)
    monkeypatch.setattr(ladder, "open_wire", no_raw_sockets)
    with LiveVantage() as lower:
        assert lower.footing[Protocol.ICMP] == ""
        assert failure(lower, Probe(Flow(Protocol.ICMP, SERVER))) == NOT_CARRIED
        path = run(one(Traceroute(Flow(Protocol.ICMP, SERVER))), lower)
        assert not path.reached
        assert lower.usage().packets_sent == 0


def descriptors() -> int:
    return sum(1 for _ in File("/proc/self/fd").iterdir())


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
def test_descriptors_are_bounded(vantage: LiveVantage, monkeypatch: pytest.MonkeyPatch, protocol: Protocol) -> None:
    """One socket too many is an errno while the others may still be answered; later the oldest makes room."""
    monkeypatch.setattr(lone, "_MOST_SOCKETS", 8)
    before = descriptors()
    probes = [Probe(Flow(protocol, SILENT, OPEN), sequence=number) for number in range(12)]
    found = replies(vantage, *probes, within_s=0.1)
    assert [reply.error for some in found.values() for reply in some] == ["EMFILE"] * 4
    assert descriptors() == before + 8
    monkeypatch.setattr(lone, "_PATIENCE_S", 0.0)
    assert not any(replies(vantage, *probes, within_s=0.1).values())
    vantage.close()
    assert descriptors() < before


# -- the command line as an ordinary user -----------------------------------------------------------------------------


def trace(network: Network, *arguments: str) -> "subprocess.CompletedProcess[str]":
    words = network.client.command(*ORDINARY, sys.executable, "-W", "error", "-m", "netprobe", "trace", *arguments)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, env=environment)


@pytest.mark.usefixtures("open_port")
@pytest.mark.parametrize(
    ("method", "rung", "name"),
    [
        ("icmp", "ping", "ping sockets"),
        ("syn", "connect", "connections"),
        ("udp", "recverr", "UDP sockets"),
        ("quic", "recverr", "UDP sockets"),
    ],
)
def test_trace_says_on_which_rung_it_stands(network: Network, method: str, rung: str, name: str) -> None:
    """Each line of JSON has the rung; one line on stderr says what is not seen from there."""
    done = trace(network, "--json", "--method", method, SERVER, SERVER_V6)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["target"], row["rung"], row["reached"]) for row in rows] == [
        (t, rung, True) for t in (SERVER, SERVER_V6)
    ]
    assert [[r["address"] for hop in row["hops"] for r in hop["replies"]] for row in rows] == [
        [*HOPS, SERVER],
        [*HOPS_V6, SERVER_V6],
    ]
    assert done.stderr.startswith(f"netprobe: without raw sockets {method} probes leave by {name} (not seen: ")
    assert done.stderr.endswith('"netprobe doctor" tells more\n')
    assert done.stderr.count("\n") == 1


def test_trace_without_ping_sockets_says_what_to_do(network: Network) -> None:
    """No echo can be sent: exit code 20, valid JSON, and another method is named."""
    allow_ping_sockets(network, NOBODY)
    done = trace(network, "--json", "--method", "icmp", SERVER)
    (row,) = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == EXIT_CANNOT_MEASURE
    assert (row["rung"], row["reached"]) == ("", False)
    assert (
        "without raw sockets this machine lets nobody send such probes (EOPNOTSUPP); take another --method"
        in row["error"]
    )
    assert done.stderr.startswith("netprobe: without raw sockets no icmp probes can be sent; ")


def test_without_a_method_one_is_taken_that_can_be_sent(network: Network) -> None:
    """Echo is the usual one; where nobody may send it, datagrams show the way too."""
    assert '"method":"icmp"' in trace(network, "--json", SERVER).stdout
    allow_ping_sockets(network, NOBODY)
    done = trace(network, "--json", SERVER)
    (row,) = (json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert (row["method"], row["port"], row["rung"], row["reached"]) == ("udp", 33434, "recverr", True)
    assert done.stderr.startswith(
        "netprobe: without raw sockets no icmp probes can be sent; udp probes leave by UDP sockets (not seen: "
    )
    assert done.stderr.count("\n") == 1


def test_branches_need_constant_flows(network: Network) -> None:
    """Echo probes keep their flow on ping sockets, so --paths uses them; by other rungs it is refused."""
    done = trace(network, "--json", "--paths", SERVER)
    (row,) = (json.loads(line) for line in done.stdout.splitlines())
    assert (row["method"], row["rung"], done.returncode) == ("icmp", "ping", 0), done.stderr
    assert [vertex["address"] for vertex in row["paths"]["vertices"]] == [*HOPS, SERVER]
    for arguments in (("--method", "udp"), ("--method", "syn")):
        done = trace(network, "--paths", *arguments, SERVER)
        assert done.returncode == EXIT_CANNOT_MEASURE
        assert done.stderr.startswith("netprobe: --paths: without raw sockets branches are told apart by icmp only, ")
        assert done.stderr.count("\n") == 1


def test_what_needs_the_right_says_so(network: Network) -> None:
    """--pcap looks at the devices, which nobody else may."""
    done = trace(network, "--pcap", "/dev/null", SERVER)
    assert done.returncode == EXIT_CANNOT_MEASURE
    assert 'with CAP_NET_RAW only; run "netprobe doctor"' in done.stderr
