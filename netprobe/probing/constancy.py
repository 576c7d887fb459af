"""Was the network the same all along? What answered at first, and what did not, is asked once more at the end.

An outage that begins or ends in the middle of a survey leaves half a picture: pages that came and a QUIC that did not,
names that nobody knew and servers that answer. Each half is true, and together they accuse somebody who did nothing.
"""

from collections.abc import Iterable, Sequence

from netprobe.model.probes import Protocol, Train
from netprobe.model.report import AnyFact, Observation
from netprobe.model.services import Answer, QuicHandshaken, Response
from netprobe.probing.ask import LOOKUP_TIMEOUT_S, lookup
from netprobe.probing.observe import Observe
from netprobe.probing.over_v6 import OVER
from netprobe.probing.plain import CONTROL
from netprobe.probing.questions import TRAIN_COUNT, TRAIN_INTERVAL_S, patience_s, steadily
from netprobe.probing.run import Plan, Session
from netprobe.topology.addresses import one_a_network

_TRAIN, _TRAIN_V6, _LOOKUP = "recheck.train", f"{OVER}recheck.train", "recheck.lookup"
RECHECKS = (_TRAIN, _TRAIN_V6, _LOOKUP)  # purposes of what is asked once more
_KINDS = tuple(f"{over}{what}.train" for over in ("", OVER) for what in ("control", "edge"))
_PLACES = 3  # of each kind that answered, and of each that did not
_QUESTIONS = 2  # to a resolver
_SEVERAL = 2  # places that changed alike
_MANY = 20  # SYNs
_LABEL, _LATER_LABEL = 340, 350  # of the first SYN: a server may still keep in mind those that were sent before
_WAIT_S = 2.0  # for those that answered: a queue that grows holds answers up, and who is there is not waited for
_SILENT_WAIT = 0.5  # times the usual patience: who was silent and answers now does so as soon as the others do


def recheck(
    found: Sequence[Observation], configured: Sequence[str], stamp: str, *, later: bool
) -> Plan[list[Observation]]:
    """Some places that answered once more, where anything is not as it should be.

    `later`, when all is over, those too that were silent and have to be waited for, and the `configured` resolvers.
    `stamp` makes names that nobody has asked for before.
    """
    if not _troubled(found):
        return []
    return (yield [*_places(found, later=later), *(_resolvers(found, configured, stamp) if later else ())])


def has_changed(found: Sequence[Observation], again: Sequence[Observation]) -> bool:
    """Whether those who answered everything are silent now, or answer everything who were silent.

    Where some lose a part, one or the other does so by chance: there all must have, and that of very many SYNs none is
    answered is no chance either.
    """
    known = _first(found)
    answered = {train.destination for _, _, train in known if train.answered} - _cut_by_name(found)
    if any(train.destination in answered for train in _dead(found)):
        return True
    now = {o.fact.destination: o.fact for o in again if isinstance(o.fact, Train)}
    pairs = [(before, now[before.destination]) for _, _, before in known if before.destination in now]
    lossy = any(train.answered and train.lost for train in (*now.values(), *(before for _, _, before in known)))
    gone = [not after.answered for before, after in pairs if _all_came(before)]
    back = [_all_came(after) for before, after in pairs if not before.answered]
    if any(len(each) >= _SEVERAL and all(each) if lossy else any(each) for each in (gone, back)):
        return True
    return not lossy and _other_resolvers(found, again)


def _places(found: Sequence[Observation], *, later: bool) -> Iterable[Session[Observation]]:
    label = _LATER_LABEL if later else _LABEL
    known, cut = _first(found), _cut_by_name(found)
    for kind in _KINDS:
        of_kind = [(subject, train) for what, subject, train in known if what == kind]
        groups = [([(s, t) for s, t in of_kind if _all_came(t) and t.destination not in cut], _WAIT_S)]
        if later:
            quiet = [(s, t) for s, t in of_kind if t.exchanges and not t.answered]
            groups.append((quiet, _SILENT_WAIT * patience_s(found)))
        for places, wait_s in groups:
            for subject, train in one_a_network(places, lambda place: place[1].destination)[:_PLACES]:
                yield _again(subject, train.destination, label, wait_s)


def _again(subject: str, address: str, label: int, wait_s: float) -> Session[Observation]:
    syns = steadily(
        Protocol.TCP, address, count=TRAIN_COUNT, interval_s=TRAIN_INTERVAL_S, timeout_s=wait_s, first_label=label
    )
    return Observe(_TRAIN_V6 if ":" in address else _TRAIN, subject, syns)


def _resolvers(found: Sequence[Observation], configured: Sequence[str], stamp: str) -> Iterable[Session[Observation]]:
    """What a resolver knew, which it still does, from its cache if need be; who knew nothing, a name of nobody's."""
    for resolver in configured:
        told = _told(found, resolver)
        known = next((answer.lookup.name for answer in told if _tells(answer)), "")
        for turn in range(_QUESTIONS if told else 0):
            parent = told[0].lookup.name
            yield Observe(_LOOKUP, known or parent, lookup(known or f"np{stamp}-{turn}-later.{parent}", resolver))


def _told(found: Iterable[Observation], resolver: str) -> list[Answer]:
    """What `resolver` said of control names, of what it was not waited for any longer than usual."""
    answers = [o.fact for o in found if o.purpose == "lookup.control" and isinstance(o.fact, Answer)]
    return [a for a in answers if a.lookup.resolver == resolver and a.lookup.timeout_s <= LOOKUP_TIMEOUT_S]


def _tells(answer: Answer) -> bool:
    return answer.rcode in {"NOERROR", "NXDOMAIN"}


def _other_resolvers(found: Sequence[Observation], again: Iterable[Observation]) -> bool:
    """Whether a resolver that knew control names is of no use now, or is of use now and knew none."""
    now: dict[str, bool] = {}
    for answer in (o.fact for o in again if o.purpose == _LOOKUP and isinstance(o.fact, Answer)):
        now[answer.lookup.resolver] = now.get(answer.lookup.resolver, False) or _tells(answer)
    return any(useful != any(map(_tells, _told(found, resolver))) for resolver, useful in now.items())


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


def _troubled(found: Iterable[Observation]) -> bool:
    """Whether anything failed that a change could explain."""
    return any(_failed(o.fact) for o in found if o.purpose != CONTROL)  # port 80 may be filtered for good


def _failed(fact: AnyFact) -> bool:
    match fact:
        case Train():
            return not fact.answered
        case Response():
            return not fact.status
        case Answer():
            return not fact.rcode
        case QuicHandshaken():
            return not fact.done
        case _:
            return False
