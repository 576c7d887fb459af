"""QUIC beside TCP: what is stopped on purpose, by a firewall at home, by a provider, and what nobody is to blame for."""

import pytest

from netprobe.diagnosis import diagnose
from netprobe.model.report import Observation
from netprobe.model.verdict import Component, Level
from tests.diagnosis.over_quic import ASKED, AT_HOME, AT_ISP, COMPARED, EVERYBODY, OFFERS, PLACES, quic, shaken
from tests.diagnosis.picture import PLATFORM, Picture, ended, origin, way

OFFERING = Picture(offers=OFFERS)


def told(picture: Picture) -> str:
    """What the signal says; empty where nothing was measured."""
    (found,) = (e for e in picture.verdict().evidence if e.id == "quic.handshakes")
    return found.state if found.level is Level.SCORED else f"{found.level.value} {found.state}".strip()


@pytest.mark.parametrize(
    ("state", "cause", "seen"),
    [
        ("works", "none.app_device", quic()),
        ("by_name", "policy.quic.drop", quic(*ASKED, name_only=True)),
        ("by_address", "policy.quic.drop", quic(*ASKED)),
        ("stopped_by_isp", "policy.quic.drop", quic(ASKED[0], asked=ASKED[:1], ends=AT_ISP - 1)),
        ("nowhere_home", "home.quic.blocked", quic(*EVERYBODY, ends=AT_HOME)),
        ("nowhere_home", "home.quic.blocked", quic(*EVERYBODY, dropped_locally=True)),
        ("nowhere_isp", "isp.quic.blocked", quic(*EVERYBODY, ends=AT_ISP)),
        ("refused", "none.app_device", quic(*ASKED, error="refused")),
        ("some", "none.app_device", quic(ASKED[0])),
        ("refused", "none.app_device", quic(ASKED[0], error="closed")),
    ],
)
def test_what_is_seen_over_quic_is_told(state: str, cause: str, seen: tuple[Observation, ...]) -> None:
    """Each answer with the cause that it speaks for; a server's own no and one lost server speak for nobody."""
    picture = OFFERING.but(closer=seen)
    assert told(picture) == state
    assert picture.verdict().cause == cause


@pytest.mark.parametrize(
    ("state", "seen"),
    [
        ("nowhere", quic(*EVERYBODY)),  # nobody traced it
        ("nowhere", quic(*EVERYBODY, ends=6)),  # beyond the provider
        ("unclear", quic(*ASKED, compared=())),  # nothing to compare with
        ("unserved", quic(*ASKED, probed=True)),  # servers without room for handshakes look so too
        ("one_network", quic(ASKED[0], asked=ASKED[:1])),  # it may be the vendor's own trouble
        ("one_network", quic(ASKED[0], asked=ASKED[:1], ends=len(way(PLACES[ASKED[0]])))),  # and so it is, at its door
        ("one_network", quic(ASKED[0], asked=ASKED[:1], ends=AT_ISP + 1)),  # a carrier's router, where it filters too
        ("one_network", quic(ASKED[0], asked=ASKED[:1], ends=AT_HOME)),
    ],
)
def test_what_is_half_seen_blames_nobody(state: str, seen: tuple[Observation, ...]) -> None:
    """Without a comparison, a trace, or a second delivery network the platform is not said to be blocked."""
    picture = OFFERING.but(closer=seen)
    assert told(picture) == state
    assert picture.verdict().component in {Component.NONE, Component.UNDETERMINED}


def test_who_offers_no_quic_is_not_judged_by_it() -> None:
    """Silence of who never said that it speaks QUIC, and a machine that cannot, say nothing."""
    assert told(Picture(closer=quic(*EVERYBODY, ends=AT_HOME))) == "none"
    assert Picture(closer=quic(*EVERYBODY, ends=AT_HOME)).verdict().component is Component.NONE
    assert told(OFFERING.but(closer=quic(*EVERYBODY, error="local"))) == "none"


def test_chance_is_not_a_block() -> None:
    """What is lost once and done the second time works."""
    seen = []
    for what, names in (("edge", ASKED), ("control", COMPARED)):
        for name in names:
            seen.append(Observation(5.0, f"{what}.quic", name, shaken(name, PLACES[name], "timeout")))
            seen.append(Observation(9.0, f"{what}.quic.again", name, shaken(name, PLACES[name])))
    assert told(OFFERING.but(closer=tuple(seen))) == "works"


def test_a_name_that_passes_over_quic_supports_a_block_of_tcp() -> None:
    """What is cut off over TCP by name and answered over QUIC at the same address: the server is not at fault."""
    by_name = Picture(named=ended("reset"), closer=quic(asked=ASKED[:1], compared=()))
    assert told(by_name) == "passes_beside"
    assert by_name.verdict().cause == "policy.tls.sni_reset"


def test_the_order_of_observations_does_not_matter() -> None:
    """The same verdict, whatever was written down first."""
    observations = OFFERING.but(closer=quic(*ASKED, name_only=True)).observations()
    forwards, backwards = (diagnose(seen, PLATFORM, origin) for seen in (observations, observations[::-1]))
    assert forwards.cause == backwards.cause == "policy.quic.drop"
