"""Feeds out of bytes: RSS 2.0, Atom (RFC 4287) and JSON Feed 1.1, told apart by what they look like. Pure.

The bytes are a stranger's. XML goes through expat as a stream, without a tree, and a document that declares an entity
is refused (one that grows by them is otherwise the oldest trick); nothing outside of it is ever asked for. Text is cut
and made printable, entries are counted and bounded, and whatever is wrong is a word, never an exception.

Loaded only where a feed is configured: a router has little memory.
"""

import datetime as dt
import email.utils
import re
from html import unescape
from typing import Any, TypeVar
from xml.parsers import expat

import msgspec

from netprobe.model.announcements import Entry
from netprobe.probing.announced import MOST_BYTES

T = TypeVar("T")

MOST_ENTRIES = 400  # that are looked at
TITLE_LIMIT, TEXT_LIMIT, LINK_LIMIT = 160, 280, 300  # characters that are kept of each

_RAW_LIMIT = 8 * TEXT_LIMIT  # characters of an element before its markup is taken away
_DEEPEST = 32  # elements in each other
_EARLIEST_S, _LATEST_S = 0.0, 4_102_444_800.0  # 1970 to 2100: what is dated otherwise has no date

_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
#: Read as declared; anything else as UTF-8, which what is not ASCII in it does not survive.
_ENCODINGS = {"iso-8859-1": "latin-1", "latin1": "latin-1", "windows-1252": "cp1252", "us-ascii": "ascii"}
_MARKUP = re.compile(r"<[^<>]{0,2000}>")

#: Elements by their names without a namespace; in an Atom entry `updated` counts before `published`.
_TEXTS = {"title": "title", "description": "text", "summary": "text", "content": "text", "encoded": "text"}
_DATES = {"pubDate": 2, "updated": 2, "published": 1, "date": 1, "issued": 1}
_ENTRIES = {"item", "entry"}
_ROOTS = {"rss": "rss", "RDF": "rss", "feed": "atom"}


class Feed(msgspec.Struct, frozen=True):
    """What was read: `format` and `error` as in `Announced`; the entries in the feed's order."""

    format: str = ""
    title: str = ""
    entries: tuple[Entry, ...] = ()
    error: str = ""


def parse(data: bytes) -> Feed:
    """The feed that `data` is, or as much of it as there is before something goes wrong."""
    data = data[:MOST_BYTES]
    start = data.lstrip(b"\xef\xbb\xbf\x00 \t\r\n")[:1]
    if start == b"{":
        return _json(data)
    if start == b"<" or data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return _xml(data)
    return Feed(error="no feed")


def clean(text: str, limit: int) -> str:
    """Text of a stranger on one line, without markup and what cannot be printed, cut to `limit` characters."""
    words = " ".join(unescape(_MARKUP.sub(" ", text[:_RAW_LIMIT])).split())
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def moment(text: object) -> float | None:
    """Unix time of a date as RSS (RFC 822) or Atom and JSON Feed (RFC 3339) write it; None for anything else."""
    if not isinstance(text, str) or len(text) > 64:
        return None
    for read in (dt.datetime.fromisoformat, email.utils.parsedate_to_datetime):
        try:
            parsed = read(text.strip())
            if parsed.tzinfo is None:
                parsed = parsed.replace(tzinfo=dt.UTC)
            found = parsed.timestamp()
        except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
            continue
        return found if _EARLIEST_S < found < _LATEST_S else None
    return None


# --- XML


class _RefusedError(Exception):
    """The document does what no feed has to."""


class _Reader:
    """What expat tells, element by element."""

    def __init__(self) -> None:
        self.format = ""
        self.title = ""
        self.entries: list[Entry] = []
        self._path: list[str] = []
        self._entry: dict[str, str] | None = None
        self._entry_depth = 0
        self._dated = 0  # how good the date is that was found
        self._key = ""  # what the text belongs to that comes
        self._key_depth = 0
        self._heard: list[str] = []
        self._length = 0

    def starts(self, name: str, attributes: dict[str, str]) -> None:
        """An element."""
        name = name.rpartition(":")[2]
        if not self._path:
            self.format = _ROOTS.get(name, "")
            if not self.format:
                raise _RefusedError
        self._path.append(name)
        if len(self._path) > _DEEPEST:
            raise _RefusedError
        if self._key:
            return  # markup inside a text
        if name in _ENTRIES and self._entry is None:
            if len(self.entries) >= MOST_ENTRIES:
                raise _RefusedError
            self._entry, self._entry_depth, self._dated = {}, len(self._path), 0
        elif self._entry is None:
            if name == "title" and not self.title and self._path[-2] in {"channel", "feed"}:
                self._listen(name)
        elif len(self._path) == self._entry_depth + 1:
            if name == "link" and attributes.get("rel", "alternate") == "alternate" and attributes.get("href"):
                self._entry.setdefault("link", attributes["href"])
            elif name in _TEXTS or name in _DATES or name == "link":
                self._listen(name)

    def _listen(self, name: str) -> None:
        self._key, self._key_depth = name, len(self._path)
        self._heard, self._length = [], 0

    def says(self, text: str) -> None:
        """Characters, as many at a time as expat likes."""
        if self._key and self._length < _RAW_LIMIT:
            self._heard.append(text)
            self._length += len(text)

    def ends(self, name: str) -> None:
        """The end of an element."""
        del name
        if self._key and len(self._path) == self._key_depth:
            self._take(self._key, "".join(self._heard))
            self._key = ""
        elif self._entry is not None and len(self._path) == self._entry_depth:
            self.entries.append(_entry(self._entry))
            self._entry = None
        self._path.pop()

    def _take(self, key: str, text: str) -> None:
        if self._entry is None:
            self.title = clean(text, TITLE_LIMIT)
        elif key in _TEXTS:
            if not self._entry.get(_TEXTS[key], "").strip():
                self._entry[_TEXTS[key]] = text
        elif key == "link":
            if text.strip():
                self._entry.setdefault("link", text)
        elif _DATES[key] > self._dated and moment(text) is not None:
            self._entry["date"], self._dated = text, _DATES[key]


def _entry(found: dict[str, str]) -> Entry:
    return Entry(
        clean(found.get("title", ""), TITLE_LIMIT),
        clean(found.get("text", ""), TEXT_LIMIT),
        clean(found.get("link", ""), LINK_LIMIT),
        moment(found.get("date")),
    )


def _xml(data: bytes) -> Feed:
    reader = _Reader()
    parser = expat.ParserCreate("utf-8", None)  # whatever the document declares: it has been decoded here
    parser.buffer_text = True
    parser.StartElementHandler = reader.starts
    parser.EndElementHandler = reader.ends
    parser.CharacterDataHandler = reader.says
    parser.EntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    error = ""
    try:
        parser.Parse(_as_utf8(data), True)  # noqa: FBT003  # expat takes it by position alone
    except (expat.ExpatError, _RefusedError, ValueError):
        error = "malformed"
    if not reader.format:
        return Feed(error="no feed")
    return Feed(reader.format, reader.title, tuple(reader.entries), error)


def _refuse(*told: object) -> int:
    del told
    raise _RefusedError


def _as_utf8(data: bytes) -> bytes:
    """The document in UTF-8, whatever it was in: codecs are not chosen by strangers."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", "replace").encode("utf-8", "replace")
    declared = _DECLARED.match(data.lstrip(b"\xef\xbb\xbf \t\r\n"))
    name = declared[1].decode("ascii").lower() if declared else ""
    text = data.decode(_ENCODINGS.get(name, "utf-8"), "replace")
    return text.lstrip("\ufeff \t\r\n").encode("utf-8", "replace")


# --- JSON


class _Document(msgspec.Struct):
    """A JSON Feed; its items are read one by one, so that one that is wrong spoils no other."""

    version: str
    items: list[msgspec.Raw]
    title: Any = ""


class _Item(msgspec.Struct):
    """One of them."""

    title: Any = ""
    summary: Any = ""
    content_text: Any = ""
    content_html: Any = ""
    url: Any = ""
    date_published: Any = ""
    date_modified: Any = ""


def _json(data: bytes) -> Feed:
    document = _decoded(data.lstrip(b"\xef\xbb\xbf"), _Document)
    if document is None or "jsonfeed.org/" not in document.version:
        return Feed(error="no feed")
    entries = []
    error = "malformed" if len(document.items) > MOST_ENTRIES else ""
    for raw in document.items[:MOST_ENTRIES]:
        item = _decoded(bytes(raw), _Item)
        if item is None:
            error = "malformed"
            continue
        texts = (item.summary, item.content_text, item.content_html)
        entries.append(
            Entry(
                clean(_text(item.title), TITLE_LIMIT),
                clean(next((_text(t) for t in texts if _text(t)), ""), TEXT_LIMIT),
                clean(_text(item.url), LINK_LIMIT),
                next((at for d in (item.date_modified, item.date_published) if (at := moment(d)) is not None), None),
            )
        )
    return Feed("json", clean(_text(document.title), TITLE_LIMIT), tuple(entries), error)


def _decoded(data: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors, as is text that is not UTF-8
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
