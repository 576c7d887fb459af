"""Whose server it is: caches in an access network's rooms, other customers, and servers right behind the provider."""

from collections.abc import Callable

import pytest

from netprobe.model.verdict import Verdict
from netprobe.topology.asn import Origin
from tests.diagnosis.picture import EDGES, Picture, origin, way
from tests.diagnosis.test_causes import AT, CAUSES, CHALLENGE, function

WEB, CACHE, CUSTOMER, VIDEO = "23.0.1.10", "23.0.1.11", "23.0.1.99", "151.0.1.10"  # the first three of one network
healthy = CAUSES["none.app_device"]


def at_home_with_the_provider(*addresses: str) -> Callable[[str], Origin | None]:
    """Who announces an address, if those of `addresses` stand in the provider's rooms."""
    return lambda address: Origin(100, "Provider") if address in addresses else origin(address)


def state(verdict: Verdict, signal: str) -> str:
    """What `signal` says."""
    return next(item.state for item in verdict.evidence if item.id == signal)


@pytest.mark.parametrize(
    ("picture", "signal", "said"),
    [
        (healthy.but(status=dict.fromkeys((WEB, CACHE, CUSTOMER), 503)), "http.status", "errors_vendor"),
        (healthy.but(refusing=(WEB, CACHE, CUSTOMER)), "edge.refused", "vendor"),
        (
            healthy.but(silent=(WEB, CACHE, CUSTOMER), ways={WEB: (*way(WEB)[:6],), CACHE: way(CACHE)[:3]}),
            "path.breaks",
            "vendor",
        ),
    ],
    ids=["errors", "refuses", "silent"],
)
def test_a_cache_in_the_providers_rooms_is_its_delivery_networks(picture: Picture, signal: str, said: str) -> None:
    """It fails with that one's other places, and with another customer: the delivery network is down, nobody else."""
    verdict = picture.verdict(at_home_with_the_provider(CACHE, CUSTOMER))
    assert (verdict.cause, state(verdict, signal)) == ("platform.cdn.vendor_outage", said)


def test_without_another_customer_it_may_be_a_filter() -> None:
    """What is silent serves the platform alone: nobody else is there to show whose doing it is."""
    picture = healthy.but(silent=(WEB, CACHE), ways={WEB: way(WEB)[:6], CACHE: way(CACHE)[:3]})
    assert state(picture.verdict(at_home_with_the_provider(CACHE)), "path.breaks") != "vendor"


@pytest.mark.parametrize(
    ("refusing", "direct", "said"),
    [
        ((VIDEO,), (VIDEO,), "one_network"),  # it may stand right behind the provider
        ((WEB,), (WEB,), "early"),  # its neighbours do not
        ((VIDEO, "71.0.1.10"), (VIDEO, "71.0.1.10"), "early"),  # two that have nothing to do with each other
        ((WEB,), (), "parts"),
    ],
)
def test_a_refusal_comes_early_only_beside_who_goes_on(
    refusing: tuple[str, ...], direct: tuple[str, ...], said: str
) -> None:
    """A delivery network may stand right behind the provider's last router: that it refuses there accuses nobody."""
    ways = {a: way(a)[:4] if a in direct else way(a) for a in EDGES}
    verdict = healthy.but(refusing=refusing, ways=ways).verdict()
    assert state(verdict, "edge.refused") == said
    assert said == "early" or verdict.component != "policy"


@pytest.mark.parametrize(
    ("picture", "said", "component"),
    [
        (function("image", status={AT: 503}), "errors_some", "platform"),  # nobody misses pictures by themselves
        (function("live", status={AT: 503, WEB: 503}), "errors_one_network", "platform"),
        (function("live", status={AT: 503, "71.0.1.10": 503}), "errors_some", "platform"),
        (healthy.but(status={VIDEO: 503}), "errors_one_place", "platform"),  # the network, or what was asked of it
        (function("login", status={AT: 403}), "fine", "none"),  # a bare request is turned away as a matter of course
        (function("image", status={AT: 451}), "fine", "undetermined"),
        (function("login", status={AT: 403, WEB: 403}, headers=CHALLENGE), "fine", "none"),
    ],
)
def test_a_function_is_named_where_it_fails_alone(picture: Picture, said: str, component: str) -> None:
    """With others it is something that they share; refusals say little."""
    verdict = picture.verdict()
    assert (state(verdict, "http.status"), verdict.component) == (said, component)
