"""The broker at work: what it holds, what it sends and refuses, and how broker and worker end together."""

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netprobe.live import CannotMeasure, codec, seccomp
from netprobe.live.broker import launch, messages, sockets
from netprobe.live.brokered import Broker, BrokeredWire, BrokerGone
from netprobe.live.codec import Header
from netprobe.live.privilege import Reach, configuration
from netprobe.live.prober import Prober
from netprobe.live.reactor import Reactor
from netprobe.live.stamps import Arrival
from netprobe.live.vantage import LiveVantage
from netprobe.live.wire import draw_blocks, filters
from netprobe.model.probes import Flow, Probe, Protocol, Reply, ReplyKind
from netprobe.probing.run import one, run
from netprobe.probing.traceroute import Traceroute
from tests.live.live_network import CLIENT, HOPS, HOPS_V6, SERVER, SERVER_V6, Network

pytestmark = pytest.mark.packets
NOBODY = (65534, 65534)
LIMIT_MB = 12
_PATIENCE_S = 5.0


def status(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    rows = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.strip() for name, value in rows}


def until(condition: Callable[[], bool]) -> bool:
    """Wait for `condition`, not for long."""
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


class Ear:
    """A listener that keeps what it is told."""

    def __init__(self) -> None:
        self.arrivals: list[bytes] = []
        self.departed_s: dict[int, float] = {}
        self.failures: dict[int, str] = {}

    def arrived(self, kind: int, arrival: Arrival) -> None:
        del kind
        self.arrivals.append(arrival.data)

    def departed(self, token: int, at_s: float) -> None:
        self.departed_s[token] = at_s

    def failed(self, token: int, error: str) -> None:
        self.failures[token] = error


@contextmanager
def started(*named: str, additions: int = 0, rate: float = 10_000.0) -> Iterator[tuple[Broker, int]]:
    """A broker for `named`, which is not allowed anything else, and its process id."""
    launched = launch.launch()
    assert launched is not None
    broker = Broker(launched)
    try:
        state = broker.configure(configuration(Reach(named, additions, 0.0, rate), NOBODY))
        yield broker, state.pid
    finally:
        broker.close()


class Table:
    """A wire over a broker, with its listener and its reactor."""

    def __init__(self, broker: Broker) -> None:
        self.wire = BrokeredWire(broker)
        self.ear = Ear()
        self.reactor = Reactor()
        self.wire.attach(self.reactor, self.ear)

    def send(self, *packets: bytes) -> None:
        """Send packets, whose tokens count from 0, and hear of them."""
        for token, packet in enumerate(packets):
            self.wire.send(token, packet, "")
        self.wire.flush()
        self.until(lambda: len(self.ear.departed_s) + len(self.ear.failures) >= len(packets))

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not condition():
            assert time.monotonic() < end
            self.reactor.turn(time.monotonic() + 0.01)

    def echo(self, destination: str = SERVER, number: int = 1, size: int = 0, source: str = CLIENT) -> bytes:
        nonce = number.to_bytes(8)
        header = Header(source, destination, 64, 1 + number % 60000)
        return codec.build_echo(header, self.wire.blocks.ident_base | 1, number % 60000, 77, nonce, size)


@pytest.fixture
def table(inside: Network) -> Iterator[Table]:
    """A wire over a broker that may send to the server alone."""
    del inside
    with started(SERVER, SERVER_V6) as (broker, _):
        made = Table(broker)
        yield made
        made.wire.close()
        made.reactor.close()


@pytest.mark.usefixtures("inside")
def test_the_broker_keeps_one_capability_and_nothing_else() -> None:
    """CAP_NET_RAW alone, no way to more, filtered system calls, an unprivileged user, nobody may look into it."""
    with started(SERVER) as (_, pid):
        said = status(pid)
        assert said["Name"] == "netprobe-broker"
        assert {said[name] for name in ("CapPrm", "CapEff")} == {f"{1 << 13:016x}"}
        assert {said[name] for name in ("CapInh", "CapBnd", "CapAmb")} == {f"{0:016x}"}
        assert said["NoNewPrivs"] == "1"
        assert said["Seccomp"] == ("2" if seccomp.broker_filter(seccomp.machine()) else "0")
        assert said["Uid"].split() == ["65534"] * 4
        assert said["Groups"] == ""
        assert Path(f"/proc/{pid}/ns").stat().st_uid == 0, "it is not dumpable: /proc belongs to root"
        descriptors = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
        assert len([name for name in descriptors if name.startswith("socket:")]) == 7, "three of each IP, the channel"
        assert "netprobe.live" not in Path(f"/proc/{pid}/maps").read_text()
        assert "site-packages" not in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.usefixtures("inside")
def test_a_whole_path_is_measured_through_the_broker() -> None:
    """Hops of IPv4 and IPv6, with stamps of the kernel on both ways; the next vantage uses the same broker."""
    with started(SERVER, SERVER_V6) as (broker, _):
        for destination, hops in ((SERVER, HOPS), (SERVER_V6, HOPS_V6)) * 2:
            for protocol in (Protocol.ICMP, Protocol.TCP, Protocol.UDP):
                with LiveVantage(wire=broker.wire()) as vantage:
                    flow = Flow(protocol, destination, 0 if protocol is Protocol.ICMP else 33434)
                    path = run(one(Traceroute(flow)), vantage)
                    seen = [hop.exchanges[0].reply.source for hop in path.hops if hop.exchanges[0].reply]
                    assert seen == [*hops, destination]
                    assert path.reached
                    prober = vantage._prober
                    assert isinstance(prober, Prober)
                    assert any(sent.stamped for sent in prober._outstanding._sent.values())


@pytest.mark.usefixtures("inside")
def test_five_thousand_probes_fit_into_twelve_megabytes() -> None:
    """All leave and are answered, at 5,000 a second, and the broker is as small as before."""
    with started(SERVER) as (broker, pid):
        made = Table(broker)
        before_kb = int(status(pid)["VmRSS"].split()[0])
        begin = time.monotonic()
        for number in range(5000):
            made.wire.send(number, made.echo(number=number), SERVER)
            if number % 10 == 9:
                made.wire.flush()
                while time.monotonic() < begin + number / 5000:
                    made.reactor.turn(begin + number / 5000)
        made.until(lambda: len(made.ear.arrivals) == 5000 and len(made.ear.departed_s) == 5000)
        after = status(pid)
        assert made.ear.failures == {}
        assert int(after["VmRSS"].split()[0]) <= LIMIT_MB * 1024
        assert int(after["VmHWM"].split()[0]) <= LIMIT_MB * 1024
        assert int(after["VmRSS"].split()[0]) - before_kb < 512
        made.wire.close()
        made.reactor.close()


def test_a_departure_is_told_before_the_reply(table: Table) -> None:
    """Between the clock before it was handed over and the reply's; each once."""
    before = time.monotonic()
    table.send(*(table.echo(number=n) for n in range(200)))
    table.until(lambda: len(table.ear.arrivals) == 200)
    assert sorted(table.ear.departed_s) == list(range(200))
    assert all(before < at_s < time.monotonic() for at_s in table.ear.departed_s.values())


def test_what_may_not_leave_is_told_with_its_reason(table: Table) -> None:
    """Another destination, kind, source, identifier, size: each is refused, and the probes beside it leave."""
    block = table.wire.blocks
    header = Header(CLIENT, SERVER, 64, 9)
    packets = {
        "": table.echo(),
        "BROKER_DESTINATION": table.echo("203.0.113.3"),
        "BROKER_SIZE": table.echo(size=10_000),
        "BROKER_SOURCE": table.echo(source="192.0.2.77"),
        "BROKER_KIND": codec.build_syn(header, block.first_port, 80, 1, 2)[:33] + b"\x04" + bytes(26),
    }
    foreign = codec.build_udp(header, block.first_port - 1, 53, 99, bytes(8))
    table.send(*packets.values(), foreign, table.echo("224.0.0.1"))
    wanted = {n: reason for n, reason in enumerate(packets) if reason}
    assert table.ear.failures == wanted | {5: "BROKER_SOURCE", 6: "BROKER_DESTINATION"}
    assert list(table.ear.departed_s) == [0]


@pytest.mark.usefixtures("inside")
def test_a_refusal_is_an_observation() -> None:
    """The prober makes a reply of it, as of every probe that never left."""
    with started(SERVER) as (broker, _), LiveVantage(wire=broker.wire()) as vantage:
        vantage.send(Probe(Flow(Protocol.ICMP, "203.0.113.3")))
        event = vantage.receive(vantage.now() + _PATIENCE_S)
        assert event is not None
        assert isinstance(event.outcome, Reply)
        assert (event.outcome.kind, event.outcome.error) == (ReplyKind.SEND_FAILED, "BROKER_DESTINATION")
        assert vantage.usage().packets_sent == 0


@pytest.mark.usefixtures("inside")
def test_a_bounded_number_of_addresses_is_learned() -> None:
    """As many as were allowed, whichever come first, and these again and again."""
    with started(SERVER, additions=2) as (broker, _):
        made = Table(broker)
        made.send(*(made.echo(f"203.0.113.{last}") for last in (3, 4, 5, 3, 4, 2)))
        assert made.ear.failures == {2: "BROKER_DESTINATION"}
        made.wire.close()
        made.reactor.close()


@pytest.mark.usefixtures("inside")
def test_more_than_the_rate_is_refused() -> None:
    """Of a thousand at once a burst leaves; the rest is told, not kept."""
    with started(SERVER, rate=100.0) as (broker, _):
        made = Table(broker)
        made.send(*(made.echo(number=n) for n in range(1000)))
        assert set(made.ear.failures.values()) == {"BROKER_RATE"}
        assert 100 <= len(made.ear.departed_s) < 200
        made.wire.close()
        made.reactor.close()


def test_what_the_kernel_refuses_has_the_kernels_reason(table: Table) -> None:
    """An error of the broker's own sending comes back as what it is, and later stamps are still right."""
    table.send(table.echo(size=1600), table.echo())
    assert table.ear.failures == {0: "EMSGSIZE"}
    assert list(table.ear.departed_s) == [1]


def test_a_listener_that_sleeps_costs_the_broker_no_memory(table: Table) -> None:
    """Replies that nobody reads wait in the kernel; once somebody does, everything goes on."""
    pid = table.wire._broker._launched.pid
    for number in range(3000):
        table.wire.send(number, table.echo(number=number, size=1400), SERVER)
    table.wire.flush()
    assert until(lambda: int(status(pid)["voluntary_ctxt_switches"]) > 0)
    assert int(status(pid)["VmHWM"].split()[0]) <= LIMIT_MB * 1024
    table.until(lambda: len(table.ear.departed_s) + len(table.ear.failures) == 3000)
    assert set(table.ear.failures.values()) <= {"ENOBUFS", "EAGAIN"}
    heard = len(table.ear.arrivals)
    table.wire.send(3001, table.echo(), SERVER)
    table.wire.flush()
    table.until(lambda: len(table.ear.arrivals) > heard)


def test_the_tap_sees_what_leaves_and_what_comes(table: Table) -> None:
    """Probes and replies, each once, with the device and a stamp of the kernel; nothing after it was closed."""
    tap = table.wire.open_tap()
    assert tap is not None
    before_ns = time.time_ns()
    table.send(*(table.echo(number=n) for n in range(300)))
    table.until(lambda: len(table.ear.arrivals) == 300)
    seen = tap.read()
    assert [sum(packet.outgoing is out for packet in seen) for out in (True, False)] == [300, 300]
    assert {packet.device for packet in seen} == {"uplink"}
    assert all(before_ns < packet.at_ns < time.time_ns() for packet in seen)
    assert all(abs(packet.at_s - time.monotonic()) < _PATIENCE_S for packet in seen)
    assert [packet.data for packet in seen if packet.outgoing][:2] == [table.echo(number=0), table.echo(number=1)]
    assert (tap.read(), tap.missed(), table.wire.overflowed()) == ([], 0, 0)
    tap.close()
    again = table.wire.open_tap()
    assert again is not None
    assert again.read() == []
    again.close()


def test_news_of_an_earlier_wire_are_not_told(table: Table) -> None:
    """What comes of one round's probes does not become another's."""
    table.wire.send(7, table.echo(), SERVER)
    table.wire.flush()
    broker = table.wire._broker
    table.wire.close()
    later = Table(broker)
    later.send(later.echo(number=2))
    later.until(lambda: len(later.ear.arrivals) == 2)
    assert list(later.ear.departed_s) == [0]
    later.wire.close()
    later.reactor.close()


@pytest.mark.usefixtures("inside")
def test_filters_are_locked() -> None:
    """Nobody can replace or take off the filter of a receiving socket, not even its owner with all rights."""
    v4, v6 = sockets.open_all()
    assert v6 is not None
    blocks = draw_blocks()
    receiving = sockets.receiving(v4, v6)
    sockets.let_through(receiving, filters(blocks))
    for sock in receiving:
        for attempt in (
            lambda sock=sock: sockets.attach(sock, sockets.DROP_ALL),
            lambda sock=sock: sock.setsockopt(socket.SOL_SOCKET, 27, 0),  # SO_DETACH_FILTER
            lambda sock=sock: sock.setsockopt(socket.SOL_SOCKET, 44, 0),  # SO_LOCK_FILTER
        ):
            with pytest.raises(PermissionError):
                attempt()
    for opened in (v4, v6):
        opened.close()


@pytest.mark.usefixtures("inside")
def test_the_worker_says_that_the_broker_has_gone() -> None:
    """At whatever it does next: an error of its own, with what to do."""
    with started(SERVER) as (broker, pid), LiveVantage(wire=broker.wire()) as vantage:
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BrokerGone, match="start netprobe again"):
            vantage.receive(vantage.now() + _PATIENCE_S)
        vantage.send(Probe(Flow(Protocol.ICMP, SERVER)))
        with pytest.raises(BrokerGone):
            vantage.receive(vantage.now() + _PATIENCE_S)


@pytest.mark.usefixtures("inside")
def test_the_broker_dies_with_its_worker() -> None:
    """Even with one that was killed and told nobody."""
    code = (
        "import os, signal\n"
        "from netprobe.live.broker import launch\n"
        "from netprobe.live.brokered import Broker\n"
        "from netprobe.live.privilege import Reach, configuration\n"
        "broker = Broker(launch.launch())\n"
        "print(broker.configure(configuration(Reach((), 0, 0.0, 1.0), None)).pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    assert until(lambda: not Path(f"/proc/{pid}").exists() or status(pid)["State"].startswith("Z"))


def test_the_broker_loads_little() -> None:
    """Nothing of ours but its own room, no site packages, and no large part of the standard library."""
    code = (
        "import sys\n"
        f"sys.path.append({str(Path(launch.__file__).parents[3])!r})\n"
        "import netprobe.live.broker.serve\n"
        "print(*sys.modules)\n"
    )
    words = [sys.executable, "-I", "-S", "-c", code]
    loaded = set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())
    ours = {name for name in loaded if name.startswith("netprobe")}
    assert ours - {"netprobe", "netprobe.live"} <= {name for name in ours if name.startswith("netprobe.live.broker")}
    assert not loaded & {"socket", "typing", "contextlib", "dataclasses", "enum", "re", "json", "msgspec", "site"}


def test_a_broker_that_is_not_wanted_ends_without_a_word() -> None:
    """A command that measures nothing after all closes the channel, and nothing is left."""
    launched = launch.launch()
    assert launched is not None
    launched.close()
    assert not Path(f"/proc/{launched.pid}").exists()


def test_a_broker_that_was_stopped_holds_nobody_up() -> None:
    """It is ended all the same."""
    launched = launch.launch()
    assert launched is not None
    os.kill(launched.pid, signal.SIGSTOP)
    launched.close()
    assert not Path(f"/proc/{launched.pid}").exists()


def test_without_the_right_there_is_no_broker() -> None:
    """In a user namespace of its own a process has no right over the network: nothing is started."""
    code = "from netprobe.live.broker import launch; print(launch.launch())"
    words = ["unshare", "-U", sys.executable, "-c", code]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "None\n"


def test_a_broker_that_cannot_open_its_sockets_says_why() -> None:
    """The kernel's reason becomes the message that an own attempt would have had."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        for code, text in ((errno.EPERM, "raw sockets need CAP_NET_RAW"), (errno.EMFILE, "Too many")):
            theirs.send(messages.GREETING.pack(0, 0, 0, code) + os.strerror(code).encode())
            broker = Broker(launch.Launched(0, ours))
            with pytest.raises(CannotMeasure, match=text):
                broker.configure(messages.Configuration())


def test_an_answer_over_udp_waits_for_its_departure(inside: Network) -> None:
    """A version negotiation is read by the worker itself, perhaps before the broker has told when the probe left."""
    code = (
        "import socket\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"s.bind(('{SERVER}', 443))\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    data, who = s.recvfrom(2000)\n"
        "    s.sendto(b'\\xc0' + bytes(4) + data[14:23] + data[5:14] + b'\\0\\0\\0\\1', who)\n"
    )
    with subprocess.Popen(inside.server.command(sys.executable, "-c", code), stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline()
        try:
            with started(SERVER) as (broker, _):
                replies: list[Reply] = []
                reactor = Reactor()
                prober = Prober(broker.wire(), reactor, lambda _token, _at, reply: replies.append(reply))
                for token in range(20):
                    prober.send(Probe(Flow(Protocol.QUIC, SERVER, 443), ttl=64), token, reactor.now())
                    prober.flush()
                    end = reactor.now() + _PATIENCE_S
                    while len(replies) <= token and reactor.now() < end:
                        reactor.turn(reactor.now() + 0.01)
                assert [reply.kind for reply in replies] == [ReplyKind.UDP_DATA] * 20
                assert all(sent.stamped for sent in prober._outstanding._sent.values())
                prober.close()
                reactor.close()
        finally:
            server.kill()
