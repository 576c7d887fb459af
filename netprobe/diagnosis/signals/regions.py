"""Edges of other regions: does what is silent here serve elsewhere?"""

from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of


def regions(view: View) -> Finding | None:
    """Of the names that connect nowhere here, do those serve that lead to other edges in other regions?"""
    facts = view.facts
    asked = facts.region_answers
    if not any(a.rcode for _, a in asked):
        return None
    fetched = facts.region_fetches
    indices = tuple(i for i, _ in (*asked, *fetched))
    names = {facts.subject(i) for i, _ in fetched}
    if not names:
        return Finding("same", "Asked as if from other regions, the silent names lead to no other addresses.", indices)
    alive = {facts.subject(i) for i, r in fetched if r.status and r.handshaken.done}
    told = f"{of(len(alive), len(names))} names that connect nowhere here serve at addresses that other regions get"
    if alive == names:
        return Finding("alive", f"{told}: it is these addresses, and not the names.", indices)
    if alive:
        return Finding("some", f"{told}.", indices)
    return Finding("dead", f"{told}.", indices)


SIGNALS = (Signal("edge.regions", "regions", ("alive", "some", "dead", "same"), regions),)
