"""What passes the client's card can be kept, in every fidelity, for tools that are not ours."""

import subprocess
from pathlib import Path

import pytest

from netprobe.capture import Capture
from netprobe.model.probes import Flow, Probe, Protocol
from netprobe.sim.namespaces import LabError
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, World
from tests.sim.real_scenario import EDGE, scenario


def read(pcap: Path) -> list[str]:
    """The packets as tcpdump shows them."""
    done = subprocess.run(["tcpdump", "-nr", str(pcap)], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.splitlines()


@pytest.mark.packets
def test_real_packets_are_kept(tmp_path: Path, fidelity: Fidelity) -> None:
    """Every request and every reply of a foreign tool is in the file, whole, in order."""
    pcap = tmp_path / "lab.pcap"
    with World(scenario(tmp_path), fidelity=fidelity, pcap=pcap) as world:
        assert world.run(["ping", "-n", "-c", "3", "-i", "0.1", EDGE]).returncode == 0
    kinds = [("request" if "echo request" in line else "reply") for line in read(pcap) if "ICMP echo" in line]
    assert kinds == ["request", "reply"] * 3
    assert all("length 64" in line for line in read(pcap) if "ICMP echo" in line)


def test_virtual_packets_are_kept(tmp_path: Path) -> None:
    """The same file comes out of virtual time, whose day begins at noon."""
    pcap = tmp_path / "virtual.pcap"
    vantage = VirtualVantage(scenario(tmp_path))
    capture = Capture(pcap)
    vantage.record(capture)
    vantage.send(Probe(Flow(Protocol.ICMP, EDGE), ttl=2))
    assert vantage.receive(5.0) is not None
    vantage.record(None)
    vantage.send(Probe(Flow(Protocol.ICMP, EDGE)))
    assert vantage.receive(5.0) is not None
    capture.close()
    request, answer = read(pcap)
    assert (f"> {EDGE}: ICMP echo request" in request, "ICMP time exceeded in-transit" in answer) == (True, True)
    assert request.partition(":")[2].startswith("00:00.000000")


@pytest.mark.packets
def test_a_place_that_cannot_be_written_is_said_before_anything_runs(tmp_path: Path) -> None:
    """The network is gone again, too."""
    with (
        pytest.raises(LabError, match=r"--pcap: /nowhere/a.pcap: No such file or directory"),
        World(scenario(tmp_path), pcap=Path("/nowhere/a.pcap")),
    ):
        pytest.fail("it runs")
