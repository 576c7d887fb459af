"""Middleboxes and address translation with real packets: curl, dig and tcpdump see what the file says."""

import re
import subprocess
from pathlib import Path

import pytest

from netprobe.sim.namespaces import Namespaces
from netprobe.sim.records import Scenario
from netprobe.sim.scenario import load
from netprobe.sim.world import Fidelity, World
from tests.sim.real_scenario import CONTROL, EDGE, HOPS, NETWORK

pytestmark = pytest.mark.packets
OUTER = "87.138.40.7"
RATE_KBIT = 400
PAGE = 100_000

FAULTS = f"""
[[fault]]
kind = "http"
at = "edge"
body_bytes = {PAGE}

[[fault]]
kind = "throttle"
at = "access"
rate_kbit = {RATE_KBIT}
queue_ms = 50
match = {{ server_name = ["slow.tiktok.com"] }}

[[fault]]
kind = "cutoff"
at = "access"
after_bytes = 16384
match = {{ server_name = ["cut.tiktok.com"] }}

[[fault]]
kind = "block_page"
at = "core"
status = 403
title = "Blocked by order"
match = {{ server_name = ["www.tiktok.com"] }}

[[fault]]
kind = "block_page"
at = "access"
status = 302
headers = {{ location = "http://{CONTROL}/" }}
match = {{ server_name = ["moved.tiktok.com"] }}

[[fault]]
kind = "reset"
at = "core"
injected = true
match = {{ server_name = ["injected.tiktok.com"] }}

[[fault]]
kind = "reset"
at = "home"
fin = true
match = {{ server_name = ["finished.tiktok.com"] }}

[[fault]]
kind = "dns"
at = "home"
addresses = ["10.9.9.9", "10.8.8.8"]
separate = true
"""


def translated(folder: Path, more: str = "", ports: int = 0) -> Scenario:
    """The small network behind a home router that translates."""
    own = 'address = "192.168.1.1"\n'
    nat = f'nat = {{ address = "{OUTER}", ports = {ports} }}\n'
    file = folder / "line.toml"
    file.write_text(NETWORK.replace(own, own + nat, 1) + more)
    return load(file)


def curl(world: World, host: str, scheme: str = "https", wait_s: int = 8) -> tuple[int, str, float]:
    """Curl's exit code, what it got (its status, how many bytes), and how many seconds that took."""
    where = f"{host}:{443 if scheme == 'https' else 80}:{EDGE}"
    what = "%{http_code} %{size_download} %{time_total}"
    command = [
        "curl",
        "-sS",
        "-m",
        str(wait_s),
        "-o",
        "/dev/null",
        "-w",
        what,
        "--resolve",
        where,
        f"{scheme}://{host}/",
    ]
    done = world.run(command)
    status, size, took = done.stdout.split()
    return done.returncode, f"{status} {size}", float(took)


def test_tools_see_what_middleboxes_do(tmp_path: Path, fidelity: Fidelity) -> None:
    """Goodput, bytes before the end, pages, redirects, resets and forged answers, behind a router that translates."""
    with World(translated(tmp_path, FAULTS), fidelity=fidelity) as world:
        code, got, took = curl(world, "slow.tiktok.com")
        assert (code, got) == (0, f"200 {PAGE}")
        assert PAGE * 8 / 1e3 / took == pytest.approx(RATE_KBIT, rel=0.15)
        code, got, took = curl(world, "free.tiktok.com")
        assert (code, got) == (0, f"200 {PAGE}")
        assert PAGE * 8 / 1e3 / took > 3 * RATE_KBIT
        code, got, _ = curl(world, "cut.tiktok.com", "http", wait_s=1)
        assert code == 28  # timed out
        assert 16384 - 1600 < int(got.split()[1]) <= 16384
        page = world.run(["curl", "-sS", "--resolve", f"www.tiktok.com:80:{EDGE}", "http://www.tiktok.com/"])
        assert "<title>Blocked by order</title>" in page.stdout
        assert curl(world, "www.tiktok.com", "http")[1].startswith("403")
        assert curl(world, "moved.tiktok.com", "http")[1].startswith("302")
        assert curl(world, "injected.tiktok.com")[0] == 35  # CURLE_SSL_CONNECT_ERROR: reset
        assert curl(world, "finished.tiktok.com")[0] == 35  # the same: an end without a word of TLS
        asked = ["dig", "+short", "+tries=1", "+time=2", f"@{'194.25.2.129'}", "www.tiktok.com"]
        assert world.run(asked).stdout == "10.9.9.9\n"


def far_side(world: World) -> Namespaces:
    """Where the servers live: the namespace of a child of the process that holds the world."""
    holder = world._process
    assert holder is not None
    own = Path(f"/proc/{holder.pid}/ns/net").stat().st_ino
    children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()
    return Namespaces.of(next(int(pid) for pid in children if Path(f"/proc/{pid}/ns/net").stat().st_ino != own))


def test_the_far_side_sees_the_router_s_address(tmp_path: Path, fidelity: Fidelity) -> None:
    """Tcpdump beside the servers sees the translated address only, and traceroute's hops stay what they were."""
    watch = ["tcpdump", "-n", "-l", "-i", "any", "-c", "2", "icmp or tcp dst port 443"]
    with World(translated(tmp_path), fidelity=fidelity) as world:
        beside = far_side(world)
        with beside.popen(watch, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as seen:
            assert seen.stderr is not None
            while "listening" not in seen.stderr.readline():
                assert seen.poll() is None
            assert " 1 received" in world.run(["ping", "-n", "-c", "1", "-W", "2", EDGE]).stdout
            curl(world, "www.tiktok.com")
            said, _ = seen.communicate(timeout=20)
        assert f"IP {OUTER} > {EDGE}: ICMP echo request" in said
        assert "192.168.1.23" not in said
        for method in ("-I", "-T"):
            said = world.run(["traceroute", "-n", "-q", "1", method, EDGE]).stdout
            assert re.findall(r"^ *\d+ +([0-9.]+) ", said, re.MULTILINE) == [*HOPS, EDGE]


OPEN_SIX = f"""
import socket
kept = [socket.socket() for _ in range(6)]
for one in kept:
    one.settimeout(0.5)
    try:
        one.connect(("{EDGE}", 80))
        print("connected")
    except TimeoutError:
        print("timeout")
kept[0].sendall(b"GET / HTTP/1.1\\r\\nHost: www.tiktok.com\\r\\nConnection: close\\r\\n\\r\\n")
print(kept[0].recv(12).decode())
"""


def test_a_carrier_s_ports_run_out(tmp_path: Path, fidelity: Fidelity) -> None:
    """With three ports three connections live, and go on living; the fourth gets no answer."""
    with World(translated(tmp_path, ports=3), fidelity=fidelity) as world:
        said = world.run(["python3", "-c", OPEN_SIX]).stdout.split("\n")
        assert said[:7] == [*["connected"] * 3, *["timeout"] * 3, "HTTP/1.1 200"]
