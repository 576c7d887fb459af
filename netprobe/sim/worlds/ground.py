"""The ground that a generated world is built on: routers of some temper, wires between them, addresses used once."""

import random
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network

import msgspec

from netprobe.sim.records import Link, RateLimit, Router
from netprobe.sim.worlds.plan import Diamond

Range = tuple[float, float]

RACK_MS = (0.1, 0.6)  # one way between two routers of one building
_SILENT, _LIMITED = 0.1, 0.15  # parts of all routers
_BALANCED = 0.35  # part of the worlds with parallel ways somewhere
_DIAMOND = 0.12  # part of the hops of such a world
_network = lru_cache(maxsize=1024)(IPv4Network)  # worlds share the atlas's prefixes


class Ground:
    """Routers and links, one piece after the other."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.routers: dict[str, Router] = {}
        self.links: list[Link] = []
        self.diamonds: list[Diamond] = []
        self._used: set[str] = set()
        self._balanced = draw.random() < _BALANCED

    def add(self, router: Router) -> str:
        """A router that is fully known."""
        self.routers[router.name] = router
        self._used.add(router.address)
        return router.name

    def avoid(self, addresses: Iterable[str]) -> None:
        """Addresses that somebody has already."""
        self._used.update(addresses)

    def hop(self, name: str, owner: str, asn: int, prefixes: Sequence[str], before: str, delay_ms: Range) -> str:
        """One more router of `owner` behind `before`, of some temper; sometimes there are several ways to it."""
        behind = self.router(name, asn, prefixes)
        if self._balanced and self.routers[before].asn and self.draw.random() < _DIAMOND:
            self._diamond(behind, owner, asn, prefixes, before, delay_ms)
        else:
            self.link(before, name, delay_ms)
        return name

    def link(
        self,
        one: str,
        other: str,
        delay_ms: Range,
        jitter_ms: Range = (0.01, 0.3),
        *,
        loss: float = 0.0,
        mtu: int = 1500,
    ) -> None:
        """A wire."""
        delay, jitter = self.draw.uniform(*delay_ms), self.draw.uniform(*jitter_ms)
        self.links.append(Link((one, other), round(delay, 3), round(jitter, 3), loss, mtu))

    def address(self, prefixes: Sequence[str]) -> str:
        """An address in one of `prefixes` that nobody has, neither the first nor the last of a /24."""
        while True:
            network = _network(self.draw.choice(prefixes))
            address = str(network[self.draw.randrange(network.num_addresses)])
            if address not in self._used and address.rpartition(".")[2] not in {"0", "1", "255"}:
                self._used.add(address)
                return address

    def neighbours(self, prefixes: Sequence[str], count: int) -> tuple[str, ...]:
        """`count` addresses of one /24."""
        first = self.address(prefixes)
        block = f"{first.rpartition('.')[0]}.0/24"
        return (first, *(self.address((block,)) for _ in range(count - 1)))

    def router(self, name: str, asn: int, prefixes: Sequence[str]) -> str:
        """A router without wires, of some temper."""
        draw = self.draw
        limit = RateLimit(draw.choice((1.0, 2.0, 5.0, 50.0)), draw.randint(3, 10)) if draw.random() < _LIMITED else None
        return self.add(
            Router(
                name,
                self.address(prefixes),
                asn,
                icmp_delay_ms=round(draw.uniform(0.1, 3.0), 3),
                icmp_jitter_ms=round(draw.uniform(0.05, 1.0), 3),
                icmp_ttl=draw.choice((255, 255, 255, 64)),
                silent=draw.random() < _SILENT,
                rate_limit=limit,
                quote=draw.choice((0, 0, 0, 8)),
            )
        )

    def _diamond(
        self, behind: str, owner: str, asn: int, prefixes: Sequence[str], before: str, delay_ms: Range
    ) -> None:
        """Parallel ways of the same delay from `before` to `behind`, and both balance flows over them."""
        width = self.draw.choice((2, 2, 2, 3, 4, 6, 8))
        there, back = round(self.draw.uniform(*RACK_MS), 3), round(self.draw.uniform(*delay_ms), 3)
        members = []
        for number in range(1, width + 1):
            member = self.router(f"{behind}-way-{number}", asn, prefixes)
            self.links += [Link((before, member), there, 0.05), Link((member, behind), back, 0.05)]
            members.append(member)
        for end in (before, behind):
            self.routers[end] = msgspec.structs.replace(self.routers[end], balance="flow")
        self.diamonds.append(Diamond(owner, tuple(members)))
