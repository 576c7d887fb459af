"""Whose part of a path a hop lies in: home, ISP, transit, exchange, destination.

An address says who numbers an interface, not who owns the router, and a router answers with the address of the
interface that it likes (third-party addresses; Marder et al., bdrmapIT, IMC 2018). So a hop is placed by its neighbours
as well as by its own address, and the user's ISP by all paths together. All of it is heuristic, and where the evidence
does not do, a hop is UNKNOWN: its place in the order is still there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from netprobe.model.probes import Hop, Path
from netprobe.model.record import Record
from netprobe.model.targets import Platform
from netprobe.topology.addresses import is_private, is_public, is_shared, network_of
from netprobe.topology.asn import Origin

OriginOf = Callable[[str], Origin | None]


class Segment(StrEnum):
    """The parts of a path, in the order in which a packet crosses them."""

    HOME = "home"
    ISP = "isp"
    TRANSIT = "transit"
    EXCHANGE = "exchange"
    DESTINATION = "destination"
    UNKNOWN = "unknown"


class Place(Record, frozen=True):
    """Where a hop lies. `address` is empty for a silent hop. `origin` is the network that it is taken to belong to.

    `inferred` says that `origin` was concluded from the neighbours, and not from the address itself.
    """

    ttl: int
    address: str
    segment: Segment
    origin: Origin | None = None
    inferred: bool = False


#: Silent hops that may stand between the home and the first network that is seen, for that to count as the provider.
_SILENT_BEFORE_PROVIDER = 1


class _Entry(NamedTuple):
    """The first network that a path enters, after so many silent hops."""

    origin: Origin
    silent: int


class Surroundings:
    """The networks around the user, as all paths of one round show them together.

    `gateway` is the default route's next hop, empty on a point-to-point link. `own` are the machine's own addresses:
    what it says to itself ("no route to host") is no hop. `resolvers` are the configured ones: an ISP usually runs its
    own. `platform` says which networks belong together at the far end.

    `provider` is the user's ISP, None when the paths do not show it beyond doubt; then no hop is taken for the ISP's or
    for a transit network's. `isp` are the numbers of all networks that are the provider's.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        origin: OriginOf,
        *,
        gateway: str = "",
        own: Iterable[str] = (),
        resolvers: Iterable[str] = (),
        platform: Platform | None = None,
    ) -> None:
        self._origin = origin
        self._gateway = gateway
        self._own_addresses = frozenset(own)
        self._attached = is_public(gateway) and any(map(is_public, self._own_addresses))
        self._resolvers = tuple(resolvers)
        self._platform = platform
        self._paths = tuple(paths)
        self._learnt: dict[str, Origin] = {}
        self._learn()
        self.provider = self._vote()
        self.isp = frozenset(self._siblings())

    def places(self, path: Path) -> tuple[Place, ...]:
        """Every hop of `path` with the segment that it lies in."""
        home = self._home(path)
        far = self._far_end(path.flow.destination)
        owners = self._owners(path, home)
        places = []
        for index, (hop, (origin, inferred)) in enumerate(zip(path.hops, owners, strict=True)):
            if index < home:
                segment = Segment.HOME
            elif _from_destination(hop):
                segment = Segment.DESTINATION
            elif origin is None:
                # RFC 6598: shared addresses lie between a subscriber and the provider's NAT, whoever that is.
                segment = Segment.ISP if is_shared(self._address(hop)) else Segment.UNKNOWN
            else:
                segment = self._segment(origin, far)
            places.append(Place(hop.ttl, self._address(hop), segment, origin, inferred))
        return tuple(places)

    def _segment(self, origin: Origin, far: frozenset[int]) -> Segment:
        if origin.exchange:
            return Segment.EXCHANGE
        if origin.asn in self.isp:
            return Segment.ISP
        if origin.asn in far:
            return Segment.DESTINATION
        return Segment.TRANSIT if self.provider else Segment.UNKNOWN

    def _home(self, path: Path) -> int:
        """How many hops from the first on are the user's own.

        The first is the gateway whatever address it answers from; a machine that has a public address itself has the
        provider's. Behind it, addresses of the kind that home routers give out (192.168/16, or the gateway's own /24)
        are a second router at home; other private ones are the ISP's.
        """
        if not self._gateway or self._attached:
            return 0
        home = min(1, len(path.hops))
        for index, hop in enumerate(path.hops[1:], 1):
            address = self._address(hop)
            if _from_destination(hop):
                break
            if address.startswith("192.168.") or (
                is_private(address) and network_of(address) == network_of(self._gateway)
            ):
                home = index + 1
            elif address:
                break
        return home

    def _owners(self, path: Path, home: int) -> list[tuple[Origin | None, bool]]:
        """The network of each hop, and whether that was inferred."""
        own = [self._own(hop) for hop in path.hops]
        owners: list[tuple[Origin | None, bool]] = []
        before: Origin | None = None
        for index, hop in enumerate(path.hops):
            owner = own[index]
            if index >= home and not _from_destination(hop):
                owner = self._owner(hop, owner, before, _first(own[index + 1 :]))
                before = owner or before
            owners.append((owner, owner != own[index]))
        return owners

    def _owner(self, hop: Hop, own: Origin | None, before: Origin | None, after: Origin | None) -> Origin | None:
        """The network of a hop between hops of `before` and `after`."""
        if own is not None and own.exchange:
            return own
        if before and after and before.asn == after.asn and not before.exchange:
            # A, something, A: a router of A that is silent, numbered privately, or has a third party's address.
            return before
        address = self._address(hop)
        if own is None and (is_private(address) or is_shared(address)):
            # Links between networks have public addresses. So this router was entered by a link inside one network, and
            # that is the network of the hop before.
            inside = before or self.provider
            return inside if inside and not inside.exchange else None
        return own or self._learnt.get(address)

    def _own(self, hop: Hop) -> Origin | None:
        """The network that announces the address of the hop."""
        return self._origin(self._address(hop))

    def _address(self, hop: Hop) -> str:
        """The address that stands for the hop, empty for a silent one."""
        return next((address for address in hop.addresses if address not in self._own_addresses), "")

    def _far_end(self, destination: str) -> frozenset[int]:
        """The numbers of the networks that count as the destination's own: its AS and those of the same operator."""
        origin = self._origin(destination)
        if origin is None:
            return frozenset()
        groups = (self._platform.own_asns, *self._platform.cdn_asns.values()) if self._platform else ()
        return frozenset(next((asns for asns in groups if origin.asn in asns), (origin.asn,)))

    def _learn(self) -> None:
        """Public addresses that nobody announces, but that some path shows between two hops of one network."""
        for path in self._paths:
            own = [self._own(hop) for hop in path.hops]
            for index, hop in enumerate(path.hops):
                before, after = _first(reversed(own[:index])), _first(own[index + 1 :])
                unannounced = own[index] is None and is_public(self._address(hop))
                if unannounced and before and after and before.asn == after.asn and not before.exchange:
                    self._learnt[self._address(hop)] = before

    def _vote(self) -> Origin | None:
        """The network that most paths enter first; None when that may be another than the provider.

        A path straight into its destination's network says nothing about who brought it there and has no vote. Silence
        in front of the network may hide the real provider; so some path must show it almost directly behind the home,
        or one of the configured resolvers must live in it.
        """
        entries = [(self._entry(path), self._far_end(path.flow.destination)) for path in self._paths]
        votes = [entry for entry, far in entries if entry and entry.origin.asn not in far]
        if not votes:
            return None
        ((asn, count),) = Counter(entry.origin.asn for entry in votes).most_common(1)
        chosen = [entry for entry in votes if entry.origin.asn == asn]
        near = min(entry.silent for entry in chosen) <= _SILENT_BEFORE_PROVIDER
        runs_resolver = any(o.asn == asn for o in map(self._origin, self._resolvers) if o)
        if 2 * count <= len(votes) or not (near or runs_resolver) or self._begins_beside_others(chosen[0].origin):
            return None
        return chosen[0].origin

    def _begins_beside_others(self, provider: Origin) -> bool:
        """Whether some path shows another network as near as this one: then whoever leads to both comes before."""
        rows = [[self._own(hop) for hop in path.hops] for path in self._paths]
        places = [n for row in rows for n, origin in enumerate(row) if origin and origin.asn == provider.asn]
        begin = min(places, default=-1)
        near = [origin for row in rows for origin in row[: begin + 1] if origin]
        return any(not same_organisation(origin, provider) for origin in near)

    def _entry(self, path: Path) -> _Entry | None:
        """The first network beyond the home, and how many hops before it stayed silent.

        A silent hop is filled in from the other paths where those that show it agree. A public address that nobody
        announces weighs more than silence: somebody is nearer than all that the table knows.
        """
        silent = 0
        home = self._home(path)
        for index, hop in enumerate(path.hops[home:], home):
            address = self._address(hop)
            if _from_destination(hop):
                return None
            origin = self._origin(address) if address else self._agreed(index)
            if origin and not origin.exchange:
                return _Entry(origin, silent)
            if not address or is_public(address):
                silent += 1 if not address else 1 + _SILENT_BEFORE_PROVIDER
        return None

    def _agreed(self, index: int) -> Origin | None:
        """The network of the hop at `index` if all paths that show one there name the same."""
        hops = [p.hops[index] for p in self._paths if index < len(p.hops) and not _from_destination(p.hops[index])]
        origins = {origin.asn: origin for origin in map(self._own, hops) if origin}
        return next(iter(origins.values())) if len(origins) == 1 else None

    def _siblings(self) -> Iterator[int]:
        """The provider's number, and those of its organisation's other networks that paths cross directly behind it."""
        if self.provider is None:
            return
        yield self.provider.asn
        for path in self._paths:
            for origin in filter(None, map(self._own, path.hops[self._home(path) :])):
                if not same_organisation(origin, self.provider):
                    break
                yield origin.asn


#: First words that many organisations share: only together with the second do they name one.
# fmt: off
_COMMON_WORDS = frozenset({
    "american", "asia", "british", "china", "deutsche", "east", "european", "first", "global", "hong", "india",
    "internet", "japan", "korea", "level", "national", "net", "new", "nordic", "north", "pt", "royal", "singapore",
    "south", "state", "telecom", "telefonica", "telekom", "the", "uk", "united", "university", "us", "west", "world",
})
# fmt: on


def same_organisation(one: Origin, other: Origin) -> bool:
    """Whether two networks belong to one organisation, by their names. Heuristic: groups with many names are missed."""
    if one.asn == other.asn:
        return True
    words, others = _words(one.name), _words(other.name)
    count = 2 if words[:1] and words[0] in _COMMON_WORDS else 1
    return len(words) >= count and words[:count] == others[:count]


def _words(name: str) -> list[str]:
    return [word.strip("().\"'") for word in name.casefold().replace(",", " ").replace("-", " ").split()]


def _from_destination(hop: Hop) -> bool:
    return any(x.reply is not None and x.reply.from_destination for x in hop.exchanges)


def _first(origins: Iterable[Origin | None]) -> Origin | None:
    return next(filter(None, origins), None)
