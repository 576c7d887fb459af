"""Kernel routers say what the scenario has them say: short and garbled quotes, labels, interfaces, in both versions of IP."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from netprobe.model.probes import Path as Traced
from netprobe.model.probes import Reply
from netprobe.model.record import from_json
from netprobe.sim.records import Scenario
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, World
from tests.sim import over_v6
from tests.sim.over_v6 import Seen, measure
from tests.sim.real_scenario import EDGE, EDGE_V6, dual

WAYS_OF_SPEAKING: dict[str, dict[str, dict[str, Any]]] = {
    "labels": {"access": {"mpls": (24012, 16)}},
    "labels without a length": {"access": {"mpls": (24012,), "extension": "legacy"}},
    "a path of two, hidden lengths": {"home": {"mpls": (17,)}, "access": {"mpls": (18, 19), "extension": "wrong_length"}},
    "interfaces": {"access": {"interfaces": True}, "core": {"interfaces": True, "quote": 8}},
    "short": {"access": {"quote": 8}, "core": {"quote": 28}},
    "garbled": {"access": {"mangle": ("ttl", "dscp")}, "core": {"mangle": ("checksum", "ttl"), "quote": 28}},
    "all at once": {"access": {"mpls": (24012, 16), "mangle": ("dscp",), "quote": 28, "interfaces": True}},
    "from elsewhere": {"core": {"icmp_source": "62.115.140.201", "mangle": ("length",)}},
}  # fmt: skip


def speaking(folder: Path, how: str) -> Scenario:
    """The network with routers that speak so."""
    network, said = dual(folder), WAYS_OF_SPEAKING[how]
    return replace(network, routers=tuple(replace(r, **said.get(r.name, {})) for r in network.routers))


def told(seen: Seen) -> list[object]:
    """What each hop's replies say, apart from when they came."""
    paths = [fact for fact in seen.facts if isinstance(fact, Traced)]
    return [_told(x.reply) for path in paths for hop in path.hops for x in hop.exchanges if x.reply]


def _told(reply: Reply) -> object:
    quoted = (reply.quoted_ttl, reply.quoted_tos)
    return reply.source, reply.kind, reply.icmp_type, reply.icmp_code, reply.ttl, quoted, reply.mpls, reply.interfaces


@pytest.mark.packets
@pytest.mark.patient
@pytest.mark.parametrize("how", WAYS_OF_SPEAKING)
def test_all_hear_the_same(tmp_path: Path, how: str) -> None:
    """By three protocols, over IPv4 and IPv6: who says it, with which TTL, what is quoted and what stands behind it."""
    scenario = speaking(tmp_path, how)
    asked = ("192.168.1.1", "www.tiktok.com", [EDGE, EDGE_V6])
    virtual = measure(VirtualVantage(scenario, 1), *asked)
    with World(scenario, 1, Fidelity.KERNEL) as world:
        done = world.run([sys.executable, str(over_v6.__file__), *asked[:2], *asked[2]])
    assert not done.returncode, done.stderr
    real = told(from_json(done.stdout, Seen))
    assert real == told(virtual)
    assert len(real) > 12


@pytest.mark.packets
def test_traceroute_reads_the_labels(tmp_path: Path) -> None:
    """A tool that knows nothing of the scenario."""
    with World(speaking(tmp_path, "labels"), fidelity=Fidelity.KERNEL) as world:
        for address in (EDGE, EDGE_V6):
            said = world.run(["traceroute", "-e", "-n", "-I", "-q", "1", "-w", "1", address]).stdout
            labels = re.findall(r"<MPLS:(.*)>", said)
            assert labels == ["L=24012,E=0,S=0,T=1/L=16,E=0,S=1,T=1"]
