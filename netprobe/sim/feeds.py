"""Feeds that servers of a scenario publish: their records, and the bytes of each format at a given time. Pure."""

import datetime as dt
import json
from collections.abc import Iterable
from email.utils import formatdate
from xml.sax.saxutils import escape

import msgspec

from netprobe.model.record import Record

CONTENT_TYPES = {"rss": "application/rss+xml", "atom": "application/atom+xml", "json": "application/feed+json"}
FORMATS = tuple(CONTENT_TYPES)


class FeedEntry(Record, frozen=True):
    """One entry, published `age_s` seconds before the network's start; negative: dated later."""

    title: str
    age_s: float = 0.0
    text: str = ""


class Feed(Record, frozen=True):
    """What a server answers with at `path`: RSS 2.0 (`rss`), Atom (`atom`, RFC 4287) or JSON Feed 1.1 (`json`)."""

    path: str
    title: str
    entries: tuple[FeedEntry, ...] = msgspec.field(name="entry", default=())
    format: str = "rss"


def written(feed: Feed, host: str, began_s: float) -> bytes:
    """The feed as `host` serves it, of a network that was started at `began_s` (Unix time)."""
    rows = [(entry, began_s - entry.age_s) for entry in feed.entries]
    if feed.format == "json":
        return _json(feed, host, rows)
    return (_atom if feed.format == "atom" else _rss)(feed, host, rows).encode()


def _rss(feed: Feed, host: str, rows: Iterable[tuple[FeedEntry, float]]) -> str:
    items = "".join(
        f"<item><title>{escape(entry.title)}</title><link>https://{host}/{number}</link>"
        f"<description>{escape(entry.text)}</description><pubDate>{formatdate(at_s)}</pubDate></item>\n"
        for number, (entry, at_s) in enumerate(rows)
    )
    head = f"<title>{escape(feed.title)}</title><link>https://{host}/</link><description></description>\n"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<rss version="2.0"><channel>{head}{items}</channel></rss>\n'


def _atom(feed: Feed, host: str, rows: Iterable[tuple[FeedEntry, float]]) -> str:
    entries = "".join(
        f"<entry><id>https://{host}/{number}</id><title>{escape(entry.title)}</title>"
        f'<link href="https://{host}/{number}"/><summary>{escape(entry.text)}</summary>'
        f"<updated>{_rfc3339(at_s)}</updated></entry>\n"
        for number, (entry, at_s) in enumerate(rows)
    )
    head = f"<id>https://{host}/</id><title>{escape(feed.title)}</title>\n"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">{head}{entries}</feed>\n'


def _json(feed: Feed, host: str, rows: Iterable[tuple[FeedEntry, float]]) -> bytes:
    items = [
        {
            "id": str(number),
            "url": f"https://{host}/{number}",
            "title": entry.title,
            "content_text": entry.text,
            "date_published": _rfc3339(at_s),
        }
        for number, (entry, at_s) in enumerate(rows)
    ]
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": feed.title, "items": items}).encode()


def _rfc3339(at_s: float) -> str:
    return dt.datetime.fromtimestamp(round(at_s), dt.UTC).isoformat()
