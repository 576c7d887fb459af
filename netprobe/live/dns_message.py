"""DNS messages: a lookup as bytes, and what an answer says. The bytes of answers come from strangers.

dnspython only makes and reads messages, and is imported with the first lookup (its resolver and its query functions,
which would load every network library around, are not).
"""

import struct
from typing import TYPE_CHECKING

from netprobe.live.text import clean
from netprobe.model.services import Answer, Lookup

if TYPE_CHECKING:
    import dns.message

_MOST_ALIASES = 16
_MOST_ADDRESSES = 64


def write(lookup: Lookup, ident: int) -> bytes:
    """The query with the message id `ident`, as a plain stub resolver's: EDNS is there only to tell a subnet.

    Raises ValueError for what can be no question.
    """
    import dns.edns  # noqa: PLC0415  # 29 MB that only a lookup needs
    import dns.exception  # noqa: PLC0415
    import dns.flags  # noqa: PLC0415
    import dns.message  # noqa: PLC0415

    try:
        query = dns.message.make_query(
            lookup.name, lookup.record_type, lookup.record_class, id=ident, use_edns=bool(lookup.subnet)
        )
        if lookup.subnet:
            address, _, length = lookup.subnet.partition("/")
            query.use_edns(0, options=[dns.edns.ECSOption(address, int(length) if length else None)])
        if not lookup.recursive:
            query.flags &= ~dns.flags.RD
        return query.to_wire()
    except (dns.exception.DNSException, ValueError, OSError) as error:
        msg = f"not a name, record type or subnet: {lookup.name!r} {lookup.record_type!r} {lookup.subnet!r}"
        raise ValueError(msg) from error


def parse(data: bytes) -> "dns.message.Message | None":
    """The message in `data`; None when it is broken."""
    import dns.exception  # noqa: PLC0415
    import dns.message  # noqa: PLC0415

    try:
        return dns.message.from_wire(data, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError, LookupError, OverflowError, TypeError, struct.error):
        return None


def answers(response: "dns.message.Message", lookup: Lookup) -> bool:
    """Whether `response` is one to the question of `lookup` (RFC 5452, 9.1: the question must match)."""
    import dns.flags  # noqa: PLC0415
    import dns.name  # noqa: PLC0415
    import dns.rdataclass  # noqa: PLC0415
    import dns.rdatatype  # noqa: PLC0415

    if not response.flags & dns.flags.QR:
        return False
    if not response.question:
        return response.rcode() != 0  # a server that could not read the question may leave it out
    asked = response.question[0]
    return (asked.name, asked.rdtype, asked.rdclass) == (
        dns.name.from_text(lookup.name),
        dns.rdatatype.from_text(lookup.record_type),
        dns.rdataclass.from_text(lookup.record_class),
    )


def read(response: "dns.message.Message", lookup: Lookup, rtt_s: float) -> Answer:
    """What `response` says: the chain of aliases from the name asked for, and the addresses at its end."""
    import dns.edns  # noqa: PLC0415
    import dns.flags  # noqa: PLC0415
    import dns.name  # noqa: PLC0415
    import dns.rcode  # noqa: PLC0415
    import dns.rdatatype  # noqa: PLC0415

    wanted = dns.rdatatype.from_text(lookup.record_type)
    sets = {(rrset.name, rrset.rdtype): rrset for rrset in response.answer}
    name = dns.name.from_text(lookup.name)
    aliases: list[str] = []
    ttls: list[int] = []
    while (alias := sets.get((name, dns.rdatatype.CNAME))) and len(aliases) < _MOST_ALIASES:
        name = alias[0].target
        aliases.append(name.to_text(omit_final_dot=True))
        ttls.append(alias.ttl)
    found = sets.get((name, wanted))
    texts = tuple(clean(record.to_text()) for record in found)[:_MOST_ADDRESSES] if found else ()
    if found:
        ttls.append(found.ttl)
    of_servers = wanted == dns.rdatatype.NS
    subnets = [option for option in response.options if isinstance(option, dns.edns.ECSOption)]
    return Answer(
        lookup=lookup,
        rcode=dns.rcode.to_text(response.rcode()),
        addresses=() if of_servers else texts,
        aliases=tuple(aliases),
        ttl_s=min(ttls, default=0),
        rtt_s=rtt_s,
        responses=1,
        authoritative=bool(response.flags & dns.flags.AA),
        servers=tuple(text.removesuffix(".").lower() for text in texts) if of_servers else (),
        scope=subnets[0].scopelen if subnets else None,
    )
