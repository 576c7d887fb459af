"""The platform's names once more, by ways that whoever answers in a resolver's name cannot take.

Only where a name is in doubt: no own resolver has an address for it, a question drew several answers, or nothing serves
it at the address that an own resolver gave. All of that is facts: what it means is the diagnosis' business.

Who forges datagrams on the way forges no connection, and nobody but the resolver can prove to be it: so the same
name is asked over UDP, TCP, TLS and HTTPS. Where only connections brought an address, its page is asked for there.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum

from netprobe.model.report import Observation
from netprobe.model.services import Answer, Lookup, Response, Transport
from netprobe.model.targets import Control, Edge
from netprobe.probing.ask import Ask, fetch
from netprobe.probing.observe import Observe
from netprobe.probing.questions import page
from netprobe.probing.run import Plan, Session

AGAIN, SECURE = "lookup.again.platform", "edge.fetch.secure"
TIMEOUT_S = 2.5
MOST_NAMES = 2  # that are asked again: a guest does not hammer
MOST_RESOLVERS = 2  # public ones, at which
#: Transports over which a resolver proves who it is.
CONFIRMED = frozenset({Transport.TLS, Transport.HTTPS})
_DENIED = frozenset({"NXDOMAIN"})


class Doubt(IntEnum):
    """Why a name is in doubt, the best reason first."""

    CONTRADICTED = 0
    MISSING = 1
    UNSERVED = 2


def in_doubt(found: Sequence[Observation], edges: Sequence[Edge], own: Sequence[str]) -> dict[str, Doubt]:
    """The platform's names that are in doubt, those first that others contradict.

    A name that nobody has, while others are found, is a stale one.
    """
    answers = [o.fact for o in found if o.purpose == "lookup.platform" and isinstance(o.fact, Answer)]
    mine = [a for a in answers if a.lookup.resolver in own]
    known = {a.lookup.name for a in answers if a.usable}
    mine_known = {a.lookup.name for a in mine if a.usable}
    doubled = {a.lookup.name for a in answers if a.responses > 1}
    compared = {a.lookup.name for a in answers if a.lookup.resolver not in own}
    served, tried = _served(found), {edge.name for edge in edges if edge.resolver in own}
    rows: dict[str, Doubt] = {}
    for name in dict.fromkeys(a.lookup.name for a in mine):
        missing = name not in mine_known
        stale = bool(known) and all(a.rcode in _DENIED for a in answers if a.lookup.name == name)
        if name in doubled or (missing and name in known):
            rows[name] = Doubt.CONTRADICTED
        elif missing and not stale:
            rows[name] = Doubt.MISSING
        elif name in tried and not any((name, e.address) in served for e in edges if e.resolver in own):
            rows[name] = Doubt.UNSERVED
    return dict(sorted(rows.items(), key=lambda row: (row[1], row[0] not in compared)))


def ask_again(names: Sequence[str], own: Sequence[str], controls: Sequence[Control]) -> Iterable[Session[Observation]]:
    """The first of the names over each transport at public resolvers, and over TCP at the first own one."""
    public = [control for control in controls if control.resolver and control.address][:MOST_RESOLVERS]
    for name in names[:MOST_NAMES]:
        if own and own[0] not in {control.address for control in public}:
            yield _ask(AGAIN, name, Lookup(name, own[0], transport=Transport.TCP, timeout_s=TIMEOUT_S))
        for control in public:
            for transport in Transport:
                yield _ask(AGAIN, name, over(transport, name, control))


def over(transport: Transport, name: str, control: Control, record_type: str = "A") -> Lookup:
    """A lookup at a public resolver, which has to prove by its name who it is where it can."""
    proved = control.name if transport in CONFIRMED else ""
    return Lookup(name, control.address, record_type, TIMEOUT_S, transport=transport, server_name=proved)


def _ask(purpose: str, subject: str, asked: Lookup) -> Session[Observation]:
    return Observe(purpose, subject, Ask(asked))


def try_secure(looked: Sequence[Observation], edges: Sequence[Edge]) -> Iterable[Session[Observation]]:
    """Does a name serve at the first address that only connections have brought?"""
    known = {(edge.name, edge.address) for edge in edges}
    told: dict[str, list[str]] = {}
    for o in looked:
        if o.purpose == AGAIN and isinstance(o.fact, Answer) and o.fact.lookup.transport is not Transport.UDP:
            told.setdefault(o.subject, []).extend(o.fact.addresses)
    for name, addresses in told.items():
        if addresses and not any((name, address) in known for address in addresses):
            yield Observe(SECURE, name, fetch(page(addresses[0], name)))


def look_at_names(
    names: Sequence[str], edges: Sequence[Edge], own: Sequence[str], controls: Sequence[Control]
) -> Plan[list[Observation]]:
    """The names in doubt over other transports, and where those lead."""
    looked: list[Observation] = yield list(ask_again(names, own, controls))
    tried: list[Observation] = yield list(try_secure(looked, edges))
    return looked + tried


def _served(found: Sequence[Observation]) -> set[tuple[str, str]]:
    """The names and addresses at which a page was had over a connection that proved whose it is."""
    return {
        (o.subject, o.fact.fetch.handshake.address)
        for o in found
        if o.purpose == "edge.fetch" and isinstance(o.fact, Response) and o.fact.status and o.fact.handshaken.done
    }


def anything_came(found: Sequence[Observation]) -> bool:
    """Whether anybody at all has answered a question or a connection."""
    return any(
        bool(o.fact.rcode) if isinstance(o.fact, Answer) else o.fact.handshaken.connect_s is not None
        for o in found
        if isinstance(o.fact, Answer | Response)
    )
