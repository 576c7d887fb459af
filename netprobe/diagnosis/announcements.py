"""What announcements say, and for how long: the words of data/announcements.toml, and the report's own clock.

Pure. `hearsay` decides whether what is said counts.
"""

import tomllib
from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from netprobe.diagnosis.facts import Facts
from netprobe.model.announcements import Announced, Entry
from netprobe.model.record import Record

WORDS = Path(__file__).parent.parent / "data" / "announcements.toml"

_HOUR_S = 3600.0


class Kind(StrEnum):
    """What an entry is about."""

    OVER = "over"
    MAINTENANCE = "maintenance"
    ATTACK = "attack"
    TROUBLE = "trouble"


class Words(Record, frozen=True):
    """By which words an entry is known, and from how long before its date to how long after it counts."""

    hours: float
    ahead_hours: float
    words: tuple[str, ...]


class _Table(Record, frozen=True):
    kind: dict[Kind, Words]


@cache
def words(path: Path = WORDS) -> dict[Kind, Words]:
    """The table that comes with netprobe, in the order in which kinds are tried. Raises `ValueError`."""
    try:
        table = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Table)
    except (OSError, ValueError) as error:
        msg = f"{path.name}: {error}"
        raise ValueError(msg) from None
    missing = [kind.value for kind in Kind if kind not in table.kind]
    if missing:
        msg = f"{path.name}: [kind.{missing[0]}] is missing"
        raise ValueError(msg)
    return table.kind


def kind_of(entry: Entry) -> Kind | None:
    """What an entry is about; None: about none of it."""
    text = f"{entry.title} {entry.text}".casefold()
    return next((kind for kind, row in words().items() if any(_stands(w.casefold(), text) for w in row.words)), None)


def _stands(word: str, text: str) -> bool:
    if not word.isascii():
        return word in text
    at = text.find(word)
    while at > 0 and text[at - 1].isalnum():
        at = text.find(word, at + 1)
    return at >= 0


class Told(NamedTuple):
    """An entry that counts now: the index of its observation (`fact`), who says it, and what."""

    fact: int
    announced: Announced
    entry: Entry
    kind: Kind
    at_s: float


def told(facts: Facts) -> list[Told]:
    """What is announced of the platform and recent, the newest first. Nothing where the report has no clock."""
    now_s = facts.host.wall_clock_s if facts.host else 0.0
    found = []
    for index, announced in facts.announced:
        for entry in announced.entries:
            kind = kind_of(entry)
            if kind is None or entry.published_s is None:
                continue
            row, age_s = words()[kind], now_s - entry.published_s
            if -row.ahead_hours * _HOUR_S <= age_s <= row.hours * _HOUR_S:
                found.append(Told(index, announced, entry, kind, entry.published_s))
    return sorted(found, key=lambda t: (-t.at_s, t.fact, t.entry.title))


def still(found: Sequence[Told], *kinds: Kind) -> list[Told]:
    """Those of `kinds` that the same source has not called over since."""
    ends: dict[str, float] = {}
    for one in found:
        if one.kind is Kind.OVER:
            ends[one.announced.source] = max(one.at_s, ends.get(one.announced.source, one.at_s))
    return [t for t in found if t.kind in kinds and t.at_s > ends.get(t.announced.source, float("-inf"))]
