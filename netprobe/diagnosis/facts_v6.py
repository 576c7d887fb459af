"""What was measured over IPv6, seen as `Facts` of its own."""

import ipaddress
from functools import cached_property

from msgspec import structs

from netprobe.diagnosis.facts import Facts, Found
from netprobe.model.host import HostState
from netprobe.topology.addresses import is_public, network_of
from netprobe.topology.asn import Origin

OVER_V6 = "v6."
SITE_V6 = 56  # bits of the prefix that a home gets


class OverV6(Facts):
    """What the same survey has measured over IPv6. The way out of the home is that of IPv6.

    Routers in the /56 of this machine's address are at home: that is what homes get at the most by far (RFC 6177).
    There is no home where the gateway of IPv4 has a public address: it is the provider's.

    Where nobody announces a router's address, it is the provider's if registries gave it to whom they gave this
    machine's: nothing translates IPv6 addresses on the way, so its own is one of the provider's.
    """

    over = OVER_V6

    def _hosts(self) -> list[Found[HostState]]:
        found = [(i, o.fact) for i, o in enumerate(self.observations) if isinstance(o.fact, HostState)]
        return [
            (
                i,
                structs.replace(
                    h,
                    default_link=h.global_link_v6,
                    gateway="" if is_public(h.gateway) else h.gateway_v6,
                    neighbour=h.neighbour_v6,
                ),
            )
            for i, h in found
        ]

    @cached_property
    def _home_networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        own = self.host.address_v6 if self.host and self.host.gateway else ""
        site = [ipaddress.ip_network((own, SITE_V6), strict=False)] if own else []
        return [*super()._home_networks, *site]

    def origin(self, address: str) -> Origin | None:
        """Whose network announces `address`, or must be its owner."""
        found, own = super().origin(address), self.host.address_v6 if self.host else ""
        if found is None and own and network_of(address, wide=True) == network_of(own, wide=True):
            return super().origin(own)
        return found
