"""Who the worker becomes, what it hands over before, and what it is after it has given up its privilege."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

import pytest

from netprobe.live import privilege, seccomp
from netprobe.live.broker import limits
from netprobe.live.broker.limits import Bucket, Destinations
from netprobe.live.privilege import Reach, configuration, worker_user
from netprobe.sim.namespaces import own_environment
from netprobe.sim.world import World
from tests.benchmarks.networks import straight
from tests.live.live_network import SERVER, Network

ROOT = Path(__file__).parents[2]
NETPROBE = [sys.executable, "-m", "netprobe"]
as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can become somebody else and give files away: `make test` runs as root"
)
FILTERED = bool(seccomp.worker_filter(seccomp.machine()))

#: A worker that says what it is, what it may not do any more, and what it measures all the same.
_WORKER = """
import errno, json, os, socket, sys
from netprobe.live.broker import launch
launch.ahead(["trace"])
from netprobe.live import privilege
from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Flow, Probe, Protocol
wires = privilege.separate(privilege.Reach(sys.argv[1:2], 0, 0.0, 400.0), load=lambda: None)
def refused(*kind):
    try:
        socket.socket(*kind).close()
    except OSError as error:
        return errno.errorcode[error.errno]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
said = {name: status[name].strip() for name in ("Uid", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp")}
said["raw"] = refused(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
said["packet"] = refused(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
said["descriptors"] = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{name}")]
said["brokered"] = wires.broker is not None
with LiveVantage(wire=wires.open()) as vantage:
    said["footing"] = vantage.footing[Protocol.ICMP]
    vantage.send(Probe(Flow(Protocol.ICMP, sys.argv[1]), ttl=64))
    event = vantage.receive(vantage.now() + 5.0)
    said["reply"] = event and event.outcome.kind.value
os.write(1, json.dumps(said).encode())
"""


def worker(*prefix: str, address: str = SERVER, **env: str) -> dict[str, Any]:
    """What a worker says, that `prefix` has started."""
    words = [*prefix, sys.executable, "-c", _WORKER, address]
    environment = {**os.environ, **env} if env else None
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, env=environment, cwd=ROOT)
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def assert_harmless(said: dict[str, Any]) -> None:
    """No capability, no way to one, no raw socket."""
    nothing = f"{0:016x}"
    assert {said[name] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {nothing}
    assert said["NoNewPrivs"] == "1"
    assert said["Seccomp"] == ("2" if FILTERED else "0")
    assert (said["raw"], said["packet"]) == ("EPERM", "EPERM")


@pytest.mark.packets
def test_root_becomes_nobody_and_measures(inside: Network) -> None:
    """Sets empty, the bounding set too; system calls filtered; and the probe is answered, by way of the broker."""
    said = worker(*inside.client.command())
    assert_harmless(said)
    assert said["CapBnd"] == f"{0:016x}"
    assert set(said["Uid"].split()) & {"0"} == set()
    assert (said["brokered"], said["footing"], said["reply"]) == (True, "raw", "echo_reply")


@pytest.mark.packets
def test_who_called_sudo_does_the_work(inside: Network) -> None:
    """SUDO_UID and SUDO_GID say whose terminal and files these are."""
    said = worker(*inside.client.command(), SUDO_UID="4321", SUDO_GID="4321")
    assert said["Uid"].split() == ["4321"] * 4
    assert_harmless(said)
    assert said["reply"] == "echo_reply"


@pytest.mark.packets
def test_a_service_with_an_ambient_capability_gives_it_to_the_broker(inside: Network) -> None:
    """A systemd unit's user with CAP_NET_RAW alone: the broker has it, the worker nothing, though its bound stays."""
    unit = ["--reuid=4321", "--regid=4321", "--clear-groups", "--no-new-privs"]
    unit += ("--inh-caps=-all,+net_raw", "--ambient-caps=-all,+net_raw", "--bounding-set=-all,+net_raw")
    python, path = _python_for_everybody()
    words = [*inside.client.command("setpriv", *unit), python, "-c", _WORKER, SERVER]
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, env=env, cwd=ROOT)
    said = json.loads(done.stdout)
    assert_harmless(said)
    assert (said["brokered"], said["reply"], said["Uid"].split()) == (True, "echo_reply", ["4321"] * 4)


@pytest.mark.packets
def test_without_any_right_there_is_no_broker_and_no_complaint(inside: Network) -> None:
    """A process without capabilities measures by the ladder's lower rungs, and is bound all the same."""
    words = ("setpriv", "--inh-caps=-all", "--bounding-set=-all", "--reuid=0", "--clear-groups")
    said = worker(*inside.client.command(*words))
    assert_harmless(said)
    assert not said["brokered"]
    assert said["footing"] != "raw"


def _python_for_everybody() -> tuple[str, str]:
    """An interpreter that any user may run, and where it finds what it needs."""
    packages = sysconfig.get_path("purelib")
    path = os.pathsep.join((str(ROOT), packages))
    if privilege._readable((4321, 4321)):
        return sys.executable, path
    other = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    if not (Path(other).exists() and privilege._may_enter(Path(packages), (4321, 4321))):
        pytest.skip("no other user may read any interpreter here, so that nobody could be the worker")
    return other, path


@pytest.mark.packets
def test_in_a_user_namespace_root_stays_a_number() -> None:
    """Where there is no other user, only the capabilities go."""
    words = ["unshare", "-U", "-r", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    said = worker(*words, address="127.0.0.1")
    assert_harmless(said)
    assert (said["CapBnd"], said["Uid"].split()) == (f"{0:016x}", ["0"] * 4)
    assert (said["brokered"], said["reply"]) == (True, "echo_reply")


@pytest.mark.packets
def test_without_a_second_process_the_sockets_are_opened_before(inside: Network) -> None:
    """Where nothing can be started the worker keeps the sockets that it has, and nothing else."""
    broken = _WORKER.replace(
        "launch.ahead", "import os; os.posix_spawn = None\nlaunch.launch = lambda: None\nlaunch.ahead"
    )
    words = [*inside.client.command(), sys.executable, "-c", broken, SERVER]
    said = json.loads(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60, cwd=ROOT).stdout)
    assert_harmless(said)
    assert (said["brokered"], said["footing"], said["reply"]) == (False, "raw", "echo_reply")


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def status(pid: int) -> dict[str, str]:
    rows = (line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.strip() for name, value in rows}


def until(condition: Any) -> bool:
    """Wait for `condition`, not for long."""
    end = time.monotonic() + 20.0
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.packets
@pytest.mark.parametrize(
    "command",
    [
        ["trace", "--max-ttl", "63", "--rate", "1", "203.0.113.1", "203.0.113.7", "203.0.113.8"],
        ["diagnose", "--json"],
        ["agent", "--every", "1h", "--state"],
    ],
)
def test_every_command_that_measures_is_two_processes(command: list[str], tmp_path: Path) -> None:
    """A worker without a right and a broker with one; when the broker is killed, the worker says so and ends.

    What speaks QUIC is a third one, made before where a worker could not load it later: without a right too.
    """
    words = [*command, str(tmp_path / "state")] if command[-1] == "--state" else command
    with World(straight(3, 1.0)) as world:
        process = world.popen(
            [*NETPROBE, *words], env=own_environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert until(
            lambda: (children(process.pid) and status(process.pid)["NoNewPrivs"] == "1") or process.poll() is not None
        )
        (broker,) = (pid for pid in children(process.pid) if status(pid)["Name"] == "netprobe-broker")
        for other in set(children(process.pid)) - {broker}:
            assert until(lambda pid=other: status(pid)["Name"] == "netprobe-quic")
            assert {status(other)[name] for name in ("CapEff", "CapPrm", "CapAmb")} == {f"{0:016x}"}
        assert until(lambda: status(broker)["CapEff"] == f"{1 << 13:016x}")
        assert int(status(broker)["VmRSS"].split()[0]) <= 12 * 1024
        said = status(process.pid)
        assert {said[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {f"{0:016x}"}
        os.kill(broker, signal.SIGKILL)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 20, error
    assert b"the broker, the process that holds the raw sockets, has ended" in error
    assert b"Traceback" not in error


def test_a_list_is_what_was_named_and_this_machine() -> None:
    """Addresses and prefixes are listed, names are not; the own loopback always is."""
    made = configuration(
        Reach(("192.0.2.7", "198.51.100.0/24", "2001:db8::1", "www.example.com", ""), 0, 0.0, 10.0), None
    )
    known = Destinations(made.listed, made.additions, made.additions_per_minute)
    for packed, may in (
        (bytes([192, 0, 2, 7]), True),
        (bytes([192, 0, 2, 8]), False),
        (bytes([198, 51, 100, 200]), True),
        (bytes([127, 0, 0, 53]), True),
        (bytes(15) + b"\1", True),
        (b"\x20\x01\x0d\xb8" + bytes(11) + b"\1", True),
        (b"\x20\x01\x0d\xb8" + bytes(11) + b"\2", False),
    ):
        assert known.allow(packed, 0.0) is may


def test_a_paced_run_is_never_refused() -> None:
    """The cap leaves room for the pace's bursts and for a stall of half a second."""
    for rate in (1.0, 400.0, 5000.0):
        made = configuration(Reach((), 0, 0.0, rate), None)
        bucket = Bucket(made.rate, made.burst)
        sent = [bucket.take(10.0 + number / rate) for number in range(2000)]
        assert all(sent)
        stalled = [bucket.take(10.5 + 2000 / rate) for _ in range(int(rate * 0.5))]
        assert all(stalled)
    assert limits.LARGEST_PROBE >= 9000


@as_root
def test_who_owns_the_records_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their owner goes before who called sudo, who goes before nobody; root's own choose among the others."""
    monkeypatch.setattr(privilege, "_may_enter", lambda _place, _user: True)
    records = tmp_path / "records"
    records.mkdir()
    monkeypatch.setenv("SUDO_UID", "4321")
    monkeypatch.setenv("SUDO_GID", "4322")
    assert worker_user(records) == (4321, 4322)
    os.chown(records, 1234, 1235)
    assert worker_user(records) == (1234, 1235)
    monkeypatch.delenv("SUDO_UID")
    assert worker_user(tmp_path / "none yet") not in {None, (0, 0)}
    monkeypatch.setenv("SUDO_UID", "0")
    assert worker_user() != (0, 4322), "root is nobody to become"


@as_root
def test_records_where_only_root_may_enter_stay_roots(tmp_path: Path) -> None:
    """Nobody else could keep them: the worker has root's number then, without any capability."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert worker_user(closed / "state") is None


@as_root
def test_only_records_are_handed_over(tmp_path: Path) -> None:
    """A folder that was named by mistake keeps its owner, and what only looks like records stays root's."""
    user = (4321, 4321)
    other = tmp_path / "etc"
    other.mkdir()
    (other / "passwd").write_text("")
    privilege._hand_over(other, user)
    assert {other.stat().st_uid, (other / "passwd").stat().st_uid} == {0}

    records = tmp_path / "records"
    privilege._hand_over(records, user)
    assert records.stat().st_uid == 4321
    secret = tmp_path / "secret"
    secret.write_text("")
    (records / "netprobe.db").write_text("")
    (records / "netprobe.db-wal").hardlink_to(secret)
    (records / "netprobe.db-shm").symlink_to(secret)
    (records / "lock").write_text("")
    (records / "notes").write_text("")
    privilege._hand_over(records, user)
    owners = {path.name: path.lstat().st_uid for path in records.iterdir()}
    assert {name for name, uid in owners.items() if uid == 4321} <= {"netprobe.db", "lock", "netprobe.db-shm"}
    assert owners["netprobe.db"] == 4321
    assert owners["notes"] == 0
    assert secret.stat().st_uid == 0
