"""The own link: what the kernel says of a device is not up to date in all of its parts."""

import pytest
from msgspec import structs

from netprobe.diagnosis import diagnose
from netprobe.model.host import HostState, Link
from netprobe.model.report import Observation
from tests.diagnosis.picture import origin
from tests.diagnosis.test_causes import CAUSES


def test_a_device_that_still_calls_itself_up_has_no_link_without_a_carrier() -> None:
    """The operstate follows the carrier by up to a second (net/core/link_watch.c); nobody behind it is blamed."""
    picture = CAUSES["home.gateway.dead"]
    stale = Link("eth0", "up", carrier=False, addresses=("192.168.1.23/24",))
    seen = tuple(
        structs.replace(o, fact=structs.replace(o.fact, links=(stale,))) if isinstance(o.fact, HostState) else o
        for o in picture.observations()
    )
    assert diagnose(seen, picture.platform, origin).cause == "home.link.down"


def test_a_machine_with_ipv6_alone_is_connected() -> None:
    """No route to the IPv4 Internet is no trouble of the link where there is one to that of IPv6."""
    link = Link("eth0", "up", carrier=True, addresses=("fe80::2/64", "2a00:100:1::23/64"))
    alone = HostState((link,), resolvers=("2a00:100:9::53",), global_link_v6="eth0", address_v6="2a00:100:1::23")
    picture = CAUSES["home.gateway.dead"]
    seen = (Observation(0.0, "host", "self", alone),)
    assert diagnose(seen, picture.platform, origin).component.value != "home"
    cut = structs.replace(alone, links=(structs.replace(link, carrier=False),))
    assert diagnose((Observation(0.0, "host", "self", cut),), picture.platform, origin).cause == "home.link.down"


@pytest.mark.parametrize(
    ("link", "cause"),
    [
        (Link("eth0", "up", carrier=True), "home.link.no_lease"),
        (Link("eth0", "up", carrier=True, addresses=("169.254.7.9/16", "fe80::1/64")), "home.link.no_lease"),
        (Link("eth0", "down", carrier=False, addresses=("192.168.1.23/24",)), "home.link.down"),
    ],
)
def test_a_connection_that_is_lost_meanwhile_is_the_trouble(link: Link, cause: str) -> None:
    """Whatever failed after that, failed for want of it; the first look still showed everything in order."""
    picture = CAUSES["isp.access.outage"]
    *seen, last = picture.observations()
    assert isinstance(last.fact, HostState)
    lost = structs.replace(last, fact=structs.replace(last.fact, links=(link,), default_link="", gateway=""))
    verdict = diagnose((*seen, lost), picture.platform, origin)
    assert verdict.cause == cause
    assert any("It was otherwise when the measurement began" in e.sentence for e in verdict.evidence)


@pytest.mark.parametrize("address", ["", "nonsense", "192.168.1.23/99"])
def test_an_address_that_nobody_can_read_is_no_made_up_one(address: str) -> None:
    """Recordings may hold anything."""
    picture = CAUSES["none.app_device"]
    odd = Link("eth0", "up", carrier=True, addresses=(address,))
    seen = tuple(
        structs.replace(o, fact=structs.replace(o.fact, links=(odd,))) if isinstance(o.fact, HostState) else o
        for o in picture.observations()
    )
    assert diagnose(seen, picture.platform, origin).cause == "none.app_device"


def test_a_default_route_over_a_dead_link_beside_a_living_one_is_told() -> None:
    """The cable is out, the route still leads there, and another connection is not used."""
    picture = CAUSES["home.gateway.dead"]
    links = (Link("eth0", "down", carrier=False, addresses=("192.168.1.23/24",)), Link("wwan0", "up", carrier=True))
    seen = tuple(
        structs.replace(o, fact=structs.replace(o.fact, links=links)) if isinstance(o.fact, HostState) else o
        for o in picture.observations()
    )
    verdict = diagnose(seen, picture.platform, origin)
    assert verdict.cause == "home.link.down"
    assert any("wwan0 has one, and is not used" in e.sentence for e in verdict.evidence)
