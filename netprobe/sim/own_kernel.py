"""The client's own kernel in virtual time: what it knows of itself, by which card a packet leaves, what it refuses."""

import math
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address

from msgspec import structs

from netprobe.model.host import HostState, Link, Uplink
from netprobe.model.probes import Probe, Reply, ReplyKind
from netprobe.model.services import (
    Answer,
    Fetch,
    Handshake,
    Handshaken,
    Lookup,
    QuicHandshake,
    QuicHandshaken,
    Response,
)
from netprobe.probing.port import Asked, Outcome
from netprobe.sim.cards import Card, Cards
from netprobe.sim.clockwork import Clockwork
from netprobe.sim.network import Network
from netprobe.sim.records import GATEWAY6, Scenario

NO_ROUTE = "ENETUNREACH"


class OwnKernel:
    """The kernel of the scenario's client; `wall_clock_s` is Unix time at the network's start."""

    def __init__(
        self, scenario: Scenario, cards: Cards, network: Network, clock: Clockwork, wall_clock_s: float
    ) -> None:
        self._client = scenario.client
        self._cards = cards
        self._found: dict[tuple[str, str], Card | None] = {}  # by destination and link, where it never changes
        self._owner = {address: card for card in cards.all for address in card.own}
        self._network = network
        self._clock = clock
        self._wall_clock_s = wall_clock_s

    def card(self, destination: str, link: str) -> Card | None:
        """The card by which a packet leaves: `link` where it is bound to one, else as the routes say. None: by none."""
        if not self._cards.lasting:
            return self._card(destination, link)
        key = (destination, link)
        if key not in self._found:
            self._found[key] = self._card(destination, link)
        return self._found[key]

    def _card(self, destination: str, link: str) -> Card | None:
        now = self._clock.now
        if trouble(destination) != NO_ROUTE:
            return None
        if destination.startswith("127.") or destination == "::1":
            return self._cards.all[0]
        if link:
            card = self._cards.of(link)
            usable = card and self._cards.leased(card, now) and card.source(destination)
            return card if usable else None
        return self._cards.towards(destination, now)

    def owns(self, address: str) -> bool:
        """Whether a packet to `address` is for this machine: not while nobody has leased it the address."""
        card = self._owner.get(address)
        return card is None or self._cards.leased(card, self._clock.now)

    def state(self, late: Sequence[float]) -> HostState:
        """What a look at the machine shows. `late` is how late the process that looks was, each time that it was."""
        now, client = self._clock.now, self._client
        uplinks = tuple(
            Uplink(card.device, card.next_hop, card.metric, self._clock.neighbours[card.node].state)
            for card in self._cards.routed(now)
        )
        first = next(iter(uplinks), Uplink(""))
        over_v6 = next((c for c in self._cards.all if c.is_global_v6 and self._cards.leased(c, now)), None)
        state = HostState(
            links=tuple(self._link(card, now) for card in self._cards.all),
            default_link=first.link,
            gateway=first.gateway,
            neighbour=first.neighbour,
            resolvers=client.resolvers,
            wall_clock_s=self._wall_clock_s + now + client.clock_ahead_s,
            hosts_overrides=tuple(client.hosts),
            late_s=max(late, default=0.0),
            overdue_s=math.fsum(late),
            uplinks=uplinks,
        )
        if over_v6:
            state = structs.replace(
                state,
                global_link_v6=over_v6.device,
                address_v6=over_v6.source("::"),
                gateway_v6=GATEWAY6,
                neighbour_v6=self._clock.neighbours_v6[over_v6.node].state,
            )
        return client.facts.put_into(state, now)

    def _link(self, card: Card, now: float) -> Link:
        up = self._network.link_up(now, card.node)
        leased = self._cards.leased(card, now)
        addresses = card.interfaces if leased else self._cards.made_up(card, now)
        return Link(card.device, "up" if up else "down", up, addresses, card.mtu)


@lru_cache(maxsize=4096)
def trouble(address: str) -> str:
    """The errno's name with which sending to `address` fails where nothing leads there."""
    try:
        ip_address(address)
    except ValueError:
        return "EAFNOSUPPORT"
    return NO_ROUTE


def destination(request: Asked) -> str:
    """The address that a request goes to."""
    match request:
        case Probe():
            return request.flow.destination
        case Lookup():
            return request.resolver
        case Handshake() | QuicHandshake():
            return request.address
        case Fetch():
            return request.handshake.address


def refused(request: Asked, error: str) -> Outcome:
    """What becomes of a request that the kernel refuses with the errno `error`."""
    match request:
        case Probe():
            return Reply(ReplyKind.SEND_FAILED, "", 0.0, error=error)
        case Lookup():
            return Answer(request, error="unreachable")
        case QuicHandshake():
            return QuicHandshaken(request, "initial", "local", error)
        case Handshake():
            return Handshaken(request, "connect", "local", error)
        case Fetch():
            return Response(request, Handshaken(request.handshake, "connect", "local", error), error="local")
