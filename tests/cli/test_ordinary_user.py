"""`netprobe diagnose` as an ordinary user without CAP_NET_RAW, over real packets: right or silent, never wrong."""

import subprocess
import sys

import pytest

from netprobe.model.host import HostState
from netprobe.model.probes import Protocol
from netprobe.model.record import from_json
from netprobe.model.report import Report
from netprobe.model.verdict import Component
from netprobe.sim.namespaces import own_environment
from netprobe.sim.scenario import load
from netprobe.sim.world import run_in_world
from tests.ordinary import ordinary
from tests.twelve import TWELVE

pytestmark = [pytest.mark.packets, pytest.mark.slow, pytest.mark.patient]

EVERYBODY, NOBODY = "0 2147483647", "1 0"
ORDINARY = " ".join(ordinary())
NETPROBE = f"{sys.executable} -W error -m netprobe"


def as_ordinary_user(scenario: str, groups: str, arguments: str) -> "subprocess.CompletedProcess[str]":
    """What `netprobe ARGUMENTS` says inside, where the `groups` may open ping sockets."""
    script = f'sysctl -qw net.ipv4.ping_group_range="{groups}" && exec {ORDINARY} {NETPROBE} {arguments}'
    return run_in_world(load(scenario), ["sh", "-c", script], seed=1, env=own_environment(), capture=True)


@pytest.mark.parametrize(
    ("scenario", "groups"),
    [
        *((name, NOBODY) for name in (*TWELVE, "home-mtu-black-hole")),
        *((name, EVERYBODY) for name in ("healthy", "gateway-dead", "isp-access-outage", "routing-loop")),
    ],
)
def test_nobody_is_blamed_for_a_missing_rung(scenario: str, groups: str) -> None:
    """The same component as with raw sockets, or none; the report says by which rungs it was measured."""
    done = as_ordinary_user(scenario, groups, "diagnose --json")
    report = from_json(done.stdout, Report)
    assert report.verdict.component in {load(scenario).expect.component, Component.UNDETERMINED}, done.stdout
    host = next(o.fact for o in report.observations if isinstance(o.fact, HostState))
    assert host.footing[Protocol.TCP] == "connect"
    assert host.footing[Protocol.ICMP] == ("ping" if groups == EVERYBODY else "")


def test_the_answer_for_people_says_what_was_not_seen() -> None:
    """One paragraph at the end, and where to read more; nothing of it where nothing was lost."""
    done = as_ordinary_user("healthy", NOBODY, "diagnose")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "Not everything could be seen: no icmp probes can be sent; syn probes leave by connections." in said
    assert "ignores pings" not in said
