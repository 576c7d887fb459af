"""The life of a world: starting, carrying commands, ending, and leaving nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from netprobe.sim.namespaces import LabError, own_environment
from netprobe.sim.records import Scenario
from netprobe.sim.world import Fidelity, World, run_in_world
from tests.sim.real_scenario import EDGE, scenario

pytestmark = pytest.mark.packets
PATIENCE_S = 20.0


@pytest.fixture
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Leftovers":
    """What labs of this test leave: they and all that they start know its folder by TMPDIR, and nobody else does."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # read TMPDIR again
    return Leftovers(tmp_path)


class Leftovers:
    """Folders, processes and mounts of labs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _processes(self) -> list[str]:
        mark = f"TMPDIR={self._folder}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has gone meanwhile
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(process.name)
        return found

    def nothing(self) -> bool:
        """Whether there are none; what has been killed may take a moment to go."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            mounts = Path("/proc/self/mountinfo").read_text()  # it names what is mounted, not only where
            folders = self._folder.glob("netprobe-world-*")
            if not [*folders, *self._processes()] and "/netprobe-world-" not in mounts:
                return True
            time.sleep(0.02)
        return False


@pytest.fixture
def line(tmp_path: Path) -> Scenario:
    """The small network."""
    return scenario(tmp_path)


def test_exit_code_is_the_command_s(line: Scenario) -> None:
    """What a command says in the end is what its caller gets."""
    done = run_in_world(line, ["sh", "-c", "echo out; echo err >&2; exit 7"], capture=True)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_nothing_is_left_behind(line: Scenario, clean: Leftovers) -> None:
    """No process, not even a command's own child in the background, no folder and no mount outlives the world."""
    run_in_world(line, ["sh", "-c", "sleep 300 >/dev/null 2>&1 & setsid sleep 301 >/dev/null 2>&1 &"], capture=True)
    assert clean.nothing()


def test_unfinished_commands_end_with_the_world(line: Scenario) -> None:
    """Leaving the context ends what still runs in it."""
    with World(line) as world:
        command = world.popen(["sleep", "302"])
    assert command.returncode == -signal.SIGTERM


def test_missing_command_leaves_nothing(line: Scenario, clean: Leftovers) -> None:
    """A spelling mistake costs one line."""
    with pytest.raises(LabError, match=r"^no-such-command: no such command; "):
        run_in_world(line, ["no-such-command"])
    assert clean.nothing()


def test_world_outside_its_context_says_so(line: Scenario) -> None:
    """A world that was not started has no place for a command."""
    with pytest.raises(LabError, match=r"^the simulated network is not running: "):
        World(line).popen(["true"])


def test_worlds_side_by_side_are_strangers(tmp_path: Path) -> None:
    """The same address is another server in another world, and each world trusts its own."""
    busy = scenario(tmp_path, '[[fault]]\nkind = "http"\nat = "edge"\nstatus = 503\n')
    page = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "https://www.tiktok.com/"]
    with World(scenario(tmp_path)) as one, World(busy) as other:
        assert [world.run(page).stdout for world in (one, other, one)] == ["200", "503", "200"]
        crossed = other.run([*page, "--cacert", str(one.ca_file)])
        assert crossed.returncode == 60, "a certificate of the other world's authority is not believed"


def test_proxies_of_the_caller_do_not_matter(line: Scenario) -> None:
    """A proxy outside cannot be reached from inside, so it is not asked."""
    environment = {**os.environ, "https_proxy": "http://192.0.2.1:3128", "HTTPS_PROXY": "http://192.0.2.1:3128"}
    done = run_in_world(
        line, ["curl", "-sS", "-o", "/dev/null", "https://www.tiktok.com/"], env=environment, capture=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def script(body: str, file: Path) -> list[str]:
    """A program of its own that has the small network as `line`."""
    return [
        sys.executable,
        "-c",
        f"from pathlib import Path\nfrom netprobe.sim.scenario import load\nline = load({str(file)!r})\n"
        + textwrap.dedent(body),
    ]


def test_closed_standard_input_is_no_obstacle(line: Scenario, tmp_path: Path) -> None:
    """A world can be made by a process whose standard input is closed, as under cron."""
    del line
    body = f"""
        import os
        from netprobe.sim.world import run_in_world
        os.close(0)
        raise SystemExit(run_in_world(line, ["ping", "-n", "-c", "1", "{EDGE}"]).returncode)
    """
    done = subprocess.run(
        script(body, tmp_path / "line.toml"), env=own_environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_command_and_then_the_world(
    line: Scenario, tmp_path: Path, clean: Leftovers, number: signal.Signals
) -> None:
    """A signal to the caller goes to the command; the caller cleans up as after any other end."""
    del line
    body = """
        from netprobe.sim.world import run_in_world
        print(run_in_world(line, ["sh", "-c", "echo running; exec sleep 303"]).returncode, flush=True)
    """
    with subprocess.Popen(
        script(body, tmp_path / "line.toml"),
        env=own_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "running\n"
        caller.send_signal(number)
        assert caller.stdout.readline() == f"{-number}\n"
    assert caller.returncode == 0
    assert clean.nothing()


def test_everything_dies_with_the_caller(line: Scenario, tmp_path: Path, clean: Leftovers, fidelity: Fidelity) -> None:
    """A caller that is killed takes its commands, the servers and the network with it."""
    del line
    body = f"""
        from netprobe.sim.world import Fidelity, run_in_world
        run_in_world(line, ["sh", "-c", "sleep 304 & echo running; exec sleep 305"], fidelity=Fidelity("{fidelity}"))
    """
    with subprocess.Popen(
        script(body, tmp_path / "line.toml"),
        env=own_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "running\n"
        caller.kill()
    assert clean.nothing()


ROOTLESS = """
set -eu
stash=$(mktemp -d)
mknod -m 0666 "$stash/tun" c 10 200
chmod 0666 "$stash/tun"
mount --bind "$stash/tun" /dev/net/tun
rm -r "$stash"
# What lies below a folder that only root may enter is put where anybody may go, in this mount namespace only: all of it is
# set aside, then every closed folder is covered by an open one, then all of it is put back.
stashes=()
for needed in "$@"; do
    stash=$(mktemp -d)
    mount --bind "$needed" "$stash"
    stashes+=("$stash")
done
for needed in "$@"; do
    folder=$needed
    closed=
    while [ "$folder" != / ]; do
        case $(stat -c %A "$folder" 2>/dev/null || echo x) in *x|*t) ;; *) closed=$folder ;; esac
        folder=$(dirname "$folder")
    done
    if [ -n "$closed" ]; then mount -t tmpfs -o mode=0755 tmpfs "$closed"; fi
done
for needed in "$@"; do
    mkdir -p "$needed"
    mount --move "${stashes[0]}" "$needed"
    rmdir "${stashes[0]}"
    stashes=("${stashes[@]:1}")
done
exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all \
    "$INTERPRETER" -c "$PROGRAM"
"""


def test_lab_needs_no_root(tmp_path: Path, fidelity: Fidelity) -> None:
    """Nobody's user, who may open /dev/net/tun as on most systems, has the same network through a user namespace."""
    scenario(tmp_path)
    text = (tmp_path / "line.toml").read_text()
    program = f"""
import os, tempfile
from pathlib import Path
from netprobe.sim.scenario import load
from netprobe.sim.world import Fidelity, World
assert os.getuid() == 65534
with tempfile.TemporaryDirectory() as folder:
    Path(folder, "line.toml").write_text({text!r})
    line = load(Path(folder, "line.toml"))
with World(line, fidelity=Fidelity("{fidelity}")) as world:
    for command in (
        ["id", "-u"],
        ["traceroute", "-n", "-q", "1", "-T", "{EDGE}"],
        ["curl", "-sS", "-o", "/dev/null", "-w", "%{{http_code}}\\n", "https://www.tiktok.com/"],
        ["dig", "+short", "www.example.com"],
        ["ping", "-n", "-q", "-c", "1", "{EDGE}"],
        ["cat", "/etc/resolv.conf"],
    ):
        done = world.run(command)
        print(done.returncode, done.stdout, done.stderr)
print("left:", *Path(tempfile.gettempdir()).glob("netprobe-world-*"))
"""
    folder = tmp_path / "open"
    folder.mkdir(mode=0o777)
    environment = {
        **own_environment(),
        "INTERPRETER": sys.executable,
        "PROGRAM": program,
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": "/dev/shm",  # pytest's own folder is closed to others
    }
    needed = sorted({sys.base_prefix, sys.prefix, own_environment()["PYTHONPATH"].split(os.pathsep)[0]}, key=len)
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", ROOTLESS, "rootless", *needed],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    for said in ("0 0\n", f" 4  {EDGE} ", "0 200\n", "0 93.184.216.34\n", " 0% packet loss", "nameserver 192.168.1.1"):
        assert said in done.stdout, said
    assert done.stdout.endswith("left:\n")


def test_network_that_ends_early_is_an_error(line: Scenario, clean: Leftovers) -> None:
    """A world whose network is killed under it says so instead of pretending that the commands were right."""

    def live() -> None:
        with World(line) as world:
            assert world._process is not None
            world._process.kill()
            world._process.wait()

    with pytest.raises(LabError, match=r"^the simulated network ended before what ran in it; "):
        live()
    assert clean.nothing()
