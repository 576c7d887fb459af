"""Where packets die: the part of the way in which a path breaks, and what paths that work show beyond that place.

The last router that answered is a lower bound of the place, because the way back is unseen; what the paths that work
show beyond it says how tight the bound is.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from netprobe.diagnosis.facts import Destination, Facts, Found
from netprobe.model.probes import ICMP_UNREACHABLE, Path, Protocol, Reply, ReplyKind
from netprobe.model.rungs import keeps_flows
from netprobe.topology.addresses import network_of
from netprobe.topology.asn import Origin
from netprobe.topology.paths import TURNS, loop
from netprobe.topology.segments import Segment, Surroundings, same_organisation

#: RFC 1812, 5.2.7.1: codes by which a filter says that it is one: net, host, and communication prohibited.
PROHIBITED = frozenset({9, 10, 13})

MIXED_TURNS = 3  # rounds of a cycle for it to be one where branches of a balanced path may be mixed
RETURNS = 2  # times that a router must come again before it is called a cycle


@dataclass(frozen=True, slots=True)
class Step:
    """A router that answered: at which TTL, from which address, in which part of the way, and with what."""

    ttl: int
    address: str
    segment: Segment
    reply: Reply


@dataclass(frozen=True, slots=True)
class Break:
    """Where the way to one destination ends. `last` is None when nobody answered at all. `loop` holds the members."""

    destination: Destination
    index: int
    last: Step | None
    loop: tuple[Step, ...] = ()

    @property
    def segment(self) -> Segment:
        """The part of the way in which the last router that answered stands."""
        return self.last.segment if self.last else Segment.UNKNOWN

    @property
    def ttl(self) -> int:
        """How far out it is; 0 where nobody answered."""
        return self.last.ttl if self.last else 0

    @property
    def address(self) -> str:
        """The last router that answered; empty where nobody did."""
        return self.last.address if self.last else ""

    @property
    def block(self) -> str:
        """The network around the destination that is announced at the least."""
        return network_of(self.destination.address)

    @property
    def told(self) -> bool:
        """A router said that it cannot hand the packet on, instead of being silent."""
        return self.last is not None and self.last.reply.kind is ReplyKind.UNREACHABLE

    @property
    def key(self) -> tuple[str, bool]:
        """What breaks share that have the same place and the same manner."""
        if self.loop:
            return (" ".join(sorted(s.address for s in self.loop)), False)
        return (self.address, self.told)


class Paths:
    """What the paths of one survey show together."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.surroundings = Surroundings(
            [p for _, p in facts.all_paths],
            facts.origin,
            gateway=facts.host.gateway if facts.host else "",
            own=facts.own_addresses,
            resolvers=facts.configured,
            platform=facts.platform,
        )
        self._steps: dict[int, tuple[Step, ...]] = {}

    def steps(self, index: int, path: Path) -> tuple[Step, ...]:
        """The routers that answered on the path of observation `index`, in order of TTL.

        The own machine's messages and the destination's are left out.
        """
        if index not in self._steps:
            self._steps[index] = tuple(self._walk(path))
        return self._steps[index]

    def _walk(self, path: Path) -> list[Step]:
        found: list[Step] = []
        networks: list[Origin] = []
        for hop, place in zip(path.hops, self.surroundings.places(path), strict=True):
            segment = place.segment
            if (
                segment is Segment.UNKNOWN
                and place.origin
                and any(not same_organisation(n, place.origin) for n in networks)
            ):
                segment = Segment.TRANSIT  # whoever the provider is, it stands before another network
            if place.origin and not place.origin.exchange:
                networks.append(place.origin)
            for exchange in hop.exchanges:
                reply = exchange.reply
                if reply is None or reply.from_destination or not reply.source:
                    continue
                if reply.source in self.facts.own_addresses or reply.kind is ReplyKind.SEND_FAILED:
                    continue
                at_home = self.facts.at_home(reply.source)
                found.append(Step(hop.ttl, reply.source, Segment.HOME if at_home else segment, reply))
                break
        return found

    @cached_property
    def isp(self) -> frozenset[int]:
        """The numbers of the provider's networks; empty when the paths do not show them beyond doubt."""
        return self.surroundings.isp

    def segment_of(self, address: str) -> Segment:
        """In which part of the ways the router at `address` stands, as most of the paths that show it say."""
        if not address or self.facts.at_home(address):
            return Segment.HOME
        steps = [s for i, p in self.facts.all_paths for s in self.steps(i, p) if s.address == address]
        if steps:
            return Counter(s.segment for s in steps).most_common(1)[0][0]
        return Segment.ISP if self.facts.asn(address) in self.isp else Segment.UNKNOWN

    def break_of(self, destination: Destination) -> Break | None:
        """Where the way to `destination` ends; None when it was not traced or the trace got there."""
        tcp = [p for _, p in destination.paths if p.flow.protocol is not Protocol.ICMP]
        lost = [(i, p) for i, p in destination.paths if not p.reached]
        if not lost or any(p.reached for p in tcp):
            return None
        index, path = max(lost, key=lambda way: (self._farthest(*way), -way[0]))
        steps = self.steps(index, path)
        # Without a constant flow a load balancer may show a router again on a longer branch.
        constant = keeps_flows(self.facts.footing, path.flow.protocol)
        members = loop(path, turns=TURNS if constant else MIXED_TURNS) or _returns(steps)
        if members:
            circle = tuple(next(s for s in steps if s.address == a) for a in members)
            return Break(destination, index, steps[-1], circle)
        last = self._last(steps)
        if last is not None and last.segment is Segment.TRANSIT and self._serves(last.address, destination):
            last = Step(last.ttl, last.address, Segment.DESTINATION, last.reply)
        return Break(destination, index, last)

    def _last(self, steps: tuple[Step, ...]) -> Step | None:
        """The last router that answered, where it first did, with what it said in the end.

        A router that cannot hand packets on says "time exceeded" to those that expire there, and "unreachable" to those
        that should go on.
        """
        first = next((s for s in steps if s.address == steps[-1].address), None)
        return Step(first.ttl, first.address, first.segment, steps[-1].reply) if first else None

    def _serves(self, router: str, destination: Destination) -> bool:
        """Whether a router belongs to whoever delivers `destination`, though the numbers of their networks differ.

        One organisation, or a CDN's router in front of its server in somebody else's network.
        """
        network = self.facts.network(router)
        if network and network in {destination.network, destination.claimed}:
            return True
        one, other = self.facts.origin(router), self.facts.origin(destination.address)
        return one is not None and other is not None and same_organisation(one, other)

    def filters(self, destination: Destination) -> frozenset[str]:
        """The routers beyond the home that said that they filter what was sent to `destination`.

        On a path such a message may be missing, because the router's limit on ICMP errors was used up by the time
        exceeded before; so the trains count too.
        """
        exchanges = [x for _, train in destination.trains for x in train.exchanges]
        exchanges += [x for _, path in destination.paths for hop in path.hops for x in hop.exchanges]
        replies = [x.reply for x in exchanges if x.reply and _prohibits(x.reply)]
        return frozenset(r.source for r in replies if not self.facts.at_home(r.source))

    def _farthest(self, index: int, path: Path) -> int:
        steps = self.steps(index, path)
        return steps[-1].ttl if steps else 0

    @cached_property
    def passing(self) -> list[Found[Path]]:
        """Paths that reached their destination."""
        return [(i, p) for i, p in self.facts.all_paths if p.reached]

    def carried(self, address: str) -> set[str]:
        """The destinations that are reached through the router at `address`."""
        return {p.flow.destination for i, p in self.passing if any(s.address == address for s in self.steps(i, p))}

    def beyond(self, address: str) -> list[tuple[Step, ...]]:
        """On each path that works and leads through `address`: the router itself and those that answered behind it."""
        found = []
        for index, path in self.passing:
            steps = self.steps(index, path)
            at = next((n for n, s in enumerate(steps) if s.address == address), None)
            if at is not None:
                found.append(steps[at:])
        return found

    @cached_property
    def life_beyond_gateway(self) -> tuple[int, ...]:
        """Observations in which anybody beyond the home answered."""
        facts = self.facts
        found = [i for i, p in facts.all_paths if any(s.segment is not Segment.HOME for s in self.steps(i, p))]
        found += [i for i, p in self.passing if not facts.at_home(p.flow.destination)]
        for destination in (*facts.edges.values(), *facts.controls.values()):
            if destination.answers:
                found += destination.facts
        answers = (*facts.platform_answers, *facts.control_answers)
        found += [i for i, a in answers if a.rcode and not facts.at_home(a.lookup.resolver)]
        return tuple(sorted(set(found)))


def _prohibits(reply: Reply) -> bool:
    return reply.icmp_type == ICMP_UNREACHABLE and reply.icmp_code in PROHIBITED


def _returns(steps: tuple[Step, ...]) -> tuple[str, ...]:
    """The members of a cycle of which some are silent.

    A router that comes again RETURNS times, never twice in a row, and whoever answers in between. The flow is constant,
    so load balancing cannot look like this.
    """
    seen: dict[str, list[int]] = {}
    for step in steps:
        if step.reply.kind is ReplyKind.TIME_EXCEEDED:
            seen.setdefault(step.address, []).append(step.ttl)
    for ttls in seen.values():
        apart = all(b - a > 1 for a, b in pairwise(ttls))
        if len(ttls) > RETURNS and apart:
            return tuple(dict.fromkeys(s.address for s in steps if s.ttl >= ttls[0]))
    return ()
