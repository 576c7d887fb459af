"""Names to addresses by the machine's own resolvers, in the address family that its user would get."""

from collections.abc import Iterable, Sequence
from typing import Any

from netprobe.model.host import HostState
from netprobe.model.record import Record
from netprobe.model.services import Answer
from netprobe.probing.ask import inspect, lookup
from netprobe.probing.run import Plan

_RECORD_TYPES = {4: "A", 6: "AAAA"}


class Resolved(Record, frozen=True):
    """A name's address. Without one `error` says why."""

    address: str = ""
    error: str = ""


def resolve(names: Iterable[str], family: int = 0) -> Plan[dict[str, Resolved]]:
    """The address of every name; of `family` (4 or 6), or as the system would choose.

    That is IPv6 where the machine has a global IPv6 address with a route and the name has one too (RFC 6724, 5 and
    10.3, reduced to what matters here), else IPv4. The first resolver is asked for every name, the next one for those
    that got no answer, and so on.
    """
    wanted = list(dict.fromkeys(names))
    if not wanted:
        return {}
    (host,) = yield [inspect()]
    families = (family,) if family else (6, 4) if host.global_link_v6 else (4,)
    found: dict[str, Resolved] = {}
    said: dict[str, str] = dict.fromkeys(wanted, "no resolver is configured in /etc/resolv.conf")
    for resolver in host.resolvers:
        missing = [name for name in wanted if name not in found]
        if not missing:
            break
        asked = [(name, each) for name in missing for each in families]
        answers: list[Any] = yield [lookup(name, resolver, _RECORD_TYPES[each]) for name, each in asked]
        for name in missing:
            own = [answer for (its, _), answer in zip(asked, answers, strict=True) if its == name]
            address = next((answer.addresses[0] for answer in own if answer.usable), "")
            if address:
                found[name] = Resolved(address)
            else:
                said[name] = _why(own, host, family)
    return {name: found.get(name, Resolved(error=said[name])) for name in wanted}


def _why(answers: Sequence[Answer], host: HostState, family: int) -> str:
    """What the answers for one name say, the one that says most."""
    answer = next((each for each in answers if each.rcode), answers[-1])
    resolver = answer.lookup.resolver
    if not answer.rcode and not (host.default_link or host.global_link_v6):
        return "this computer has no default route"
    if answer.rcode == "NXDOMAIN":
        return f"there is no such name, says the resolver {resolver}"
    if answer.rcode == "NOERROR" and family and not answer.error:
        return f"it has no IPv{family} address, says the resolver {resolver}"
    if answer.rcode and not answer.error:
        return f"the resolver {resolver} gave no address ({answer.rcode})"
    return f"the resolver {resolver} did not answer ({answer.error or 'nothing came'})"
