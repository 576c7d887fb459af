"""Between the ISP and the networks at the far ends: transits, exchanges, private peerings."""

from netprobe.sim.worlds.access import ISP, Access
from netprobe.sim.worlds.atlas import Exchange, Transit, atlas, cable_ms
from netprobe.sim.worlds.ground import RACK_MS, Ground

_TRANSITS = (0, 1, 1, 2, 2, 2, 3, 3, 4)
_CHAINED = 0.3  # part of the second and later transits that are reached through another one
_NEAR_MS = 12.0  # one way: as far as an ISP goes itself to meet others
_THIRD_PARTY = 0.3  # part of the networks behind a transit whose first router answers from the transit's address


class Backbone:
    """Transits that are drawn once, and ways through them or around them to whoever is attached."""

    def __init__(self, ground: Ground, access: Access) -> None:
        self._ground = ground
        self._access = access
        self._providers: dict[str, Transit] = {}
        self._exits: dict[tuple[str, str], str] = {}
        self._nearest: dict[str, str] = {}  # the last router of a transit near the ISP
        self.carriers: dict[str, list[str]] = {}
        self.exchanges: dict[str, list[str]] = {}
        isp, draw = access.isp, ground.draw
        others = [t for t in atlas().transits if t.asn != isp.asn and not (t.group and t.group == isp.group)]
        count = draw.choice(_TRANSITS)
        for letter, provider in zip("abcd", draw.sample(others, count), strict=False):
            self._enter(f"transit-{letter}", provider)

    def attach(self, name: str, asn: int, routers: tuple[str, ...], city: str) -> tuple[str, ...]:
        """Bring the network `name` in `city` to the ISP; its routers in order."""
        draw = self._ground.draw
        far = cable_ms(self._access.isp.city, city) > _NEAR_MS
        exchange = self._exchange(city)
        kinds = ["transit"] * (8 if far else 3) if self.carriers else []
        kinds += ["private"] if far else ["private"] * 3
        kinds += ["exchange"] * 4 if exchange and not far else []
        kind = draw.choice(kinds)
        if kind == "transit":
            found = self._through(draw.choice(sorted(self.carriers)), name, asn, routers, city)
        elif kind == "exchange" and exchange:
            found = self._meet(exchange, name, asn, routers, city)
        else:
            found = self._peer(name, asn, routers, city, far=far)
        for number in range(2, draw.randint(1, 3) + 1):
            found.append(self._ground.hop(f"{name}-hop-{number}", name, asn, routers, found[-1], RACK_MS))
        return tuple(found)

    def _enter(self, name: str, provider: Transit) -> None:
        """A transit's routers near the ISP: behind one of its borders, or behind another transit."""
        draw = self._ground.draw
        before = draw.choice(self._access.borders)
        if self._nearest and draw.random() < _CHAINED:
            before = self._nearest[draw.choice(sorted(self._nearest))]
        hops: list[str] = []
        for number in range(1, draw.randint(1, 3) + 1):
            before = self._ground.hop(f"{name}-{number}", name, provider.asn, provider.routers, before, (0.3, 3.0))
            hops.append(before)
        self._providers[name], self.carriers[name], self._nearest[name] = provider, hops, before

    def _exit(self, carrier: str, city: str) -> str:
        """A transit's router in `city`."""
        if (carrier, city) not in self._exits:
            provider, here = self._providers[carrier], self._nearest[carrier]
            cable = cable_ms(self._access.isp.city, city)
            if cable > 1.0 or self._ground.draw.random() < 0.5:
                number = len(self.carriers[carrier]) + 1
                delay = (cable + 0.3, cable * 1.2 + 1.0)
                here = self._ground.hop(f"{carrier}-{number}", carrier, provider.asn, provider.routers, here, delay)
                self.carriers[carrier].append(here)
            self._exits[carrier, city] = here
        return self._exits[carrier, city]

    def _through(self, carrier: str, name: str, asn: int, routers: tuple[str, ...], city: str) -> list[str]:
        before, provider = self._exit(carrier, city), self._providers[carrier]
        foreign = self._ground.draw.random() < _THIRD_PARTY
        number, prefixes = (0, provider.routers) if foreign else (asn, routers)
        return [self._ground.hop(f"{name}-hop-1", name, number, prefixes, before, (0.2, 1.5))]

    def _exchange(self, city: str) -> Exchange | None:
        """Where the ISP would meet somebody who is in `city`: there, or at the exchange nearest to the ISP."""
        home = self._access.isp.city
        near = sorted(atlas().exchanges, key=lambda e: (e.city != city, cable_ms(home, e.city), e.name))
        return next((e for e in near if cable_ms(home, e.city) <= _NEAR_MS), None)

    def _meet(self, exchange: Exchange, name: str, asn: int, routers: tuple[str, ...], city: str) -> list[str]:
        draw = self._ground.draw
        there = cable_ms(self._access.isp.city, exchange.city)
        delay = (there + 0.2, there * 1.2 + 0.8)
        found = [self._plain(f"{name}-hop-1", asn, exchange.lan, draw.choice(self._access.borders), delay)]
        self.exchanges.setdefault(exchange.name, []).append(found[0])
        onward = cable_ms(exchange.city, city)
        if onward > 1.0:
            delay = (onward, onward * 1.2)
            found.append(self._ground.hop(f"{name}-hop-1b", name, asn, routers, found[-1], delay))
        return found

    def _peer(self, name: str, asn: int, routers: tuple[str, ...], city: str, *, far: bool) -> list[str]:
        """A wire of their own, near the ISP or where the ISP has a router of its own far away."""
        isp, before = self._access.isp, self._ground.draw.choice(self._access.borders)
        cable = cable_ms(isp.city, city)
        delay = (cable + 0.2, cable * 1.2 + 0.8)
        if not far:
            return [self._ground.hop(f"{name}-hop-1", name, asn, routers, before, delay)]
        if (ISP, city) not in self._exits:
            self._exits[ISP, city] = self._ground.hop(
                f"{ISP}-{city.lower().replace(' ', '-')}", ISP, isp.asn, isp.routers, before, delay
            )
        return [self._ground.hop(f"{name}-hop-1", name, asn, routers, self._exits[ISP, city], RACK_MS)]

    def _plain(self, name: str, asn: int, prefixes: tuple[str, ...], before: str, delay_ms: tuple[float, float]) -> str:
        """A router on an exchange's LAN: one switch lies between, and no parallel ways."""
        self._ground.router(name, asn, prefixes)
        self._ground.link(before, name, delay_ms)
        return name
