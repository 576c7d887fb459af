"""What others say about the platform: an entry of a feed, and what was read of a feed or a file."""

from netprobe.model.record import Fact, Record


class Entry(Record, frozen=True):
    """One thing that was announced. Text is hostile: it was cut, and what is not printable replaced.

    `published_s` is Unix time, as the feed says it; None where it says none that can be read.
    """

    title: str
    text: str = ""
    link: str = ""
    published_s: float | None = None


class Announced(Fact, frozen=True, tag="announced"):
    """What `source`, an https URL or a file's path, says about the platform.

    `official`: it is a name of the platform's own. `format` is `rss`, `atom` or `json`, empty where it is no feed.
    `title` is the feed's. Of its `total` entries `entries` are those that name the platform, the newest first, and no
    more than a few. `error` says why it could not be read to its end: `lookup`, `status`, `redirect`, `late`,
    `unreadable` (a file), `malformed`, `no feed`, or as in Handshaken; empty where nothing went wrong. What was read
    before counts all the same.
    """

    source: str
    official: bool = False
    format: str = ""
    title: str = ""
    entries: tuple[Entry, ...] = ()
    total: int = 0
    error: str = ""
