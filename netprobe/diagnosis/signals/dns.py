"""Names: does the own resolver work, do others, and does anybody give wrong answers on the platform alone?"""

from netprobe.diagnosis.names import DENIALS, Contradiction, Kind, Locus
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.model.probes import Protocol
from netprobe.model.services import Answer

_WHOSE = {
    Locus.HOME: "in your home",
    Locus.ISP: "your provider's",
    Locus.WELL_KNOWN: "a public one",
    Locus.OUTSIDE: "outside your home",
}


def configured(view: View) -> Finding | None:
    """Do the machine's own resolvers work at all?"""
    facts, names = view.facts, view.names
    if not facts.configured:
        return None
    answers = [f for r in facts.configured for f in names.at(r, facts.control_answers + facts.platform_answers)]
    indices = tuple(i for i, _ in answers)
    if any(names.works(r) for r in facts.configured):
        rows = [f for r in facts.configured for f in names.at(r, facts.control_answers)] or answers
        good = sum(names.kind(a) is Kind.GOOD for _, a in rows)
        return Finding("works", f"Your name server works: it found {of(good, len(rows))} names.", indices)
    if any(names.works(r) is None for r in facts.configured):
        return Finding(
            "unclear", "Your name server answers, but what it denies is known to nobody else either.", indices
        )
    loci = {names.locus(r) for r in facts.configured}
    first = facts.configured[0]
    if len(loci) > 1:
        return Finding(
            "mixed_fails",
            f"None of your {len(facts.configured)} name servers, at different places, finds any name.",
            indices,
        )
    if all(":" in r for r in facts.configured) and view.only_v4_works:
        told = f"None of your {len(facts.configured)} name server(s) finds any name"
        return Finding("unclear", f"{told}: they are asked over IPv6, over which nothing answers.", indices)
    (locus,) = loci
    kinds = {names.kind(a) for _, a in answers}
    told = f"Your name server {first} ({_WHOSE[locus]}) finds {of(0, len(answers))} names"
    if locus is Locus.HOME:
        state, why = _home_resolver(view, [a for _, a in answers], kinds)
        silent = [
            r
            for r in facts.independent
            if {names.kind(a) for _, a in names.at(r, facts.control_answers)} == {Kind.SILENT}
        ]
        if state in _ASKS_ANOTHER and silent and len(silent) < len(facts.independent):
            state = "home_asks_somebody"
            why += f"; whom it asks is not known, and {silent[0]} does not answer either"
        return Finding(state, f"{told}{why}.", indices)
    fails = {Locus.ISP: "isp_fails", Locus.WELL_KNOWN: "public_fails", Locus.OUTSIDE: "outside_fails"}
    how = "it says that it failed" if kinds - {Kind.SILENT} else "it does not answer"
    return Finding(fails[locus], f"{told}: {how}.", indices)


#: A home's name server is well and has none that it could ask: mostly the provider's.
_ASKS_ANOTHER = frozenset({"home_waits", "home_passes_on"})


def _home_resolver(view: View, answers: list[Answer], kinds: set[Kind]) -> tuple[str, str]:
    facts = view.facts
    if any(a.error in {"refused", "unreachable"} for a in answers) and kinds == {Kind.SILENT}:
        return "home_down", ": nothing listens there"
    if kinds == {Kind.SILENT}:
        gateway = facts.host.gateway if facts.host else ""
        elsewhere = all(r != gateway for r in facts.configured)
        host_dead = facts.resolver_trains and not any(t.answered for _, t in facts.resolver_trains)
        if elsewhere and host_dead:
            return "home_down", ": the machine that runs it is gone"
        if any(answer.rcode for _, answer in facts.resolver_selves):
            return (
                "home_waits",
                ": it answers about itself only, and has none for you from the name server that it asks",
            )
        if any(t.answered for _, t in facts.resolver_trains if t.protocol is Protocol.TCP):
            return "home_mute", ": its port is there, but it does not answer"
        return "home_silent", ": it does not answer"
    return _failure_of(view)


def _failure_of(view: View) -> tuple[str, str]:
    """Does a home resolver fail by itself, or does it pass on a failure (or the silence) of the one that it asks?"""
    facts, names = view.facts, view.names
    failures = [f for r in facts.configured for f in names.at(r, facts.control_answers + facts.platform_answers)]
    rows = [Contradiction(i, a, names.kind(a)) for i, a in failures if a.rcode]
    local = names.made_at_home(facts.configured[0], rows)
    if local is False:
        return "home_passes_on", ": it takes the time of asking another, and passes on a failure"
    if local is True:
        return "home_fails_itself", ": it answers at once, without asking another, and only with failures"
    return "home_fails", ": it answers, but only with failures"


def others(view: View) -> Finding | None:
    """Do resolvers that the machine does not use know unrelated names?"""
    facts, names = view.facts, view.names
    rows = [f for r in facts.independent for f in names.at(r, facts.control_answers)]
    if not rows:
        return None
    indices = tuple(i for i, _ in rows)
    working = [r for r in facts.independent if names.works(r)]
    if working:
        return Finding("work", f"{of(len(working), len(facts.independent))} other name servers work.", indices)
    return Finding("fail", f"{of(0, len(facts.independent))} other name servers answer.", indices)


def platform(view: View) -> Finding | None:
    """Who knows the platform's names, among the resolvers that work?"""
    facts, names = view.facts, view.names
    working = [r for r in names.working if names.at(r, facts.platform_answers)]
    rows = [f for r in working for f in names.at(r, facts.platform_answers)]
    if not rows:
        return None
    wrong = {r: found for r, found in names.contradicted.items() if _counts(found)}
    if wrong:
        return _contradicted(view, wrong)
    indices = tuple(i for i, _ in rows)
    good = [r for r in working if any(names.kind(a) is Kind.GOOD for _, a in names.at(r, facts.platform_answers))]
    if good:
        known = len(names.known_names)
        injected = [i for i, a in rows if a.responses > 1]
        if len(injected) * 2 > len(rows) and not any(a.responses > 1 for _, a in facts.control_answers):
            return Finding(
                "injected",
                f"{of(len(injected), len(rows))} questions about the platform drew several answers: "
                "somebody on the way answers too.",
                tuple(injected),
            )
        return Finding(
            "right",
            f"{of(len(good), len(working))} name servers that work know the platform, {known} name(s) in all.",
            indices,
        )
    return _nobody(view, working, [a for _, a in rows], indices)


def _counts(found: list[Contradiction]) -> bool:
    """One wrong address is enough; a denial is believed when it is repeated."""
    denials = sum(c.kind in DENIALS for c in found)
    return any(c.kind is Kind.BOGUS for c in found) or denials > 1 or len(found) > 2


def _contradicted(view: View, wrong: dict[str, list[Contradiction]]) -> Finding:
    names = view.names
    resolver, found = next(iter(wrong.items()))
    locus = names.locus(resolver)
    indices = tuple(c.index for rows in wrong.values() for c in rows)
    asked = len(names.at(resolver, view.facts.platform_answers))
    kind = found[0].kind.value
    elsewhere = [r for r in view.facts.independent if r in names.working]
    kinds_of = {r: {names.kind(a) for _, a in names.at(r, view.facts.platform_answers)} for r in elsewhere}
    right = [r for r in elsewhere if Kind.GOOD in kinds_of[r]]
    beside = f", while {len(right)} other name server(s) know better" if right else ""
    told = (
        f"Your name server {resolver} ({_WHOSE[locus]}) answers {of(len(found), asked)} questions "
        f"about the platform with {kind}{beside}"
    )
    if not right and any(Kind.BOGUS in kinds for kinds in kinds_of.values()):
        return Finding(
            "bogus_everywhere",
            f"Every name server, even in other networks, answers on the platform with {kind}: "
            "the answers are replaced on the way.",
            indices,
        )
    if {c.kind for c in found} <= {Kind.SILENT, Kind.SERVFAIL}:
        state = "fails_at_home" if locus is Locus.HOME else "fails_here"
        return Finding(state, f"{told}.", indices)
    if not right:
        return Finding("denied_by_only", f"{told}; no other name server that works was there to compare with.", indices)
    if locus is not Locus.HOME:
        return Finding("wrong_outside", f"{told}.", indices)
    local = names.made_at_home(resolver, found)
    if local is True:
        return Finding(
            "wrong_at_home", f"{told}; these answers are made in your home, they come as fast as a ping.", indices
        )
    if local is False:
        return Finding(
            "wrong_passed_on",
            f"{told}; these answers take the time of a question that was passed on to your provider.",
            indices,
        )
    return Finding(
        "wrong_somewhere", f"{told}; it cannot be told whether they are made in your home or passed on.", indices
    )


def _nobody(view: View, working: list[str], answers: list[Answer], indices: tuple[int, ...]) -> Finding:
    names = view.names
    kinds = {names.kind(a) for a in answers}
    answer = next(iter(kinds)).value if len(kinds) == 1 else "failures"
    told = f"{of(0, len(working))} name servers that work know the platform; they answer with {answer}"
    independent = [r for r in working if r in view.facts.independent]
    if len(working) < 2 or not independent:
        return Finding("denied_by_only", f"{told}; there is no other name server to compare with.", indices)
    if kinds == {Kind.SILENT}:
        return Finding("silent_everywhere", f"{told}.", indices)
    if kinds <= {Kind.SILENT, Kind.SERVFAIL, Kind.REFUSED}:
        return Finding(
            "fails_everywhere", f"{told}: those who run the platform's own name servers are to answer for it.", indices
        )
    if kinds == {Kind.BOGUS}:
        return Finding("bogus_everywhere", f"{told}: the answers are replaced on the way.", indices)
    return Finding("denied_everywhere", f"{told}.", indices)


SIGNALS = (
    Signal(
        "dns.configured",
        "resolver",
        (
            "works",
            "home_down",
            "home_silent",
            "home_mute",
            "home_waits",
            "home_fails",
            "home_fails_itself",
            "home_passes_on",
            "home_asks_somebody",
            "isp_fails",
            "outside_fails",
            "public_fails",
            "mixed_fails",
            "unclear",
        ),
        configured,
        good=("works",),
    ),
    Signal("dns.others", "other_resolvers", ("work", "fail"), others, good=("work",)),
    Signal(
        "dns.platform",
        "platform_names",
        (
            "right",
            "wrong_at_home",
            "wrong_passed_on",
            "wrong_somewhere",
            "wrong_outside",
            "fails_here",
            "fails_at_home",
            "injected",
            "bogus_everywhere",
            "fails_everywhere",
            "silent_everywhere",
            "denied_everywhere",
            "denied_by_only",
        ),
        platform,
        good=("right",),
    ),
)
