"""Virtual time: a network and the timers of those who live in it, moved on together."""

import heapq
from collections.abc import Callable

from netprobe.sim.cards import Cards
from netprobe.sim.neighbour import Neighbour
from netprobe.sim.network import SERVERS, Delivery, Network
from netprobe.sim.packet import PORT_UNREACHABLE, TCP, UDP, UNREACHABLE, Packet
from netprobe.sim.replies import echo_reply, refusal
from netprobe.sim.routing import CLIENT

_OWN = ("127.", "0.0.0.0")  # noqa: S104  # Linux takes both for the machine itself (RFC 1122, 3.2.1.3)
_OWN_V6 = frozenset({"::1", "::"})
_LOOPBACKS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # who answers
_LOOPBACK_S = 0.00004


class Timer:
    """Something that happens later unless it is cancelled."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Let it not happen."""
        self.callback = None


class Clockwork:
    """The only clock of a network in virtual time. What comes out of the network is handed to `deliver`."""

    def __init__(self, network: Network, cards: Cards, deliver: Callable[[Delivery], None]) -> None:
        self.now = 0.0
        self.network = network
        self.neighbours = {card.node: Neighbour(network, card.node, self.at, self._tell) for card in cards.all}
        # A gateway has an entry for each version: ARP's and neighbour discovery's.
        self.neighbours_v6 = {card.node: Neighbour(network, card.node, self.at, self._tell) for card in cards.all}
        self._cards = cards
        self._own = {address: card for card in cards.all for address in card.own}
        self._deliver = deliver
        self.watch: Callable[[Packet, float], None] | None = None  # told what passes the client's card, and when
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0

    def at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` at `when`."""
        timer = Timer(callback)
        self._count += 1
        heapq.heappush(self._timers, (when, self._count, timer))
        return timer

    def send(self, packet: Packet, node: str) -> None:
        """Put `packet` into the network now, at the servers' side or at the client, by the card whose address it has.

        What is for the client itself never leaves it: nobody listens there.
        """
        if node == SERVERS:
            self.network.inject(packet, node, self.now)
        elif packet.destination in _OWN_V6 or packet.destination.startswith(_OWN):
            self._answer_self(packet)
        else:
            card = self._own[packet.source]
            neighbours = self.neighbours_v6 if ":" in packet.destination else self.neighbours
            if self._cards.leased(card, self.now) and neighbours[card.node].admit(packet, self.now):
                if self.watch:
                    self.watch(packet, self.now)
                self.network.inject(packet, card.node, self.now)

    def _tell(self, packet: Packet, when: float) -> None:
        """The client's own kernel says something to it."""
        self._deliver(Delivery(CLIENT, packet, when))

    def _answer_self(self, packet: Packet) -> None:
        if packet.protocol == TCP:
            answer = refusal(packet)
        elif packet.protocol == UDP:
            answer = packet.error(packet.destination, UNREACHABLE, PORT_UNREACHABLE, ttl=64, arrived_ttl=packet.ttl)
        else:
            answer = echo_reply(packet, 64)
        answer.source = _LOOPBACKS.get(packet.destination, answer.source)
        when = self.now + _LOOPBACK_S
        self.at(when, lambda: self._tell(answer, when))

    def step(self, until: float) -> bool:
        """Move on to the next thing that happens, if it does so by `until`; say whether something did."""
        timers = self._timers
        while timers and timers[0][2].callback is None:
            heapq.heappop(timers)
        arrival = self.network.next_at()
        if timers and (arrival is None or timers[0][0] < arrival):
            if timers[0][0] > until:
                return False
            when, _, timer = heapq.heappop(timers)
            self.now = max(self.now, when)
            if timer.callback is not None:
                timer.callback()
            return True
        if arrival is None or arrival > until:
            return False
        self.now = max(self.now, arrival)
        for delivery in self.network.advance(arrival):
            if self.watch and delivery.node != SERVERS:
                self.watch(delivery.packet, delivery.at_s)
            self._deliver(delivery)
        return True
