"""The own link: what the kernel says of a device is not up to date in all of its parts."""

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
