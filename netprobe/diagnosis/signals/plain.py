"""Plain HTTP on port 80: does somebody answer in everybody's stead, or in the platform's alone?

What an answer of a server's own looks like is known of the controls. Of the platform's names nobody knows it, so that
only comparing tells: whoever shows the same page for the name at an address that has nothing to do with it, and another
one for another name, has read the name on the way.
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import urlsplit

from netprobe.diagnosis.facts import Found
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.model.services import Response
from netprobe.model.targets import PlainPage
from netprobe.probing import plain
from netprobe.topology.platform import covers

_REDIRECTS = frozenset({301, 302, 303, 307, 308})  # RFC 9110, 15.4
_OK, _NO_CONTENT, _ERROR, _LOGIN = 200, 204, 400, 511  # the last: RFC 6585, 6
_WITNESSES = 2  # controls that somebody has answered for: one alone may have changed
_CUT = frozenset({"reset", "closed", "timeout"})
_HOST_LIMIT = 80  # letters of a host's name that are shown


class _Kind(StrEnum):
    """What somebody answered in a control's name."""

    RIGHT = "right"  # what it must, or that it is to be asked over TLS
    AWAY = "away"  # look elsewhere, at another host
    PAGE = "page"  # some page instead, or that one has to log in
    ERROR = "error"


class _Look(NamedTuple):
    """By what one answer is told from another one: dates and what was asked for stand in many.

    Of one that leads somewhere that is all there is to it.
    """

    status: int = 0
    title: str = ""
    server: str = ""
    leads_to: str = ""


def leads_to(response: Response) -> str:
    """The host that an answer sends its reader to, in lower case; empty: to none, or nobody can read where.

    The text is a stranger's.
    """
    if response.status not in _REDIRECTS:
        return ""
    try:
        return (urlsplit(response.headers.get("location", "")).hostname or "").removesuffix(".")
    except ValueError:  # a bracket that is not closed
        return ""


def upgrades(response: Response, name: str) -> bool:
    """Whether it leads to the same host, or one of its parents or children, over TLS."""
    host, name = leads_to(response), name.lower()
    secure = response.headers.get("location", "")[:8].lower() == "https://"
    return secure and "." in host and (host == name or host.endswith(f".{name}") or name.endswith(f".{host}"))


def _kind(asked: PlainPage, name: str, response: Response) -> _Kind:
    if upgrades(response, name):
        return _Kind.RIGHT
    if leads_to(response):
        return _Kind.AWAY
    # A proxy may turn "no content" into a page without any (Android takes that for an Internet too).
    empty = asked.status == _NO_CONTENT and response.status == _OK and not response.body_bytes
    titled = not asked.title or response.title == asked.title
    if empty or (response.status == asked.status and titled):
        return _Kind.RIGHT
    return _Kind.ERROR if response.status >= _ERROR and response.status != _LOGIN else _Kind.PAGE


def _controls(view: View) -> list[tuple[_Kind, Found[Response]]]:
    """Those that somebody answered for, and how."""
    rows = view.facts.control_rows
    found = []
    for index, response in view.facts.plain[plain.CONTROL]:
        row = rows.get(view.facts.subject(index))
        if row is not None and row.plain is not None and response.status:
            found.append((_kind(row.plain, row.name, response), (index, response)))
    return found


def controls(view: View) -> Finding | None:
    """Do unrelated services answer on port 80 as they always do?"""
    asked = view.facts.plain[plain.CONTROL]
    if not asked:
        return None
    answered = _controls(view)
    if not answered:
        told = f"{of(0, len(asked))} unrelated services answer over plain HTTP: it is filtered, or nobody is there."
        return Finding("silent", told, tuple(i for i, _ in asked))
    wrong = [(kind, f) for kind, f in answered if kind is not _Kind.RIGHT]
    total = len(answered)
    if not wrong:
        return Finding(
            "as_expected",
            f"{of(total, total)} unrelated services answer over plain HTTP as they must.",
            tuple(i for _, (i, _) in answered),
        )
    told = f"{of(len(wrong), total)} unrelated services are not answered as they must be over plain HTTP"
    indices = tuple(i for _, (i, _) in wrong)
    alike, times = Counter((kind, _told(kind, r)) for kind, (_, r) in wrong).most_common(1)[0]
    if times < _WITNESSES or 2 * times <= total:
        return Finding("some", f"{told}, which may be their own doing.", indices)
    kind, what = alike
    if kind is _Kind.AWAY:
        return Finding("led_away", f"{told}: whoever asks is sent to {what}.", indices)
    if kind is _Kind.PAGE:
        return Finding("another_page", f"{told}: one and the same page comes instead{what}.", indices)
    return Finding("refused", f"{told}, but with an error: somebody between you and them refuses.", indices)


def _told(kind: _Kind, response: Response) -> str:
    """What two wrong answers have to have in common to be one."""
    if kind is _Kind.AWAY:
        return _shown(leads_to(response))
    if kind is _Kind.PAGE:
        return f" ({response.status}{f': {_shown(response.title)}' if response.title else ''})"
    return ""


def _shown(text: str) -> str:
    """A stranger's text, made harmless for a sentence."""
    short = text if len(text) <= _HOST_LIMIT else f"{text[:_HOST_LIMIT]}..."
    return "".join(c if c.isprintable() else "?" for c in short)


class _Trial(NamedTuple):
    """The platform's name at its address; another one there; and the name elsewhere. None: not asked, or no answer."""

    name: str
    address: str
    target: Response
    other: Response | None
    elsewhere: Response | None
    by_proxy: bool  # the other name's own page came from there
    facts: tuple[int, ...]

    @property
    def is_cut(self) -> bool:
        """It ended or fell silent behind the request, where another name is answered."""
        cut = self.target.handshaken.done and not self.target.status and self.target.error in _CUT
        return cut and self.other is not None


def _trials(view: View) -> list[_Trial]:
    facts = view.facts
    trials = []
    for index, target in facts.plain[plain.TARGET]:
        name, address = facts.subject(index), target.fetch.handshake.address
        others = [f for f in facts.plain[plain.OTHER] if f[1].fetch.handshake.address == address]
        away = [f for f in facts.plain[plain.ELSEWHERE] if facts.subject(f[0]) == name]
        other = next((r for _, r in others if r.status), None)
        elsewhere = next((r for _, r in away if r.status), None)
        by_proxy = other is not None and _is_own(view, other)
        indices = (index, *(i for i, _ in (*others, *away)))
        trials.append(_Trial(name, address, target, other, elsewhere, by_proxy, indices))
    return trials


def _is_own(view: View, response: Response) -> bool:
    """Whether it is what the control that was asked for answers."""
    row = view.facts.control_rows.get(response.fetch.host)
    return row is not None and row.plain is not None and _kind(row.plain, row.name, response) is _Kind.RIGHT


def platform(view: View) -> Finding | None:
    """What comes of the platform's names in plain HTTP, where they fail over TLS?"""
    trials = _trials(view)
    if not trials:
        return None
    trusted = [t for t in trials if t.address not in view.names.distrusted]
    answered = [t for t in trusted if t.target.status]
    if answered:
        return _of_the_answered(view, answered)
    cut = [t for t in trusted if t.is_cut]
    if cut:
        told = f"{of(len(cut), len(trusted))} plain HTTP requests that name the platform are cut off, others are not."
        return Finding("cut", told, _facts(cut))
    elsewhere = [t for t in trials if t.target.status]
    if elsewhere:
        place, page = elsewhere[0].address, _page(elsewhere[0].target)
        told = f"{place}, where your name servers lead, answers over plain HTTP {page}."
        return Finding("page_there", told, _facts(elsewhere))
    return Finding("silent", "The platform's names are not answered over plain HTTP.", _facts(trials))


def _of_the_answered(view: View, answered: list[_Trial]) -> Finding:
    """Whose are the answers that came from addresses that are the platform's?"""
    everybody = {_look(r) for kind, (_, r) in _controls(view) if kind is not _Kind.RIGHT}
    alike = [t for t in answered if _look(t.target) in everybody]
    if alike:
        told = "What comes in the platform's name over plain HTTP comes in everybody's."
        return Finding("as_everybody", told, _facts(alike))
    replaced = [t for t in answered if _is_replaced(t)]
    if replaced:
        told = f"Over plain HTTP somebody on the way answers in the platform's name {_page(replaced[0].target)}"
        proof = "the same comes for it from an address that has nothing to do with it, and not for another name"
        return Finding("replaced", f"{told}: {proof}.", _facts(replaced))
    astray = [t for t in answered if _leads_astray(view, t)]
    if astray:
        host = _shown(leads_to(astray[0].target))
        told = f"Over plain HTTP the platform's name leads to {host}, which is not the platform's."
        return Finding("led_astray", told, _facts(astray))
    told = f"{of(len(answered), len(answered))} of the platform's names are answered over plain HTTP as by its servers."
    return Finding("own", told, _facts(answered))


def _look(response: Response) -> _Look:
    if host := leads_to(response):
        return _Look(leads_to=host)
    return _Look(response.status, response.title, response.headers.get("server", ""))


def _is_replaced(trial: _Trial) -> bool:
    """The same comes for the name from an unrelated server, and another name is left alone at the same address.

    A proxy that everything goes through brings what belongs to the name in the request, wherever it was sent: there
    the other name's own page comes too.
    """
    if trial.elsewhere is None or trial.other is None or trial.by_proxy or upgrades(trial.target, trial.name):
        return False
    return _look(trial.elsewhere) == _look(trial.target) != _look(trial.other)


def _leads_astray(view: View, trial: _Trial) -> bool:
    host = leads_to(trial.target)
    if not host or covers(view.facts.platform, host) or upgrades(trial.target, trial.name):
        return False
    return trial.other is None or leads_to(trial.other) != host


def _page(response: Response) -> str:
    """What a page is, in words."""
    if host := leads_to(response):
        return f"with a way to {_shown(host)}"
    return f"with a page of its own ({response.status}{f': {_shown(response.title)}' if response.title else ''})"


def _facts(trials: Sequence[_Trial]) -> tuple[int, ...]:
    return tuple(i for t in trials for i in t.facts)


SIGNALS = (
    Signal(
        "plain.controls",
        "plain_controls",
        ("as_expected", "silent", "some", "led_away", "another_page", "refused"),
        controls,
        good=("as_expected",),
    ),
    Signal(
        "plain.platform",
        "plain_platform",
        ("own", "as_everybody", "replaced", "led_astray", "cut", "page_there", "silent"),
        platform,
        good=("own",),
    ),
)
