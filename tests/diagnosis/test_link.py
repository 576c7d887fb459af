"""The own link: what the kernel says of a device is not up to date in all of its parts."""

from msgspec import structs

from netprobe.diagnosis import diagnose
from netprobe.model.host import HostState, Link
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
