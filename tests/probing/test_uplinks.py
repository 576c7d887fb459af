"""The look over other uplinks: when it is taken, at what, and what its observations say of themselves."""

from collections import Counter
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from netprobe.model.host import GivenFacts
from netprobe.model.probes import Flow, Path, Protocol
from netprobe.model.report import Observation
from netprobe.probing.observe import Observe
from netprobe.probing.run import gather, run
from netprobe.probing.survey import survey
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.uplinks import MOST_CONTROLS, MOST_EDGES, MOST_NAMES, PREFIX, over
from netprobe.sim.records import Scenario
from netprobe.sim.virtual import VirtualVantage
from netprobe.topology.platform import load_platform
from tests.scenarios import load

PLATFORM = load_platform()
TARGETS = [target for target in PLATFORM.targets if target.essential]


def seen(scenario: Scenario, *, all_uplinks: bool = True) -> Sequence[Observation]:
    return run(survey(PLATFORM, TARGETS, all_uplinks=all_uplinks), VirtualVantage(scenario))


def other(observations: Sequence[Observation]) -> Counter[str]:
    """The purposes of what was asked over another uplink."""
    return Counter(o.purpose for o in observations if o.link)


def test_any_plan_runs_over_a_link() -> None:
    """Its sessions know nothing of it; its observations say by which they were made."""
    vantage = VirtualVantage(load("healthy-two-uplinks"))
    plan = gather([Observe("edge.path", "x", Traceroute(Flow(Protocol.ICMP, "23.50.131.10")))])
    (found,) = run(over("wwan0", plan), vantage)
    assert isinstance(found.fact, Path)
    assert (found.purpose, found.link) == ("uplink.edge.path", "wwan0")
    assert [hop.addresses for hop in found.fact.hops][:3] == [("192.168.8.1",), ("10.17.0.1",), ("62.109.121.1",)]


def test_nothing_is_asked_where_nothing_failed() -> None:
    """A second uplink costs nothing in health."""
    assert not other(seen(load("healthy-two-uplinks")))


def test_what_failed_is_asked_again_and_little_else() -> None:
    """Edges, names and controls, each up to a few, and the ways to them not at all."""
    found = seen(load("uplinks-addresses-blocked-by-one"))
    counted = other(found)
    assert {o.link for o in found} == {"", "wwan0"}
    assert all((o.link != "") == o.purpose.startswith(PREFIX) for o in found)
    assert set(counted) == {
        *("uplink.edge.train", "uplink.edge.fetch", "uplink.control.train", "uplink.control.fetch"),
        "uplink.lookup.platform",
    }
    assert counted["uplink.control.fetch"] <= MOST_CONTROLS
    assert counted["uplink.edge.train"] <= 4 * MOST_EDGES
    assert counted["uplink.lookup.platform"] == 2 * MOST_NAMES


def test_names_that_nobody_tells_here_are_asked_for_there() -> None:
    """Where the first uplink answers nothing, the other one finds the platform by itself."""
    found = seen(load("uplinks-cable-provider-dead"))
    served = [o for o in found if o.purpose == "uplink.edge.fetch"]
    assert served
    assert all(o.fact.status == 200 for o in served)  # type: ignore[union-attr]  # pages


@pytest.mark.parametrize("tunnel", ["wg0", "tun0"])
def test_nothing_leaves_beside_a_vpn(tunnel: str) -> None:
    """Where a VPN has the default route, it is there for nothing to leave by another."""
    scenario = load("uplinks-platform-failing")
    client = replace(scenario.client, facts=GivenFacts(tunnel=tunnel))
    found = seen(replace(scenario, client=client))
    assert any(o.purpose == "edge.fetch" for o in found)
    assert not other(found)


def test_others_are_left_alone_where_they_are_not_to_be_asked() -> None:
    """They may cost by the megabyte."""
    assert not other(seen(load("uplinks-platform-failing"), all_uplinks=False))
