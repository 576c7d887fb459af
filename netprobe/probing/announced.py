"""What the platform and others say of it: feeds that are configured, read beside a survey and never waited for.

A feed is asked for by its name over TLS, and what does not prove that it is who it claims to be is not read: whoever
can answer in its name could otherwise put words into the report. Names are looked up by the own resolver, then by one
that is not, because a trouble of the own one is no reason not to listen.

The survey is no slower for it: what has not been read when it ends is given up, and said to be `late`. A feed that
cannot be read is an observation like any other, and nobody's fault.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urljoin, urlsplit

from msgspec import structs

from netprobe.model.announcements import Announced, Entry
from netprobe.model.host import HostState
from netprobe.model.report import Observation
from netprobe.model.services import Answer, Fetch, Handshake, Response
from netprobe.model.targets import Platform
from netprobe.probing.ask import fetch, lookup
from netprobe.probing.observe import Observe
from netprobe.probing.port import Request
from netprobe.probing.run import Plan, Session
from netprobe.topology.addresses import family
from netprobe.topology.platform import covers

if TYPE_CHECKING:
    from netprobe.probing.feed import Feed

T = TypeVar("T")

LOOKUP, FETCH, ANNOUNCED = "announced.lookup", "announced.fetch", "announced"
MOST_BYTES = 256 * 1024  # that are read of a feed or a file
LONGEST_URL = 300
MOST_SOURCES = 8
MOST_KEPT = 8  # entries of one source that name the platform

_HTTPS = 443
_FETCH_TIMEOUT_S = 8.0  # the end of the survey comes before
_HOPS = 3  # addresses that one feed may lead to, each by the one before it
_CUT_HEADER = 200  # characters of a header that are kept: a longer one leads nowhere
_POLL_S = 0.05
_REDIRECTS = frozenset({301, 302, 303, 307, 308})  # RFC 9110, 15.4
_OK = 200


class SourceError(ValueError):
    """A source that cannot be used: the message says why, and what to give instead."""


class Sources(NamedTuple):
    """What a diagnosis listens to: addresses of feeds, and what has been read of files."""

    urls: tuple[str, ...] = ()
    told: tuple[Announced, ...] = ()


NO_SOURCES = Sources()


class Place(NamedTuple):
    """Where a feed is: its name, its port and what is asked for there."""

    host: str
    port: int
    path: str


def place_of(url: str) -> Place:
    """Where `url` leads. Raises `SourceError` for all but https with a name."""
    if len(url) > LONGEST_URL or not url.isascii() or any(not c.isprintable() or c.isspace() for c in url):
        msg = f"an address has at most {LONGEST_URL} printable ASCII characters and no spaces"
        raise SourceError(msg)
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").removesuffix("."), parts.port or _HTTPS
    except ValueError:
        msg = "this is not an address of the web: https://name/path"
        raise SourceError(msg) from None
    if parts.scheme == "http":
        msg = "what comes over plain http may be anybody's words: give its https address, or a file"
        raise SourceError(msg)
    if parts.scheme != "https" or not host:
        msg = "this is neither an https address nor a file"
        raise SourceError(msg)
    if "@" in parts.netloc:
        msg = "an address with a user's name in it would end in reports: leave that out"
        raise SourceError(msg)
    if family(host) is not None:
        msg = "a certificate proves a name, not an address: give the name"
        raise SourceError(msg)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(host, port, path)


class Ending:
    """Whether the survey is over, for those who run beside it."""

    def __init__(self) -> None:
        self.over = False

    def mark(self, plan: Plan[T]) -> Plan[T]:
        """`plan`, whose end is the survey's."""
        result = yield from plan
        self.over = True
        return result


class _Unless(Observe):
    """Observe until the survey is over; the result is None then."""

    def __init__(self, purpose: str, subject: str, session: Session[Any], ending: Ending) -> None:
        super().__init__(purpose, subject, session)
        self._ending = ending
        self._asked_s = 0.0

    def next_request(self, now: float) -> Request | None:
        """As the session wants."""
        self._asked_s = now
        return super().next_request(now)

    def deadline(self) -> float | None:
        """The session's, or when to see whether the survey is over."""
        own = super().deadline()
        return None if own is None or self._ending.over else min(own, self._asked_s + _POLL_S)

    def result(self) -> Observation | None:  # type: ignore[override]  # one that came to no end
        """What was observed, or None where it came to no end."""
        return super().result() if super().deadline() is None else None


def listen(urls: Sequence[str], host: Observation, platform: Platform, ending: Ending) -> Plan[list[Observation]]:
    """Read the feeds at `urls`, side by side, until the survey is over. A `host` without a way out asks nobody."""
    facts = host.fact
    if not urls or not isinstance(facts, HostState) or not (facts.default_link or facts.global_link_v6):
        return []
    independent = [c.address for c in platform.controls if c.resolver and c.address]
    resolvers = tuple(dict.fromkeys((*facts.resolvers[:1], *independent[:2])))
    kind = "A" if facts.default_link else "AAAA"
    ask = _Names(resolvers, kind)
    heard: list[list[Observation]] = yield [_read(url, host.at_s, ask, platform, ending) for url in urls]
    return [observation for group in heard for observation in group]


class _Names(NamedTuple):
    """Whom to ask for names, one after the other, and for records of which kind."""

    resolvers: tuple[str, ...]
    kind: str


def _read(url: str, at_s: float, ask: _Names, platform: Platform, ending: Ending) -> Plan[list[Observation]]:
    """One feed: its name, its page, and what that says; the page itself is not kept."""
    found: list[Observation] = []
    place, error, body = place_of(url), "redirect", b""
    for _ in range(_HOPS):
        address = yield from _address(place.host, ask, ending, found)
        if not address:
            error = "late" if ending.over else "lookup"
            break
        (seen,) = yield [_Unless(FETCH, place.host, fetch(_page(place, address)), ending)]
        if seen is None:
            error = "late"
            break
        response: Response = seen.fact
        found.append(structs.replace(seen, fact=structs.replace(response, body=b"")))
        following = _following(response, url)
        if following is None:
            error, body = response.handshaken.error or response.error, response.body
            error = error or ("" if response.status == _OK else "status")
            break
        url, place = following
    else:
        error = "redirect"
    at_s = found[-1].at_s if found else at_s
    told = _nothing(url, error, platform) if error or not body else understood(url, body, platform)
    return [*found, Observation(at_s, ANNOUNCED, told.source, told)]


def _nothing(source: str, error: str, platform: Platform) -> Announced:
    return Announced(source, is_official(source, platform), error=error or "no feed")


def _address(name: str, ask: _Names, ending: Ending, found: list[Observation]) -> Plan[str]:
    """The first address that a resolver knows; empty where none does."""
    for resolver in ask.resolvers:
        (seen,) = yield [_Unless(LOOKUP, name, lookup(name, resolver, ask.kind), ending)]
        if seen is None:
            return ""
        found.append(seen)
        answer: Answer = seen.fact
        if answer.usable:
            return answer.addresses[0]
    return ""


def _page(place: Place, address: str) -> Fetch:
    handshake = Handshake(address, place.port, place.host, timeout_s=_FETCH_TIMEOUT_S)
    host = place.host if place.port == _HTTPS else f"{place.host}:{place.port}"
    return Fetch(handshake, path=place.path, body_limit=MOST_BYTES, host=host, keep_body=True)


def _following(response: Response, url: str) -> tuple[str, Place] | None:
    """Where a redirect leads, if it is one that may be followed."""
    location = response.headers.get("location", "")
    if response.status not in _REDIRECTS or not location or len(location) >= _CUT_HEADER:
        return None
    try:
        led = urljoin(url, location)
        return led, place_of(led)
    except ValueError:
        return None


def understood(source: str, data: bytes, platform: Platform) -> Announced:
    """What the bytes of a feed or a file say about the platform."""
    from netprobe.probing.feed import parse  # noqa: PLC0415  # most surveys read no feed

    feed = parse(data)
    official = is_official(source, platform)
    kept = sorted(_about(feed, platform, official=official), key=lambda e: -(e.published_s or 0.0))[:MOST_KEPT]
    return Announced(source, official, feed.format, feed.title, tuple(kept), len(feed.entries), feed.error)


def is_official(source: str, platform: Platform) -> bool:
    """Whether `source` is a feed at one of the platform's own names, which its certificate proves."""
    return source.startswith("https://") and covers(platform, urlsplit(source).hostname or "")


def _about(feed: "Feed", platform: Platform, *, official: bool) -> list[Entry]:
    """The entries that name the platform; all of a feed that is about nothing else."""
    words = [word.casefold() for word in platform.words or (platform.name,)]

    def named(text: str) -> bool:
        return any(word in text.casefold() for word in words)

    own = official or named(feed.title)
    return [entry for entry in feed.entries if own or named(entry.title) or named(entry.text)]
