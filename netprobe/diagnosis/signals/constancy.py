"""Was the network the same while it was measured? What is half before a change and half after it accuses nobody."""

from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal
from netprobe.probing.constancy import has_changed


def constant(view: View) -> Finding | None:
    """Do those who were asked twice answer as they did, or were they measured again because they did not?"""
    facts = view.facts
    if not facts.rechecks or not facts.hosts:
        return None
    began_s = facts.observations[facts.hosts[0][0]].at_s
    later = tuple(i for i in facts.rechecks if facts.observations[i].at_s >= began_s)
    again = [facts.observations[i] for i in later]
    found = sorted((o for i, o in enumerate(facts.observations) if i not in facts.rechecks), key=lambda o: o.at_s)
    if has_changed(found, again):
        return Finding("changing", "The network changed again and again while it was measured.", later)
    if len(later) < len(facts.rechecks):
        earlier = tuple(i for i in facts.rechecks if i not in later)
        told = "The network changed while it was measured, so that all of it was measured again."
        return Finding("again", told, earlier)
    told = f"The network did not change while it was measured ({len(again)} questions asked twice)."
    return Finding("yes", told, later)


SIGNALS = (Signal("network.constant", "constancy", ("yes", "again", "changing"), constant, good=("yes", "again")),)
