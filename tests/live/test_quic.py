"""QUIC by a process of its own: what strangers answer, and what becomes of the process, are facts and no exceptions."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netprobe.live import quic
from netprobe.live.quic_words import LARGEST, Asked, Told, pack, unpack
from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Flow, Probe, Protocol, Reply, ReplyKind
from netprobe.model.services import QuicHandshake, QuicHandshaken
from netprobe.probing.ask import quic_handshake
from netprobe.probing.run import gather, one, run
from netprobe.sim.quic import headers
from netprobe.sim.quic.hello import Hello
from netprobe.sim.quic.server import farewell
from tests.live.live_network import HOPS, SERVER, SILENT, Network
from tests.live.live_servers import listening

NAME = "www.example.com"
ASKED = QuicHandshake(SERVER, server_name=NAME, timeout_s=1.0)
Said = Callable[[bytes], list[bytes]]

packets = pytest.mark.packets


@contextmanager
def answering(network: Network, said: Said) -> Iterator[None]:
    """A server that answers each datagram with what `said` makes of it."""
    sock = listening(network.server, SERVER, 443, socket.SOCK_DGRAM)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = sock.recvfrom(2048)
                if not data:
                    return
                for answer in said(data):
                    sock.sendto(answer, peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        with network.server.inside(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (SERVER, 443))  # which ends it
        thread.join(5.0)
        sock.close()


def shaken(request: QuicHandshake = ASKED) -> QuicHandshaken:
    with LiveVantage() as vantage:
        return run(one(quic_handshake(request)), vantage)


def other_versions(data: bytes) -> list[bytes]:
    header = headers.long_header(data)
    assert header is not None
    ends = bytes([len(header.source)]) + header.source + bytes([len(header.destination)]) + header.destination
    return [b"\xc0" + bytes(4) + ends + bytes.fromhex("fabadaba")]


def close(data: bytes) -> list[bytes]:
    hello = Hello()
    hello.feed(data)
    return [farewell(data, hello, b"ourselves", 0x178)] if hello.whole else []


@packets
@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(
    ("said", "error", "code"),
    [
        (lambda _: [], "timeout", None),
        (other_versions, "version", None),
        (close, "closed", 0x178),
        (lambda data: [headers.negotiation(b"\xc0\1\2\3\4" + data[5:])], "timeout", None),  # it lists ours: forged
        (lambda _: [os.urandom(size) for size in (0, 1, 20, 1200)], "timeout", None),
        (lambda data: [data], "timeout", None),
        (lambda data: [data[:30] + os.urandom(1170)] * 50, "timeout", None),
    ],
    ids=["silent", "other versions", "close", "a forged negotiation", "garbage", "an echo", "a flood"],
)
def test_whatever_is_answered_is_told(network: Network, said: Said, error: str, code: int | None) -> None:
    """Silence, versions, an end, and what is no QUIC: never an exception, always in time."""
    with answering(network, said):
        found = shaken()
    assert (found.error, found.code, found.done) == (error, code, False)
    assert found.certificate is None


@packets
@pytest.mark.usefixtures("inside")
def test_who_does_not_listen_refuses(network: Network) -> None:
    """The host's own port unreachable is a refusal, a router's word is none, and nobody's is a time-out or no route."""
    del network
    with LiveVantage() as vantage:
        places = (SERVER, SILENT, "198.18.0.1", "no address")
        asked = [quic_handshake(QuicHandshake(place, server_name=NAME, timeout_s=5.0)) for place in places]
        found = run(gather(asked), vantage)
    assert (found[0].error, found[0].detail) == ("refused", f"ECONNREFUSED (port unreachable, says {SERVER})")
    assert (found[1].error, found[1].detail) == ("unreachable", f"EHOSTUNREACH (host unreachable, says {HOPS[1]})")
    assert found[2].error in {"unreachable", "local"}
    assert found[3].error == "local"
    assert [one.phase for one in found] == ["initial"] * 4


@packets
@pytest.mark.usefixtures("inside")
def test_a_helper_that_dies_is_replaced(network: Network) -> None:
    """What it was asked for is not known; the next handshake has a helper of its own."""
    with answering(network, other_versions), LiveVantage() as vantage:
        assert run(one(quic_handshake(ASKED)), vantage).error == "version"
        (pid,) = children()
        os.kill(pid, signal.SIGKILL)
        lost = run(one(quic_handshake(ASKED)), vantage)
        assert (lost.error, lost.phase) == ("local", "initial")
        assert run(one(quic_handshake(ASKED)), vantage).error == "version"
        assert vantage.usage().packets_sent >= 2
    assert children() == []


@packets
@pytest.mark.usefixtures("inside")
def test_a_helper_has_no_rights(network: Network) -> None:
    """No capability, no way to one, a filter of system calls where there is one, and no descriptor but its channel."""
    with answering(network, other_versions), LiveVantage() as vantage:
        run(one(quic_handshake(ASKED)), vantage)
        (pid,) = children()
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] in {"0", "2"}
        assert status["Uid"].split()[0] != "0"
        assert sorted(os.listdir(f"/proc/{pid}/fd")) == ["0", "1", "2", "3"]  # noqa: PTH208  # numbers, not paths
        assert {os.readlink(f"/proc/{pid}/fd/{n}") for n in range(3)} == {"/dev/null"}  # noqa: PTH115  # as above


@packets
@pytest.mark.usefixtures("inside")
def test_a_helper_from_ahead_serves_one_vantage_after_the_other(network: Network) -> None:
    """Who can load nothing later has it made before, and it lives on: with what one vantage left, too."""
    quic.ahead(())
    try:
        (pid,) = children()
        with answering(network, lambda _: []):
            with LiveVantage() as vantage:
                vantage.send(ASKED)  # and nobody waits for it
            with LiveVantage() as vantage:
                assert run(one(quic_handshake(ASKED)), vantage).error == "timeout"
        assert children() == [pid]
    finally:
        quic.end()
    assert children() == []


@packets
@pytest.mark.usefixtures("inside")
def test_probes_and_handshakes_live_side_by_side(network: Network) -> None:
    """A stateless probe of the same server draws its negotiation meanwhile."""

    def said(data: bytes) -> list[bytes]:
        return [answer] if (answer := headers.negotiation(data)) else []

    with answering(network, said), LiveVantage() as vantage:
        vantage.send(ASKED)
        token = vantage.send(Probe(Flow(Protocol.QUIC, SERVER, 443)))
        event = vantage.receive(vantage.now() + 5.0)
        assert event is not None
        assert event.token == token
        assert isinstance(event.outcome, Reply)
        assert event.outcome.kind is ReplyKind.UDP_DATA


def children() -> list[int]:
    """The copies of this process that are not yet buried."""
    own = Path("/proc/self/cmdline").read_bytes()
    made = [pid for path in Path("/proc/self/task").iterdir() for pid in (path / "children").read_text().split()]
    return [int(pid) for pid in made if Path(f"/proc/{pid}/cmdline").read_bytes() == own]


def test_messages_are_whole_and_bounded() -> None:
    """A record comes out as it went in, however it was cut; nobody waits for a vast one."""
    data = pack(Asked(7, ASKED)) + pack(Asked(0, None))
    assert all(unpack(data[:n]) is None for n in range(len(pack(Asked(7, ASKED)))))
    found = unpack(data)
    assert found is not None
    assert found[1] == pack(Asked(0, None))
    with pytest.raises(ValueError, match="no message is as large"):
        unpack((LARGEST + 1).to_bytes(4))


@pytest.mark.parametrize("said", [b"\xff\xff\xff\xff", (2).to_bytes(4) + b"{}", (3).to_bytes(4) + b"\xff\0{", b""])
def test_a_helper_that_has_lost_its_senses_is_ended(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says is checked: nonsense ends it, and the handshake is told to be unknown."""
    pids: list[int] = []

    def mad(_: object) -> quic.Helper:
        ours, theirs = socket.socketpair()
        theirs.sendall(said)
        process = subprocess.Popen(["sleep", "60"], stdin=theirs.fileno())
        pids.append(process.pid)
        theirs.close()
        if not said:
            process.kill()
        process.returncode = 0  # it is the helper's to bury
        return quic.Helper(process.pid, ours)

    monkeypatch.setattr(quic, "_start", mad)
    with LiveVantage() as vantage:
        found = run(one(quic_handshake(ASKED)), vantage)
    assert (found.error, found.detail) == ("local", "what speaks QUIC here has ended")
    assert not Path(f"/proc/{pids[0]}").exists()


def test_an_answer_for_nobody_is_left_alone() -> None:
    """A number that nobody waits for is of a handshake that was given up."""
    outcome = QuicHandshaken(ASKED, "initial", "timeout")
    assert unpack(pack(Told(99, outcome))) is not None


def test_what_measures_loads_no_aioquic() -> None:
    """Neither the vantage with its services nor a lookup brings it."""
    code = (
        "import sys, netprobe.live.services, netprobe.live.vantage, dns.message; "
        "print([m for m in ('aioquic', 'OpenSSL', 'cryptography', 'asyncio') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said == "[]\n"
