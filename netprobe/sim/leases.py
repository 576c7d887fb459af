"""The client's cards in a real kernel: their addresses and default routes, which come and go with their leases.

All of it happens in this process's network namespace.
"""

from ipaddress import IPv4Address
from socket import AF_INET6
from typing import Any

from netprobe.sim.cards import Card, Cards
from netprobe.sim.devices import set_kernel
from netprobe.sim.records import GATEWAY6

_SCOPE_LINK = 253


class Leases:
    """Gives the devices of `cards`, which exist and are up, what their networks lease them. `kernel` is an IPRoute.

    `over_v6`: addresses of IPv6 too.
    """

    def __init__(self, cards: Cards, kernel: Any, *, over_v6: bool = False) -> None:
        self._cards = cards
        self._kernel = kernel
        self._over_v6 = over_v6
        self._index = {card.node: kernel.link_lookup(ifname=card.device)[0] for card in cards.all}
        self._has: dict[str, tuple[str, ...]] = {}  # addresses with their prefix lengths, by node
        if len(cards.all) > 1:
            for scope in ("all", *(card.device for card in cards.all)):
                set_kernel(f"ipv4/conf/{scope}/rp_filter", "2")  # loose (RFC 3704, 2.4), as systemd sets it
                set_kernel(f"ipv4/conf/{scope}/arp_ignore", "1")  # a card speaks for itself only

    def change(self, now: float) -> None:
        """Let each card have what it has at `now`. Cheap where nothing changes."""
        for card in self._cards.all:
            leased = self._cards.leased(card, now)
            wanted = card.interfaces if leased else self._cards.made_up(card, now)
            wanted = tuple(address for address in wanted if self._over_v6 or ":" not in address)
            before = self._has.get(card.node, ())
            if wanted == before:
                continue
            for address in before:  # with its last address of IPv4 a device loses all those routes
                self._address("del", card, address)
            if any(":" in address for address in before):
                self._kernel.route("del", dst="::/0", oif=self._index[card.node], family=AF_INET6)
            for address in wanted:
                self._address("add", card, address)
            if leased:
                self._route(card)
            self._has[card.node] = wanted

    def _address(self, command: str, card: Card, address: str) -> None:
        ip, _, length = address.partition("/")
        self._kernel.addr(command, index=self._index[card.node], address=ip, prefixlen=int(length))

    def _route(self, card: Card) -> None:
        """Its default route, and what leads to the next hop."""
        index = self._index[card.node]
        if IPv4Address(card.next_hop) not in card.interface.network:
            self._kernel.route("replace", dst=f"{card.next_hop}/32", oif=index, scope=_SCOPE_LINK)  # it is on the wire
        priority = {"priority": card.metric} if card.metric else {}
        self._kernel.route("replace", dst="0.0.0.0/0", gateway=card.next_hop, oif=index, **priority)
        if self._over_v6 and card.interface_v6:
            self._kernel.route("replace", dst="::/0", gateway=GATEWAY6, oif=index, family=AF_INET6)
