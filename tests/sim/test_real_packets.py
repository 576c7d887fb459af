"""The simulated network with real packets: tools that know nothing of it see what the file says."""

import json
import os
import re
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netprobe.sim.network import Network
from netprobe.sim.world import Fidelity, World
from tests.sim.real_scenario import CONTROL, EDGE, HOPS, scenario

pytestmark = pytest.mark.packets
PACE_MS = 1.0  # what a loaded machine may add to a median


@contextmanager
def world(folder: Path, faults: str, fidelity: Fidelity) -> Iterator[World]:
    """The small network with `faults`."""
    with World(scenario(folder, faults), fidelity=fidelity) as made:
        yield made


def ping_ms(network: World, address: str) -> list[float]:
    """Round-trip times of a short series of echo requests."""
    said = network.run(["ping", "-n", "-c", "15", "-i", "0.02", address]).stdout
    return [float(found) for found in re.findall(r"time=([0-9.]+) ms", said)]


@pytest.mark.parametrize("method", ["-U", "-I", "-T"], ids=["udp", "icmp", "tcp"])
def test_traceroute_shows_the_routers_of_the_file(healthy: World, method: str) -> None:
    """Each hop of each method is the router that stands there."""
    said = healthy.run(["traceroute", "-n", "-q", "1", method, EDGE]).stdout
    assert re.findall(r"^ *\d+ +([0-9.]+) ", said, re.MULTILINE) == [*HOPS, EDGE]


@pytest.mark.parametrize("method", ["icmp-paris", "udp-paris", "tcp -d 443"])
def test_scamper_shows_the_routers_of_the_file(healthy: World, method: str) -> None:
    """A tool that makes its own Ethernet frames sees the same path."""
    said = healthy.run(["scamper", "-I", f"trace -P {method} {EDGE}"]).stdout
    assert re.findall(r"^ *\d+ +([0-9.]+) ", said, re.MULTILINE) == [*HOPS, EDGE]


def test_mtr_reports_the_routers_of_the_file(healthy: World) -> None:
    """No hop of a healthy network loses anything."""
    said = json.loads(healthy.run(["mtr", "--json", "-n", "-c", "3", "-i", "0.1", "-G", "1", EDGE]).stdout)
    assert [(hub["host"], hub["Loss%"]) for hub in said["report"]["hubs"]] == [(hop, 0) for hop in (*HOPS, EDGE)]


@pytest.mark.parametrize("address", [EDGE, CONTROL])
def test_round_trips_take_what_the_links_take(tmp_path: Path, address: str) -> None:
    """The median of echo requests is twice the sum of the one-way delays."""
    one_way_s = Network(scenario(tmp_path), 0).reaches("client", address, 0.0)
    assert one_way_s is not None
    with world(tmp_path, "", Fidelity.TUN) as made:  # kernel routers have delays only where there is netem
        assert statistics.median(ping_ms(made, address)) == pytest.approx(2e3 * one_way_s, abs=PACE_MS)


def test_replies_arrive_with_the_ttl_of_their_sender(healthy: World) -> None:
    """A server's own initial TTL, less the routers between."""
    for address, ttl in ((EDGE, 61), (CONTROL, 125), (HOPS[0], 255)):
        assert f" ttl={ttl} " in healthy.run(["ping", "-n", "-c", "1", address]).stdout


def test_addresses_of_nobody_do_not_answer(healthy: World) -> None:
    """Only what the file defines is there."""
    assert " 0 received" in healthy.run(["ping", "-n", "-c", "1", "-W", "1", "23.50.131.99"]).stdout


def test_client_sees_its_own_card_and_resolvers(healthy: World) -> None:
    """One Ethernet card that is up, a default route by the gateway, the scenario's resolvers, nothing of IPv6."""
    assert healthy.run(["cat", "/sys/class/net/eth0/operstate"]).stdout == "up\n"
    assert healthy.run(["ip", "route", "show", "default"]).stdout.startswith(f"default via {HOPS[0]} dev eth0")
    assert healthy.run(["cat", "/etc/resolv.conf"]).stdout == "nameserver 192.168.1.1\n"
    assert healthy.run(["ip", "-6", "address"]).stdout == ""
    assert Path("/etc/resolv.conf").read_text() != "nameserver 192.168.1.1\n"


def test_ping_needs_no_privilege(healthy: World) -> None:
    """Ping sockets (icmp(7)) are open to everybody in there."""
    program = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)"
    command = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "/usr/bin/env",
        "python3",
        "-c",
        program,
    ]
    if os.geteuid() == 0 and healthy.run(["setpriv", *command[1:6], "python3", "--version"]).returncode == 0:
        assert healthy.run(command).stderr == ""
    assert healthy.run(["cat", "/proc/sys/net/ipv4/ping_group_range"]).stdout.split()[1] != "0"


def test_dead_gateway_is_not_on_the_wire(tmp_path: Path, fidelity: Fidelity) -> None:
    """Nobody answers ARP for a gateway that is down."""
    with world(tmp_path, '[[fault]]\nkind = "down"\nat = "home"\n', fidelity) as made:
        assert " 0 received" in made.run(["ping", "-n", "-c", "1", "-W", "1", EDGE]).stdout
        assert re.search(r"192\.168\.1\.1 dev eth0 .*(INCOMPLETE|FAILED)", made.run(["ip", "neigh"]).stdout)


def test_cable_can_be_pulled(tmp_path: Path, fidelity: Fidelity) -> None:
    """A client whose own link is down has no carrier, and knows it from the start."""
    with world(tmp_path, '[[fault]]\nkind = "down"\nat = "client"\n', fidelity) as made:
        assert made.run(["cat", "/sys/class/net/eth0/carrier", "/sys/class/net/eth0/operstate"]).stdout == "0\ndown\n"


def test_cable_comes_back(tmp_path: Path, fidelity: Fidelity) -> None:
    """The carrier returns when the fault is over, without a packet to wake the network."""
    with world(tmp_path, '[[fault]]\nkind = "down"\nat = "client"\nend_s = 0.3\n', fidelity) as made:
        states = set()
        while made.now() < 10 and "1\n" not in states:
            states.add(made.run(["cat", "/sys/class/net/eth0/carrier"]).stdout)
        assert states == {"0\n", "1\n"}


def test_injected_resets_look_like_the_server_s(tmp_path: Path, fidelity: Fidelity) -> None:
    """A name that a middlebox dislikes is reset, another at the same address is not."""
    fault = '[[fault]]\nkind = "reset"\nat = "access"\nmatch = { server_name = ["*.tiktok.com"] }\n'
    with world(tmp_path, fault, fidelity) as made:
        said = made.run(["curl", "-sS", "https://www.tiktok.com/"])
        assert (said.returncode, "reset by peer" in said.stderr) == (35, True)
        assert (
            made.run(["curl", "-sSk", "--resolve", f"www.example.com:443:{EDGE}", "https://www.example.com/"]).stderr
            == ""
        )
