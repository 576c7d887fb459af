"""Does anything wait in a queue? Asked only where nothing beyond the home router answers soon, or some answer unevenly.

A queue that is kept full grows and shrinks with those who fill it: round trips through it change all the time, and
never are as short as the way. So several places and the home router are asked at the same time for some seconds, and
beside it every hop of one way: whoever is near must answer soon, unless something waits in front of all of them.
"""

from collections.abc import Iterator, Sequence
from statistics import median

from netprobe.model.probes import RETRANSMITTED_S, Exchange, Path, Protocol, Train
from netprobe.model.report import Observation
from netprobe.model.services import Response
from netprobe.model.targets import Control, Edge
from netprobe.probing.losses import HopRounds, spread
from netprobe.probing.observe import Observe
from netprobe.probing.questions import steadily
from netprobe.probing.run import Plan, Session
from netprobe.probing.train import TrainSession
from netprobe.topology.addresses import is_of_homes

COUNT, INTERVAL_S = 40, 0.15  # to each place
HOP_COUNT, HOP_INTERVAL_S = 10, 0.6  # to each hop of one way: routers answer few
EDGES, CONTROLS = 4, 3
CHANGES_S, _BEYOND = 0.012, 3.0  # of one place's answers: seconds, and times as much as usual here
NEAR_S = 0.1  # there and back to the nearest router behind a home's: hardly any line takes longer (satellites do)


def measure_delays(
    found: Sequence[Observation], edges: Sequence[Edge], controls: Sequence[tuple[Control, str]], gateway: str
) -> Plan[list[Observation]]:
    """Ask for some seconds, where nothing beyond the home router has answered soon, or some take longer at times."""
    took = _round_trips(found, gateway)
    beyond = [min(times) for address, times in took.items() if address != gateway and times]
    changes = _changes(found)
    usual = max(median(changes.values()), changes.get(gateway, 0.0)) if changes else 0.0
    alone = [address for address, change in changes.items() if change > max(CHANGES_S, _BEYOND * usual)]
    if not beyond or (min(beyond) < NEAR_S and not alone):
        return []
    there = {o.fact.destination for o in found if isinstance(o.fact, Train) and o.fact.answered}
    places = spread([("edge", e.name, e.address) for e in edges if e.address in there], {})[:EDGES]
    places += spread([("control", c.name, a) for c, a in controls if a in there], {})[:CONTROLS]
    answers = {(o.fact.protocol, o.fact.destination) for o in found if isinstance(o.fact, Train) and o.fact.answered}
    batch: list[Session[Observation]] = []
    for what, name, address in places:
        protocol = Protocol.ICMP if (Protocol.ICMP, address) in answers else Protocol.TCP
        batch.append(Observe(f"{what}.delay", name, _steadily(protocol, address)))
    if (Protocol.ICMP, gateway) in answers:
        batch.append(Observe("gateway.delay", gateway, _steadily(Protocol.ICMP, gateway)))
    ways = {o.fact.flow.destination: o.fact for o in found if isinstance(o.fact, Path) and o.fact.reached}
    known = [place for place in places if place[2] in ways]
    if known:
        what, name, address = known[0]
        ttls = [hop.ttl for hop in ways[address].hops]
        rounds = HopRounds(ways[address], ttls, count=HOP_COUNT, interval_s=HOP_INTERVAL_S)
        batch.append(Observe(f"{what}.delay.path", name, rounds))
    looked: list[Observation] = yield batch
    return looked


def _steadily(protocol: Protocol, address: str) -> TrainSession:
    return steadily(protocol, address, count=COUNT, interval_s=INTERVAL_S)


def _round_trips(found: Sequence[Observation], gateway: str) -> dict[str, list[float]]:
    """What probes took to each address and back, the routers on their ways included, without those in front of us."""
    took: dict[str, list[float]] = {}
    for o in found:
        if isinstance(o.fact, Train):
            took.setdefault(o.fact.destination, []).extend(round_trips(o.fact.exchanges))
        elif isinstance(o.fact, Path):
            for hop in o.fact.hops:
                for x in hop.exchanges:
                    if x.reply and x.reply.source != gateway and hop.ttl > 1 and not is_of_homes(x.reply.source):
                        took.setdefault(x.reply.source, []).append(x.reply.rtt_s)
    return took


def _changes(found: Sequence[Observation]) -> dict[str, float]:
    """How much longer the slowest packet to each address took than the quickest: probes and SYNs sent once."""
    took: dict[str, list[float]] = {}
    for o in found:
        if isinstance(o.fact, Train):
            took.setdefault(o.fact.destination, []).extend(o.fact.in_time)
        elif isinstance(o.fact, Path) and o.fact.reached and o.fact.rtt_s is not None:
            took.setdefault(o.fact.flow.destination, []).append(o.fact.rtt_s)
        elif isinstance(o.fact, Response) and (o.fact.handshaken.connect_s or RETRANSMITTED_S) < RETRANSMITTED_S:
            took.setdefault(o.fact.fetch.handshake.address, []).append(o.fact.handshaken.connect_s or 0.0)
    return {address: max(times) - min(times) for address, times in took.items() if len(times) > 1}


def round_trips(exchanges: Sequence[Exchange]) -> Iterator[float]:
    """Of those that were answered."""
    return (x.reply.rtt_s for x in exchanges if x.reply)
