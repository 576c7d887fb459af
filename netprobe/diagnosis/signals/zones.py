"""The platform's own name servers, asked themselves: is it they who deny a name, or who are silent?"""

from netprobe.diagnosis.facts import Found
from netprobe.diagnosis.names import Kind
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.model.services import Answer, Transport

_FAILURES = frozenset({Kind.SERVFAIL, Kind.REFUSED, Kind.NXDOMAIN, Kind.EMPTY})


def zone(view: View) -> Finding | None:
    """What do the zone's own servers say of a name that is in doubt?"""
    facts = view.facts
    told = facts.zone_servers
    if not any(a.servers for _, a in told):
        return None
    names = list(dict.fromkeys(a.lookup.name for _, a in facts.zone_answers))
    indices = tuple(i for i, _ in (*told, *facts.zone_answers))
    said = {name: _of_name(view, [f for f in facts.zone_answers if f[1].lookup.name == name]) for name in names}
    for state, words in _SENTENCES.items():
        some = [name for name, found in said.items() if found == state]
        if some:
            return Finding(state, f"Asked for {of(len(some), len(names))} names in doubt, {words}.", indices)
    return None


_SENTENCES = {
    "silent": "the platform's own name servers do not answer anybody, over UDP or TCP",
    "fails": "the platform's own name servers say themselves that they fail or know no such name",
    "answers": "the platform's own name servers have an address",
    "unclear": "nobody can tell what the platform's own name servers say: their answers differ by what carries them",
}


def _of_name(view: View, rows: list[Found[Answer]]) -> str:
    """Judged by TCP: a datagram may be anybody's."""
    by_tcp = [a for _, a in rows if a.lookup.transport is Transport.TCP]
    by_udp = [a for _, a in rows if a.lookup.transport is Transport.UDP]
    kinds = {view.names.kind(a) for a in by_tcp}
    if Kind.GOOD in kinds:
        return "answers"
    if kinds & _FAILURES:
        return "fails"
    return "unclear" if any(a.rcode for a in by_udp) else "silent"


SIGNALS = (Signal("dns.zone", "zone", tuple(_SENTENCES), zone),)
