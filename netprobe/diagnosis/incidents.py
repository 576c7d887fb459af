"""Incidents over time: which rounds belong together, when the trouble began and when it ended. Pure."""

from collections.abc import Mapping

from netprobe.model.record import Record
from netprobe.model.report import Incident
from netprobe.model.verdict import Component, Verdict

#: Rounds in a row that must name another component before one incident becomes another.
CHANGE_ROUNDS = 2


class Track(Record, frozen=True):
    """What is remembered between rounds: the open incident, and a change that one round alone has suggested.

    `heard` counts the rounds of the open incident by the cause that they named.
    """

    open: Incident | None = None
    doubt: Incident | None = None
    heard: dict[str, int] = {}


class Step(Record, frozen=True):
    """What a round did: the new memory, and an incident that it closed."""

    track: Track
    closed: Incident | None = None


def track(before: Track, verdict: Verdict, now_s: float, next_id: int) -> Step:
    """Add the round of `now_s` (Unix time). A new incident gets the number `next_id`.

    An incident begins with the first bad round and ends with the first good one. A round that cannot tell neither
    begins nor ends one, and a single round that names another component changes nothing: it may have been mistaken.
    What a round finds wrong while the machine was too busy to measure is not believed at all.
    """
    if verdict.component is Component.UNDETERMINED or (starved(verdict) and verdict.component is not Component.NONE):
        return Step(before)
    if verdict.component is Component.NONE:
        closed = _close(before.open, now_s) if before.open else None
        return Step(Track(), closed)
    if before.open is None:
        return Step(Track(_begin(verdict, now_s, next_id), heard={verdict.cause: 1}))
    if verdict.component is before.open.component:
        heard = before.heard | {verdict.cause: before.heard.get(verdict.cause, 0) + 1}
        return Step(Track(_continue(before.open, verdict, heard), heard=heard))
    if before.doubt is None or before.doubt.component is not verdict.component:
        return Step(Track(before.open, _begin(verdict, now_s, next_id), before.heard))
    doubt = before.doubt
    heard = {doubt.cause: doubt.rounds}
    heard[verdict.cause] = heard.get(verdict.cause, 0) + 1
    begun = _continue(doubt, verdict, heard)
    if begun.rounds < CHANGE_ROUNDS:
        return Step(Track(before.open, begun, before.heard))
    renamed = Incident(next_id, begun.component, begun.cause, begun.sentence, begun.began_s, None, begun.rounds)
    return Step(Track(renamed, heard=heard), _close(before.open, begun.began_s))


def starved(verdict: Verdict) -> bool:
    """Whether the machine was too busy to measure in that round."""
    return any(item.id == "host.busy" and item.state == "starved" for item in verdict.evidence)


def _begin(verdict: Verdict, now_s: float, number: int) -> Incident:
    return Incident(number, verdict.component, verdict.cause, verdict.sentence, now_s)


def _continue(incident: Incident, verdict: Verdict, heard: Mapping[str, int]) -> Incident:
    """One round more.

    The cause that is said is the deepest one so far, of equally deep ones the one that most rounds named: the first and
    the last round may have seen half an outage.
    """

    def weight(cause: str) -> tuple[int, int]:
        return cause.count("."), heard.get(cause, 0)

    better = weight(verdict.cause) > weight(incident.cause)
    cause, sentence = (verdict.cause, verdict.sentence) if better else (incident.cause, incident.sentence)
    return Incident(incident.id, incident.component, cause, sentence, incident.began_s, None, incident.rounds + 1)


def _close(incident: Incident, now_s: float) -> Incident:
    return Incident(
        incident.id,
        incident.component,
        incident.cause,
        incident.sentence,
        incident.began_s,
        now_s,
        incident.rounds,
    )
