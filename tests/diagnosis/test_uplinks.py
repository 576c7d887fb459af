"""Another uplink is a witness: for the platform where it works over it, against it where both fail alike."""

import pytest
from msgspec.structs import replace

from netprobe.diagnosis import diagnose
from netprobe.model.report import Observation
from netprobe.model.verdict import Component, Verdict
from tests.diagnosis.picture import EDGES, EVERYTHING, Picture, cut, ended, origin
from tests.diagnosis.test_causes import CAUSES

healthy = CAUSES["none.app_device"]
ASKED = ("edge.train", "edge.fetch", "control.train", "control.fetch", "lookup.platform")
OWN = tuple(address for address in EDGES if address.startswith("71."))

#: The platform's own network is silent, and no router says where packets die.
unclear = healthy.but(silent=OWN, ways=dict.fromkeys(OWN, ("192.168.1.1", "", "", "", "", "")))


def seen_from(here: Picture, there: Picture, only: tuple[str, ...] = EDGES) -> Verdict:
    """The verdict with another uplink over which `there` is seen: what fails here, and the controls."""
    bound = [
        replace(o, purpose=f"uplink.{o.purpose}", link="wwan0")
        for o in there.observations()
        if o.purpose in ASKED and (o.purpose != "edge.fetch" or _address(o) in only)
    ]
    return diagnose((*here.observations(), *bound), here.platform, origin)


def _address(observation: Observation) -> str:
    return observation.fact.fetch.handshake.address  # type: ignore[union-attr]  # of a page


def state(verdict: Verdict) -> str:
    return next(e.state for e in verdict.evidence if e.id == "uplink.other")


def mass(verdict: Verdict, component: str) -> float:
    """What the best candidates of a component have together."""
    told = {verdict.cause: verdict.probability} | {c.cause: c.probability for c in verdict.runners_up}
    return sum(p for cause, p in told.items() if cause.partition(".")[0] == component)


def test_what_works_over_another_provider_clears_the_platform() -> None:
    """The same addresses answer there: it is somebody on this way, and the platform is no candidate any more."""
    alone, beside = unclear.verdict(), seen_from(unclear, healthy, OWN)
    assert alone.component is Component.UNDETERMINED
    assert mass(alone, "platform") > 0.2
    assert state(beside) == "works"
    assert mass(beside, "platform") < 0.05
    assert Component.PLATFORM in {e.component for e in beside.exonerated}


def test_what_fails_over_both_alike_speaks_against_the_platform() -> None:
    """Two providers and one trouble: the provider and the transit are hardly it."""
    alone, beside = unclear.verdict(), seen_from(unclear, unclear, OWN)
    assert state(beside) == "same"
    assert mass(beside, "platform") > mass(alone, "platform")
    assert mass(beside, "isp") + mass(beside, "transit") < 0.1


def test_an_uplink_that_lets_nothing_through_is_no_witness() -> None:
    """The verdict stays what it was without it."""
    nothing = healthy.but(silent=EVERYTHING, ways=cut(EVERYTHING, 1))
    alone, beside = unclear.verdict(), seen_from(unclear, nothing, OWN)
    assert state(beside) == "dead"
    assert (beside.cause, [c.cause for c in beside.runners_up]) == (alone.cause, [c.cause for c in alone.runners_up])


def test_another_way_of_failing_is_not_the_same() -> None:
    """Silence here and a reset there are two troubles: no word for or against anybody."""
    verdict = seen_from(unclear, healthy.but(named=ended("reset")), OWN)
    assert state(verdict) == "mixed"


def test_another_server_that_works_says_that_the_server_is_broken() -> None:
    """Over the other uplink the failing address fails too, and a name leads to one that serves."""
    elsewhere = healthy.but(silent=OWN, ways=cut(OWN, 5))
    moved = {"71.0.1.10": "71.0.1.99"}
    bound = [
        replace(o, purpose=f"uplink.{o.purpose}", link="wwan0") for o in elsewhere.observations() if o.purpose in ASKED
    ]
    for o in healthy.observations():
        if o.purpose == "edge.fetch" and _address(o) in moved:
            handshake = replace(o.fact.fetch.handshake, address=moved[_address(o)])  # type: ignore[union-attr]
            fetch = replace(o.fact.fetch, handshake=handshake)  # type: ignore[union-attr]
            shaken = replace(o.fact.handshaken, handshake=handshake)  # type: ignore[union-attr]
            served = replace(o.fact, fetch=fetch, handshaken=shaken)
            bound.append(replace(o, purpose="uplink.edge.fetch", link="wwan0", fact=served))
    verdict = diagnose((*unclear.observations(), *bound), unclear.platform, origin)
    assert state(verdict) == "elsewhere"
    assert mass(verdict, "platform") > mass(unclear.verdict(), "platform")


@pytest.mark.parametrize("cause", CAUSES)
def test_a_second_uplink_without_trouble_does_not_change_who_is_named(cause: str) -> None:
    """What is only asked where something fails, and agrees with the truth, leaves each verdict where it was.

    Over another provider works what the home, the provider, transit or a local block does; not what the device does.
    """
    if cause.startswith(("platform.", "policy.geo")) or cause in {"home.firewall.block", "home.hosts.override"}:
        there = CAUSES[cause]
    else:
        there = healthy
    verdict = seen_from(CAUSES[cause], there)
    assert verdict.component.value in {cause.partition(".")[0], "undetermined"}
