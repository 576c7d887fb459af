"""Is it loss, how much, and on whose part of the way? Asked only where probes that ought to be answered were not.

One unanswered probe says nothing. So several destinations that differ in where they are, and the home router, are asked
again, calmly and at the same time: what they have in common and what the clean ones have not is where packets get lost.
A destination that limits its answers has lost nothing either: one that is alone with its silence is asked at other
rates before it counts. Then the hops are counted of the way that loses most, as far as no clean one goes through them:
routers limit their answers, but one that answers nearly all stands before the loss.

Three SYNs to a place do not show that it loses one packet in seven. Where nothing failed, the networks of the platform
are asked more (`ask_more`) before anybody says that all is well.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec.structs import replace

from netprobe.model.probes import RETRANSMITTED_S, Flow, Path, Protocol, Train
from netprobe.model.report import Observation
from netprobe.model.services import Response
from netprobe.model.targets import Control, Edge
from netprobe.probing.loss import is_significant
from netprobe.probing.observe import Observe
from netprobe.probing.questions import HTTPS, steadily
from netprobe.probing.rate_limit import RateLimitSession
from netprobe.probing.rounds import Rounds
from netprobe.probing.run import Plan, Session
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.train import TrainSession
from netprobe.topology.addresses import network_of

COUNT, INTERVAL_S = 50, 0.2  # to each destination: five a second
SYNS_AGAIN, SYNS_INTERVAL_S, _SYNS_LABEL = 120, 0.1, 160  # and to those that lost SYNs, faster
HOP_COUNT, HOP_INTERVAL_S = 60, 0.2  # to each hop of one way
HOPS = 8  # of it, from the home on
MORE_COUNT, MORE_INTERVAL_S, _MORE_LABEL = 24, 0.03, 300  # SYNs to each network of the platform where nothing failed
EDGES, CONTROLS = 6, 3
TESTED, BESIDE = 4, 3  # destinations that lose and are asked at other rates, and those that do not
_LOST = 3  # unanswered probes that are worth a look,
_LOST_AT_ONE = 2  # or so many in one network
_RATE, _FACTORS, _SENT = 5.0, (4.0, 0.25), (60, 12)  # faster and slower than they were asked before
_OWN_FACTORS, _OWN_SENT = (4.0,), (150,)  # the own home router may be asked more: it decides who is called

_COUNTED = ("edge.loss", "control.loss")

#: What kind of destination it is, the name it is known by, and its address.
Place = tuple[str, str, str]


class HopRounds(Rounds):
    """Rounds over some hops of one path, whose result is the whole path with all that was counted."""

    def __init__(self, path: Path, ttls: Collection[int], *, count: int, interval_s: float) -> None:
        self._whole = path
        asked = tuple(hop for hop in path.hops if hop.ttl in ttls)
        super().__init__([replace(path, hops=asked, reached=False)], count=count, interval_s=interval_s)

    def result(self) -> Path:  # type: ignore[override]  # one path in, one path out
        """The path."""
        counted = super().result()[0].path
        hops = {hop.ttl: hop for hop in counted.hops}
        whole = self._whole
        return replace(whole, hops=tuple(hops.get(h.ttl, h) for h in whole.hops), probes_sent=counted.probes_sent)


def losing(found: Sequence[Observation]) -> Counter[str]:
    """Lost probes by address, of the kind that the address does answer; a late connection counts as one.

    An echo that is not answered counts where SYNs are not: servers limit their echo replies.
    """
    trains = [o.fact for o in found if isinstance(o.fact, Train) and o.fact.answered]
    by_syns = {train.destination for train in trains if train.protocol is Protocol.TCP}
    lost: Counter[str] = Counter()
    for train in trains:
        if train.protocol is Protocol.TCP or train.destination not in by_syns:
            lost[train.destination] += train.lost
    for response in (o.fact for o in found if isinstance(o.fact, Response)):
        if (response.handshaken.connect_s or 0.0) > RETRANSMITTED_S:  # a SYN was lost
            lost[response.fetch.handshake.address] += 1
    return +lost


def worth_a_look(lost: Counter[str]) -> bool:
    """Whether so much was lost that it is hardly chance."""
    networks: Counter[str] = Counter()
    for address, count in lost.items():
        networks[network_of(address, wide=True)] += count
    return lost.total() >= _LOST or max(networks.values(), default=0) >= _LOST_AT_ONE


def count_losses(
    found: Sequence[Observation], edges: Sequence[Edge], controls: Sequence[tuple[Control, str]], gateway: str
) -> Plan[list[Observation]]:
    """Count what is lost to places that differ in where they are; nothing where hardly anything was."""
    lost = losing(found)
    if not worth_a_look(lost):
        return []
    answers = {(o.fact.protocol, o.fact.destination) for o in found if isinstance(o.fact, Train) and o.fact.answered}
    there = {address for _, address in answers}
    places = spread([("edge", e.name, e.address) for e in edges if e.address in there], lost)[:EDGES]
    places += spread([("control", c.name, a) for c, a in controls if a in there], lost)[:CONTROLS]
    ways = {o.fact.flow.destination: o.fact for o in found if isinstance(o.fact, Path) and o.fact.reached}
    batch: list[Session[Observation]] = []
    for what, name, address in places:
        if address not in ways or not all(hop.addresses for hop in ways[address].hops):  # a hole may be loss
            batch.append(Observe(f"{what}.path", name, Traceroute(Flow(Protocol.TCP, address, HTTPS))))
        # Who limits echo replies answers SYNs all the same, and SYNs are what the platform lives on.
        protocol = Protocol.TCP if (Protocol.TCP, address) in answers else Protocol.ICMP
        batch.append(Observe(f"{what}.loss", name, _calm(protocol, address)))
    if (Protocol.ICMP, gateway) in answers:
        batch.append(Observe("gateway.loss", gateway, _calm(Protocol.ICMP, gateway)))
    looked: list[Observation] = yield batch
    looked += yield [*_at_other_rates(looked), *_hops(places, [*found, *looked])]
    return looked


def ask_more(found: Sequence[Observation], edges: Sequence[Edge]) -> Iterable[Session[Observation]]:
    """More SYNs to one address of each network of the platform: is a packet lost now and then?

    Only where every place of it answers SYNs, and no loss of them has been seen that is looked into anyhow.
    """
    trains = [o.fact for o in found if o.purpose == "edge.train" and isinstance(o.fact, Train)]
    if not all(t.answered for t in trains if t.protocol is Protocol.TCP) or worth_a_look(losing(found)):
        return
    served = {o.fact.fetch.handshake.address for o in found if isinstance(o.fact, Response) and o.fact.handshaken.done}
    each = {network_of(e.address, wide=True): e for e in reversed(edges) if e.address in served}
    for edge in reversed(each.values()):
        more = steadily(
            Protocol.TCP, edge.address, count=MORE_COUNT, interval_s=MORE_INTERVAL_S, first_label=_MORE_LABEL
        )
        yield Observe("edge.train", edge.name, more)


def _hops(places: Sequence[Place], found: Sequence[Observation]) -> Iterable[Session[Observation]]:
    """The hops of the way that surely loses most, from where it parts from the ways that lose nothing."""
    counts = {o.fact.destination: o.fact for o in found if o.purpose in _COUNTED and isinstance(o.fact, Train)}
    lost = {address: train.lost for address, train in counts.items()}
    lossy = [p for p in places if p[2] in lost and is_significant(lost[p[2]], len(counts[p[2]].exchanges))]
    ways = {o.fact.flow.destination: o.fact for o in found if isinstance(o.fact, Path) and o.fact.reached}
    worst = max((p for p in lossy if p[2] in ways), key=lambda p: lost[p[2]], default=None)
    if worst is None:
        return
    what, name, address = worst
    clean = [ways[a] for a in counts if a in ways and a not in {p[2] for p in lossy}]
    passed = {router for way in clean for hop in way.hops for router in hop.addresses}
    way = ways[address]
    asked = [h.ttl for h in way.hops if h.addresses and address not in h.addresses and not passed & set(h.addresses)]
    rounds = HopRounds(way, asked[:HOPS], count=HOP_COUNT, interval_s=HOP_INTERVAL_S)
    yield Observe(f"{what}.loss.path", name, rounds)


def _calm(protocol: Protocol, address: str) -> TrainSession:
    return steadily(protocol, address, count=COUNT, interval_s=INTERVAL_S)


def _at_other_rates(looked: Sequence[Observation]) -> Iterable[Session[Observation]]:
    """Destinations that lose while others do not, at other rates; the home router, where most do, and who does not."""
    counted = [(o, o.fact) for o in looked if o.purpose in _COUNTED and isinstance(o.fact, Train)]
    lossy = [(o, t) for o, t in counted if is_significant(t.lost, len(t.exchanges))]
    most_lose = 2 * len(lossy) > len(counted)
    if most_lose:
        gateways = [(o, o.fact) for o in looked if o.purpose == "gateway.loss" and isinstance(o.fact, Train)]
        yield from (_test(o, train, _OWN_FACTORS, _OWN_SENT) for o, train in gateways)
    if len(lossy) == len(counted):
        return
    # Those that look clean may have been lucky, where most lose; and what comes in bursts has to be counted beside.
    clean = [pair for pair in counted if pair not in lossy]
    limits = (len(lossy), len(clean)) if most_lose else (TESTED, BESIDE)
    for group, limit in zip((lossy, clean), limits, strict=True):
        each = {network_of(train.destination, wide=True): (o, train) for o, train in reversed(group)}
        yield from (_test(o, train, _FACTORS, _SENT) for o, train in list(each.values())[::-1][:limit])


def _test(counted: Observation, train: Train, factors: Sequence[float], sent: Sequence[int]) -> Observe:
    """So many echo requests at `factors` of the rate at which `train` was sent; of SYNs, which nobody limits, more."""
    if train.protocol is Protocol.TCP:
        to = train.destination
        again = steadily(Protocol.TCP, to, count=SYNS_AGAIN, interval_s=SYNS_INTERVAL_S, first_label=_SYNS_LABEL)
        return Observe(counted.purpose, counted.subject, again)
    flow = Flow(Protocol.ICMP, train.destination)
    test = RateLimitSession(flow, 64, rate=_RATE, factors=factors, fewest=sent, most=sent)
    return Observe(f"{counted.purpose.partition('.')[0]}.rate", counted.subject, test)


def spread(places: Sequence[Place], lost: Mapping[str, int]) -> list[Place]:
    """One place a network, those that lost most first; then the rest."""
    ranked = sorted({place[2]: place for place in reversed(places)}.values(), key=lambda place: -lost.get(place[2], 0))
    first = {network_of(place[2], wide=True): place for place in reversed(ranked)}.values()
    return [p for p in ranked if p in first] + [p for p in ranked if p not in first]
