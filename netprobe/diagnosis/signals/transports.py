"""Names over transports on which nobody can answer in a resolver's name: who is it that answers falsely?

What comes over TLS or HTTPS is the resolver's own word. Whoever forges answers on the way does so in datagrams; a
resolver that lies does so over every transport; what even resolvers that prove who they are do not know, nobody knows.
"""

from collections.abc import Sequence
from enum import StrEnum

from netprobe.diagnosis.facts import Found
from netprobe.diagnosis.names import APART_S, LOCAL_MARGIN_S, Kind, leads_nowhere
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.model.services import Answer, Transport
from netprobe.probing.names_again import CONFIRMED

_BEHIND = 2  # the TTL of the first hop behind the home router
_DENIED = frozenset({Kind.NXDOMAIN, Kind.EMPTY})


class _Said(StrEnum):
    """What the transports say of one name, the most telling first."""

    FORGED_AT_HOME = "forged_at_home"
    FORGED = "forged"
    FORGED_OWN = "forged_own"
    OWN_LIES = "own_lies"
    NOBODY = "nobody"
    OWN_FAILS = "own_fails"
    SAME = "same"
    BLOCKED = "blocked"


_SENTENCES = {
    _Said.FORGED_AT_HOME: "datagrams bring other answers in a public name server's name than connections to it do, "
    "which are right; they come as fast as a ping of your router, sooner than from anything behind it",
    _Said.FORGED: "datagrams bring other answers in a public name server's name than connections to it do, which are "
    "right: somebody on the way forges them",
    _Said.FORGED_OWN: "your name server's answers differ by what carries the question: over a connection they are "
    "right, so the false ones are made behind it",
    _Said.OWN_LIES: "your name server's answers are false however it is asked, while public ones that proved who they "
    "are are right over any transport",
    _Said.NOBODY: "not even public name servers that proved who they are have an address",
    _Said.OWN_FAILS: "public name servers that proved who they are have an address, and your own has none",
    _Said.SAME: "datagrams and connections on which nobody can interfere bring the same",
    _Said.BLOCKED: "public name servers answer datagrams, and encrypted questions do not get through to them",
}


def transports(view: View) -> Finding | None:
    """Do a resolver's answers depend on what carries the question?"""
    said: dict[_Said, list[str]] = {}
    indices: list[int] = []
    for name in dict.fromkeys(a.lookup.name for _, a in view.facts.names_again):
        rows = [f for f in view.facts.names_again if f[1].lookup.name == name]
        found = _of_name(view, name, rows)
        if found is not None:
            said.setdefault(found, []).append(name)
            indices += [i for i, _ in rows]
    if not said:
        return None
    first = next(one for one in _Said if one in said)
    count = sum(len(names) for names in said.values())
    sentence = f"Asked for {of(len(said[first]), count)} names in doubt: {_SENTENCES[first]}."
    return Finding(first.value, sentence, tuple(indices))


def _of_name(view: View, name: str, rows: Sequence[Found[Answer]]) -> _Said | None:
    public = [a for _, a in rows if a.lookup.resolver not in view.facts.configured or a.lookup.server_name]
    secure = [a for a in public if a.lookup.transport in CONFIRMED and a.rcode]
    plain = [a for _, a in rows if a.lookup.transport is Transport.UDP]
    # Where encrypted questions do not get out, TCP is what is left: hard to forge, if nobody's proof.
    trusted = secure or [a for a in public if a.lookup.transport is Transport.TCP and a.usable]
    right = {x for a in trusted if a.usable for x in a.addresses if not leads_nowhere(x)}
    if not secure and not any(a.rcode for a in plain):
        return None
    if not right:
        return _Said.NOBODY if secure else _Said.BLOCKED
    compared = {a.lookup.resolver for a in trusted if a.usable}
    judge = _Judge(view, name, right)
    forged = [a for a in plain if a.lookup.resolver in compared and judge.is_false(a)]
    if forged:
        return _Said.FORGED_AT_HOME if _made_at_home(view, forged, rows) else _Said.FORGED
    own = view.facts.configured
    mine = [a for _, a in view.facts.platform_answers if a.lookup.name == name and a.lookup.resolver in own]
    false = [a for a in mine if judge.is_false(a)]
    if false:
        again = [a for _, a in rows if a.lookup.resolver == false[0].lookup.resolver]
        proved = any(a.usable and not judge.is_false(a) for a in again if a.lookup.transport is Transport.TCP)
        return _Said.FORGED_OWN if proved else _Said.OWN_LIES
    if not secure:
        return _Said.BLOCKED
    return _Said.SAME if any(a.usable for a in mine) else _Said.OWN_FAILS


def _made_at_home(view: View, forged: Sequence[Answer], rows: Sequence[Found[Answer]]) -> bool:
    """Whether forged answers come as soon as only the home router can, and sooner than from the hop behind it."""
    facts = view.facts
    echoes = [x.reply.rtt_s for _, t in facts.gateway for x in t.exchanges if x.reply]
    ways = [path for _, path in facts.all_paths]
    behind = [x.reply.rtt_s for p in ways for hop in p.hops if hop.ttl == _BEHIND for x in hop.exchanges if x.reply]
    named = {a.lookup.resolver for a in forged}
    connections = [a.connection for _, a in rows if a.connection and a.lookup.resolver in named]
    trips = [c.connect_s for c in connections if c.connect_s]
    made = [a.rtt_s for a in forged if a.rtt_s]
    if not (echoes and behind and trips and made):
        return False
    soon = max(made) - min(echoes) <= LOCAL_MARGIN_S
    return soon and max(made) < min(behind) and min(trips) - max(made) >= APART_S


class _Judge:
    """Compares answers with the `right` addresses of a name. Addresses may differ by region, and both be right."""

    def __init__(self, view: View, name: str, right: set[str]) -> None:
        self._view = view
        self._right = right
        facts = view.facts
        fetches = [r for edge in facts.edges.values() for _, r in edge.fetches]
        fetches += [r for _, r in facts.secure_fetches]
        of_name = [r for r in fetches if r.fetch.handshake.server_name == name]
        self._served = {r.fetch.handshake.address for r in of_name if r.status and r.handshaken.done}

    def is_false(self, answer: Answer) -> bool:
        """Whether it denies the name, or leads where nothing serves it while the right addresses do."""
        if answer.usable:
            if all(leads_nowhere(x) for x in answer.addresses):
                return True
            apart = not self._right.intersection(answer.addresses)
            return apart and bool(self._served & self._right) and not self._served.intersection(answer.addresses)
        return self._view.names.kind(answer) in _DENIED


SIGNALS = (Signal("dns.transports", "transports", tuple(one.value for one in _Said), transports, good=("same",)),)
