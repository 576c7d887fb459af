"""What is announced: planned work, and trouble, by the platform itself or by others.

`announcements` says what an entry is about, and for how long it counts.
"""

import datetime as dt
from collections.abc import Sequence
from urllib.parse import urlsplit

from netprobe.diagnosis import announcements
from netprobe.diagnosis.announcements import Kind, Told
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal
from netprobe.model.announcements import Announced

MAINTENANCE, TROUBLE = "announced.maintenance", "announced.trouble"
NOTHING = "nothing"
REPORTED = "reported"  # by somebody else than the platform


def _nothing(view: View) -> Finding | None:
    """Somebody was listened to, and says nothing of the kind; None: nobody could be."""
    read = tuple(i for i, a in view.facts.announced if not a.error or a.entries)
    return Finding(NOTHING, "Nothing of the kind is announced.", read) if read else None


def maintenance(view: View) -> Finding | None:
    """Is planned work announced for about now?"""
    found = announcements.still(announcements.told(view.facts), Kind.MAINTENANCE)
    return _said("announced", "announces maintenance", found) if found else _nothing(view)


def trouble(view: View) -> Finding | None:
    """Does the platform, or somebody who keeps an eye on it, say that it is in trouble?"""
    everything = announcements.told(view.facts)
    found = announcements.still(everything, Kind.ATTACK, Kind.TROUBLE)
    official = [one for one in found if one.announced.official]
    if official:
        what = "says that it is attacked" if official[0].kind is Kind.ATTACK else "says that it is in trouble"
        return _said("official", what, official)
    if found:
        what = "tells of an attack" if found[0].kind is Kind.ATTACK else "tells of trouble"
        return _said(REPORTED, what, found)
    over = [one for one in everything if one.kind is Kind.OVER]
    return _said("over", "says that it is over", over) if over else _nothing(view)


def _said(state: str, what: str, found: Sequence[Told]) -> Finding:
    newest = found[0]
    when = dt.datetime.fromtimestamp(newest.at_s, dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    title = newest.entry.title or newest.entry.text
    sentence = f"{name_of(newest.announced)} {what} ({when}): “{title}”."
    return Finding(state, sentence, tuple(one.fact for one in found))


def name_of(announced: Announced) -> str:
    """A source in a sentence: the name that its certificate proved, or the file."""
    return (urlsplit(announced.source).hostname or "") if "://" in announced.source else announced.source


SIGNALS = (
    Signal(
        MAINTENANCE,
        "announced_maintenance",
        ("announced", NOTHING),
        maintenance,
        good=(NOTHING,),
    ),
    Signal(
        TROUBLE,
        "announced_trouble",
        ("official", REPORTED, "over", NOTHING),
        trouble,
        good=("over", NOTHING),
    ),
)
