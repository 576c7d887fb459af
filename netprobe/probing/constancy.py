"""Was the network the same all along? What answered at first, and what did not, is asked once more at the end.

An outage that begins or ends in the middle of a survey leaves half a picture: pages that came and a QUIC that did not,
names that nobody knew and servers that answer. Each half is true, and together they accuse somebody who did nothing.
"""

from collections.abc import Iterable, Sequence

from netprobe.model.probes import Protocol, Train
from netprobe.model.report import Observation
from netprobe.model.services import Answer, QuicHandshaken, Response
from netprobe.probing.ask import LOOKUP_TIMEOUT_S, lookup
from netprobe.probing.observe import Observe
from netprobe.probing.questions import HTTPS, TRAIN_COUNT, TRAIN_INTERVAL_S, patience_s
from netprobe.probing.run import Plan, Session
from netprobe.probing.train import TrainSession
from netprobe.topology.addresses import network_of

RECHECKS = ("recheck.train", "recheck.lookup")  # purposes of what is asked once more
_KINDS = ("control.train", "edge.train", "v6.control.train", "v6.edge.train")
_LOOKUPS = ("lookup.platform", "lookup.control")
_PLACES = 3  # of each kind that answered, and of each that did not
_QUESTIONS = 2  # to a resolver
_SEVERAL = 2  # that changed alike
_MANY = 20  # SYNs
_LABEL, _LATER_LABEL = 340, 350  # of the first SYN: a server may still keep in mind those that were sent before
_SILENT_WAIT = 0.5  # times the usual patience: who was silent and answers now does so as soon as the others do


def recheck(
    found: Sequence[Observation], configured: Sequence[str], stamp: str, *, later: bool
) -> Plan[list[Observation]]:
    """Some places that answered once more, where anything is not as it should be.

    `later`, when all is over, those too that were silent and have to be waited for, and the `configured` resolvers.
    `stamp` makes names that nobody has asked for before, which no cache knows.
    """
    if not _troubled(found):
        return []
    return (yield [*_places(found, later=later), *(_resolvers(found, configured, stamp) if later else ())])


def has_changed(found: Sequence[Observation], again: Sequence[Observation]) -> bool:
    """Whether those who answered everything are silent now, or answer everything who were silent.

    One of several that does may be chance, where others lose some; that of very many SYNs none comes is none.
    """
    known = _first(found)
    answered = {train.destination for _, _, train in known if train.answered} - _cut_by_name(found)
    if any(train.destination in answered for train in _dead(found)):
        return True
    now = {o.fact.destination: o.fact for o in again if isinstance(o.fact, Train)}
    pairs = [(before, now[before.destination]) for _, _, before in known if before.destination in now]
    gone = [not after.answered for before, after in pairs if _all_came(before)]
    back = [_all_came(after) for before, after in pairs if not before.answered]
    lossy = any(train.answered and train.lost for pair in pairs for train in pair)
    if any(sum(changed) >= (min(_SEVERAL, len(changed)) if lossy else 1) for changed in (gone, back) if changed):
        return True
    worked, works = _by_resolver(found, _LOOKUPS), _by_resolver(again, RECHECKS)
    return any(works[resolver] != worked[resolver] for resolver in works if resolver in worked)


def _places(found: Sequence[Observation], *, later: bool) -> Iterable[Session[Observation]]:
    usual_s, label = patience_s(found), _LATER_LABEL if later else _LABEL
    known, cut = _first(found), _cut_by_name(found)
    for kind in _KINDS:
        of_kind = [(subject, train) for what, subject, train in known if what == kind]
        there = [(s, t) for s, t in of_kind if _all_came(t) and t.destination not in cut]
        yield from (_train(s, t, label, usual_s) for s, t in _over_networks(there)[:_PLACES])
        if later:
            quiet = [(s, t) for s, t in of_kind if t.exchanges and not t.answered]
            yield from (_train(s, t, label, usual_s * _SILENT_WAIT) for s, t in _over_networks(quiet)[:_PLACES])


def _train(subject: str, before: Train, label: int, timeout_s: float) -> Session[Observation]:
    session = TrainSession(
        Protocol.TCP,
        before.destination,
        port=HTTPS,
        count=TRAIN_COUNT,
        interval_s=TRAIN_INTERVAL_S,
        timeout_s=timeout_s,
        first_label=label,
    )
    return Observe(RECHECKS[0], subject, session)


def _resolvers(found: Sequence[Observation], configured: Sequence[str], stamp: str) -> Iterable[Session[Observation]]:
    parent = next((o.subject for o in found if o.purpose == "lookup.control"), "")
    worked = _by_resolver(found, _LOOKUPS)
    for resolver in configured:
        if parent and resolver in worked:
            for turn in range(_QUESTIONS):
                yield Observe(RECHECKS[1], parent, lookup(f"np{stamp}-{turn}-later.{parent}", resolver))


def _by_resolver(found: Iterable[Observation], purposes: Sequence[str]) -> dict[str, bool]:
    """Whether a resolver has told anything at all within the usual time, if only that there is no such name."""
    told: dict[str, bool] = {}
    for o in found:
        if o.purpose in purposes and isinstance(o.fact, Answer) and o.fact.lookup.timeout_s <= LOOKUP_TIMEOUT_S:
            resolver = o.fact.lookup.resolver
            told[resolver] = told.get(resolver, False) or o.fact.rcode in {"NOERROR", "NXDOMAIN"}
    return told


def _all_came(train: Train) -> bool:
    return bool(train.answered) and not train.lost


def _first(found: Iterable[Observation]) -> list[tuple[str, str, Train]]:
    """The first SYNs to each address: what they were for, whom, and what came of them."""
    each: dict[str, tuple[str, str, Train]] = {}
    for o in found:
        if o.purpose in _KINDS and isinstance(o.fact, Train) and o.fact.protocol is Protocol.TCP:
            each.setdefault(o.fact.destination, (o.purpose, o.subject, o.fact))
    return list(each.values())


def _dead(found: Iterable[Observation]) -> list[Train]:
    """So many SYNs to one place that chance would have let one through."""
    trains = [o.fact for o in found if isinstance(o.fact, Train) and o.fact.protocol is Protocol.TCP]
    return [train for train in trains if len(train.exchanges) >= _MANY and not train.answered]


def _cut_by_name(found: Iterable[Observation]) -> set[str]:
    """Addresses at which a handshake ended after the name was shown.

    Who minds a name may be silent to us for minutes, so that what happens there is an answer to what we asked.
    """
    return {
        o.fact.fetch.handshake.address
        for o in found
        if isinstance(o.fact, Response) and o.fact.handshaken.phase == "tls" and o.fact.handshaken.error
    }


def _over_networks(places: Iterable[tuple[str, Train]]) -> list[tuple[str, Train]]:
    return list({network_of(train.destination, wide=True): (subject, train) for subject, train in places}.values())


def _troubled(found: Iterable[Observation]) -> bool:
    """Whether anything failed that a change could explain."""
    for o in found:
        match o.fact:
            case Train():
                bad = not o.fact.answered
            case Response():
                bad = not o.fact.status
            case Answer():
                bad = not o.fact.rcode
            case QuicHandshaken():
                bad = not o.fact.done
            case _:
                bad = False
        if bad:
            return True
    return False
