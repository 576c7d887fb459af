"""The servers of a scenario as curl, dig and OpenSSL see them, through the simulated network."""

import json
import sys
from pathlib import Path

import pytest

from netprobe.sim.world import Fidelity, World
from tests.sim.real_scenario import CONTROL, EDGE, scenario

pytestmark = pytest.mark.packets
SITE = "https://www.tiktok.com/"
RESOLVER = "194.25.2.129"

#: Shakes hands many times at once and says how often it went well.
CROWD = """
import asyncio, ssl
async def one(context):
    async with asyncio.timeout(20):
        name = "www.tiktok.com"
        reader, writer = await asyncio.open_connection("23.50.131.10", 443, ssl=context, server_hostname=name)
        writer.write(b"GET / HTTP/1.1\\r\\nHost: www.tiktok.com\\r\\nConnection: close\\r\\n\\r\\n")
        return (await reader.read()).startswith(b"HTTP/1.1 200 OK")
async def main():
    context = ssl.create_default_context()
    print(sum(await asyncio.gather(*(one(context) for _ in range(60)))))
asyncio.run(main())
"""


def fetch(world: World, *arguments: str) -> tuple[int, str]:
    """What curl ends with, and the status that it saw."""
    done = world.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *arguments])
    return done.returncode, done.stdout


def test_page_is_served_over_tls(healthy: World) -> None:
    """An unmodified curl finds the name, believes the certificate and gets the page with its headers."""
    said = healthy.run(["curl", "-sS", "-i", SITE])
    head, _, body = said.stdout.partition("\n\n")
    assert (said.returncode, head.splitlines()[0]) == (0, "HTTP/1.1 200 OK")
    assert {"server: Edge", "x-cache: HIT"} <= set(head.splitlines())
    assert "<title>www.tiktok.com</title>" in body


@pytest.mark.parametrize("version", ["--tlsv1.3", "--tls-max 1.2", "--tls-max 1.1"])
def test_tls_is_of_today(healthy: World, version: str) -> None:
    """TLS 1.2 and 1.3 are spoken, older ones are not."""
    code, status = fetch(healthy, *version.split(), SITE)
    assert (code, status) == ((35, "000") if version.endswith("1.1") else (0, "200"))


def test_plain_http_is_served(healthy: World) -> None:
    """Port 80 answers too, also to the connectivity check."""
    assert fetch(healthy, "http://www.tiktok.com/") == (0, "200")
    assert fetch(healthy, "http://www.tiktok.com/generate_204") == (0, "204")


def test_connection_is_kept_for_the_next_request(healthy: World) -> None:
    """Two requests need one connection."""
    said = healthy.run(["curl", "-sS", "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", SITE, SITE])
    assert said.stdout == "1 0 "


def test_other_name_at_an_edge_is_not_vouched_for(healthy: World) -> None:
    """An edge shows the certificate that it has; a client that checks does not take it for another's."""
    elsewhere = ("--resolve", f"www.example.com:443:{EDGE}", "https://www.example.com/")
    assert fetch(healthy, *elsewhere) == (60, "000")
    assert fetch(healthy, "--insecure", *elsewhere) == (0, "200")


def test_ports_of_nobody_are_refused(healthy: World) -> None:
    """A server refuses what it does not serve, at once."""
    assert fetch(healthy, "--max-time", "5", f"https://{CONTROL}:8443/") == (7, "000")


def test_crowd_is_served(healthy: World) -> None:
    """Sixty clients at once are all served."""
    said = healthy.run([sys.executable, "-c", CROWD])
    assert (said.stdout, said.stderr) == ("60\n", "")


def test_garbage_does_not_disturb_the_others(healthy: World) -> None:
    """Bytes that are neither TLS nor HTTP end their own connection only."""
    program = f"""
import os, socket
for port in (80, 443, 53):
    for _ in range(5):
        with socket.create_connection(("{RESOLVER}" if port == 53 else "{EDGE}", port), 5) as wire:
            wire.sendall(os.urandom(2000))
"""
    assert healthy.run([sys.executable, "-c", program]).stderr == ""
    assert fetch(healthy, SITE) == (0, "200")
    assert healthy.run(["dig", "+short", "+tcp", f"@{RESOLVER}", "www.example.com"]).stdout == f"{CONTROL}\n"


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
@pytest.mark.parametrize("server", [RESOLVER, "192.168.1.1"], ids=["resolver", "forwarder"])
def test_dig_has_nothing_to_complain_about(healthy: World, server: str, transport: str) -> None:
    """A name is answered over UDP and TCP, at the resolver and through the forwarder, without a warning."""
    said = healthy.run(["dig", transport, f"@{server}", "www.example.com"])
    assert said.returncode == 0
    assert ";; WARNING" not in said.stdout
    assert "status: NOERROR" in said.stdout
    assert "flags: qr rd ra;" in said.stdout
    assert f"SERVER: {server}#53" in said.stdout


def test_system_s_resolver_finds_names(healthy: World) -> None:
    """What any program of the machine uses to look up names leads to the lab."""
    assert healthy.run(["getent", "ahostsv4", "www.example.com"]).stdout.startswith(CONTROL)
    assert healthy.run(["getent", "hosts", "nobody.invalid"]).returncode == 2


def test_forwarder_that_cannot_ask_says_so(tmp_path: Path) -> None:
    """When the way to its upstream is cut, a forwarder ends with SERVFAIL after its own time-outs."""
    fault = '[[fault]]\nkind = "drop"\nat = "access"\nmatch = { protocol = "udp", port = 53 }\n'
    with World(scenario(tmp_path, fault)) as world:
        said = world.run(["dig", "+time=10", "+tries=1", "www.example.com"]).stdout
        assert "status: SERVFAIL" in said


@pytest.mark.parametrize(
    ("fault", "code", "complaint"),
    [
        ("expired = true", 60, "certificate has expired"),
        ("unknown_issuer = true", 60, "unable to get local issuer certificate"),
    ],
)
def test_bad_certificate_is_noticed(tmp_path: Path, fault: str, code: int, complaint: str) -> None:
    """A client that checks says what is wrong with the certificate."""
    with World(scenario(tmp_path, f'[[fault]]\nkind = "certificate"\nat = "edge"\n{fault}\n')) as world:
        said = world.run(["curl", "-sS", SITE])
        assert (said.returncode, complaint in said.stderr) == (code, True)


@pytest.mark.parametrize(("kind", "code"), [("refuse", 7), ("down", 28)])
def test_server_that_is_not_there_is_told_apart(tmp_path: Path, kind: str, code: int) -> None:
    """A server that refuses says so, one that is down says nothing; another server is not affected."""
    with World(scenario(tmp_path, f'[[fault]]\nkind = "{kind}"\nat = "edge"\n')) as world:
        assert fetch(world, "--max-time", "1", SITE) == (code, "000")
        assert fetch(world, "https://www.example.com/") == (0, "200")


def test_maintenance_begins_and_ends_with_the_world_s_time(tmp_path: Path) -> None:
    """The servers' clock is the network's: a fault is on from its begin to its end."""
    fault = '[[fault]]\nkind = "http"\nat = "edge"\nstatus = 503\nbegin_s = 0.5\nend_s = 1.0\n'
    with World(scenario(tmp_path, fault)) as world:
        seen: list[tuple[float, float, str]] = []
        while world.now() < 20 and (not seen or seen[-1][2] != "200" or len({status for _, _, status in seen}) < 2):
            before = world.now()
            _, status = fetch(world, "--resolve", f"www.tiktok.com:443:{EDGE}", SITE)
            seen.append((before, world.now(), status))
    assert {status for _, _, status in seen} == {"200", "503"}
    for before, after, status in seen:
        if after < 0.5 or before > 1.0:
            assert status == "200"
        if before > 0.5 and after < 1.0:
            assert status == "503"


def test_time_of_a_page_is_that_of_the_network_and_the_server(tmp_path: Path) -> None:
    """Connecting takes one round trip, and no phase is faster than the network."""
    shown = "%{json}"
    with World(
        scenario(tmp_path), fidelity=Fidelity.TUN
    ) as made:  # kernel routers have delays only where there is netem
        said = made.run(["curl", "-sS", "-o", "/dev/null", "-w", shown, SITE])
    times = json.loads(said.stdout)
    round_trip_s = 0.8 * 0.024  # a seed makes links at most a fifth shorter
    assert times["time_connect"] - times["time_namelookup"] > round_trip_s
    assert times["time_appconnect"] - times["time_connect"] > round_trip_s
    assert times["time_starttransfer"] - times["time_pretransfer"] > round_trip_s
