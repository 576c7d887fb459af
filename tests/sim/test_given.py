"""What a scenario gives of its client: told as it stands, and marked as given."""

import json
import sys
from pathlib import Path

import pytest

from netprobe.model.host import GivenFacts, HostState, Inspect, Link
from netprobe.model.record import from_json, to_json
from netprobe.sim.records import Client
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, World
from tests.sim import real_scenario
from tests.sim.small import line

WEAK = GivenFacts(wireless=True, signal_dbm=-83.0, retries=0.45, load=7.5, tx_mbit=8.0)
FACTS = "[client.facts]\nwireless = true\nsignal_dbm = -83.0\nretries = 0.45\nload = 7.5\n"


def looked(facts: GivenFacts, at_s: float = 0.0) -> HostState:
    client = line().client
    scenario = line(client=Client(client.address, client.gateway, client.resolvers, facts=facts))
    vantage = VirtualVantage(scenario)
    vantage.receive(at_s)
    vantage.send(Inspect())
    event = vantage.receive(at_s)
    assert event is not None
    assert isinstance(event.outcome, HostState)
    return event.outcome


def test_what_is_given_is_told_and_marked() -> None:
    """The default link and the host have it, JSON keeps it, and nobody can take it for measured."""
    state = looked(WEAK)
    (link,) = state.links
    assert (link.wireless, link.signal_dbm, link.retries, state.load) == (True, -83.0, 0.45, 7.5)
    assert link.rx_errors is None
    assert state.given == ("link.wireless", "link.signal_dbm", "link.retries", "link.tx_bytes", "load")
    assert from_json(to_json(state), HostState) == state


def test_nothing_given_marks_nothing() -> None:
    """A measured machine is told as measured."""
    assert looked(GivenFacts()).given == ()


def test_own_traffic_counts_on() -> None:
    """8 Mbit/s are a million bytes a second, on top of what was counted."""
    sent = [looked(WEAK, at_s).links[0].tx_bytes or 0 for at_s in (2.0, 5.0)]
    assert sent[1] - sent[0] == 3_000_000
    counted = HostState(links=(Link("eth0", "up", carrier=True, tx_bytes=5),), default_link="eth0")
    assert WEAK.put_into(counted, 1.0).links[0].tx_bytes == 1_000_005


def test_a_tunnel_takes_the_default_route() -> None:
    """The link below it stays what it is."""
    state = looked(GivenFacts(tunnel="wg0"))
    assert state.default_link == "wg0"
    assert [(link.name, link.tunnel) for link in state.links] == [("eth0", False), ("wg0", True)]
    assert state.given == ("links", "default_link")


@pytest.mark.packets
def test_real_packets_are_measured_beside_what_is_given(tmp_path: Path, fidelity: Fidelity) -> None:
    """Inside the network the same facts are marked, and the kernel's own counters go on counting."""
    program = "from netprobe.live.host import inspect; from netprobe.model.record import to_json; import sys; "
    program += "sys.stdout.write(to_json(inspect()).decode())"
    with World(real_scenario.scenario(tmp_path, FACTS), fidelity=fidelity) as world:
        before = json.loads(world.run([sys.executable, "-c", program]).stdout)
        assert world.run(["ping", "-c", "1", "-s", "1000", real_scenario.EDGE]).returncode == 0
        after = from_json(world.run([sys.executable, "-c", program]).stdout, HostState)
    (link,) = (one for one in after.links if one.name == after.default_link)
    assert (link.signal_dbm, link.retries, after.load) == (-83.0, 0.45, 7.5)
    assert after.given == ("link.wireless", "link.signal_dbm", "link.retries", "load")
    earlier = next(one for one in before["links"] if one["name"] == link.name)
    for counted in ("rx_bytes", "tx_bytes"):
        assert 1000 < getattr(link, counted) - earlier[counted] < 20000
