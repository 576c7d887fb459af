"""Requests that are bound to a link, with real packets: each goes by that one's gateway, whatever the routes say."""

import json
import sys
from pathlib import Path

import pytest

from netprobe.sim.world import Fidelity, run_in_world
from tests.sim.small import RESOLVER, SERVER
from tests.sim.test_cards import STICK, two

pytestmark = pytest.mark.packets

SCRIPT = str(Path(__file__).with_name("over_links.py"))
HOME = "192.168.1.1"
GATEWAYS = {"": HOME, "eth0": HOME, "wwan0": STICK}


def asked(how: str, fidelity: Fidelity = Fidelity.TUN) -> dict[tuple[str, str], object]:
    """What came of each request, by link and kind."""
    command = [sys.executable, SCRIPT, how, SERVER, "www.tiktok.com", RESOLVER]
    done = run_in_world(two(), command, fidelity=fidelity, capture=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows, done.stderr
    return {(link, what): said for link, what, said in rows}


@pytest.mark.parametrize("fidelity", Fidelity)
def test_each_request_leaves_by_the_link_that_was_asked_for(fidelity: Fidelity) -> None:
    """Probes expire at that link's gateway; pages and names come over both; a link that is not there says so."""
    found = asked("raw", fidelity)
    for link, gateway in GATEWAYS.items():
        for protocol in ("icmp", "syn", "udp"):
            assert found[link, protocol] == ["time_exceeded", gateway]
        assert found[link, "page"] == 200
        assert found[link, "name"] == [SERVER]
    assert [found["wwan9", protocol] for protocol in ("icmp", "syn", "udp")] == ["ENODEV"] * 3
    assert (found["wwan9", "page"], found["wwan9", "name"]) == ("ENODEV", "unreachable")
    assert found["", "host"] == [["eth0", HOME, 0], ["wwan0", STICK, 700]]


def test_binding_takes_no_right() -> None:
    """The same over sockets that everybody may open (SO_BINDTODEVICE: Linux 5.7)."""
    found = asked("unprivileged")
    for link, gateway in GATEWAYS.items():
        for protocol in ("icmp", "syn", "udp"):
            assert found[link, protocol] == ["time_exceeded", gateway]
    assert found["wwan9", "icmp"] == "ENODEV"
