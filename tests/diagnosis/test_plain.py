"""What is said of answers on port 80: a portal needs witnesses, a block page its comparison, and odd networks neither."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.diagnosis.facts import Facts
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals import plain
from netprobe.diagnosis.signals.base import Finding
from netprobe.model.report import Observation
from netprobe.model.services import Response
from netprobe.model.targets import Control, Platform, Target
from tests.diagnosis.picture import Picture, ended
from tests.diagnosis.plain_http import EMPTY, NOTHING, SUCCESS, answer, of_controls, trial

ONE, TWO, THREE = (
    Control("one.example", "one", plain=EMPTY),
    Control("two.example", "two", plain=SUCCESS),
    Control("three.example", "three", plain=EMPTY),
)
NAME = "www.tiktok.com"
PLATFORM = Platform("TikTok", (Target(NAME, "web", essential=True),), (ONE, TWO, THREE), zones=("tiktok.com",))
PORTAL = "http://login.hotel.example/?from=1"
FINE = of_controls((ONE, answer(204)), (TWO, answer(200, title="Success", size=60)))
UNKNOWN = answer(404, title="404 Not Found", server="edge", name=ONE.name)


def notice(status: int) -> Response:
    """A page that says no, in whoever's name."""
    return answer(status, title="Blocked", size=90)


def view(observations: tuple[Observation, ...]) -> View:
    return View(Facts(observations, PLATFORM, lambda _: None))


def controls(*pairs: tuple[Control, Response]) -> str:
    """What the signal says of such answers; empty: nothing."""
    finding = plain.controls(view(of_controls(*pairs)))
    return finding.state if finding else ""


def platform(*observations: tuple[Observation, ...], before: tuple[Observation, ...] = FINE) -> Finding | None:
    """What is said of the platform's names."""
    return plain.platform(view((*before, *(o for each in observations for o in each))))


@pytest.mark.parametrize(
    "odd",
    [
        answer(204),
        answer(200),  # a proxy that makes a page without anything of "no content"
        answer(301, to="https://one.example/generate_204"),
        answer(308, to="HTTPS://One.Example./"),
        answer(302, to="https://www.one.example/"),
    ],
)
def test_what_a_server_may_answer_is_as_expected(odd: Response) -> None:
    """To ask over TLS, at the same place, is no portal's answer."""
    assert controls((ONE, odd), (TWO, answer(200, title="Success"))) == "as_expected"


@pytest.mark.parametrize(
    "wrong",
    [
        answer(302, to=PORTAL),
        answer(307, to="//login.hotel.example:8080/x"),
        answer(302, to="HTTPS://LOGIN.hotel.example"),
    ],
)
def test_everybody_is_led_to_one_place(wrong: Response) -> None:
    """Two of two, and two of three; the path does not matter."""
    assert controls((ONE, wrong), (TWO, wrong)) == "led_away"
    assert controls((ONE, wrong), (TWO, answer(NOTHING)), (THREE, wrong)) == "led_away"


@pytest.mark.parametrize("status", [200, 302, 511])
def test_one_page_for_everybody(status: int) -> None:
    """A page in everybody's name, or one that says that a login is required (RFC 6585)."""
    page = answer(status, title="Welcome aboard", size=500)
    assert controls((ONE, page), (TWO, page)) == "another_page"


def test_one_control_alone_accuses_nobody() -> None:
    """It may have changed, or moved; so may two, to different places."""
    moved, portal = answer(301, to="http://elsewhere.example/"), answer(302, to=PORTAL)
    assert controls((ONE, portal)) == "some"
    assert controls((ONE, portal), (TWO, answer(200, title="Success"))) == "some"
    assert controls((ONE, portal), (TWO, moved)) == "some"
    assert controls((ONE, portal), (TWO, answer(200, title="Success")), (THREE, answer(204))) == "some"


def test_errors_and_silence_are_no_portal() -> None:
    """A proxy that is out of order refuses, a firewall is silent; where nobody was asked nothing is said."""
    broken = answer(503, title="503 Service Unavailable", server="squid")
    assert controls((ONE, broken), (TWO, broken)) == "refused"
    assert controls((ONE, answer(NOTHING)), (TWO, answer(NOTHING))) == "silent"
    assert controls() == ""


def test_a_page_for_the_name_alone_is_seen() -> None:
    """The same at an address that has nothing to do with it, and not for another name."""
    for page in (notice(403), notice(200), answer(302, to="http://notice.example/?id=7")):
        finding = platform(trial(NAME, page, UNKNOWN, page))
        assert finding is not None
        assert finding.state == "replaced"
        assert finding.facts == (2, 3, 4)


def test_a_proxy_brings_what_belongs_to_the_name() -> None:
    """It goes by the name, wherever a request was sent: the platform's own refusal comes from everywhere."""
    refusal = answer(403, title="Forbidden", server="edge")
    finding = platform(trial(NAME, refusal, answer(204, name=ONE.name), refusal))
    assert finding is not None
    assert finding.state == "own"


@pytest.mark.parametrize(
    ("target", "other", "elsewhere", "state"),
    [
        (answer(301, to=f"https://{NAME}/"), UNKNOWN, answer(301, to=f"https://{NAME}/"), "own"),
        (answer(301, to="https://tiktok.com/"), UNKNOWN, None, "own"),
        (answer(302, to="https://eu.tiktok.com/"), UNKNOWN, answer(404, title="?"), "own"),
        (answer(403, title="Forbidden", server="edge"), UNKNOWN, answer(404, title="Not Found", server="gws"), "own"),
        (notice(403), notice(403), notice(403), "own"),  # any name at any place
        (notice(403), None, notice(403), "own"),  # nothing to compare with
        (answer(302, to="http://notice.example/"), UNKNOWN, answer(404), "led_astray"),
        (answer(NOTHING), UNKNOWN, answer(404), "silent"),
    ],
)
def test_what_a_server_may_say_is_no_block_page(
    target: Response, other: Response | None, elsewhere: Response | None, state: str
) -> None:
    """Only somebody who reads the name on the way answers alike at two places and spares other names."""
    finding = platform(trial(NAME, target, other, elsewhere))
    assert finding is not None
    assert finding.state == state


def test_a_portal_is_no_block_page() -> None:
    """What comes of every name says nothing of the platform's."""
    portal = answer(302, to=PORTAL)
    led = of_controls((ONE, portal), (TWO, portal))
    finding = platform(trial(NAME, portal, portal, portal), before=led)
    assert finding is not None
    assert finding.state == "as_everybody"


def test_nothing_failed_nothing_said() -> None:
    """Where TLS works nobody asks."""
    assert platform() is None


def test_a_name_that_works_is_not_led_to_a_portal() -> None:
    """Where the platform is served, whoever answers plain HTTP in everybody's stead is in nobody's way."""
    portal = answer(302, to=PORTAL)
    pairs = [(control, portal) for control in Picture().platform.controls if control.plain]
    verdict = Picture().but(closer=of_controls(*pairs)).verdict()
    assert len(pairs) == 2
    assert verdict.cause == "none.app_device"


def test_failing_servers_are_not_a_portal_for_port_80() -> None:
    """A firewall there, and a name that is cut off for its own sake: the name is what is found."""
    pairs = [(control, answer(NOTHING)) for control in Picture().platform.controls if control.plain]
    verdict = Picture().but(named=ended("reset"), closer=of_controls(*pairs)).verdict()
    assert verdict.cause == "policy.tls.sni_reset"


@given(st.text(max_size=300), st.sampled_from([301, 302, 307, 200]))
def test_whatever_stands_in_location_is_bounded(where: str, status: int) -> None:
    """A stranger's text: it is read or not, and what is shown of it is short and printable."""
    wrong = answer(status, to=where, title=where)
    finding = plain.controls(view(of_controls((ONE, wrong), (TWO, wrong))))
    assert finding is not None
    assert finding.sentence.isprintable()
    assert len(finding.sentence) < 250


@given(
    st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=20),
    st.text(string.ascii_letters + string.digits + "/?=&%", max_size=40),
)
def test_one_s_own_name_over_tls_is_never_elsewhere(label: str, path: str) -> None:
    """Whatever the path; and any other host's is never one's own, however much it looks like it."""
    name = f"{label}.example"
    assert plain.upgrades(answer(301, to=f"https://{name}/{path}"), name)
    for other in (f"{label}.example.net", f"not{label}.example", f"{name}@login.hotel.test"):
        assert not plain.upgrades(answer(301, to=f"https://{other}/{path}"), name)
    assert not plain.upgrades(answer(301, to=f"http://{name}/{path}"), name)
    assert not plain.upgrades(answer(301, to=f"https://example/{path}"), name)  # a whole top-level domain is no parent
