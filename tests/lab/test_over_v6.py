"""The survey over IPv6 in simulated networks: what it costs, what it says, and what it never does."""

import msgspec
import pytest

from netprobe.engine import diagnose
from netprobe.lab.score import run_virtual
from netprobe.model.host import HostState
from netprobe.model.probes import Probe
from netprobe.model.report import Report
from netprobe.model.services import Fetch, Handshake
from netprobe.probing.port import Request
from netprobe.sim.records import Fault, Scenario
from netprobe.sim.virtual import VirtualVantage
from netprobe.topology.addresses import is_global_v6
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform
from tests.scenarios import load

HOSTILE = ("fe80::1", "::1", "fd00::1", "2001:db8::1", "ff02::1", "2001::1")


@pytest.fixture(scope="module")
def table() -> AsnTable:
    """Whose addresses are."""
    return AsnTable.open()


def report_of(scenario: Scenario, table: AsnTable) -> Report:
    """A diagnosis in virtual time."""
    return run_virtual(scenario, 1, load_platform(), table.lookup)


def test_a_healthy_survey_costs_little_more(table: AsnTable) -> None:
    """Both versions of IP take no longer than one, and not half as many packets again."""
    both, one = (report_of(load(name), table) for name in ("healthy", "healthy-no-ipv6"))
    assert one.timing.packets_sent < both.timing.packets_sent < 1.5 * one.timing.packets_sent
    assert both.timing.wall_s < one.timing.wall_s + 0.1
    assert not any(o.purpose.endswith(".path") and o.purpose.startswith("v6.") for o in both.observations)
    assert not any(o.purpose.startswith("v6.") or o.purpose.endswith(".aaaa") for o in one.observations)


def test_the_host_says_how_it_reaches_the_ipv6_internet(table: AsnTable) -> None:
    """Address, next hop and its state, in the end too; nothing of it where there is no IPv6."""

    def told(name: str) -> list[tuple[str, ...]]:
        hosts = [o.fact for o in report_of(load(name), table).observations if isinstance(o.fact, HostState)]
        return [(h.global_link_v6, h.address_v6, h.gateway_v6, h.neighbour_v6) for h in hosts]

    assert told("healthy")[-1] == ("eth0", "2003:de:37ff::23", "fe80::1", "reachable")
    assert set(told("healthy-no-ipv6")) == set(told("healthy-ipv6-at-home-only")) == {("", "", "", "")}


class Watched(VirtualVantage):
    """Remembers where it was told to send."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        super().__init__(scenario, seed)
        self.asked: set[str] = set()

    def send(self, request: Request) -> int:
        """As ever."""
        match request:
            case Probe(flow=flow):
                self.asked.add(flow.destination)
            case Handshake(address=address) | Fetch(handshake=Handshake(address=address)):
                self.asked.add(address)
        return super().send(request)


@pytest.mark.parametrize("at", ["home-resolver", "isp-core-1"])
def test_hostile_answers_lead_no_probe_astray(table: AsnTable, at: str) -> None:
    """Whoever answers with addresses that are no server's gets nobody to send anything there, nor anybody blamed."""
    forged = Fault(kind="dns", at=(at,), addresses=HOSTILE, names=("*.tiktok.com", "*.tiktokv.com", "*.tiktokcdn.com"))
    scenario = load("healthy")
    watched = Watched(msgspec.structs.replace(scenario, faults=(*scenario.faults, forged)), 1)
    report = diagnose(watched, load_platform(), table.lookup)
    assert any(address in HOSTILE for o in report.observations for address in getattr(o.fact, "addresses", ()))
    assert {address for address in watched.asked if ":" in address}
    assert all(is_global_v6(address) for address in watched.asked if ":" in address)
    assert report.verdict.component.value not in {"platform", "transit"}
