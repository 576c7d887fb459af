"""Feeds beside a survey: read through the vantage, believed by their certificate, given up when the survey is over."""

import pytest
from msgspec import structs

from netprobe.engine import diagnose, select_targets
from netprobe.model.announcements import Announced
from netprobe.model.record import to_json
from netprobe.model.report import Observation
from netprobe.model.services import Answer, Response
from netprobe.probing.announced import (
    ANNOUNCED,
    FETCH,
    LONGEST_URL,
    LOOKUP,
    MOST_BYTES,
    MOST_KEPT,
    Place,
    SourceError,
    Sources,
    place_of,
    understood,
)
from netprobe.probing.run import run
from netprobe.probing.survey import survey
from netprobe.sim.feeds import Feed, FeedEntry, written
from netprobe.sim.records import Fault, Scenario
from netprobe.sim.virtual import VirtualVantage
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform
from tests.scenarios import load

PLATFORM = load_platform()
URL = "https://newsroom.tiktok.com/rss"
ANNOUNCING = load("maintenance-announced")


def heard(scenario: Scenario, *urls: str) -> list[Observation]:
    """What a survey in virtual time hears."""
    plan = survey(PLATFORM, select_targets(PLATFORM, ""), announcements=urls)
    return [o for o in run(plan, VirtualVantage(scenario, 1)) if o.purpose.startswith(ANNOUNCED)]


def told(found: list[Observation]) -> list[Announced]:
    """Their last word."""
    return [o.fact for o in found if isinstance(o.fact, Announced)]


def but(scenario: Scenario, *faults: Fault, **server: object) -> Scenario:
    """The scenario with more faults, and with another server where the feed is."""
    servers = tuple(structs.replace(s, **server) if s.name == "newsroom" else s for s in scenario.servers)
    return structs.replace(scenario, servers=servers, faults=(*scenario.faults, *faults))


def test_a_feed_is_looked_up_fetched_and_understood() -> None:
    """Three observations, and the page itself in none of them."""
    lookup, fetched, last = heard(ANNOUNCING, URL)
    assert [o.purpose for o in (lookup, fetched, last)] == [LOOKUP, FETCH, ANNOUNCED]
    assert isinstance(lookup.fact, Answer)
    assert lookup.fact.lookup.resolver == ANNOUNCING.client.resolvers[0]
    assert isinstance(fetched.fact, Response)
    assert (fetched.fact.status, fetched.fact.body, fetched.fact.fetch.body_limit) == (200, b"", MOST_BYTES)
    assert fetched.fact.body_bytes > 300
    said = told([last])[0]
    assert (said.source, said.official, said.format, said.total, said.error) == (URL, True, "rss", 2, "")
    assert said.entries[0].title == "Scheduled maintenance tonight"


def test_without_a_source_nothing_changes() -> None:
    """The same survey as ever, packet by packet: announcements stand beside it."""
    targets = select_targets(PLATFORM, "")
    plain, listening = VirtualVantage(ANNOUNCING, 1), VirtualVantage(ANNOUNCING, 1)
    before = run(survey(PLATFORM, targets), plain)
    after = run(survey(PLATFORM, targets, announcements=(URL,)), listening)
    assert [(o.purpose, o.subject) for o in before] == [(o.purpose, o.subject) for o in after[:-3]]
    assert listening.usage().packets_sent - plain.usage().packets_sent < 20


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("certificate", ("newsroom",), unknown_issuer=True), "certificate"),
        (Fault("certificate", ("newsroom",), wrong_name="a.example"), "certificate"),
        (Fault("http", ("newsroom",), status=404), "status"),
        (Fault("http", ("newsroom",), status=302, headers={"location": "http://newsroom.tiktok.com/rss"}), "status"),
        (Fault("http", ("newsroom",), status=302, headers={"location": "/rss"}), "redirect"),
        (Fault("refuse", ("newsroom",)), "refused"),
        (Fault("hangup", ("newsroom",), when="request", how="reset"), "reset"),
        (Fault("hangup", ("newsroom",), when="answer", how="close", after_bytes=40), "closed"),
        (Fault("down", ("newsroom",)), "late"),
        (Fault("http", ("newsroom",), delay_ms=60_000.0), "late"),
        (Fault("dns", ("isp-resolver", "google-resolver", "cloudflare-resolver"), rcode="NXDOMAIN",
               names=("newsroom.tiktok.com",)), "lookup"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)  # fmt: skip
def test_what_cannot_be_read_says_why_and_nothing_else(fault: Fault, error: str) -> None:
    """A stranger's certificate above all: nothing of what it serves is read."""
    scenario = but(ANNOUNCING, fault)
    (said,) = told(heard(scenario, URL))
    assert (said.error, said.entries, said.format) == (error, (), "")
    with AsnTable.open() as table:
        report = diagnose(VirtualVantage(scenario, 1), PLATFORM, table.lookup, sources=Sources((URL,)))
    assert report.verdict.cause == "platform.maintenance"
    assert {e.state for e in report.verdict.evidence if e.id.startswith("announced.")} == {""}


@pytest.mark.parametrize("name", ["healthy", "maintenance-announced"])
def test_a_feed_that_hangs_makes_no_survey_slower(name: str) -> None:
    """Nobody waits for it longer than the survey takes anyway."""
    scenario = but(ANNOUNCING, Fault("http", ("newsroom",), delay_ms=60_000.0))
    if name == "healthy":
        scenario = structs.replace(scenario, faults=scenario.faults[-1:])
    plain, listening = VirtualVantage(scenario, 1), VirtualVantage(scenario, 1)
    targets = select_targets(PLATFORM, "")
    run(survey(PLATFORM, targets), plain)
    run(survey(PLATFORM, targets, announcements=(URL,)), listening)
    assert listening.now() <= plain.now() + 0.2


def test_a_redirect_leads_to_another_feed() -> None:
    """By https, and as often as a chain may have links; who said it is where it ended."""
    away = Fault(
        "http", ("newsroom",), status=301, server_name=("news.tiktok.com",),
        headers={"location": "https://newsroom.tiktok.com/rss"},
    )  # fmt: skip
    entry = ANNOUNCING.names["newsroom.tiktok.com"]
    scenario = but(ANNOUNCING, away, serves=("newsroom.tiktok.com", "news.tiktok.com"))
    scenario = structs.replace(scenario, names={**scenario.names, "news.tiktok.com": entry})
    found = heard(scenario, "https://news.tiktok.com/old")
    assert [o.purpose for o in found] == [LOOKUP, FETCH, LOOKUP, FETCH, ANNOUNCED]
    (said,) = told(found)
    assert (said.source, said.total) == (URL, 2)


def test_a_resolver_that_fails_is_not_the_last_one() -> None:
    """Trouble with the own one is no reason not to listen."""
    found = heard(load("isp-resolver-failing-reported"), "https://outages.example/feed")
    rcodes = [o.fact.rcode for o in found if isinstance(o.fact, Answer)]
    assert rcodes == ["SERVFAIL", "NOERROR"]
    assert told(found)[0].entries


def test_a_machine_without_a_way_out_asks_nobody() -> None:
    """Where nothing leaves, nothing is heard."""
    assert heard(load("home-no-lease"), URL) == []


def test_only_what_names_the_platform_is_kept() -> None:
    """Of a tracker of everything; a feed of the platform's own is about nothing else. A few, the newest."""
    rows = [FeedEntry("Bank is down", 1.0), FeedEntry("TIKTOK is down", 2.0), FeedEntry("News", 3.0, "Tik Tok fails")]
    feed = written(Feed("/", "Everything", tuple(rows)), "a.example", 1e9)
    said = understood("https://a.example/", feed, PLATFORM)
    assert [entry.title for entry in said.entries] == ["TIKTOK is down", "News"]
    assert (said.official, said.total) == (False, 3)
    assert len(understood("https://status.tiktok.com/", feed, PLATFORM).entries) == 3
    assert not understood("/etc/status.tiktok.com", feed, PLATFORM).official
    named = written(Feed("/", "TikTok status", tuple(rows)), "a.example", 1e9)
    assert len(understood("https://a.example/", named, PLATFORM).entries) == 3
    many = written(Feed("/", "", tuple(FeedEntry(f"tiktok {n}", float(n)) for n in range(50))), "a.example", 1e9)
    said = understood("/var/feed.xml", many, PLATFORM)
    assert [entry.title for entry in said.entries] == [f"tiktok {n}" for n in range(MOST_KEPT)]
    assert len(to_json(said)) < 10_000


def test_places() -> None:
    """Name, port and what is asked for there."""
    assert place_of("https://A.example./feed?x=1#y") == Place("a.example", 443, "/feed?x=1")
    assert place_of("https://a.example:8443") == Place("a.example", 8443, "/")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://a.example/", "plain http"),
        ("ftp://a.example/", "neither an https address nor a file"),
        ("https:///feed", "neither an https address nor a file"),
        ("https://user@a.example/", "a user's name"),
        ("https://192.0.2.1/", "give the name"),
        ("https://[2001:db8::1]/", "give the name"),
        ("https://[2001:db8::1/", "not an address of the web"),
        ("https://a.example:99999/", "not an address of the web"),
        ("https://a.example/\u00e4", "printable ASCII"),
        ("https://a.example/ x", "printable ASCII"),
        ("https://a.example/" + "x" * LONGEST_URL, "at most"),
    ],
)
def test_what_is_no_source_says_why(url: str, why: str) -> None:
    """And what to give instead."""
    with pytest.raises(SourceError, match=why):
        place_of(url)
