"""Whose part of the way each hop lies in, over generated worlds: the far side of a border included."""

from collections import Counter

import pytest

from netprobe.diagnosis.facts import Facts
from netprobe.diagnosis.paths import Paths
from netprobe.lab.score import run_virtual
from netprobe.sim.records import Router, Scenario
from netprobe.sim.worlds import generate
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform
from netprobe.topology.segments import Segment

_WORLDS = range(1, 241)
_BAR = 0.95


def truth(router: Router, isp: int, table: AsnTable) -> Segment:
    """Who runs the router, and not who numbers its interface; at an exchange both are said to be right."""
    place, _, _ = router.name.partition("-")
    if place in {"home", "isp", "transit"}:
        return Segment(place)
    if router.asn == isp:
        return Segment.ISP  # a delivery network's machines inside the provider
    origin = table.lookup(router.address)
    return Segment.EXCHANGE if origin and origin.exchange else Segment.DESTINATION


def hops(world: Scenario, table: AsnTable) -> Counter[bool]:
    """Of the hops that answered in one diagnosis, how many are placed right and how many are not."""
    platform = load_platform()
    report = run_virtual(world, 0, platform, table.lookup)
    paths = Paths(Facts(report.observations, platform, table.lookup))
    routers = {address: r for r in world.routers for address in (r.address, r.address6, r.icmp_source) if address}
    isp = next((r.asn for r in world.routers if r.name.startswith("isp") and r.asn), 0)
    seen = {
        (place.address, place.segment)
        for _, path in paths.facts.all_paths
        for place in paths.surroundings.places(path)
        if place.address in routers
    }
    return Counter(segment is truth(routers[address], isp, table) for address, segment in seen)


@pytest.mark.slow
def test_hops_are_placed() -> None:
    """At least 95 of 100 in the right part: the home, the provider, transit, an exchange, the far end."""
    with AsnTable.open() as table:
        counted = sum((hops(generate(number), table) for number in _WORLDS), Counter[bool]())
    assert counted.total() > 3000
    assert counted[True] >= _BAR * counted.total()
