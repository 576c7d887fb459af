"""The network cards of the client: which addresses they have, and by which of them a packet leaves.

The first card is the node `client` of the network; each `[[uplink]]` is another card, and a node by its name.
"""

from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, IPv6Network

from netprobe.sim.devices import CLIENT_DEVICE, CLIENT_MAC
from netprobe.sim.records import Scenario
from netprobe.sim.routing import CLIENT

_GLOBAL_V6 = IPv6Network("2000::/3")  # RFC 4291, 2.4, as IANA has given it out


@dataclass(frozen=True)
class Card:
    """A card: its `node` in the network, its `device` in the client's kernel, and what a lease gives it.

    `gateway` is the router that its default route leads to, `next_hop` that one's address, `metric` what is compared.
    """

    node: str
    device: str
    mac: bytes
    interface: IPv4Interface
    gateway: str
    next_hop: str
    metric: int
    mtu: int
    interface_v6: IPv6Interface | None = None

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Its addresses with their prefix lengths, IPv4's first."""
        return tuple(str(interface) for interface in (self.interface, self.interface_v6) if interface)

    @cached_property
    def own(self) -> tuple[str, ...]:
        """Its addresses without prefix lengths, IPv4's first."""
        return tuple(str(interface.ip) for interface in (self.interface, self.interface_v6) if interface)

    @property
    def is_global_v6(self) -> bool:
        """Whether it has an address that is valid in the IPv6 Internet."""
        return self.interface_v6 is not None and self.interface_v6.ip in _GLOBAL_V6

    def source(self, destination: str) -> str:
        """The address from which it sends to `destination`; empty: it has none of that version."""
        if ":" not in destination:
            return self.own[0]
        return self.own[1] if self.interface_v6 else ""


class Cards:
    """All cards of a scenario's client, and what they have at a time (seconds since the start)."""

    def __init__(self, scenario: Scenario) -> None:
        client = scenario.client
        rows = [(CLIENT, CLIENT_DEVICE, client.address, client.address6, client.gateway, client.metric)]
        rows += [(u.name, u.name, u.address, "", u.gateway, u.metric) for u in scenario.uplinks]
        routers = {router.name: router.address for router in scenario.routers}
        mtus = {frozenset(link.ends): link.mtu for link in scenario.links}
        self.all = tuple(
            Card(
                node=node,
                device=device,
                mac=CLIENT_MAC[:-1] + bytes([CLIENT_MAC[-1] + number]),
                interface=IPv4Interface(address),
                gateway=gateway,
                next_hop=routers[gateway],
                metric=metric,
                mtu=mtus.get(frozenset({node, gateway}), 1500),
                interface_v6=IPv6Interface(address_v6) if address_v6 else None,
            )
            for number, (node, device, address, address_v6, gateway, metric) in enumerate(rows)
        )
        self._by_metric = tuple(sorted(self.all, key=lambda card: card.metric))
        self._leaseless = tuple(fault for fault in scenario.faults if fault.kind == "no_lease")
        self.lasting = not self._leaseless  # what they have never changes

    def of(self, device: str) -> Card | None:
        """The card whose device is called `device`."""
        return next((card for card in self.all if card.device == device), None)

    def leased(self, card: Card, now: float) -> bool:
        """Whether its network has given it an address, and the routes that come with it."""
        return self.lasting or not any(card.node in fault.at and fault.active(now) for fault in self._leaseless)

    def made_up(self, card: Card, now: float) -> tuple[str, ...]:
        """The addresses that it has given itself for want of another (RFC 3927), with prefix lengths."""
        on = (fault for fault in self._leaseless if card.node in fault.at and fault.active(now))
        return tuple(f"{address}/16" for fault in on for address in fault.addresses)

    def routed(self, now: float) -> tuple[Card, ...]:
        """Those with a default route, the one that counts first. A route stays when its cable is pulled, as Linux's."""
        if self.lasting:
            return self._by_metric
        return tuple(card for card in self._by_metric if self.leased(card, now))

    def towards(self, destination: str, now: float) -> Card | None:
        """The card by which packets to `destination` leave; None where there is no route (ENETUNREACH)."""
        routed = self.routed(now)
        if ":" in destination:
            return next((card for card in routed if card.interface_v6), None)
        if len(routed) == len(self.all) == 1:
            return routed[0]
        address = IPv4Address(destination)
        near = [card for card in routed if address in card.interface.network]
        return max(near, key=lambda card: card.interface.network.prefixlen, default=next(iter(routed), None))
