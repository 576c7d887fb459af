"""Links and routers with real packets: tools that know nothing of us see what the file says."""

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from netprobe.sim.limits import Limiter
from netprobe.sim.records import RateLimit
from netprobe.sim.scenario import Scenario, load
from netprobe.sim.world import Fidelity, World
from tests.live.live_network import SERVER, network_of_routers
from tests.sim.real_scenario import EDGE, HOPS, NETWORK, RTT_MS, scenario

pytestmark = pytest.mark.packets

RATE_MBIT, QUEUE_MS, FRAME = 2.0, 250.0, 1428
#: Fills a queue at once and keeps it full for two seconds with a fifth more than the rate.
FILL = f"""
import socket, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
began, number = time.monotonic(), 0
while time.monotonic() - began < 2.0:
    number += 1
    out.sendto(bytes({FRAME - 28}), ("{EDGE}", 9))
    if number > 60:
        time.sleep(max(0.0, began + (number - 60) * {FRAME * 8 / (1.2 * RATE_MBIT * 1e6)} - time.monotonic()))
"""


def with_lines(folder: Path, *changes: tuple[str, str]) -> Scenario:
    """The small network with lines behind those that each change begins with."""
    text = NETWORK
    for line, more in changes:
        assert text.count(line) == 1
        text = text.replace(line, f"{line}\n{more}")
    file = folder / "line.toml"
    file.write_text(text)
    return load(file)


def round_trips_ms(world: World, count: int, pause_s: float) -> list[float]:
    """The round trips that ping reports."""
    said = world.run(["ping", "-n", "-c", str(count), "-i", str(pause_s), "-W", "2", EDGE]).stdout
    return [float(found) for found in re.findall(r"time=([0-9.]+) ms", said)]


def test_own_load_makes_the_delay_that_the_file_says(tmp_path: Path, fidelity: Fidelity) -> None:
    """Bufferbloat: ping waits as long as the queue is, while somebody sends more than the line carries, and no longer."""
    line = f"rate_mbit = {RATE_MBIT}\nqueue_ms = {QUEUE_MS}\nback = {{ rate_mbit = 100.0 }}"
    with World(with_lines(tmp_path, ('ends = ["home", "access"]', line)), fidelity=fidelity) as world:
        idle = statistics.median(round_trips_ms(world, 5, 0.05))
        with world.popen([sys.executable, "-c", FILL]):
            loaded = round_trips_ms(world, 12, 0.1)
        assert statistics.median(loaded) - idle == pytest.approx(QUEUE_MS, rel=0.12)
        assert max(loaded) - idle < QUEUE_MS * 1.2
        assert min(round_trips_ms(world, 10, 0.05)) == pytest.approx(idle, abs=5.0)
    if fidelity is Fidelity.TUN:
        assert idle == pytest.approx(RTT_MS, rel=0.25)


def test_bursts_are_lost_as_the_file_says(tmp_path: Path) -> None:
    """What ping misses out of the kernel's routers, whose rules draw by chance: the share of the file, in runs."""
    link = ('ends = ["home", "access"]', "loss = 0.2\nloss_burst = 4.0\nback = { loss = 0.0 }")
    with World(with_lines(tmp_path, link), fidelity=Fidelity.KERNEL) as world:
        said = world.run(["ping", "-n", "-c", "500", "-i", "0.002", "-W", "0.2", EDGE]).stdout
    got = {int(number) for number in re.findall(r"icmp_seq=(\d+)", said)}
    lost = [number not in got for number in range(1, 501)]
    begun = sum(gone and not before for before, gone in zip([False, *lost], lost, strict=False))
    # 25 bursts in the mean. Four standard deviations leave no room for losses one by one, which are 1.25 long.
    assert 0.03 < sum(lost) / len(lost) < 0.43
    assert 1.8 < sum(lost) / begun < 8.0


def labels(pcap: Path) -> dict[str, list[str]]:
    """The labels that tshark reads from time exceeded messages, by their sender."""
    command = ["tshark", "-n", "-r", str(pcap), "-o", "icmp.favor_icmp_mpls:TRUE", "-Y", "icmp.type == 11"]
    command += ["-T", "fields", "-e", "ip.src", "-e", "icmp.mpls.label"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [row.split("\t") for row in said.splitlines()]
    return {row[0].split(",")[0]: row[1].split(",") if row[1] else [] for row in rows}


def test_labels_are_read_the_same_by_all(tmp_path: Path) -> None:
    """Our prober reads the labels of the file wherever routers put them, scamper and tshark where the length is right."""
    routers = {
        HOPS[0]: ("wrong_length", [24012, 16]),
        HOPS[1]: ("rfc4884", [299872]),
        HOPS[2]: ("legacy", [17, 1048575, 3]),
    }
    changes = [
        (f'address = "{address}"\nicmp_jitter_ms = 0', f'mpls = {stack}\nextension = "{form}"')
        for address, (form, stack) in routers.items()
    ]
    truth = {address: stack for address, (_, stack) in routers.items()}
    pcap = tmp_path / "labels.pcap"
    with World(with_lines(tmp_path, *changes), pcap=pcap) as world:
        ours = json.loads(world.run([sys.executable, "-m", "netprobe", "trace", "--json", EDGE]).stdout)
        scamper = world.run(["scamper", "-O", "json", "-I", f"trace -P icmp-paris {EDGE}"]).stdout
    seen = {reply["address"]: reply["mpls"] for hop in ours["hops"] for reply in hop["replies"] if reply.get("mpls")}
    assert {address: [entry["label"] for entry in stack] for address, stack in seen.items()} == truth
    hops = next(row["hops"] for row in map(json.loads, scamper.splitlines()) if row["type"] == "trace")
    theirs = {
        hop["addr"]: [entry["mpls_label"] for extension in hop.get("icmpext", []) for entry in extension["mpls_labels"]]
        for hop in hops
        if hop["addr"] in truth
    }
    # Both believe a length that is said, so that they miss what stands elsewhere; scamper wants it to be said.
    assert theirs[HOPS[1]] == truth[HOPS[1]]
    shark = labels(pcap)
    assert {address: [int(label) for label in shark[address]] for address in HOPS[1:]} == {
        address: truth[address] for address in HOPS[1:]
    }


def _expired(said: str) -> int:
    return said.count("Time to live exceeded")


def test_linux_limits_its_errors_for_each_peer_as_we_say() -> None:
    """icmp_ratelimit = 1000 of a kernel that forwards: a burst of six, then one a second, to each peer its own."""
    limiter = Limiter(RateLimit(1.0, 6, per="peer"))

    def both(run: Sequence[str], peer: str) -> tuple[int, int]:
        began = time.monotonic()
        said = subprocess.run(run, check=False, capture_output=True, text=True).stdout
        pace_s = (time.monotonic() - began) / 20
        return _expired(said), sum(limiter.take(peer, began + number * pace_s) for number in range(20))

    with network_of_routers() as network:
        network.first.sysctl(icmp_ratelimit=1000)
        network.client.run("ip", "address", "add", "192.0.2.77/24", "dev", "uplink")
        for pause_s in (0.0, 0.0, 2.2):
            time.sleep(pause_s)
            for peer in ("192.0.2.2", "192.0.2.77"):
                ping = ["ping", "-n", "-I", peer, "-t", "1", "-c", "20", "-i", "0.01", "-W", "0.1", SERVER]
                theirs, ours = both(network.client.command(*ping), peer)
                assert abs(theirs - ours) <= 1, (peer, theirs, ours)


CHANGES = """
[[fault]]
kind = "link"
at = ["access", "core"]
loss = 1.0
begin_s = 2.0
end_s = 4.0

[[fault]]
kind = "link"
at = ["access", "core"]
towards = "core"
rate_mbit = 0.1
queue_ms = 300.0
begin_s = 5.0
end_s = 7.0
"""


def test_a_link_changes_in_time(tmp_path: Path, fidelity: Fidelity) -> None:
    """Pings meet a cable that is cut for two seconds, then one that is narrow for two, and what it was in between."""
    with World(scenario(tmp_path, CHANGES), fidelity=fidelity) as world:
        zero_s = time.time() - world.now()
        said = world.run(["ping", "-D", "-n", "-c", "180", "-i", "0.05", "-s", "1172", "-W", "1", EDGE]).stdout
    found = re.findall(r"\[([0-9.]+)\] .*time=([0-9.]+) ms", said)
    trips = [(float(came_s) - zero_s - float(ms) / 1e3, float(ms)) for came_s, ms in found]

    def seen(begin_s: float, end_s: float) -> list[float]:
        """The round trips of what was sent from one moment to another, by the clock of the file."""
        return [ms for sent_s, ms in trips if begin_s <= sent_s < end_s]

    assert not seen(2.1, 3.9)
    for begin_s, end_s in ((0.8, 1.8), (4.2, 4.9), (7.8, 8.8)):
        assert len(seen(begin_s, end_s)) >= (end_s - begin_s) / 0.05 * 0.7
        assert statistics.median(seen(begin_s, end_s)) < 100.0
    # A queue of 300 ms, and 96 ms for the packet itself.
    assert 220.0 < statistics.median(seen(5.8, 6.9)) < 450.0
