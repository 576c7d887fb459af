"""What a command loads before it gives up its rights is all that it needs after."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.packets, pytest.mark.patient]
ROOT = Path(__file__).parents[2]

#: Runs the command line as if the worker could not read the program, and says at the end what it has loaded since.
_PROGRAM = """
import atexit, os, sys
from netprobe.live import privilege
asked = []
def hook(event, arguments):
    if event == "import" and asked is not None:
        asked.append(arguments[0])
def become(user):
    given_up(user)
    asked.clear()
    sys.addaudithook(hook)
given_up, privilege._become_worker = privilege._become_worker, become
privilege._readable = lambda user: False
def tell():
    late = sorted(name for name in set(asked) if name in sys.modules and not name.startswith(("/", "_")))
    sys.stderr.write("loaded late: " + " ".join(late))
    sys.stderr.flush()
sys.argv[0] = "netprobe"
from netprobe.__main__ import main
atexit.register(tell)
main()
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that everybody may enter: pytest's own are root's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(
    ("scenario", "arguments"),
    [
        ("healthy", ["diagnose", "--json"]),
        ("sni-reset", ["diagnose", "--verbose", "--html", "{tmp}/page.html", "--pcap", "{tmp}/a.pcap"]),
        ("gateway-dead", ["diagnose"]),
        ("maintenance-announced", ["diagnose", "--announcements", "https://newsroom.tiktok.com/rss"]),
        ("healthy", ["trace", "--json", "23.50.131.10"]),
        ("healthy", ["trace", "www.tiktok.com", "--pcap", "{tmp}/a.pcap"]),
        ("healthy", ["trace", "--share", "--method", "syn", "23.50.131.10", "1.1.1.1"]),
        ("healthy", ["trace", "--rounds", "2", "--interval", "0.1", "23.50.131.10"]),
        ("healthy", ["trace", "--json", "--paths", "23.50.131.10"]),
        ("healthy", ["agent", "--once", "--state", "{tmp}/state"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_nothing_is_loaded_after_the_rights_are_given_up(scenario: str, arguments: list[str], place: Path) -> None:
    """A user who may not enter root's home could not read it."""
    words = [word.format(tmp=place) for word in arguments]
    command = [sys.executable, "-m", "netprobe", "lab", "run", scenario, "--", sys.executable, "-c", _PROGRAM, *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    _, told, late = done.stderr.rpartition("loaded late: ")
    assert told, done.stderr
    assert late.split() == []
