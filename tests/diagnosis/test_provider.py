"""What stands in the provider's network, and is neither the home nor far away: its first router, and caches."""

import pytest

from netprobe.topology.asn import Origin
from tests.diagnosis.picture import EDGES, EVERYTHING, ISP, Picture, losses, origin, way
from tests.diagnosis.test_causes import CAUSES

CACHE = "23.0.1.11"

#: A machine that is connected to its provider without a home router: its own address is public, and the next hop's.
attached = CAUSES["none.app_device"].but(
    address="87.0.0.50/24", gateway=ISP[0], ways={a: way(a)[1:] for a in EVERYTHING}
)


def dies_at(picture: Picture, router: str, *addresses: str) -> Picture:
    """`picture`, in which nothing for `addresses` gets farther than `router`."""
    ways = {a: picture.ways.get(a, way(a)) for a in addresses}
    cut = {a: steps[: steps.index(router) + 1] for a, steps in ways.items()}
    return picture.but(silent=addresses, ways={**picture.ways, **cut})


@pytest.mark.parametrize(
    ("component", "picture"),
    [
        ("none", attached),
        ("policy", dies_at(attached, ISP[0], *EDGES)),
        ("isp", attached.but(closer=losses(*EVERYTHING, lost=14, router=14, home=ISP[0]))),
    ],
)
def test_the_next_hop_of_an_attached_machine_is_the_provider(component: str, picture: Picture) -> None:
    """Its filter is a policy and its losses are the provider's: there is no home that they could be of."""
    assert picture.verdict().component == component


def test_a_cache_at_the_provider_does_not_hide_a_filter() -> None:
    """One of the platform's addresses stands in the provider's own network; all others die there as well."""

    def whose(address: str) -> Origin | None:
        return Origin(100, "Provider") if address == CACHE else origin(address)

    home = CAUSES["none.app_device"]
    assert dies_at(home, ISP[0], *EDGES).verdict(whose).component == "policy"
    assert dies_at(home, ISP[0], CACHE).verdict(whose).component not in {"policy", "home"}
