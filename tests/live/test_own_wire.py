"""Which side of the network device a packet vanished on, with real packets and the firewall of the kernel."""

import _socket
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from netprobe.capture import Capture
from netprobe.live import own_wire, tap
from netprobe.live.broker import sockets
from netprobe.live.vantage import LiveVantage
from netprobe.live.wire import LocalWire, open_wire
from netprobe.model.host import HostState, Inspect, OwnWire
from netprobe.model.probes import Flow, Probe, Protocol, Reply, ReplyKind
from netprobe.model.probes import Path as Way
from netprobe.model.unsent import NEVER_LEFT, NO_NEIGHBOUR
from netprobe.probing.run import one, run
from netprobe.probing.traceroute import Traceroute
from tests.live.live_network import CLIENT, HOPS, HOPS_V6, SERVER, SERVER_V6, SILENT, Network

pytestmark = pytest.mark.packets

PORTS = {Protocol.ICMP: 0, Protocol.UDP: 33434}  # the others: a web server's


def trace(vantage: LiveVantage, destination: str = SERVER, protocol: Protocol = Protocol.ICMP) -> Way:
    return run(one(Traceroute(Flow(protocol, destination, PORTS.get(protocol, 443)))), vantage)


@contextmanager
def looking(wire: LocalWire | None = None, *, at_once: bool = True) -> Iterator[LiveVantage]:
    """A vantage that looks at its own devices from the first probe on, or when one stays silent."""
    with LiveVantage(wire=wire) as vantage:
        if at_once:
            vantage.look()
        yield vantage


def replies(way: Way) -> list[Reply]:
    """The last thing that is known of each hop."""
    return [[x.reply for x in hop.exchanges if x.reply][-1] for hop in way.hops]


def on_the_wire(vantage: LiveVantage) -> OwnWire:
    token = vantage.send(Inspect())
    event = vantage.receive(vantage.now() + 1.0)
    while event and event.token != token:
        event = vantage.receive(vantage.now() + 1.0)
    assert event is not None
    assert isinstance(event.outcome, HostState)
    assert event.outcome.own_wire is not None
    return event.outcome.own_wire


def counts(vantage: LiveVantage, enough: Callable[[OwnWire], bool]) -> OwnWire:
    """What was counted on the own wire as soon as it is `enough`, or after eight seconds."""
    until = vantage.now() + 8.0
    while not enough(counted := on_the_wire(vantage)) and vantage.now() < until:
        vantage.receive(vantage.now() + 0.1)
    return counted


@contextmanager
def rules_v6(network: Network, rule: str) -> Iterator[None]:
    script = f"table ip6 test {{ chain c {{ type filter hook {rule.replace(' ', ' priority 0; ', 1)}; }}; }}\n"
    network.client.run("nft", "-f", "-", stdin=script)
    try:
        yield
    finally:
        network.client.run("nft", "delete", "table", "ip6", "test")


@contextmanager
def queue_that_swallows(network: Network) -> Iterator[None]:
    network.client.run("tc", "qdisc", "add", "dev", "uplink", "root", "blackhole")
    try:
        yield
    finally:
        network.client.run("tc", "qdisc", "del", "dev", "uplink", "root")


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("rule", ["input drop", "input icmp type time-exceeded drop", "prerouting drop"])
def test_the_own_firewall_hides_no_hop(inside: Network, protocol: Protocol, rule: str, *, at_once: bool) -> None:
    """What it drops was on the wire before: every hop is known, and that it was dropped here is said."""
    with inside.client.firewall(rule), looking(at_once=at_once) as vantage:
        way = trace(vantage, protocol=protocol)
    assert way.reached
    assert [reply.source for reply in replies(way)] == [*HOPS, SERVER]
    assert [reply.dropped_locally for reply in replies(way)] == [True, True, "time-exceeded" not in rule]
    assert all(0 <= reply.rtt_s < 0.1 and reply.ttl > 0 for reply in replies(way))


def test_the_own_firewall_hides_no_hop_of_ipv6(inside: Network) -> None:
    """The same by what ip6tables would do."""
    rule = "input icmpv6 type { time-exceeded, echo-reply } drop"
    with rules_v6(inside, rule), looking() as vantage:
        way = trace(vantage, SERVER_V6)
    assert [reply.source for reply in replies(way)] == [*HOPS_V6, SERVER_V6]
    assert all(reply.dropped_locally for reply in replies(way))


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("destination", [SERVER, SERVER_V6])
def test_what_a_queue_swallows_never_left(inside: Network, destination: str, *, at_once: bool) -> None:
    """send() succeeds, and nobody says anything: only the device shows that nothing left."""
    inside.client.run("ping", "-q", "-c", "1", destination)  # the queue swallows questions for hardware addresses too
    with queue_that_swallows(inside), looking(at_once=at_once) as vantage:
        way = trace(vantage, destination)
    assert not way.reached
    assert {reply.error for reply in replies(way)} == {NEVER_LEFT}
    assert {reply.kind for reply in replies(way)} == {ReplyKind.SEND_FAILED}


@pytest.mark.parametrize("destination", ["192.0.2.177", "2001:db8:1::177"])
def test_a_next_hop_that_does_not_answer_is_named(inside: Network, destination: str) -> None:
    """The packet waits in the kernel for a hardware address: that is said before the kernel gives up after seconds."""
    del inside
    with LiveVantage() as vantage:
        way = trace(vantage, destination)
    assert {reply.error for reply in replies(way)} == {NO_NEIGHBOUR}


def test_what_gets_lost_in_the_network_is_lost(inside: Network) -> None:
    """It left, and nothing came: that is no doing of this machine, and no reply is invented."""
    with inside.second.firewall("forward drop"), looking() as vantage:
        way = trace(vantage)
        silent = [x for hop in way.hops[2:] for x in hop.exchanges]
        counted = counts(vantage, lambda seen: seen.lost == way.probes_sent - 2)
    assert silent
    assert all(x.reply is None for x in silent)
    assert counted == OwnWire(answered=2, lost=way.probes_sent - 2)


def test_where_all_is_answered_no_tap_is_opened(inside: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only silence is looked into."""
    del inside
    opened: list[LocalWire] = []
    monkeypatch.setattr(LocalWire, "open_tap", lambda wire: opened.append(wire))  # noqa: PLW0108  # a method has a self
    monkeypatch.setattr(own_wire, "_SILENT_S", 0.5)  # so that other work on the machine is no silence
    with LiveVantage() as vantage:
        assert trace(vantage).reached
        assert not opened
        vantage.send(Probe(Flow(Protocol.ICMP, SILENT)))
        until = vantage.now() + 5.0
        while not opened and vantage.now() < until:
            vantage.receive(vantage.now() + 0.1)
    assert len(opened) == 1


def test_a_machine_without_packet_sockets_measures_all_the_same(
    inside: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is silent stays unexplained; nothing else changes."""
    monkeypatch.setattr(LocalWire, "open_tap", lambda _: None)
    with inside.client.firewall("input icmp type time-exceeded drop"), looking() as vantage:
        way = trace(vantage)
    assert way.reached
    assert way.hops[0].lost == 2


def full(sock: _socket.socket) -> None:
    """Make `sock` hold next to nothing."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)


def test_a_socket_without_room_is_not_a_firewall(inside: Network) -> None:
    """An answer that this process had no room for was dropped by nobody's rule: it cannot be told."""
    del inside
    wire = open_wire()
    full(wire.v4.icmp)
    with looking(wire=wire) as vantage:
        tokens = {vantage.send(Probe(Flow(Protocol.ICMP, SERVER), sequence=n)) for n in range(50)}
        time.sleep(0.1)  # nobody reads: that is what this is about
        found = {}
        while event := vantage.receive(vantage.now() + 0.2):
            found[event.token] = event.outcome
        counted = counts(vantage, lambda seen: seen.unknown == len(tokens - found.keys()))
    assert found.keys() < tokens
    assert not any(isinstance(reply, Reply) and reply.dropped_locally for reply in found.values())
    assert counted.dropped_here == 0
    assert counted.unknown == len(tokens - found.keys())


def test_a_tap_without_room_proves_only_what_it_saw(inside: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says that it dropped packets for the tap: then nothing is called lost, or never sent."""
    monkeypatch.setattr(sockets, "_TAP_BUFFER", 0)
    monkeypatch.setattr(sockets, "_SO_RCVBUFFORCE", socket.SO_RCVBUF)
    with inside.second.firewall("forward drop"), looking() as vantage:
        for number in range(50):
            vantage.send(Probe(Flow(Protocol.ICMP, SERVER), sequence=number))
        counted = counts(vantage, lambda seen: seen.unknown == 50)
    assert counted.unknown == 50
    assert (counted.lost, counted.never_left, counted.dropped_here) == (0, 0, 0)


@pytest.mark.parametrize(
    ("words", "undo", "error"),
    [
        (
            ("route", "add", "unreachable", "203.0.113.2/32"),
            ("route", "del", "unreachable", "203.0.113.2/32"),
            "EHOSTUNREACH",
        ),
        (("route", "add", "prohibit", "203.0.113.2/32"), ("route", "del", "prohibit", "203.0.113.2/32"), "EACCES"),
        (("route", "add", "blackhole", "203.0.113.2/32"), ("route", "del", "blackhole", "203.0.113.2/32"), "EINVAL"),
        (
            ("-6", "route", "add", "prohibit", f"{SERVER_V6}/128"),
            ("-6", "route", "del", "prohibit", f"{SERVER_V6}/128"),
            "EACCES",
        ),
        (("link", "set", "uplink", "mtu", "1280"), ("link", "set", "uplink", "mtu", "1500"), "EMSGSIZE"),
    ],
)
def test_what_the_kernel_refuses_has_the_kernels_name(
    inside: Network, words: tuple[str, ...], undo: tuple[str, ...], error: str
) -> None:
    """Routes that forbid and links that are too small: the errno is the observation."""
    destination = SERVER_V6 if "-6" in words else SERVER
    inside.client.run("ip", *words)
    try:
        with LiveVantage() as vantage:
            vantage.send(Probe(Flow(Protocol.ICMP, destination), size=1400 if error == "EMSGSIZE" else 0))
            event = vantage.receive(vantage.now() + 1.0)
    finally:
        inside.client.run("ip", *undo)
    assert event is not None
    assert isinstance(event.outcome, Reply)
    assert (event.outcome.kind, event.outcome.error) == (ReplyKind.SEND_FAILED, error)


def test_a_full_queue_is_told(inside: Network) -> None:
    """Without IP_RECVERR the kernel would call it a success."""
    inside.client.run(
        "tc", "qdisc", "add", "dev", "uplink", "root", "tbf", "rate", "8kbit", "burst", "100", "limit", "100"
    )
    try:
        with LiveVantage() as vantage:
            for number in range(20):
                vantage.send(Probe(Flow(Protocol.ICMP, SERVER), sequence=number))
            errors = {
                e.outcome.error
                for _ in range(20)
                if (e := vantage.receive(vantage.now() + 0.1)) and isinstance(e.outcome, Reply)
            }
    finally:
        inside.client.run("tc", "qdisc", "del", "dev", "uplink", "root")
    assert "ENOBUFS" in errors


# -- the tap itself, and what it records ------------------------------------------------------------------------------


def test_a_tap_shows_nobody_elses_packets(inside: Network) -> None:
    """Pings, connections and datagrams of others, in both directions and both versions, stay outside."""
    wire = open_wire()
    with ExitStack() as stack:
        stack.callback(wire.close)
        listening = tap.open_tap(wire.blocks)
        stack.callback(listening.close)
        foreign = str((wire.blocks.ident_base ^ 0x0100) + 1)
        inside.client.run("ping", "-c", "2", "-i", "0.01", "-q", "-e", foreign, SERVER)
        inside.client.run("ping", "-c", "2", "-i", "0.01", "-q", "-e", foreign, SERVER_V6)
        inside.client.run("sh", "-c", f"traceroute -n -w 1 -q 1 -m 4 {SERVER} || true")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"x", (SERVER, wire.blocks.first_port))  # our number, but at the other end
        time.sleep(0.05)
        assert listening.read() == []
        assert listening.missed() == 0


def tcpdump(network: Network, file: Path) -> "subprocess.Popen[bytes]":
    """A tcpdump on the client's device, listening by the time that this returns."""
    words = ["tcpdump", "-i", "uplink", "-Z", "root", "-U", "--time-stamp-precision=nano", "-w", str(file), "ip or ip6"]
    started = subprocess.Popen(network.client.command(*words), stderr=subprocess.PIPE)
    assert started.stderr is not None
    while b"listening" not in started.stderr.readline():
        assert started.poll() is None
    return started


def records(file: Path, skip: int = 0) -> dict[bytes, int]:
    """Packets from the IP header on, and their stamps, ns; in a file with or without Ethernet headers."""
    data = file.read_bytes()
    assert data[:4] == struct.pack("=I", 0xA1B23C4D)
    found: dict[bytes, int] = {}
    at = 24
    while at < len(data):
        seconds, nanoseconds, kept, _ = struct.unpack_from("=IIII", data, at)
        found[data[at + 16 + skip : at + 16 + kept]] = seconds * 1_000_000_000 + nanoseconds
        at += 16 + kept
    return found


def eventually(true: Callable[[], bool]) -> bool:
    """Whether `true` within five seconds."""
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("protocol", Protocol)
@pytest.mark.parametrize("destination", [SERVER, SERVER_V6])
def test_tcpdump_sees_the_same_at_the_same_time(
    inside: Network, tmp_path: Path, protocol: Protocol, destination: str
) -> None:
    """Each packet, bit by bit, and its time to 50 us; a stranger's ping on the same wire is not in the file."""
    witness = tcpdump(inside, tmp_path / "theirs.pcap")
    try:
        capture = Capture(tmp_path / "ours.pcap")
        with LiveVantage() as vantage:
            vantage.record(capture)
            inside.client.run("ping", "-c", "1", "-q", "-e", "9", destination)
            assert trace(vantage, destination, protocol).reached
            vantage.receive(vantage.now() + 0.1)
            vantage.record(None)
        capture.close()
        ours = records(tmp_path / "ours.pcap")
        assert eventually(lambda: ours.keys() <= records(tmp_path / "theirs.pcap", 14).keys())
    finally:
        witness.terminate()
        witness.communicate(timeout=10)
    theirs = records(tmp_path / "theirs.pcap", 14)
    missing = [packet for packet in theirs if packet not in ours and not _strange(packet, protocol)]
    assert missing == []
    assert len(ours) >= 2 * 3
    assert all(abs(at_ns - theirs[packet]) < 50_000 for packet, at_ns in ours.items())


def _strange(packet: bytes, protocol: Protocol) -> bool:
    """Whether it is the stranger's ping, what IPv6 neighbours have to say, or a late error about an earlier test."""
    body = packet[20:] if packet[0] >> 4 == 4 else packet[40:]
    icmp = packet[9] == 1 if packet[0] >> 4 == 4 else packet[6] == 58
    if not icmp:
        return packet[0] >> 4 == 6 and packet[6] == 0  # multicast listener reports
    if body[0] in {133, 134, 135, 136, 143}:
        return True
    if body[:2] in {b"\x03\x01", b"\x01\x03"}:
        return True
    echo = body[0] in {0, 8, 128, 129}
    return echo and (protocol is not Protocol.ICMP or body[4:6] == b"\0\x09")


#: tshark guesses what is in a datagram from its bytes, and ours are noise: now and then a broken RTCP report to it.
_NO_GUESSING = ("-d", "udp.port==1-65535,data")


@pytest.mark.parametrize("reader", [("tcpdump", "-n", "-r"), ("tshark", "-n", *_NO_GUESSING, "-r")])
def test_other_tools_read_what_is_recorded(inside: Network, tmp_path: Path, reader: tuple[str, ...]) -> None:
    """And name the hops in it, no packet being malformed."""
    file = tmp_path / "a.pcap"
    capture = Capture(file)
    with LiveVantage() as vantage:
        vantage.record(capture)
        trace(vantage)
        trace(vantage, SERVER_V6, Protocol.UDP)
        vantage.record(None)
    capture.close()
    shown = subprocess.run([*reader, str(file)], check=True, capture_output=True, text=True).stdout
    assert all(address in shown for address in (CLIENT, *HOPS, SERVER, *HOPS_V6, SERVER_V6))
    assert "malformed" not in shown.lower()
    assert len(shown.splitlines()) == capture.packets
    assert inside.client.run("id", "-u").strip() == "0"


@pytest.mark.parametrize("destination", [SERVER, SERVER_V6])
@pytest.mark.parametrize("protocol", Protocol)
def test_a_firewall_as_it_should_be_keeps_nothing_back(inside: Network, protocol: Protocol, destination: str) -> None:
    """One that lets in what belongs to something that was sent: all answers get through, and nobody says otherwise."""
    script = "table inet sane { chain c { type filter hook input priority 0; policy drop;\n"
    script += "iif lo accept; ct state established,related accept; icmpv6 type { 133, 134, 135, 136 } accept; }; }\n"
    inside.client.run("nft", "-f", "-", stdin=script)
    try:
        with looking() as vantage:
            way = trace(vantage, destination, protocol)
            counted = on_the_wire(vantage)
    finally:
        inside.client.run("nft", "delete", "table", "inet", "sane")
    assert way.reached
    assert [reply.dropped_locally for reply in replies(way)] == [False] * 3
    assert counted.dropped_here == 0


def test_a_process_that_comes_late_accuses_nobody(inside: Network) -> None:
    """Answers that came while it did not run lie in the sockets: they are read before anything is concluded."""
    del inside
    with looking() as vantage:
        for late_s in (0.03, 0.05, 0.1, 0.3) * 3:
            tokens = {vantage.send(Probe(Flow(Protocol.ICMP, SERVER), sequence=n)) for n in range(50)}
            vantage.receive(vantage.now())  # what was collected leaves
            time.sleep(late_s)
            while tokens and (event := vantage.receive(vantage.now() + 1.0)):
                assert isinstance(event.outcome, Reply)
                assert not event.outcome.dropped_locally
                tokens.discard(event.token)
        assert on_the_wire(vantage).dropped_here == 0
