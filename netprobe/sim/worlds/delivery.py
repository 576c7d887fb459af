"""The far ends: which vendor serves which name from where, and who has nothing to do with the platform."""

import random
from collections.abc import Iterable, Sequence

from netprobe.model.targets import Target
from netprobe.sim.records import Entry, Resolver, Server
from netprobe.sim.worlds.access import Access
from netprobe.sim.worlds.atlas import Control, Site, Vendor, atlas, cable_ms
from netprobe.sim.worlds.backbone import Backbone
from netprobe.sim.worlds.ground import RACK_MS, Ground
from netprobe.sim.worlds.plan import Place

OWN = "own"
#: How many of ten worlds have a vendor of the catalogue itself in its place; elsewhere it is another one's customer.
_FAITHFUL = {"akamai": 8, OWN: 8}
_FAITHFUL_OTHERS = 5
_MOVED = 0.15  # part of the roles that one vendor serves whatever the catalogue says
_CACHED = 0.35  # part of the vendors with servers in ISPs' networks that have one in this one's
_FOREIGN_CACHE = 0.5  # part of those whose addresses are the ISP's
_NEAREST = 0.6  # part of the places that are the nearest ones
_TTLS = (64, 64, 64, 128, 255)

Choice = tuple[Site, str]  # servers of a vendor's network, in a city; without a city: inside the ISP's network


class Delivery:
    """The platform's names and the controls, each with servers and the way to them."""

    def __init__(self, ground: Ground, access: Access, backbone: Backbone, targets: Sequence[Target]) -> None:
        self._ground = ground
        self._access = access
        self._backbone = backbone
        self._vendors = {vendor.key: vendor for vendor in atlas().vendors}
        self._built: dict[str, tuple[str, ...]] = {}
        self.servers: list[Server] = []
        self.places: list[Place] = []
        self.names: dict[str, Entry] = {}
        self.public: dict[str, Resolver] = {}
        self._platform(targets)
        for control in atlas().controls:
            self._control(control)

    # --- the platform: roles x vendors x data centres

    def _platform(self, targets: Sequence[Target]) -> None:
        carried = self._carried(targets)
        customers = [v.key for v in self._vendors.values() if v.customers]
        sites = {key: self._sites(self._vendors[key]) for key in sorted({*carried.values(), *customers})}
        served: dict[tuple[str, int], list[Target]] = {}
        cells: dict[tuple[str, str], int] = {}
        for target in targets:
            vendor = carried[target.name]
            # One data centre of a vendor is one place; names that tell none go by their role.
            cell = (vendor, target.data_centre or target.role)
            number = cells.setdefault(cell, self._ground.draw.randrange(len(sites[vendor])))
            served.setdefault((vendor, number), []).append(target)
        for key in sorted({*served, *((vendor, 0) for vendor in customers)}):
            vendor, number = key
            self._place(self._vendors[vendor], number, sites[vendor][number], served.get(key, []))
        order = {target.name: rank for rank, target in enumerate(targets)}
        self.names = dict(sorted(self.names.items(), key=lambda item: order.get(item[0], len(order))))

    def _carried(self, targets: Sequence[Target]) -> dict[str, str]:
        """The vendor of each name: at least two of those that are asked first."""
        draw = self._ground.draw
        while True:
            moved = {key: self._stand_in(key) for key in sorted({target.vendor for target in targets})}
            roles = {role: draw.random() < _MOVED for role in sorted({target.role for target in targets})}
            whole = {role: draw.choice(sorted(set(moved.values()))) for role, whole in roles.items() if whole}
            found = {t.name: whole.get(t.role, moved[t.vendor]) for t in targets}
            if len({found[t.name] for t in targets if t.essential}) > 1:
                return found

    def _stand_in(self, vendor: str) -> str:
        draw = self._ground.draw
        if vendor in self._vendors and draw.randrange(10) < _FAITHFUL.get(vendor, _FAITHFUL_OTHERS):
            return vendor
        return draw.choice([key for key in self._vendors if key != OWN])

    def _sites(self, vendor: Vendor) -> list[Choice]:
        """One to three places of a vendor, most of them near."""
        draw, home = self._ground.draw, self._access.isp.city
        every = [(site, city) for site in atlas().sites if site.vendor == vendor.key for city in site.cities]
        every.sort(key=lambda choice: (cable_ms(home, choice[1]), choice[0].asn))
        found: list[Choice] = []
        if vendor.cache and draw.random() < _CACHED:
            found.append((every[0][0], ""))
        for _ in range(draw.randint(1, 3)):
            choice = every.pop(0 if draw.random() < _NEAREST else draw.randrange(len(every))) if every else None
            found += [choice] if choice else []
        return found[:3]

    def _place(self, vendor: Vendor, number: int, choice: Choice, targets: Sequence[Target]) -> None:
        """Routers and servers of `vendor` at one place; its customers among the controls are at the first."""
        draw, (site, city) = self._ground.draw, choice
        name = f"{vendor.key}-{number + 1}"
        asn, hosts = site.asn, site.hosts
        if city:
            routers = self._backbone.attach(name, site.asn, site.routers, city)
        else:
            routers = (self._inside(name, site),)
            if draw.random() < _FOREIGN_CACHE:
                asn, hosts = self._access.isp.asn, self._access.isp.lines
        mine: list[str] = []
        if targets:
            pool = self._ground.neighbours(hosts, draw.randint(1, 3))
            parents = dict.fromkeys(f"*.{target.name.partition('.')[2]}" for target in targets)
            self._serve(f"{name}-edge", vendor, asn, pool, routers[-1], tuple(parents))
            mine.append(f"{name}-edge")
            for target in targets:
                self.names[target.name] = _entry(draw, vendor, target.name, pool)
        customers: list[str] = []
        for customer, server in vendor.customers.items() if number == 0 else ():
            at = f"{vendor.key}-{customer.split('.')[1]}"
            pool = self._ground.neighbours(hosts, 1)
            self._serve(at, vendor, asn, pool, routers[-1], (customer,), {**vendor.headers, "server": server})
            self.names[customer] = _entry(draw, vendor, customer, pool)
            customers.append(at)
        self.places.append(Place(vendor.key, routers, tuple(mine), tuple(customers)))

    def _inside(self, name: str, site: Site) -> str:
        """A router for servers of a vendor's in the ISP's own building."""
        isp, draw = self._access.isp, self._ground.draw
        asn, prefixes = draw.choice(((site.asn, site.routers), (isp.asn, isp.routers)))
        return self._ground.hop(f"{name}-hop-1", name, asn, prefixes, self._access.trunk[-1], RACK_MS)

    # --- everybody else

    def _control(self, control: Control) -> None:
        draw, home = self._ground.draw, self._access.isp.city
        cities = sorted(control.cities, key=lambda city: (cable_ms(home, city), city))
        city = cities[0] if draw.random() < _NEAREST else draw.choice(cities[:4])
        routers = self._backbone.attach(control.name, control.asn, control.routers, city)
        address = control.address or self._ground.address(control.hosts)
        self.servers.append(
            Server(
                control.name,
                (address,),
                routers[-1],
                control.asn,
                serves=control.serves,
                headers=control.headers,
                delay_ms=round(draw.uniform(0.5, 20.0), 3),
                initial_ttl=draw.choice(_TTLS),
                quic=control.quic,
            )
        )
        name = control.serves[0].replace("*", "www")
        self.names[name] = Entry((address,), control.alias)
        if control.resolver:
            self.public[control.resolver] = Resolver(control.resolver, address, routers[-1], control.asn)

    def _serve(
        self,
        name: str,
        vendor: Vendor,
        asn: int,
        addresses: tuple[str, ...],
        at: str,
        serves: tuple[str, ...],
        headers: dict[str, str] | None = None,
    ) -> None:
        draw = self._ground.draw
        self.servers.append(
            Server(
                name,
                addresses,
                at,
                asn,
                vendor.key,
                serves,
                headers=headers or vendor.headers,
                delay_ms=round(draw.uniform(0.5, 20.0), 3),
                initial_ttl=draw.choice(_TTLS),
                quic=vendor.quic,
                upgrades=vendor.key != OWN,
            )
        )


def _entry(draw: random.Random, vendor: Vendor, name: str, pool: Iterable[str]) -> Entry:
    """Some of the addresses of a place, in any order, behind a name of the vendor's if it has such."""
    addresses = list(pool)
    draw.shuffle(addresses)
    alias = draw.choice(vendor.alias).format(name) if vendor.alias else ""
    return Entry(tuple(addresses[: draw.randint(1, len(addresses))]), alias)
