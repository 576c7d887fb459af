"""Which routers of a network translate addresses, and for whom: where its inside ends and the Internet begins."""

from collections.abc import Mapping, Sequence

from netprobe.sim import prefixes
from netprobe.sim.faults import Epoch
from netprobe.sim.packet import Packet
from netprobe.sim.records import Scenario
from netprobe.sim.routing import Routing, clients
from netprobe.sim.translation import Translator


class Edges:
    """The translating routers, which translate IPv4 only. What lies behind one, seen from the client, is outside of it.

    Machines of the client's own network are inside, wherever they hang.
    """

    def __init__(self, scenario: Scenario, routing: Routing, owner: Mapping[str, str]) -> None:
        self._owner = owner
        self._own = {router.nat.address: router for router in scenario.routers if router.nat}
        self._address = {router.name: router.address for router in scenario.routers if router.nat}
        self._translators = {router.name: Translator(router.nat) for router in scenario.routers if router.nat}
        self.translate = bool(self._translators)  # any of them does
        self._outside = outside(scenario, routing, owner) if self._translators else {}

    def crossed(self, hops: Sequence[str], origin: str, node: str) -> int | None:
        """The index of the first router on a way that gives what crosses it to `node` its own address."""
        for index, name in enumerate(hops) if self._translators else ():
            if name in self._translators and origin not in self._outside[name] and node in self._outside[name]:
                return index
        return None

    def outward(self, router: str, packet: Packet, now: float, epoch: Epoch) -> bool:
        """Let `packet` leave in the name of `router`. False where there is no port for it."""
        return self._translators[router].outward(packet, now, scarce=epoch.scarce.get(router, 0.0))

    def begins(self, origin: str, packet: Packet, now: float, epoch: Epoch) -> bool:
        """A packet that a service on node `origin` sends: on a translating router it leaves like all others."""
        if packet.source != self._address.get(origin) or packet.is_error:
            return True
        outside = self._owner.get(packet.destination) in self._outside[origin]
        return not outside or self.outward(origin, packet, now, epoch)

    def inward(self, node: str, packet: Packet, now: float) -> bool:
        """Whether `packet`, which has come to `node`, is for somebody inside; it is addressed to them then."""
        router = self._own.get(packet.destination)
        return router is not None and router.name == node and self._translators[node].inward(packet, now)


def outside(scenario: Scenario, routing: Routing, owner: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """For each translating router the nodes that are outside of it, seen from the card of the client next to it."""
    cards = (scenario.client.address, *(uplink.address for uplink in scenario.uplinks))
    homes = tuple(prefixes.mask(address) for address in cards)
    nodes = {node for address, node in owner.items() if ":" not in address and not prefixes.within(address, homes)}
    found = {}
    for router in scenario.routers:
        if router.nat:
            ways = [(way, card) for card in clients(scenario) if (way := routing.way(card, router.name))]
            _, nearest = min(ways, key=lambda found: len(found[0].hops))
            found[router.name] = frozenset(n for n in nodes if router.name in routing.nodes(nearest, n)[1:-1])
    return found
