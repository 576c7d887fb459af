"""The kernel lab as a guest: soon there, soon gone, and nothing of it stays, whoever is killed and when."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netprobe.sim import folders
from netprobe.sim.namespaces import own_environment
from netprobe.sim.world import Fidelity, World
from tests.sim.real_scenario import scenario
from tests.sim.twenty import twenty

PATIENCE_S = 20.0
#: A world with a command that leaves a child behind; each stage is said as it begins.
PROGRAM = """
import sys
from pathlib import Path
from netprobe.sim.scenario import load
from netprobe.sim.world import Fidelity, World
line = load(Path(sys.argv[1]))
print("start", flush=True)
with World(line, fidelity=Fidelity.KERNEL) as world:
    world.popen(["sh", "-c", "setsid sleep 300 & setsid sleep 301"], stdin=-3, stdout=-3, stderr=-3)
    print("alive", flush=True)
    sys.stdin.readline()
print("over", flush=True)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where labs of this test have their folders: all that they start knows it by TMPDIR, and nobody else does."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)  # read TMPDIR again
    yield folder
    for pid in labelled(folder):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def labelled(place: Path) -> list[int]:
    """The processes that know the folder, this one left out."""
    mark = f"TMPDIR={place}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has gone meanwhile
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def left(place: Path) -> list[str]:
    """Processes, folders, mounts, devices and named namespaces of the labs of `place`."""
    mounts = [row for row in Path("/proc/self/mountinfo").read_text().splitlines() if str(place) in row]
    devices = [name for name in os.listdir("/sys/class/net") if name.startswith("to-")]  # noqa: PTH208  # names only
    named = [*Path("/run/netns").glob("*netprobe*")]
    return [*map(str, labelled(place)), *map(str, place.iterdir()), *mounts, *devices, *map(str, named)]


def nothing_left(place: Path) -> bool:
    """Whether all is gone; what has been killed may take a moment to go."""
    until = time.monotonic() + PATIENCE_S
    while left(place):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def kill_all(place: Path, spared: frozenset[str] = frozenset({"sleep"})) -> None:
    """Kill every process of a lab but those that run `spared`, the children of its command, which nobody knows of.

    Wait until they are dead, and have let go of what they held: one that is about to be has no name any more.
    """
    until = time.monotonic() + PATIENCE_S
    killed: set[int] = set()
    while time.monotonic() < until:
        found = [pid for pid in labelled(place) if name_of(pid) not in {*spared, ""}]
        if not found and not any(map(is_dying, killed)):
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed.update(found)
        time.sleep(0.01)


def is_dying(pid: int) -> bool:
    """Whether a process that was killed is still there; only its parent's question is left of a zombie (proc(5))."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def name_of(pid: int) -> str:
    """What a process runs; empty when it has gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@pytest.mark.packets
@pytest.mark.parametrize("after_s", [0.05, 0.3, 0.6, 0.9, None], ids=str)
def test_the_next_start_removes_what_a_kill_has_left(tmp_path: Path, place: Path, after_s: float | None) -> None:
    """All processes of a lab are killed at once, while it is made or alive (None): the next lab leaves nothing of it."""
    scenario(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "line.toml")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=own_environment(),
    ) as lab:
        assert lab.stdout is not None
        assert lab.stdout.readline() == "start\n"
        if after_s is None:
            assert lab.stdout.readline() == "alive\n"
        else:
            time.sleep(after_s)  # the moment is the case
        kill_all(place)
    assert left(place), "a kill leaves what there is to remove"
    folders.sweep()
    assert nothing_left(place), left(place)


@pytest.mark.packets
def test_a_living_lab_is_not_swept(tmp_path: Path, place: Path) -> None:
    """Another start leaves alone who lives."""
    with World(scenario(tmp_path), fidelity=Fidelity.KERNEL) as world:
        folders.sweep()
        assert world.ca_file.exists()
        assert world.run(["ping", "-n", "-c", "1", "192.168.1.1"]).returncode == 0
    assert nothing_left(place)


def test_a_folder_that_is_being_made_is_not_swept(place: Path) -> None:
    """Between the making of a folder and its lock nobody takes it away; an old empty one is nobody's."""
    young, old = place / "netprobe-world-young", place / "netprobe-world-old"
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (0, 0))
    folders.sweep()
    assert list(place.iterdir()) == [young]


def test_a_held_folder_is_not_swept(place: Path) -> None:
    """Not while anybody holds it, and then at once."""
    folder, lock = folders.make()
    Path(folder, "hosts").write_text("127.0.0.1 localhost\n")
    other = folders.hold(folder)
    os.close(lock)
    folders.sweep()
    assert list(place.iterdir()) == [Path(folder)]
    os.close(other)
    folders.sweep()
    assert list(place.iterdir()) == []


@pytest.mark.packets
def test_twenty_routers_are_all_there(place: Path) -> None:
    """The network that `make bench` times is what it says: a traceroute sees all twenty."""
    network = twenty()
    with World(network, fidelity=Fidelity.KERNEL) as world:
        said = world.run(["traceroute", "-n", "-I", "-q", "1", "-w", "1", network.servers[0].addresses[0]]).stdout
    assert [line.split()[1] for line in said.splitlines()[1:]] == [
        *(router.address for router in network.routers),
        network.servers[0].addresses[0],
    ]
    assert nothing_left(place)
