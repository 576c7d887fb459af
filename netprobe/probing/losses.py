"""Is it loss, how much, and on whose part of the way? Asked only where probes that ought to be answered were not.

One unanswered probe says nothing. So several destinations that differ in where they are, and the home router, are asked
again, calmly and at the same time: what they have in common and what the clean ones have not is where packets get lost.
Hops say less, because routers limit their answers; the hops of one way are counted beside it. A destination that limits
its answers has lost nothing either: one that is alone with its silence is asked at other rates before it counts.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from netprobe.model.probes import Flow, Path, Protocol, Train
from netprobe.model.report import Observation
from netprobe.model.services import Response
from netprobe.model.targets import Control, Edge
from netprobe.probing.loss import is_significant
from netprobe.probing.observe import Observe
from netprobe.probing.questions import HTTPS
from netprobe.probing.rate_limit import RateLimitSession
from netprobe.probing.rounds import Rounds
from netprobe.probing.run import Plan, Session
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.train import TrainSession
from netprobe.topology.addresses import network_of

COUNT, INTERVAL_S = 50, 0.2  # to each destination: five a second
HOP_COUNT, HOP_INTERVAL_S = 12, 0.8  # to each hop of one way, the slower for ICMP limits
EDGES, CONTROLS = 6, 3
TESTED = 4  # destinations that are asked at other rates
_LOST = 3  # unanswered probes that are worth a look,
_LOST_AT_ONE = 2  # or so many in one network
_RETRANSMITTED_S = 0.95  # a connection that took longer has lost a SYN (RFC 6298, 2.1: again after a second)
_RATE, _FACTORS, _SENT = 5.0, (4.0, 0.25), (60, 12)  # faster and slower than they were asked before
_OWN_FACTORS, _OWN_SENT = (4.0,), (150,)  # the own home router may be asked more: it decides who is called

_COUNTED = ("edge.loss", "control.loss")

#: What kind of destination it is, the name it is known by, and its address.
Place = tuple[str, str, str]


class HopRounds(Rounds):
    """Rounds over one path, whose result is the path with all that was counted."""

    def result(self) -> Path:  # type: ignore[override]  # one path in, one path out
        """The path."""
        return super().result()[0].path


def losing(found: Sequence[Observation]) -> Counter[str]:
    """Lost probes by address, of the kind that the address does answer; a late connection counts as one."""
    lost: Counter[str] = Counter()
    for o in found:
        if isinstance(o.fact, Train) and o.fact.answered:
            lost[o.fact.destination] += sum(x.reply is None for x in o.fact.exchanges)
        elif isinstance(o.fact, Response) and (o.fact.handshaken.connect_s or 0.0) > _RETRANSMITTED_S:
            lost[o.fact.fetch.handshake.address] += 1
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
    places = _spread([("edge", e.name, e.address) for e in edges if e.address in there], lost)[:EDGES]
    places += _spread([("control", c.name, a) for c, a in controls if a in there], lost)[:CONTROLS]
    ways = {o.fact.flow.destination: o.fact for o in found if isinstance(o.fact, Path) and o.fact.reached}
    batch: list[Session[Observation]] = []
    for what, name, address in places:
        if address not in ways or not all(hop.addresses for hop in ways[address].hops):  # a hole may be loss
            batch.append(Observe(f"{what}.path", name, Traceroute(Flow(Protocol.TCP, address, HTTPS))))
        protocol = Protocol.ICMP if (Protocol.ICMP, address) in answers else Protocol.TCP
        batch.append(Observe(f"{what}.loss", name, _calm(protocol, address)))
    if (Protocol.ICMP, gateway) in answers:
        batch.append(Observe("gateway.loss", gateway, _calm(Protocol.ICMP, gateway)))
    worst = next((place for place in places if place[2] in ways), None)
    if worst:
        rounds = HopRounds([ways[worst[2]]], count=HOP_COUNT, interval_s=HOP_INTERVAL_S)
        batch.append(Observe(f"{worst[0]}.loss.path", worst[1], rounds))
    looked: list[Observation] = yield batch
    looked += yield list(_at_other_rates(looked))
    return looked


def _calm(protocol: Protocol, address: str) -> TrainSession:
    port = 0 if protocol is Protocol.ICMP else HTTPS
    return TrainSession(protocol, address, port=port, count=COUNT, interval_s=INTERVAL_S)


def _at_other_rates(looked: Sequence[Observation]) -> Iterable[Session[Observation]]:
    """Destinations that lose while others do not, at other rates; the home router, where all lose."""
    counted = [(o, o.fact) for o in looked if o.purpose in _COUNTED and isinstance(o.fact, Train)]
    lossy = [(o, t) for o, t in counted if is_significant(len(t.exchanges) - t.answered, len(t.exchanges))]
    if len(lossy) == len(counted):
        gateways = [(o, o.fact) for o in looked if o.purpose == "gateway.loss" and isinstance(o.fact, Train)]
        yield from (_test(o, train, _OWN_FACTORS, _OWN_SENT) for o, train in gateways)
        return
    echoes = [(o, t) for o, t in lossy if t.protocol is Protocol.ICMP]
    each = {network_of(train.destination, wide=True): (o, train) for o, train in reversed(echoes)}
    yield from (_test(o, train, _FACTORS, _SENT) for o, train in list(each.values())[::-1][:TESTED])


def _test(counted: Observation, train: Train, factors: Sequence[float], sent: Sequence[int]) -> Observe:
    """So many echo requests at `factors` of the rate at which `train` was sent."""
    flow = Flow(Protocol.ICMP, train.destination)
    test = RateLimitSession(flow, 64, rate=_RATE, factors=factors, fewest=sent, most=sent)
    return Observe(f"{counted.purpose.partition('.')[0]}.rate", counted.subject, test)


def _spread(places: Sequence[Place], lost: Counter[str]) -> list[Place]:
    """One place a network, those that lost most first; then the rest."""
    ranked = sorted({place[2]: place for place in reversed(places)}.values(), key=lambda place: -lost[place[2]])
    first = {network_of(place[2], wide=True): place for place in reversed(ranked)}.values()
    return [p for p in ranked if p in first] + [p for p in ranked if p not in first]
