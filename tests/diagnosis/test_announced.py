"""Announcements support what was measured, and accuse nobody."""

from pathlib import Path

import pytest

from netprobe.diagnosis.announcements import Kind, kind_of, words
from netprobe.diagnosis.causes import tables
from netprobe.diagnosis.hearsay import believed
from netprobe.diagnosis.weigh import decide, group_weights
from netprobe.model.announcements import Announced, Entry
from netprobe.model.report import Observation
from netprobe.model.verdict import Component, Evidence, Level, Verdict, Weighed
from tests.diagnosis.picture import EDGES, NOW_S, Picture
from tests.diagnosis.test_causes import CAUSES

HOUR_S = 3600.0
OFFICIAL, TRACKER, FILE = "https://newsroom.tiktok.com/rss", "https://outages.example/feed", "/var/lib/feeds/tiktok.xml"

healthy = CAUSES["none.app_device"]
bare_503 = healthy.but(status=dict.fromkeys(EDGES, 503))


def says(source: str, *entries: tuple[str, float | None], error: str = "") -> Observation:
    """What a source announces: titles, and how many hours ago."""
    rows = tuple(Entry(title, published_s=None if age is None else NOW_S - age * HOUR_S) for title, age in entries)
    fact = Announced(source, source is OFFICIAL, "rss", "News", rows, len(rows), error)
    return Observation(0.1, "announced", source, fact)


def hearing(picture: Picture, *said: Observation) -> Verdict:
    """The verdict of somebody who listens, too."""
    return picture.but(closer=(*picture.closer, *said)).verdict()


def evidence(verdict: Verdict, ident: str) -> Weighed:
    """One item of it."""
    return next(e for e in verdict.evidence if e.id == f"announced.{ident}")


SAID = {
    "maintenance": says(OFFICIAL, ("Scheduled maintenance", 1.0)),
    "maintenance of a tracker": says(TRACKER, ("TikTok maintenance", 1.0)),
    "trouble": says(OFFICIAL, ("We are investigating an outage", 0.5)),
    "reports": says(TRACKER, ("TikTok is down", 0.1), ("TikTok is down in Europe", 0.2)),
    "attack": says(OFFICIAL, ("TikTok suffers a DDoS", 0.5)),
    "everything": says(FILE, ("TikTok maintenance", 0.1), ("TikTok is down", 0.1), ("TikTok under attack", 0.1)),
    "over": says(OFFICIAL, ("Outage resolved", 0.1), ("Outage", 0.5)),
}


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("cause", CAUSES)
def test_nobody_is_named_for_what_is_announced(cause: str, said: str) -> None:
    """Whatever anybody says, the component is that of what was measured; and all but the platform's causes stay."""
    before, after = CAUSES[cause].verdict(), hearing(CAUSES[cause], SAID[said])
    assert (after.component, after.also) == (before.component, before.also)
    if before.component is not Component.PLATFORM:
        assert (after.cause, after.probability) == (before.cause, before.probability)
        for item in after.evidence:
            if item.id.startswith("announced.") and item.state in {"announced", "official", "reported"}:
                assert item.level is Level.DISCARDED
                assert item.reason.endswith("words alone accuse nobody")


@pytest.mark.parametrize("source", [OFFICIAL, TRACKER, FILE])
def test_what_is_announced_is_maintenance_and_no_failure(source: str) -> None:
    """A bare 503 everywhere is a failure, unless planned work was announced."""
    assert bare_503.verdict().cause == "platform.origin.error"
    verdict = hearing(bare_503, says(source, ("TikTok: planned maintenance", 2.0)))
    assert verdict.cause == "platform.maintenance"
    assert not verdict.abstained
    item = evidence(verdict, "maintenance")
    assert (item.state, item.level) == ("announced", Level.SCORED)
    assert item.weight > 1
    assert "“TikTok: planned maintenance”" in item.sentence
    assert "2026-09-21 12:13 UTC" in item.sentence


@pytest.mark.parametrize(
    ("entries", "state"),
    [
        ([("Maintenance", 23.0)], "announced"),
        ([("Maintenance", -23.0)], "announced"),
        ([("Maintenance", 25.0)], "nothing"),
        ([("Maintenance", -25.0)], "nothing"),
        ([("Maintenance", None)], "nothing"),
        ([("Maintenance", 3.0), ("Maintenance completed", 1.0)], "nothing"),
        ([("Maintenance", 3.0), ("Maintenance completed", 5.0)], "announced"),
        ([("New music", 1.0)], "nothing"),
        ([], "nothing"),
    ],
)
def test_planned_work_counts_for_a_day_around_its_date(entries: list[tuple[str, float | None]], state: str) -> None:
    """Until the same source calls it over."""
    assert evidence(hearing(bare_503, says(OFFICIAL, *entries)), "maintenance").state == state


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ([says(OFFICIAL, ("Outage", 11.0))], "official"),
        ([says(OFFICIAL, ("Outage", 13.0))], "nothing"),
        ([says(OFFICIAL, ("Outage", -0.1))], "official"),
        ([says(OFFICIAL, ("Outage", -1.0))], "nothing"),
        ([says(TRACKER, ("TikTok is down", 1.0))], "reported"),
        ([says(TRACKER, ("TikTok is down", 1.0)), says(OFFICIAL, ("Degraded performance", 2.0))], "official"),
        ([says(OFFICIAL, ("Outage", 2.0), ("Outage resolved", 1.0))], "over"),
        ([says(OFFICIAL, ("Outage", 1.0), ("Outage resolved", 2.0))], "official"),
        ([says(TRACKER, ("TikTok is down", 2.0)), says(OFFICIAL, ("All systems operational", 1.0))], "reported"),
        ([says(OFFICIAL, ("Uploads: incident, resolved", 1.0))], "over"),
        ([says(OFFICIAL, error="certificate")], ""),
        ([says(OFFICIAL, error="certificate"), says(TRACKER)], "nothing"),
        ([], ""),
    ],
)
def test_trouble_counts_for_half_a_day_and_until_it_is_over(said: list[Observation], state: str) -> None:
    """What its own source has not called over since; the platform's own words before those of others."""
    assert evidence(hearing(bare_503, *said), "trouble").state == state


@pytest.mark.parametrize(("state", "level"), [("official", Level.SCORED), ("reported", Level.DISCARDED)])
def test_a_report_is_no_witness_where_nobody_can_be_named(state: str, level: Level) -> None:
    """Of a trouble that is most likely the platform's the platform's own words count, and a tracker's do not."""
    seen = Evidence("http.status", "cut", Level.SCORED, "Answers break off.", "http")
    alone = decide(group_weights([seen], tables()), tables())
    assert (alone.determined, alone.leaf.partition(".")[0]) == (False, "platform")
    said = Evidence("announced.trouble", state, Level.SCORED, "It is down.", "announced_trouble")
    first, second = believed([seen, said], tables())
    assert first == seen
    assert second.level is level
    assert bool(second.reason) == (level is Level.DISCARDED)


def test_the_own_clock_decides() -> None:
    """A machine whose clock is wrong by months hears nothing recent."""
    verdict = hearing(bare_503.but(clock_off_s=100 * 24 * HOUR_S), SAID["maintenance"])
    assert evidence(verdict, "maintenance").state == "nothing"


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Scheduled MAINTENANCE of uploads", Kind.MAINTENANCE),
        ("Wartungsarbeiten am Wochenende", Kind.MAINTENANCE),
        ("TikTok 将进行系统维护", Kind.MAINTENANCE),
        ("Maintenance: outage of uploads possible", Kind.MAINTENANCE),
        ("Maintenance completed", Kind.OVER),
        ("TikTok is down for thousands of users", Kind.TROUBLE),
        ("Betriebsstörung bei TikTok", Kind.TROUBLE),
        ("Сбой в работе TikTok", Kind.TROUBLE),
        ("TikTok hit by DDoS, service down", Kind.ATTACK),
        ("TikTok is not down", Kind.OVER),
        ("Sundown videos on TikTok", None),
        ("New sounds on TikTok", None),
        ("", None),
    ],
)
def test_words(title: str, kind: Kind | None) -> None:
    """In several languages; a word of letters counts where it begins one."""
    assert kind_of(Entry(title)) is kind


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[kind.over]\nhours = 1", "words.toml: "),
        ("[kind]\n", "over"),
        ("[kind.late]\nhours = 1", "words.toml"),
        ("x =", "words.toml"),
    ],
)
def test_a_wrong_table_of_words_is_refused(tmp_path: Path, text: str, why: str) -> None:
    """With its name."""
    path = tmp_path / "words.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=why):
        words(path)


def test_the_table_of_words_is_sound() -> None:
    """Every word stands once, in lower case, and what is over is looked for first."""
    rows = words()
    every = [word for row in rows.values() for word in row.words]
    assert len(every) == len(set(every))
    assert all(word == word.lower() == word.strip() != "" for word in every)
    assert next(iter(rows)) is Kind.OVER
