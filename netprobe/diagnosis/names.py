"""What the resolvers say: each answer's kind, which resolvers work, and whom the others contradict."""

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from statistics import median

from netprobe.diagnosis.facts import Facts, Found
from netprobe.model.services import Answer
from netprobe.topology.addresses import is_private

LOCAL_MARGIN_S = 0.0015  # an answer that takes no longer than the router's echo and this was made at home
FORWARDED_MARGIN_S = 0.003  # one that takes longer than the router's echo and this came from elsewhere
LOCAL_SHARE = 0.5  # a local answer takes at most this part of the time of one that had to be asked for,
LOCAL_AT_MOST_S = 0.02  # and no longer than a busy home router thinks
FORWARDED_SHARE = 0.6  # one that was asked for takes at least this part of the time of another such
FORGED_SHARE = 0.75  # of the round trip: an answer that comes sooner was made on the way
HONEST_SHARE = 0.9  # of the round trip: no answer of the resolver itself comes sooner than about this
SHORTEST_TRIP_S = 0.004  # below this the shares are lost in jitter
FORGERIES = 3  # answers that are too soon before any is called forged
APART_S = 0.004  # differences below this are no differences


class Kind(StrEnum):
    """What kind of answer it is."""

    GOOD = "an address"
    BOGUS = "an address that leads nowhere"
    NXDOMAIN = "no such name"
    EMPTY = "no address"
    SERVFAIL = "a failure"
    REFUSED = "a refusal"
    SILENT = "nothing"


class Locus(StrEnum):
    """Whose a resolver is."""

    HOME = "home"
    ISP = "isp"
    WELL_KNOWN = "well_known"
    OUTSIDE = "outside"


#: Kinds that deny a name, as opposed to failing to say anything about it.
DENIALS = frozenset({Kind.BOGUS, Kind.NXDOMAIN, Kind.EMPTY, Kind.REFUSED})


@lru_cache(maxsize=1024)
def leads_nowhere(address: str) -> bool:
    """0.0.0.0, the loopback, multicast and such: what blocking answers with, and no server can have."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return True
    reserved = parsed.version == 4 and parsed >= ipaddress.IPv4Address("224.0.0.0")
    return parsed.is_unspecified or parsed.is_loopback or reserved or str(parsed).startswith("0.")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An answer that others, or the certificate behind it, prove wrong."""

    index: int
    answer: Answer
    kind: Kind


class Names:
    """The answers of one survey, resolver by resolver."""

    def __init__(self, facts: Facts, isp: frozenset[int]) -> None:
        self.facts = facts
        self.isp = isp

    def kind(self, answer: Answer) -> Kind:
        """What kind of answer this is."""
        if answer.usable:
            bogus = all(self._is_bogus(a) for a in answer.addresses) or self._is_forged(answer)
            return Kind.BOGUS if bogus else Kind.GOOD
        if answer.rcode == "NOERROR":
            return Kind.EMPTY
        simple = {"NXDOMAIN": Kind.NXDOMAIN, "SERVFAIL": Kind.SERVFAIL, "REFUSED": Kind.REFUSED}
        if answer.rcode:
            return simple.get(answer.rcode, Kind.SERVFAIL)
        return Kind.SILENT

    def _is_bogus(self, address: str) -> bool:
        return leads_nowhere(address) or (is_private(address) and not self._private_world)

    def _is_forged(self, answer: Answer) -> bool:
        """Whether it came sooner than any packet can come back from the resolver, where the others do so too; or says
        what such an answer says.
        """
        return self._comes_too_soon(answer) or bool(self._forgeries.intersection(answer.addresses))

    def _comes_too_soon(self, answer: Answer) -> bool:
        limit = self._too_soon.get(answer.lookup.resolver)
        return limit is not None and answer.rtt_s is not None and answer.rtt_s < limit

    @cached_property
    def _forgeries(self) -> frozenset[str]:
        """The addresses of answers that came too soon."""
        return frozenset(x for _, a in self.facts.platform_answers if self._comes_too_soon(a) for x in a.addresses)

    @cached_property
    def _too_soon(self) -> dict[str, float]:
        """By resolver whose answers on the platform are forged on the way: how soon is too soon. Most of them, and at
        least FORGERIES, must be sooner than the resolver's round trip allows, and none of those on unrelated names.
        """
        found: dict[str, float] = {}
        for resolver in (*self.facts.configured, *self.facts.independent):
            trip = self._round_trip(resolver)
            if trip is None or trip < SHORTEST_TRIP_S:
                continue
            limit = FORGED_SHARE * trip
            asked = [a.rtt_s for _, a in self.at(resolver, self.facts.platform_answers) if a.usable and a.rtt_s]
            others = [a.rtt_s for _, a in self.at(resolver, self.facts.control_answers) if a.usable and a.rtt_s]
            soon = sum(rtt < limit for rtt in asked)
            if soon >= FORGERIES and 2 * soon > len(asked) and others and min(others) >= HONEST_SHARE * trip:
                found[resolver] = limit
        return found

    def _round_trip(self, address: str) -> float | None:
        """The shortest time in which anything came back from `address`; None where nothing did."""
        trains = [t for d in self.facts.controls.values() if d.address == address for _, t in d.trains]
        trains += [t for _, t in self.facts.resolver_trains if t.destination == address]
        rtts = [x.reply.rtt_s for t in trains for x in t.exchanges if x.reply and x.reply.from_destination]
        return min(rtts, default=None)

    @cached_property
    def _private_world(self) -> bool:
        """Whether names that have nothing to do with the platform lead to private addresses too: a laboratory."""
        return any(is_private(x) for _, a in self.facts.control_answers for x in a.addresses)

    def locus(self, resolver: str) -> Locus:
        """Whose resolver it is."""
        if self.facts.at_home(resolver):
            return Locus.HOME
        if resolver in {c.address for c in self.facts.platform.controls}:
            return Locus.WELL_KNOWN
        return Locus.ISP if self.facts.asn(resolver) in self.isp else Locus.OUTSIDE

    def at(self, resolver: str, answers: list[Found[Answer]]) -> list[Found[Answer]]:
        """Those of `answers` that `resolver` gave or owes."""
        return [f for f in answers if f[1].lookup.resolver == resolver]

    @cached_property
    def _known_controls(self) -> frozenset[str]:
        """Names that have nothing to do with the platform and that any resolver knows."""
        return frozenset(a.lookup.name for _, a in self.facts.control_answers if self.kind(a) is Kind.GOOD)

    def works(self, resolver: str) -> bool | None:
        """Whether it knows a name that has nothing to do with the platform, or else one of the platform's.

        None: it answers, but nobody knows the names that it was asked for, so that nothing can be compared.
        """
        controls = self.at(resolver, self.facts.control_answers)
        comparable = [a for _, a in controls if a.lookup.name in self._known_controls]
        if comparable:
            return any(self.kind(a) is Kind.GOOD for a in comparable)
        if any(self.kind(a) is Kind.GOOD for _, a in self.at(resolver, self.facts.platform_answers)):
            return True
        return None if any(self.kind(a) in {Kind.NXDOMAIN, Kind.EMPTY} for _, a in controls) else False

    @cached_property
    def working(self) -> tuple[str, ...]:
        """The resolvers that work."""
        return tuple(r for r in (*self.facts.configured, *self.facts.independent) if self.works(r))

    @cached_property
    def known_names(self) -> frozenset[str]:
        """The platform's names that any resolver knows: a name that nobody knows is stale, and no fault."""
        return frozenset(a.lookup.name for _, a in self.facts.platform_answers if self.kind(a) is Kind.GOOD)

    @cached_property
    def contradicted(self) -> dict[str, list[Contradiction]]:
        """By configured resolver that works: its answers on the platform's names that are proved wrong.

        Proved by another resolver that works and has an address for the name, while this one denies it; or by the
        certificate: the one at this resolver's address is not the name's, the one at another's address is.
        """
        found: dict[str, list[Contradiction]] = {}
        for resolver in self.facts.configured:
            if resolver not in self.working:
                continue
            others = {
                a.lookup.name
                for _, a in self.facts.platform_answers
                if a.lookup.resolver != resolver and a.lookup.resolver in self.working and self.kind(a) is Kind.GOOD
            }
            for index, answer in self.at(resolver, self.facts.platform_answers):
                kind = self.kind(answer)
                if kind is Kind.BOGUS or (kind is not Kind.GOOD and answer.lookup.name in others):
                    found.setdefault(resolver, []).append(Contradiction(index, answer, kind))
                elif kind is Kind.GOOD and self._disproved(answer):
                    found.setdefault(resolver, []).append(Contradiction(index, answer, Kind.BOGUS))
        return found

    def _disproved(self, answer: Answer) -> bool:
        """Whether all addresses of `answer` are strangers': see `_strangers`."""
        return set(answer.addresses) <= self._strangers

    @cached_property
    def _strangers(self) -> frozenset[str]:
        """Addresses at which no certificate of any platform name was ever valid.

        But one was not, for a name that has a valid certificate at an address that another resolver gave.
        """
        proved_names = {name for _, name in self._proofs}
        proved_places = {address for address, _ in self._proofs}
        denied = {address for address, name in self._denials if name in proved_names}
        return frozenset(denied - proved_places)

    @cached_property
    def _proofs(self) -> set[tuple[str, str]]:
        edges = self.facts.edges.values()
        return {(e.address, r.fetch.handshake.server_name) for e in edges for _, r in e.fetches if r.handshaken.done}

    @cached_property
    def _denials(self) -> set[tuple[str, str]]:
        edges = self.facts.edges.values()
        return {
            (e.address, r.fetch.handshake.server_name)
            for e in edges
            for _, r in e.fetches
            if r.handshaken.error == "certificate"
        }

    @cached_property
    def distrusted(self) -> frozenset[str]:
        """Addresses that only a contradicted answer gave: what was measured there says nothing of the platform."""
        wrong = {x for rows in self.contradicted.values() for c in rows for x in c.answer.addresses}
        indices = {c.index for rows in self.contradicted.values() for c in rows}
        right = {
            x
            for i, a in self.facts.platform_answers
            if i not in indices and self.kind(a) is Kind.GOOD
            for x in a.addresses
        }
        nowhere = {e for e in self.facts.edges if leads_nowhere(e)}
        return frozenset((wrong - right) | nowhere)

    def made_at_home(self, resolver: str, wrong: list[Contradiction]) -> bool | None:
        """Whether a home resolver made these answers itself, or passed them on. None: cannot be told.

        Calm questions for names that nobody had asked for before say it best, where their answers are the same wrong
        ones; a denial of such a name may be true, so it proves nothing by being slow. Else the fastest answers of the
        burst count, which waited least for the others.
        """
        control = [a.rtt_s for _, a in self.at(resolver, self.facts.fresh_control) if a.rcode and a.rtt_s]
        calm = [a for _, a in self.at(resolver, self.facts.fresh_platform) if a.rtt_s]
        lies = {address for c in wrong for address in c.answer.addresses}
        same = [a.rtt_s for a in calm if a.rtt_s and lies.intersection(a.addresses)]
        denied = [a.rtt_s for a in calm if a.rtt_s and not a.addresses and self.kind(a) in {c.kind for c in wrong}]
        if control and (same or denied):
            told = self._local(same or denied, control)
            if same or told:
                return told
        others = [a for _, a in self.at(resolver, self.facts.control_answers) if self.kind(a) is Kind.GOOD]
        burst = [c.answer.rtt_s for c in wrong if c.answer.rtt_s]
        asked = [a.rtt_s for a in others if a.rtt_s]
        return self._local([min(burst)], [min(asked)] if asked else []) if burst else None

    def _local(self, made: list[float], asked: list[float]) -> bool | None:
        """Whether answers in `made` seconds were made at home, when ones that were asked for elsewhere take `asked`.

        A busy machine delays anything by some milliseconds, and never makes it faster: so the slowest but one of the
        former must be well before the fastest of the latter.
        """
        echoes = [x.reply.rtt_s for _, t in self.facts.gateway for x in t.exchanges if x.reply]
        slowest = sorted(made)[-2:][0]
        beyond = slowest - min(echoes, default=0.0)
        if not asked:
            if min(made) - max(echoes, default=0.0) > FORWARDED_MARGIN_S:
                return False
            return True if beyond <= LOCAL_MARGIN_S else None
        apart = min(asked) - slowest >= APART_S and slowest <= LOCAL_SHARE * min(asked)
        if apart and beyond <= LOCAL_AT_MOST_S:
            return True
        slow = min(made) - max(echoes, default=0.0) >= APART_S
        return False if slow and min(made) >= FORWARDED_SHARE * median(asked) else None
