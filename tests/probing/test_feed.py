"""Feeds out of a stranger's bytes: what is right is read, what is wrong is a word, and nothing grows."""

import datetime as dt
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netprobe.model.announcements import Entry
from netprobe.probing.announced import MOST_BYTES
from netprobe.probing.feed import LINK_LIMIT, MOST_ENTRIES, TEXT_LIMIT, TITLE_LIMIT, Feed, clean, moment, parse
from netprobe.sim.feeds import FORMATS, FeedEntry, written
from netprobe.sim.feeds import Feed as Published

NOON_S = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC).timestamp()

RSS = b"""<?xml version="1.0"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:atom="http://www.w3.org/2005/Atom">
<channel><title>Status &amp; news</title><atom:link rel="self" href="https://a.example/rss"/>
<image><title>A picture</title></image>
<item><title><![CDATA[Maintenance <b>tonight</b>]]></title><link>https://a.example/1</link>
<description>&lt;p&gt;From ten&amp;nbsp;to twelve.&lt;/p&gt;</description><content:encoded>More</content:encoded>
<pubDate>Sun, 22 Nov 2026 13:00:00 +0100</pubDate></item>
<item><description>Only words</description><pubDate>yesterday</pubDate></item>
</channel></rss>"""

ATOM = b"""\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">News</title><entry><id>1</id>
<title>St\xc3\xb6rung</title><link rel="edit" href="https://a.example/edit"/><link href="https://a.example/2"/>
<published>2026-11-22T09:00:00Z</published><updated>2026-11-22T12:00:00Z</updated>
<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">It <em>lasts</em>.</div></content></entry></feed>"""


def test_rss() -> None:
    """Titles and texts without their markup, the item's own link, and its date; what has no date says so."""
    feed = parse(RSS)
    assert (feed.format, feed.title, feed.error) == ("rss", "Status & news", "")
    assert feed.entries == (
        Entry("Maintenance tonight", "From ten to twelve.", "https://a.example/1", NOON_S),
        Entry("", "Only words", "", None),
    )


def test_atom() -> None:
    """The latest word counts: `updated` before `published`; the link is the one that a reader would follow."""
    feed = parse(ATOM)
    assert (feed.format, feed.title, feed.error) == ("atom", "News", "")
    assert feed.entries == (Entry("Störung", "It lasts.", "https://a.example/2", NOON_S),)


def test_json_feed() -> None:
    """One item that is wrong spoils no other; markup goes from what is HTML."""
    items = [
        {"id": "1", "title": "Down", "content_html": "<p>since noon</p>", "url": "https://a.example/3",
         "date_published": "2026-11-22T13:00:00+01:00"},
        7,
        {"title": ["no text"], "summary": "Words", "date_modified": 5},
    ]  # fmt: skip
    document = {"version": "https://jsonfeed.org/version/1.1", "title": "J", "items": items, "authors": [{}]}
    feed = parse(json.dumps(document).encode())
    assert (feed.format, feed.title, feed.error) == ("json", "J", "malformed")
    assert feed.entries == (
        Entry("Down", "since noon", "https://a.example/3", NOON_S),
        Entry("", "Words", "", None),
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_what_the_lab_publishes_is_read(kind: str) -> None:
    """The simulated servers' feeds in each format, with the age that a scenario gives them."""
    published = Published("/feed", "Status & news", (FeedEntry("A < B & C", 3600.0, "Text"), FeedEntry("D")), kind)
    feed = parse(written(published, "a.example", NOON_S))
    assert (feed.format, feed.error) == (kind, "")
    assert feed.title == "Status & news"
    assert [entry.published_s for entry in feed.entries] == [NOON_S - 3600.0, NOON_S]
    assert [entry.title for entry in feed.entries] == ["A < B & C", "D"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 22 Nov 2026 12:00:00 GMT", NOON_S),
        ("22 Nov 2026 12:00 UT", NOON_S),
        ("Sun, 22 Nov 2026 07:00:00 EST", NOON_S),
        ("2026-11-22T12:00:00Z", NOON_S),
        ("2026-11-22T12:00:00.250+00:00", NOON_S + 0.25),
        ("2026-11-22 12:00:00", NOON_S),
        (" 2026-11-22T14:00:00+02:00\n", NOON_S),
        ("tomorrow", None),
        ("", None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-23:59", None),
        ("Sun, 99 Nov 2026 12:00:00 GMT", None),
        ("Sun, 22 Nov 2026 12:00:00 +999999999999", None),
        ("2026-11-22" * 100, None),
        (1795348800, None),
    ],
)
def test_dates(text: object, seconds: float | None) -> None:
    """Both ways in which feeds write them; what is no date, or none of these times, is none."""
    assert moment(text) == seconds


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252"])
def test_encodings(encoding: str) -> None:
    """Those that feeds are in."""
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><rss><channel><item><title>Störung</title></item></channel></rss>'
    )
    assert [entry.title for entry in parse(text.encode(encoding)).entries] == ["Störung"]


def test_a_codec_is_not_chosen_by_a_stranger() -> None:
    """What declares a strange one is read as what it most likely is."""
    data = b'<?xml version="1.0" encoding="zlib_codec"?><rss><channel><item><title>x</title></item></channel></rss>'
    assert [entry.title for entry in parse(data).entries] == ["x"]


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<rss><channel><item><title>&b;</title></item></channel></rss>"
)
OUTSIDE = (
    b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    b"<rss><channel><item><title>&a;</title></item></channel></rss>"
)


@pytest.mark.parametrize("data", [BOMB, OUTSIDE])
def test_entities_are_refused(data: bytes) -> None:
    """Neither grows nor opens anything."""
    assert parse(data) == Feed(error="no feed")


def test_a_document_type_alone_is_harmless() -> None:
    """As old feeds have one."""
    data = b'<!DOCTYPE rss PUBLIC "-//N//DTD" "http://a.example/rss.dtd"><rss><channel><title>T</title></channel></rss>'
    assert parse(data) == Feed("rss", "T")


@pytest.mark.parametrize(
    "data",
    [b"", b"<", b"<html><title>Log in</title></html>", b"{}", b'{"version": 3, "items": []}', b"\x1f\x8b\x08", b"[1]"],
)
def test_what_is_no_feed_is_called_so(data: bytes) -> None:
    """A portal's page, say, or what somebody compressed unasked."""
    assert parse(data) == Feed(error="no feed")


def test_what_breaks_off_is_kept_until_then() -> None:
    """Half a feed says half of it."""
    feed = parse(RSS[: RSS.index(b"<item><description>Only") + 30])
    assert (feed.error, [entry.title for entry in feed.entries]) == ("malformed", ["Maintenance tonight"])


def test_everything_is_bounded() -> None:
    """Entries, lengths and depth; bytes that nobody can print do not get through."""
    item = "<item><title>" + "x" * 10_000 + "</title><link>y</link></item>"
    feed = parse(("<rss><channel>" + "<item><title>t</title></item>" * (MOST_ENTRIES + 5)).encode())
    assert (len(feed.entries), feed.error) == (MOST_ENTRIES, "malformed")
    feed = parse(f"<rss><channel>{item}</channel></rss>".encode())
    assert len(feed.entries[0].title) == TITLE_LIMIT
    assert parse(b"<rss>" * 100_000).error == "malformed"
    assert parse(b'{"version": "https://jsonfeed.org/version/1", "items": ' + b"[" * 100_000).error == "no feed"
    assert parse(b"<rss><channel>" + b" " * (2 * MOST_BYTES) + b"<item/></channel></rss>").entries == ()
    assert clean("a\x1b[31m\u202eb\nc\ud800", 20) == "a\ufffd[31m\ufffdb c\ufffd"


_CHANGES = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=12)), max_size=8)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from([RSS, ATOM, BOMB, written(Published("/", "t", (FeedEntry("x"),), "json"), "a", 9.9)]), _CHANGES)
def test_no_change_breaks_it(data: bytes, changes: list[tuple[float, bytes]]) -> None:
    """Feeds in which anything was put in another's place."""
    for where, new in changes:
        at = int(where * len(data))
        data = data[:at] + new + data[at + len(new) :]
    harmless(parse(data))


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([b"", b"<rss><channel><item>", b"<feed><entry><title>", b'{"items":[', b"\xff\xfe"]), st.binary()
)
def test_no_bytes_break_it(begin: bytes, data: bytes) -> None:
    """Whatever comes."""
    harmless(parse(begin + data))


def harmless(feed: Feed) -> None:
    """What a feed promises of its text."""
    assert feed.format in {"", "rss", "atom", "json"}
    assert bool(feed.format) == (feed.error != "no feed")
    assert len(feed.entries) <= MOST_ENTRIES
    for entry in feed.entries:
        limits = ((entry.title, TITLE_LIMIT), (entry.text, TEXT_LIMIT), (entry.link, LINK_LIMIT))
        assert all(len(text) <= limit and text.isprintable() for text, limit in limits)
        assert entry.published_s is None or 0 < entry.published_s < 4_102_444_800
