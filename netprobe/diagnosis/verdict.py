"""From observations to the verdict: ask every signal, gate, weigh, and say it in plain words.

Pure: no I/O, no clock, and the same observations in any order give the same verdict.
"""

from collections.abc import Sequence

from netprobe.diagnosis import gates, hearsay
from netprobe.diagnosis.calibration import calibration, covered, told
from netprobe.diagnosis.causes import Tables, tables
from netprobe.diagnosis.exonerate import exonerations
from netprobe.diagnosis.facts import Facts, OriginOf
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.plan import NOTHING_KNOWN, next_probe
from netprobe.diagnosis.signals import SIGNALS
from netprobe.diagnosis.weigh import Decision, answer, item_weights
from netprobe.model.report import Observation
from netprobe.model.rungs import RAW, cannot
from netprobe.model.targets import Platform
from netprobe.model.verdict import Advice, Candidate, Evidence, Level, Verdict, Weighed

RUNNERS_UP = 3
_UNKNOWN_CAUSE = "undetermined"


def diagnose(
    observations: Sequence[Observation], platform: Platform, origin: OriginOf, *, symptom: str = ""
) -> Verdict:
    """Whose fault it is. `origin` maps an address to the network that announces it, None where nobody knows.

    `symptom` changes what the survey asks for and in which order, not what an answer means.
    """
    del symptom
    view = View(Facts(observations, platform, origin))
    table = tables()
    evidence = hearsay.believed(gates.apply(ask(view)), table)
    return _verdict(view, evidence, *answer(evidence, table), table)


def ask(view: View) -> tuple[Evidence, ...]:
    """Every signal's answer, in the order of SIGNALS."""
    found = []
    for signal in SIGNALS:
        finding = signal.judge(view)
        if finding is None:
            missing = signal.needs is not None and signal.needs in cannot(view.facts.footing)
            why = f"no {signal.needs} probe can leave this machine" if missing else ""
            sentence = f"Not measurable here: {why}." if missing else "Not measured."
            found.append(Evidence(signal.id, "", Level.NONE, sentence, signal.group, why))
        else:
            facts = tuple(sorted(set(finding.facts)))
            found.append(Evidence(signal.id, finding.state, Level.SCORED, finding.sentence, signal.group, "", facts))
    return tuple(found)


def _verdict(
    view: View, evidence: tuple[Evidence, ...], first: Decision, second: Decision | None, table: Tables
) -> Verdict:
    ranked = sorted(first.posterior, key=lambda c: (-first.posterior[c], c))
    rivals = [c for c in ranked if c != first.leaf and not (second and c == second.leaf)]
    leaf = table.causes[first.leaf]
    advice = leaf.advice if first.determined else table.causes[_UNKNOWN_CAUSE].advice
    raw = all(rung == RAW for rung in view.facts.footing.values())  # all that the sweep behind the map has seen
    means = calibration()
    known = raw and covered(first, second, means)
    shares, sure = told(first, means if known else None)
    return Verdict(
        component=first.component,
        cause=first.node or _UNKNOWN_CAUSE,
        guide_class=leaf.guide_class if first.determined else "-",
        probability=round(sure, 4),
        sentence=_sentence(first, evidence, table),
        runners_up=tuple(
            Candidate(c, table.causes[c].component, round(shares[c], 4), round(first.scores[c], 3))
            for c in (rivals if first.determined else [first.leaf, *rivals])[:RUNNERS_UP]
        ),
        abstained=first.node != first.leaf,
        calibrated=known,
        evidence=_weighed(evidence, first.leaf, table),
        exonerated=exonerations(view, evidence, {first.component, *([second.component] if second else [])}),
        advice=tuple(_advice(key, evidence, table) for key in advice),
        expected_duration=leaf.duration if first.determined else "",
        next_probe=_next(first, rivals, evidence) if first.node != first.leaf else "",
        also=(second.node,) if second else (),
    )


def _next(first: Decision, rivals: Sequence[str], evidence: Sequence[Evidence]) -> str:
    if not any(e.level is Level.SCORED for e in evidence):
        return NOTHING_KNOWN
    component = first.leaf.split(".")[0]
    other = next((c for c in rivals if c.split(".")[0] != component), rivals[0])
    return next_probe(first.leaf, rivals[0] if first.determined else other)


def _sentence(first: Decision, evidence: Sequence[Evidence], table: Tables) -> str:
    if first.node == first.leaf:
        return table.causes[first.leaf].sentence
    if first.determined:
        return table.nodes[first.node]
    if not any(e.level is Level.SCORED for e in evidence):
        return "Too little could be measured to say anything."
    whole = next((e for e in evidence if e.id == "service.whole" and e.level is Level.SCORED), None)
    wrong = "Something is not as it should be" if whole and whole.state == "works" else "Something is wrong"
    return f"{wrong}, but what was measured does not tell whose fault it is."


def _weighed(evidence: Sequence[Evidence], leaf: str, table: Tables) -> tuple[Weighed, ...]:
    """Each item as it counted for `leaf`: the strongest first, then what was discarded and what was not measured."""
    rows = []
    for item in evidence:
        weight = item_weights(item, table)[leaf] if item.level is Level.SCORED else 0.0
        rows.append(Weighed(item.id, item.state, item.level, item.sentence, round(weight, 2), item.reason))
    order = {Level.SCORED: 0, Level.DISCARDED: 1, Level.NONE: 2}
    return tuple(sorted(rows, key=lambda r: (order[r.level], -r.weight)))


def _advice(key: str, evidence: Sequence[Evidence], table: Tables) -> Advice:
    step = table.advice[key]
    states = {e.id: e.state for e in evidence if e.level is Level.SCORED}
    good = {s.id: s.good for s in SIGNALS}
    fine = bool(step.checks) and all(states.get(c) in good[c] for c in step.checks)
    return Advice(step.step, step.fine if fine else "")
