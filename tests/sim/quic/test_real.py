"""QUIC servers and middleboxes with real packets: a client of others and tshark see what the file says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netprobe.capture import Capture
from netprobe.model.probes import Flow, Probe, Protocol
from netprobe.model.services import QuicHandshake
from netprobe.sim.namespaces import own_environment
from netprobe.sim.records import Scenario
from netprobe.sim.scenario import load
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, World
from tests.sim.quic.speakers import V1, V2
from tests.sim.real_scenario import CONTROL, EDGE, NETWORK

pytestmark = [pytest.mark.packets, pytest.mark.patient]
UNKNOWN = 0x1A2A3A4A
VISIT = str(Path(__file__).with_name("visit.py"))

FAULTS = """
[[fault]]
kind = "http"
at = "edge"
status = 503
headers = { retry-after = "120" }
server_name = ["busy.tiktok.com"]

[[fault]]
kind = "hangup"
at = "edge"
when = "hello"
how = "close"
server_name = ["shut.tiktok.com"]

[[fault]]
kind = "hangup"
at = "edge"
when = "request"
how = "reset"
server_name = ["cut.tiktok.com"]

[[fault]]
kind = "hangup"
at = "edge"
when = "answer"
how = "silence"
after_bytes = 20
server_name = ["mute.tiktok.com"]

[[fault]]
kind = "certificate"
at = "edge"
expired = true
server_name = ["old.tiktok.com"]

[[fault]]
kind = "drop"
at = "access"
match = { protocol = "quic", server_name = ["dropped.tiktok.com"] }

[[fault]]
kind = "drop"
at = "core"
match = { protocol = "quic", destination = ["23.50.131.11"] }
"""


def speaking(folder: Path, faults: str = "") -> Scenario:
    """The small network with an edge that speaks QUIC."""
    file = folder / "line.toml"
    file.write_text(NETWORK.replace('name = "edge"\n', 'name = "edge"\nquic = true\n', 1) + faults)
    return load(file)


@pytest.fixture(scope="module", params=list(Fidelity), ids=str)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with several faults, each for a name of its own."""
    with World(speaking(tmp_path_factory.mktemp("quic"), FAULTS), fidelity=request.param) as made:
        yield made


def visit(world: World, name: str, version: int = V1, address: str = EDGE) -> dict[str, Any]:
    """What aioquic's client finds."""
    done = world.run([sys.executable, VISIT, address, name, hex(version)])
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("version", [V1, V2])
def test_a_page_is_served_over_http_3(world: World, version: int) -> None:
    """A client of others believes the certificate and gets the page with its headers, in both versions."""
    found = visit(world, "www.tiktok.com", version)
    assert found["alpn"] == "h3"
    assert found["headers"][":status"] == "200"
    assert (found["headers"]["server"], found["headers"]["x-cache"]) == ("Edge", "HIT")
    assert "<title>www.tiktok.com</title>" in found["body"]


def test_versions_are_negotiated(world: World) -> None:
    """A version that nobody speaks draws a negotiation, in which this client finds none of its own."""
    assert visit(world, "www.tiktok.com", UNKNOWN)["reason"] == "Could not find a common protocol version"


def test_a_status_is_that_of_http(world: World) -> None:
    """A fault of the server's pages shows over QUIC as over TCP."""
    found = visit(world, "busy.tiktok.com")
    assert (found["headers"][":status"], found["headers"]["retry-after"]) == ("503", "120")


def test_servers_hang_up(world: World) -> None:
    """At the hello with CONNECTION_REFUSED, at the request with H3_INTERNAL_ERROR, in the middle of an answer silently."""
    assert visit(world, "shut.tiktok.com")["code"] == 0x2
    assert visit(world, "cut.tiktok.com")["code"] == 0x102
    found = visit(world, "mute.tiktok.com")
    assert (found["headers"][":status"], found["body"], found["error"]) == ("200", "<!doctype html><html", "timeout")


def test_a_certificate_is_chosen_by_name(world: World) -> None:
    """The one that is wrong is shown to who asks for its name, and is not believed."""
    found = visit(world, "old.tiktok.com")
    assert found["code"] == 0x100 + 45  # RFC 8446, 6: certificate_expired
    assert "headers" not in found


def test_names_and_addresses_are_dropped(world: World) -> None:
    """QUIC by name or by address vanishes, and TCP passes."""
    assert visit(world, "dropped.tiktok.com")["error"] == "timeout"
    assert visit(world, "www.tiktok.com", address="23.50.131.11")["error"] == "timeout"
    said = world.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "https://dropped.tiktok.com/",
                      "--resolve", f"dropped.tiktok.com:443:{EDGE}"])  # fmt: skip
    assert said.stdout == "200"


def test_who_does_not_speak_quic_is_closed(world: World) -> None:
    """Its kernel says port unreachable: a socket that listens for it hears so."""
    code = f"""
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.settimeout(3)
sock.connect(("{CONTROL}", 443))
sock.send(bytes([0xC0, 0, 0, 0, 1, 0, 0]) + bytes(1200))
try:
    print(sock.recv(100))
except ConnectionRefusedError:
    print("refused")
"""
    assert world.run([sys.executable, "-c", code]).stdout == "refused\n"


def dissected(pcap: Path, fields: str) -> list[str]:
    """What tshark reads of QUIC in a capture, a line a packet; it checks that none is malformed."""
    base = ["tshark", "-r", str(pcap)]
    bad = subprocess.run([*base, "-Y", "_ws.malformed"], capture_output=True, text=True, check=True)
    assert bad.stdout == ""
    found = [word for field in fields.split() for word in ("-e", field)]
    read = subprocess.run([*base, "-Y", "quic", "-T", "fields", *found], capture_output=True, text=True, check=True)
    return read.stdout.splitlines()


def test_tshark_reads_real_packets(tmp_path: Path, fidelity: Fidelity) -> None:
    """It decrypts the Initials, with the name in the client's and the ServerHello in the server's."""
    pcap = tmp_path / "real.pcap"
    with World(speaking(tmp_path), fidelity=fidelity, pcap=pcap) as world:
        visit(world, "www.tiktok.com")
        world.run([sys.executable, "-m", "netprobe", "trace", "--method", "quic", EDGE], env=own_environment())
    rows = dissected(pcap, "ip.src tls.handshake.type tls.handshake.extensions_server_name")
    assert any(row.endswith("\t1\twww.tiktok.com") for row in rows)
    assert any(row.startswith(f"{EDGE}\t2") for row in rows)


def test_tshark_reads_virtual_packets(tmp_path: Path) -> None:
    """The same in virtual time: the Initials are real there too."""
    pcap = tmp_path / "virtual.pcap"
    vantage = VirtualVantage(speaking(tmp_path))
    vantage.record(Capture(pcap))
    vantage.send(QuicHandshake(EDGE, server_name="www.tiktok.com"))
    vantage.receive(10.0)
    vantage.send(Probe(Flow(Protocol.QUIC, EDGE, 443)))
    vantage.receive(20.0)
    vantage.record(None)
    rows = dissected(pcap, "ip.src tls.handshake.type tls.handshake.extensions_server_name")
    assert rows[0] == "192.168.1.23\t1\twww.tiktok.com"
    assert rows[1].startswith(f"{EDGE}\t2")
    assert dissected(pcap, "quic.version")[-1] == "0x00000000", "a negotiation, for a probe that is whole too"
