"""The machine's other uplinks: does what fails over one way into the Internet work over another?

Another provider is the best control that a home has. It is a witness only while it lets anything through itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from netprobe.diagnosis.facts import Facts, Found, best_fetch
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.model.services import Response

_SERVER_ERROR, _LEGAL = 500, 451

_Key = tuple[str, str]  # a name and an address


@dataclass(slots=True)
class _Compared:
    """The names that fail over the first uplink: those that work over another, that fail there alike, or otherwise.

    `elsewhere` are those of the failing ones that another address serves there. `facts` are the observations.
    """

    works: set[str] = field(default_factory=set)
    alike: set[str] = field(default_factory=set)
    otherwise: set[str] = field(default_factory=set)
    elsewhere: set[str] = field(default_factory=set)
    facts: list[int] = field(default_factory=list)


def other(view: View) -> Finding | None:
    """Over another uplink: does the platform work, or fail in the same way?"""
    silent: Finding | None = None
    for link in view.facts.other_links:
        there = View(view.facts.bound_to(link))
        if there.passing_controls:
            return _said(link, _compare(view, there))
        facts = tuple(i for c in there.facts.controls.values() for i in c.facts)
        silent = Finding("dead", f"Over your other connection ({link}) nothing can be reached at all.", facts)
    return silent


def _said(link: str, seen: _Compared) -> Finding | None:
    failing = seen.alike | seen.otherwise
    asked = len(seen.works) + len(failing)
    if not asked:
        return None
    told, facts = f"Over your other connection ({link})", tuple(seen.facts)
    if not failing:
        return Finding("works", f"{told} {of(asked, asked)} of the services that fail here work.", facts)
    if failing == seen.elsewhere:
        served = of(len(failing), asked)
        return Finding("elsewhere", f"{told} the same servers fail, and other servers serve {served} names.", facts)
    if len(seen.alike) == asked:
        return Finding("same", f"{told} {of(asked, asked)} of the services that fail here fail likewise.", facts)
    return Finding("mixed", f"{told} {of(len(seen.works), asked)} of the services that fail here work.", facts)


def _compare(view: View, there: View) -> _Compared:
    """Name by name, at the same addresses; a name whose address nobody tells here, or nobody credible, at any."""
    seen = _Compared()
    here = {key: found for key, found in _outcomes(view.facts).items() if key[1] not in view.names.distrusted}
    far = _outcomes(there.facts)
    for name in sorted({name for name, _ in far}):
        places = {key: found for key, found in far.items() if key[0] == name}
        served = any(_serves(response) for _, response in places.values())
        known = [key for key in here if key[0] == name]
        failed = [key for key in known if key in places and not _serves(here[key][1])]
        if not known:
            (seen.works if served else seen.otherwise).add(name)
        elif not failed:
            continue
        elif any(_serves(places[key][1]) for key in failed):
            seen.works.add(name)
        else:
            alike = all(_end(places[key][1]) == _end(here[key][1]) for key in failed)
            (seen.alike if alike else seen.otherwise).add(name)
            if served:
                seen.elsewhere.add(name)
        seen.facts += [index for index, _ in (*places.values(), *(here[key] for key in failed))]
    return seen


def _outcomes(facts: Facts) -> Mapping[_Key, Found[Response]]:
    """The best answer of each name at each address."""
    pages: dict[_Key, list[Found[Response]]] = {}
    for address, edge in facts.edges.items():
        for found in edge.fetches:
            pages.setdefault((found[1].fetch.handshake.server_name, address), []).append(found)
    return {key: best for key, tried in pages.items() if (best := best_fetch(tried))}


def _serves(response: Response) -> bool:
    return response.handshaken.done and 0 < response.status < _SERVER_ERROR and response.status != _LEGAL


def _end(response: Response) -> tuple[str, str, int]:
    """How a page ended: where, by what, and with which status."""
    return response.handshaken.phase, response.handshaken.error, response.status


SIGNALS = (Signal("uplink.other", "uplink", ("works", "elsewhere", "same", "mixed", "dead"), other),)
