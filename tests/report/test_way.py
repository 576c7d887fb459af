"""The way that a page draws."""

from itertools import pairwise

import msgspec
import pytest

from netprobe.model.host import HostState
from netprobe.model.report import Report
from netprobe.model.verdict import Component
from netprobe.report.way import Stop, stops
from tests.report.samples import sample, whose


def states(report: Report) -> list[str]:
    """The states of all stops."""
    return [stop.state for stop in stops(report, whose)]


def test_a_black_hole_breaks_behind_the_last_router_that_answers() -> None:
    """Home, the provider's routers, the break, and the platform out of reach."""
    found = stops(sample("isp-core-black-hole"), whose)
    assert [stop.state for stop in found] == ["start", "passed", "passed", "passed", "passed", "broken", "beyond"]
    assert found[1].title == "Home router"
    assert found[4] == Stop("Deutsche Telekom AG", "AS3320, 217.239.45.49", "AS3320", "passed", found[4].rtt)


def test_a_healthy_way_arrives() -> None:
    """Nothing on it is broken, and the platform answers at its end."""
    found = stops(sample("healthy"), whose)
    assert found[-1].state == "arrived"
    assert "broken" not in states(sample("healthy"))
    assert found[-1].title == "TikTok"


@pytest.mark.parametrize(("scenario", "what"), [("sni-reset", "TikTok: reset"), ("maintenance", "TikTok: answers 503")])
def test_what_fails_at_the_far_end_is_said_there(scenario: str, what: str) -> None:
    """Packets arrive, the page does not: the cross is at the platform's end of the way."""
    end = stops(sample(scenario), whose)[-1]
    assert (end.state, end.title) == ("failed", what)


def test_a_transit_outage_is_drawn_to_the_platform_and_broken() -> None:
    """The way to the platform is shown, not the one to some other service."""
    found = stops(sample("transit-outage"), whose)
    assert [found[-2].state, found[-1].state, found[-1].title] == ["broken", "beyond", "TikTok"]


@pytest.mark.parametrize(
    ("scenario", "last"), [("home-ipv6-broken", "Home router"), ("isp-ipv6-hole", "Deutsche Telekom AG")]
)
def test_a_way_that_breaks_over_ipv6_only_is_drawn_over_ipv6(scenario: str, last: str) -> None:
    """The home router answers from the home's own prefix, and is the home router all the same."""
    found = stops(sample(scenario), whose)
    assert [found[1].title, found[-3].title, found[-2].state, found[-1].state] == [
        "Home router",
        last,
        "broken",
        "beyond",
    ]
    assert "2003:de:37ff::1" in found[1].subtitle


def test_one_server_that_is_dead_over_ipv6_is_at_the_end_of_its_way() -> None:
    """Not the way to one of those that answer."""
    end = stops(sample("cdn-edge-down-ipv6"), whose)[-1]
    assert (end.title, end.state) == ("TikTok", "beyond")
    assert "2a02:26f0:3500:1b::10" in end.subtitle


def test_a_dead_gateway_is_where_it_breaks() -> None:
    """Without a single answer the home router itself is the last thing that is known."""
    found = stops(sample("gateway-dead"), whose)
    assert "broken" in [stop.state for stop in found]
    assert not any(stop.state == "passed" and stop.network.startswith("AS") for stop in found)


def test_without_a_default_route_there_is_no_way_out() -> None:
    """A machine that is not connected has a way of one step."""
    report = sample("healthy")
    first = msgspec.structs.replace(report.observations[0], fact=HostState())
    verdict = msgspec.structs.replace(report.verdict, component=Component.HOME)
    lonely = msgspec.structs.replace(report, observations=(first,), verdict=verdict)
    assert [stop.title for stop in stops(lonely, whose)] == ["This computer", "No way out", "TikTok"]


def test_no_observation_at_all_is_no_error() -> None:
    """A page can be made of any report."""
    assert states(msgspec.structs.replace(sample("healthy"), observations=()))[0] == "start"


def test_a_loop_is_drawn_once_around() -> None:
    """The routers that hand packets to each other are named, not repeated thirty times."""
    found = stops(sample("routing-loop"), whose)
    assert (found[-2].title, found[-2].subtitle) == ("Packets go in circles here", "217.5.116.114 and 217.239.45.49")
    assert len(found) < 10


@pytest.mark.parametrize(
    ("scenario", "title", "subtitle"),
    [
        ("isp-resolver-failing", "No address for the name", "194.25.2.129 says SERVFAIL"),
        ("local-resolver-down", "No address for the name", "192.168.1.1 is silent"),
        ("dns-tampering", "A false address for the name", "192.168.1.1 says 62.157.140.133"),
        ("home-blocklist", "A false address for the name", "192.168.1.1 says 0.0.0.0"),
    ],
)
def test_a_name_that_misleads_is_where_it_breaks(scenario: str, title: str, subtitle: str) -> None:
    """Nobody is shown a way that works when the name service is what does not."""
    found = stops(sample(scenario), whose)
    assert [(stop.title, stop.subtitle) for stop in found if stop.state == "broken"] == [(title, subtitle)]
    assert found[-1] == Stop("TikTok", "", "", "beyond")


def test_the_far_end_that_fails_is_drawn_even_if_nobody_followed_the_way_there() -> None:
    """Other addresses of the platform that work are not shown instead."""
    found = stops(sample("mobile-cdn-vendor-down"), whose)
    assert (found[-1].title, found[-1].state) == ("TikTok: answers 503", "failed")


def test_silent_hops_in_a_row_are_one_stop() -> None:
    """Routers that answer nobody are not a break."""
    found = stops(sample("healthy-silent-and-rate-limited"), whose)
    assert found[-1].state == "arrived"
    assert not any(a.state == b.state == "silent" for a, b in pairwise(found))
