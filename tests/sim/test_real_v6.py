"""IPv6 of the simulated network with real packets: tools that know nothing of it see what the file says."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from netprobe.sim.world import Fidelity, World
from tests.sim.real_scenario import CONTROL_V6, EDGE, EDGE_V6, HOPS, HOPS_V6, RESOLVER_V6, dual

pytestmark = pytest.mark.packets
TRACED = [*HOPS_V6, EDGE_V6]


@pytest.fixture(scope="module", params=list(Fidelity), ids=str)
def fidelity(request: pytest.FixtureRequest) -> Fidelity:
    """What the network is made of."""
    found: Fidelity = request.param
    return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, fidelity: Fidelity) -> Iterator[World]:
    """A world in which nothing is wrong."""
    with World(dual(tmp_path_factory.mktemp("dual")), fidelity=fidelity) as made:
        yield made


def world(folder: Path, faults: str, fidelity: Fidelity, pcap: Path | None = None) -> World:
    """The same network with `faults`."""
    return World(dual(folder, faults), fidelity=fidelity, pcap=pcap)


def hops(said: str) -> list[str]:
    """The addresses in the lines of a traceroute."""
    return re.findall(r"^ *\d+ +([0-9a-f.:]+) ", said, re.MULTILINE)


# --- nothing is wrong


def test_ping_is_answered_at_once(sound: World) -> None:
    """With the hop limit of who answers, from the first packet on: nobody waits for addresses to be valid."""
    for address, ttl in ((EDGE_V6, 61), (CONTROL_V6, 125), (HOPS_V6[0], 255)):
        said = sound.run(["ping", "-6", "-n", "-c", "3", "-i", "0.05", address]).stdout
        assert " 3 received" in said
        assert said.count(f" ttl={ttl} ") == 3


@pytest.mark.parametrize("method", ["-U", "-I", "-T"], ids=["udp", "icmp", "tcp"])
def test_traceroute_shows_the_routers_of_the_file(sound: World, method: str) -> None:
    """Each hop of each method is the router that stands there, by its address of IPv6."""
    assert hops(sound.run(["traceroute", "-6", "-n", "-q", "1", method, EDGE_V6]).stdout) == TRACED
    assert hops(sound.run(["traceroute", "-4", "-n", "-q", "1", method, EDGE]).stdout) == [*HOPS, EDGE]


@pytest.mark.parametrize("method", ["icmp-paris", "udp-paris", "tcp -d 443"])
def test_scamper_shows_the_routers_of_the_file(sound: World, method: str) -> None:
    """A tool that makes its own Ethernet frames sees the same path."""
    assert hops(sound.run(["scamper", "-I", f"trace -P {method} {EDGE_V6}"]).stdout) == TRACED


def test_mtr_reports_the_routers_of_the_file(sound: World) -> None:
    """No hop of a healthy network loses anything."""
    said = json.loads(sound.run(["mtr", "-6", "--json", "-n", "-c", "3", "-i", "0.1", "-G", "1", EDGE_V6]).stdout)
    assert [(hub["host"], hub["Loss%"]) for hub in said["report"]["hubs"]] == [(hop, 0) for hop in TRACED]


@pytest.mark.parametrize("resolver", [HOPS_V6[0], RESOLVER_V6], ids=["forwarder", "provider"])
@pytest.mark.parametrize("how", ["+notcp", "+tcp"])
def test_dig_asks_over_ipv6(sound: World, resolver: str, how: str) -> None:
    """For addresses of both versions, at the same resolvers."""
    for kind, address in (("A", EDGE), ("AAAA", EDGE_V6)):
        said = sound.run(["dig", "+short", how, f"@{resolver}", kind, "www.tiktok.com"]).stdout
        assert said.splitlines() == ["www.tiktok.com.edge.net.", address]


def test_curl_fetches_over_ipv6(sound: World) -> None:
    """The name leads to its AAAA record, the certificate is valid, the page is the server's."""
    said = sound.run(
        ["curl", "-6", "-sS", "-o", "/dev/null", "-w", "%{remote_ip} %{http_code}", "https://www.tiktok.com/"]
    )
    assert (said.stdout, said.stderr) == (f"{EDGE_V6} 200", "")


def test_the_client_sees_its_addresses_and_its_way(sound: World) -> None:
    """A global and a link-local address, neither tentative, and a default route by the gateway's link-local one."""
    said = sound.run(["ip", "-6", "address", "show", "dev", "eth0"]).stdout
    assert "inet6 2001:db8:1::23/64 scope global" in said
    assert "inet6 fe80::" in said
    assert "tentative" not in said
    assert sound.run(["ip", "-6", "route", "show", "default"]).stdout.startswith("default via fe80::1 dev eth0")
    # Who has only been asked by its gateway, and has not asked it yet, does not know it for a router.
    assert re.search(r"fe80::1 dev eth0 lladdr [0-9a-f:]{17} ", sound.run(["ip", "-6", "neigh"]).stdout)


def test_addresses_of_nobody_have_no_route(sound: World) -> None:
    """The gateway says so, and the kernel believes it."""
    said = sound.run(["ping", "-6", "-n", "-c", "1", "-W", "1", "2001:db8:dead::1"]).stdout
    assert re.search(rf"From {HOPS_V6[0]}:? icmp_seq=1 Destination unreachable: No route", said)


# --- faults


def test_black_holes_may_be_of_one_version(tmp_path: Path, fidelity: Fidelity) -> None:
    """What drops IPv6 at a router leaves IPv4 alone, and the router before it is the last that is seen."""
    fault = '[[fault]]\nkind = "drop"\nat = "core"\nmatch = { destination = ["::/0"] }\n'
    with world(tmp_path, fault, fidelity) as made:
        assert " 0 received" in made.run(["ping", "-6", "-n", "-c", "1", "-W", "1", EDGE_V6]).stdout
        assert " 1 received" in made.run(["ping", "-4", "-n", "-c", "1", "-W", "1", EDGE]).stdout
        said = made.run(["traceroute", "-6", "-n", "-q", "1", "-w", "0.5", "-m", "5", EDGE_V6]).stdout
        assert hops(said) == [*HOPS_V6]


def test_injected_resets_look_like_the_server_s(tmp_path: Path, fidelity: Fidelity) -> None:
    """A name that a middlebox dislikes is reset, another at the same address is not."""
    fault = '[[fault]]\nkind = "reset"\nat = "access"\nmatch = { server_name = ["*.tiktok.com"] }\n'
    with world(tmp_path, fault, fidelity) as made:
        said = made.run(["curl", "-6", "-sS", "https://www.tiktok.com/"])
        assert (said.returncode, "reset by peer" in said.stderr) == (35, True)
        other = ["--resolve", f"www.example.com:443:[{EDGE_V6}]", "https://www.example.com/"]
        assert made.run(["curl", "-6", "-sSk", *other]).stderr == ""


def test_narrow_links_say_so_to_both_ends(tmp_path: Path, fidelity: Fidelity) -> None:
    """Packet Too Big towards the client and towards the server; large pages come all the same."""
    network = dual(tmp_path, '[[fault]]\nkind = "http"\nat = "edge"\nstatus = 200\nbody_bytes = 200000\n')
    narrow = tuple(replace(link, mtu=1280) if link.ends == ("home", "access") else link for link in network.links)
    with World(replace(network, links=narrow), fidelity=fidelity) as made:
        said = made.run(["ping", "-6", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", "1400", EDGE_V6]).stdout
        assert re.search(rf"From {HOPS_V6[0]}.* Packet too big: mtu=1280", said)
        size = ["-o", "/dev/null", "-w", "%{size_download}"]
        assert made.run(["curl", "-6", "-sS", "-m", "10", *size, "https://www.tiktok.com/"]).stdout == "200000"
        assert "mtu 1280" in made.run(["ip", "-6", "route", "get", EDGE_V6]).stdout


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ('kind = "certificate"\nat = "edge"\nexpired = true', 60, "expired"),
        ('kind = "refuse"\nat = "edge"', 7, ""),
        ('kind = "firewall"\nat = "client"\nmatch = { source = ["2001:db8:ed::/48"] }', 28, ""),
        ('kind = "hangup"\nat = "edge"\nwhen = "hello"\nhow = "reset"', 35, "reset"),
    ],
)
def test_curl_says_what_is_wrong(tmp_path: Path, fidelity: Fidelity, fault: str, code: int, said: str) -> None:
    """With its own number for it."""
    with world(tmp_path, f"[[fault]]\n{fault}\n", fidelity) as made:
        found = made.run(["curl", "-6", "-sS", "-m", "2", "https://www.tiktok.com/"])
        assert found.returncode == code, found.stderr
        assert said in found.stderr


def test_redirects_and_pages_of_middleboxes(tmp_path: Path, fidelity: Fidelity) -> None:
    """A block page in the server's name; a portal that answers for everybody."""
    page = '[[fault]]\nkind = "block_page"\nat = "access"\ntitle = "Blocked"\nmatch = { server_name = ["www.tiktok.com"] }\n'
    with world(tmp_path, page, fidelity) as made:
        assert "<title>Blocked</title>" in made.run(["curl", "-6", "-sS", "-m", "3", "http://www.tiktok.com/"]).stdout
    portal = f'[[fault]]\nkind = "redirect"\nat = "access"\nto = "{CONTROL_V6}"\nmatch = {{ port = 80 }}\n'
    with world(tmp_path, portal, fidelity) as made:
        said = made.run(["curl", "-6", "-sSI", "-m", "3", "http://www.tiktok.com/"]).stdout
        assert "HTTP/1.1 404" in said  # the server that answers knows names of its own only
        assert "server: edge" not in said.lower()


def test_dead_gateways_are_no_neighbours(tmp_path: Path, fidelity: Fidelity) -> None:
    """Nobody answers solicitations for a gateway that is down."""
    with world(tmp_path, '[[fault]]\nkind = "down"\nat = "home"\n', fidelity) as made:
        assert " 0 received" in made.run(["ping", "-6", "-n", "-c", "1", "-W", "1", EDGE_V6]).stdout
        assert re.search(r"fe80::1 dev eth0 .*(INCOMPLETE|FAILED)", made.run(["ip", "-6", "neigh"]).stdout)


def test_lies_of_resolvers_and_on_the_way(tmp_path: Path, fidelity: Fidelity) -> None:
    """Each version is lied about with its own addresses."""
    for place in ("provider", "access"):
        lie = f'[[fault]]\nkind = "dns"\nat = "{place}"\naddresses = ["10.10.10.10", "2001:db8:bad::1"]\n'
        with world(tmp_path, lie, fidelity) as made:
            for kind, address in (("A", "10.10.10.10"), ("AAAA", "2001:db8:bad::1")):
                said = made.run(["dig", "+short", f"@{RESOLVER_V6}", kind, "www.tiktok.com"]).stdout
                assert said.split() == [address]


# --- bytes


def test_all_checksums_are_right(tmp_path: Path, fidelity: Fidelity) -> None:
    """What passes the client's card, forged packets too, is right IPv6 by the eyes of tshark."""
    pcap = tmp_path / "card.pcapng"
    faults = (
        '[[fault]]\nkind = "reset"\nat = "access"\ninjected = true\nmatch = { server_name = ["www.tiktok.com"] }\n'
        f'[[fault]]\nkind = "redirect"\nat = "home"\nto = "{CONTROL_V6}"\nmatch = {{ port = 8080 }}\n'
    )
    with world(tmp_path, faults, fidelity, pcap) as made:
        made.run(["curl", "-6", "-sS", "-m", "2", "https://www.tiktok.com/"])
        made.run(["curl", "-6", "-sS", "-m", "2", f"http://[{EDGE_V6}]:8080/"])
        made.run(["traceroute", "-6", "-n", "-q", "1", "-w", "0.5", EDGE_V6])
        made.run(["ping", "-6", "-n", "-c", "2", "-i", "0.05", EDGE_V6])
        made.run(["dig", "+short", f"@{RESOLVER_V6}", "AAAA", "www.tiktok.com"])
    checks = [f"-o{layer}.check_checksum:TRUE" for layer in ("tcp", "udp")]
    wrong = "tcp.checksum.status == 0 || udp.checksum.status == 0 || icmpv6.checksum.status == 0 || _ws.malformed"
    read = ["tshark", "-r", str(pcap), *checks, "-Y"]
    assert subprocess.run([*read, "ipv6 && tcp.flags.reset == 1"], capture_output=True, text=True, check=True).stdout
    assert (
        subprocess.run(
            [*read, f"ipv6.dst == 2001:db8:1::23 && ({wrong})"], capture_output=True, text=True, check=True
        ).stdout
        == ""
    )
