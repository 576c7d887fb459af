"""Who answers with errors or refusals: one delivery network, one function of the platform, or everybody?

The guide's components come back one after the other, and people miss one of them at a time. A refusal says less than an
error: media and login servers turn a bare request away as a matter of course. Two words are plain: that the law forbids
it (451, RFC 7725), and a challenge, which asks whether one is a person.
"""

from netprobe.diagnosis.facts import Found, best_fetch
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, of
from netprobe.model.services import Response

Answers = dict[tuple[str, str], Found[Response]]  # by the platform's name, and the address

#: Functions that people miss by themselves, by role: the state that says so, and the word for it.
_FUNCTIONS = {
    "login": ("errors_login", "logging in"),
    "upload": ("errors_upload", "uploads"),
    "live": ("errors_live", "live"),
}
_LIMITED = frozenset({"upload", "live"})  # what a platform withdraws somewhere while it goes on to serve
SERVER_ERROR, LEGAL = 500, 451  # RFC 9110, 15.6; RFC 7725
_REFUSED = frozenset({401, 403, 429})


def errors(view: View, seen: Answers, failed: Answers, told: str) -> Finding:
    """What those of `seen` that `failed` have in common and the others have not; `told` is how they failed."""
    indices = _indices(failed)
    edges = view.facts.edges
    others = _other_networks(view, seen, failed)
    customers = _failing_customers(view, {edges[a].network for _, a in failed})
    lone = len({edges[a].deliverer for _, a in failed}) == 1
    if customers and lone and (others or len(failed) == len(seen)):
        sentence = f"{told}, all of one delivery network, and so does {customers[0]}, another customer of it."
        return Finding("errors_vendor", sentence, indices)
    if others and len(_roles(view, failed)) > 1:
        return Finding("errors_one_network", f"{told}, all of one delivery network; {others} other(s) serve.", indices)
    if others:  # too little was asked of it to tell it from what it was asked for
        return Finding("errors_one_place", f"{told}, all of one delivery network, and asked for one thing.", indices)
    state = "errors_all" if len(failed) == len(seen) else "errors_some"
    return function_fails(view, seen, failed, told) or Finding(state, f"{told}, over good connections.", indices)


def function_fails(view: View, seen: Answers, failed: Answers, told: str) -> Finding | None:
    """One function fails, whoever delivers it; None where that is not so, or nobody would miss it by itself."""
    role = _lone_role(view, seen, failed)
    if role not in _FUNCTIONS or _other_networks(view, seen, failed):
        return None
    state, words = _FUNCTIONS[role]
    return Finding(state, f"{told}, all that were asked for {words} and nothing else.", _indices(failed))


def function_refused(view: View, seen: Answers) -> Finding | None:
    """Uploads and live that the law forbids while all else serves; logins that a challenge stands in front of."""
    legal = {k: f for k, f in seen.items() if f[1].status == LEGAL}
    if legal and _roles(view, legal) <= _LIMITED and len(legal) < len(seen):
        told = f"{of(len(legal), len(seen))} of the platform's servers, those for uploads or live, may not serve you"
        return Finding("notice_limited", f"{told}, they say (451); others do.", _indices(legal))
    challenged = {k: f for k, f in seen.items() if f[1].status in _REFUSED and f[1].headers.get("cf-mitigated")}
    if challenged and _lone_role(view, seen, challenged) == "login":
        sentence = "Whoever wants to log in is asked first whether he is a person; what needs no login serves."
        return Finding("challenge_login", sentence, _indices(challenged))
    return None


def _indices(answers: Answers) -> tuple[int, ...]:
    return tuple(i for i, _ in answers.values())


def _roles(view: View, answers: Answers) -> set[str]:
    targets = view.facts.targets
    return {targets[name].role for name, _ in answers if name in targets}


def _lone_role(view: View, seen: Answers, failed: Answers) -> str:
    """The role that all that fail have, and nobody of those who do not; empty: there is none."""
    failing, passing = _roles(view, failed), _roles(view, {k: f for k, f in seen.items() if k not in failed})
    return next(iter(failing)) if len(failing) == 1 and passing and not failing & passing else ""


def _other_networks(view: View, seen: Answers, failed: Answers) -> int:
    """How many delivery networks serve while one fails with all that was asked of it; 0 where it is not so."""
    edges = view.facts.edges
    failing = {edges[a].deliverer for _, a in failed}
    fine = {edges[a].deliverer for _, a in seen.keys() - failed.keys()}
    return len(fine) if len(failing) == 1 and not failing & fine else 0


def _failing_customers(view: View, networks: set[str]) -> list[str]:
    """Controls that are customers of the same delivery networks and answer with server errors too."""
    rows = [(c, best_fetch(c.fetches)) for c in view.controls if c.customer_of in networks]
    return [n for c, f in rows if f and f[1].handshaken.done and f[1].status >= SERVER_ERROR for n in c.names]
