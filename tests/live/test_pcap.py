"""`netprobe trace --pcap`: a file that is whole whatever happens, and nothing sent when it cannot be written."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from netprobe.cli.capturing import recorded
from netprobe.cli.failure import Failure
from netprobe.cli.output import Output
from tests.live.live_network import CLIENT, HOPS, SERVER, SILENT, Network

pytestmark = pytest.mark.packets

ROOT = Path(__file__).parents[2]


def command(network: Network, *words: str) -> list[str]:
    """The command line `netprobe *words` on the client."""
    return network.client.command("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "netprobe", *words)


def netprobe(network: Network, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command(network, *words), capture_output=True, text=True, timeout=60, check=False)


def packets(file: Path) -> list[str]:
    """What tcpdump makes of `file`, a line a packet; it has no complaint."""
    read = subprocess.run(
        ["tcpdump", "-n", "-Z", "root", "-r", str(file)], capture_output=True, text=True, timeout=30, check=False
    )
    assert read.returncode == 0, read.stderr
    assert "truncated" not in read.stderr
    return read.stdout.splitlines()


@contextmanager
def counted(network: Network) -> Iterator[Callable[[], int]]:
    """How many packets the client has sent to the server so far."""
    chain = f"chain o {{ type filter hook output priority 0; ip daddr {SERVER} counter name sent; }}"
    network.client.run("nft", "-f", "-", stdin=f"table ip count {{ counter sent {{ }}; {chain}; }}\n")
    try:
        listed = ("nft", "-j", "list", "counter", "ip", "count", "sent")
        yield lambda: int(json.loads(network.client.run(*listed))["nftables"][1]["counter"]["packets"])
    finally:
        network.client.run("nft", "delete", "table", "ip", "count")


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_the_probes_and_their_answers_are_in_the_file(network: Network, tmp_path: Path, flags: list[str]) -> None:
    """As many requests as probes were sent, and each hop that was seen."""
    file = tmp_path / "a.pcap"
    file.write_bytes(b"something that was there before")
    done = netprobe(network, "trace", SERVER, "--pcap", str(file), *flags)
    assert (done.returncode, done.stderr) == (0, "")
    shown = packets(file)
    assert all(any(f"{hop} > {CLIENT}: ICMP time exceeded" in line for line in shown) for hop in HOPS)
    requests = [line for line in shown if "echo request" in line]
    if flags:
        assert len(requests) == json.loads(done.stdout)["probes_sent"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_trace_that_is_stopped_leaves_a_whole_file(network: Network, tmp_path: Path, number: int) -> None:
    """What had passed until then is in it."""
    file = tmp_path / "a.pcap"
    with subprocess.Popen(
        command(network, "trace", SILENT, "--pcap", str(file)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        until = time.monotonic() + 20
        while not (file.exists() and file.stat().st_size > 24) and time.monotonic() < until:
            time.sleep(0.02)
        os.kill(running.pid, number)
        running.communicate(timeout=20)
    shown = packets(file)
    assert any("echo request" in line for line in shown)
    assert any("time exceeded" in line for line in shown)


@pytest.mark.parametrize("place", ["missing/a.pcap", ".", "/dev/full", "-"])
def test_what_cannot_be_written_is_refused_before_anything_is_sent(
    network: Network, tmp_path: Path, place: str
) -> None:
    """One line that says what is wrong, exit code 2, and not a packet."""
    path = place if place in {"-", "/dev/full"} else str(tmp_path / place)
    with counted(network) as sent:
        done = netprobe(network, "trace", SERVER, "--pcap", path)
        assert sent() == 0
    assert done.returncode == 2
    assert done.stderr.startswith("netprobe: --pcap: ")
    assert len(done.stderr.splitlines()) == 1


def test_without_rights_nothing_that_was_there_is_touched(network: Network, tmp_path: Path) -> None:
    """Who may not look at the network devices is told so in one line, and keeps the file."""
    file = tmp_path / "a.pcap"
    file.write_bytes(b"precious")
    words = command(network, "trace", SERVER, "--pcap", str(file))
    at = words.index("--") + 1
    capless = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs"]
    done = subprocess.run([*words[:at], *capless, *words[at:]], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 20, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert file.read_bytes() == b"precious"


class Blind:
    """A vantage on a lower rung of the ladder."""

    def look(self) -> bool:
        return False


def test_what_cannot_be_looked_at_cannot_be_recorded(tmp_path: Path) -> None:
    """Below raw packets there is no tap: that is said, with what to do."""
    vantage: Any = Blind()
    (tmp_path / "a.pcap").write_bytes(b"precious")
    with (
        Output.open("--pcap", tmp_path / "a.pcap") as output,
        pytest.raises(Failure, match="CAP_NET_RAW") as raised,
        recorded(vantage, output),
    ):
        pytest.fail("nothing is recorded")
    assert raised.value.code == 20
    assert (tmp_path / "a.pcap").read_bytes() == b"precious"
