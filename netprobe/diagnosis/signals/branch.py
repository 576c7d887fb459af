"""Branches: do some flows to one place work and others never, and where do their ways part?"""

from collections.abc import Sequence

from netprobe.diagnosis.paths import Step
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.model.probes import FlowTest, Path
from netprobe.probing.flows import is_split
from netprobe.topology.segments import Segment

_STATES = {
    Segment.ISP: ("isp", "inside your provider's network"),
    Segment.TRANSIT: ("transit", "in a network between your provider and the platform"),
    Segment.DESTINATION: ("platform", "in the network that delivers the platform"),
}


def branch(view: View) -> Finding | None:
    """Is one of several parallel ways dead?"""
    tests = view.facts.flow_tests
    if not tests:
        return None
    split = [(i, t) for i, t in tests if is_split(t)]
    if not split:
        told = f"Different connections to one place fare alike at {of(len(tests), len(tests))} places that were tried."
        return Finding("alike", told, tuple(i for i, _ in tests))
    never = sum(not f.answered for _, t in split for f in t.flows)
    flows = sum(len(t.flows) for _, t in split)
    told = f"{of(never, flows)} flows to {len(split)} place(s) never get an answer, and the others always do"
    facts = [i for i, _ in split]
    places = {t.flow.destination: t for _, t in split}
    traced = [(i, p, places[p.flow.destination]) for i, p in view.facts.branches if p.flow.destination in places]
    facts += [i for i, _, _ in traced]
    dead = [view.paths.steps(i, p) for i, p, t in traced if _is_dead(p, t)]
    living = [view.paths.steps(i, p) for i, p, t in traced if not _is_dead(p, t)]
    last, segment = _parting(dead, living)
    if last is None or segment not in _STATES:
        return Finding("unclear", f"{told}; it was not seen where their ways part.", tuple(facts))
    state, where = _STATES[segment]
    at = f"behind {view.who(last.address)}, {where}"
    return Finding(state, f"{told}: one of several parallel ways is dead {at}.", tuple(facts))


def _is_dead(path: Path, test: FlowTest) -> bool:
    return any(f.label == path.flow.label and not f.answered for f in test.flows)


def _parting(dead: Sequence[tuple[Step, ...]], living: Sequence[tuple[Step, ...]]) -> tuple[Step | None, Segment]:
    """The last router that answers on the ways of dead flows, and whose part of the way it is that is dead.

    Routers limit their answers, so the farthest of all is taken. It is that router's part when the next one on the ways
    that work is of the same part; nobody's where it changes there: the wire between two networks may be either's.
    """
    last = max((steps[-1] for steps in dead if steps), key=lambda step: step.ttl, default=None)
    if last is None or not living:
        return None, Segment.UNKNOWN
    further = [next((s for s in steps if s.ttl > last.ttl), None) for steps in living]
    nearest = min((s for s in further if s), key=lambda step: step.ttl, default=None)
    after = nearest.segment if nearest else Segment.DESTINATION
    return last, last.segment if after is last.segment else Segment.UNKNOWN


SIGNALS = (
    Signal("path.branch", "branch", ("alike", "isp", "transit", "platform", "unclear"), branch, good=("alike",)),
)
