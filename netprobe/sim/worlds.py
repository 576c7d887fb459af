"""Generated worlds: another network, another fault and another truth for each number.

A world has the servers and names of the typical network on other addresses, behind an ISP, transits and an exchange
that are drawn: how many hops, who is behind whom, which routers are silent or grudging, where the resolver is. What is
wrong with it is drawn from troubles.py, together with what a perfect diagnosis says about it.
"""

import random
from functools import cache

import msgspec

from netprobe.sim import checks
from netprobe.sim.atlas import EXCHANGES, ISPS, REMOTES, SIBLINGS, TRANSITS, Provider, Remote
from netprobe.sim.records import (
    Client,
    Entry,
    Expect,
    Link,
    RateLimit,
    Resolver,
    Route,
    Router,
    Scenario,
    Server,
)
from netprobe.sim.routing import CLIENT
from netprobe.sim.scenario import load
from netprobe.sim.troubles import BLAMABLE, TROUBLES, decoys
from netprobe.sim.worldplan import WorldPlan

_PUBLIC = {"cloudflare": "1.1.1.1", "google": "8.8.8.8", "quad9": "9.9.9.9"}
_TRANSITS = (2, 2, 3)
_ATTEMPTS = 100  # a trouble that does not fit a world is drawn again


def generate(seed: int) -> Scenario:
    """World number `seed`: always the same for the same number."""
    draw = random.Random(f"world/{seed}")
    world = _Builder(draw).build()
    faults = None
    for _ in range(_ATTEMPTS):
        trouble = draw.choices(TROUBLES, [trouble.weight for trouble in TROUBLES])[0]
        faults = trouble.make(world)
        if faults is not None:
            break
    component = trouble.cause.partition(".")[0]
    never = tuple(
        name for name in BLAMABLE if name != component and not (component == "policy" and name == "isp")
    )  # who enforces a policy in the ISP's network is rightly found there
    scenario = msgspec.structs.replace(
        world.scenario,
        name=f"world-{seed}",
        sentence=trouble.sentence,
        expect=Expect(component, trouble.cause, never),
        faults=(*(faults or ()), *decoys(world, trouble.cause)),
    )
    checks.check(scenario)
    return scenario


@cache
def _typical() -> Scenario:
    """The network whose servers and names every world has."""
    return load("healthy")


class _Builder:
    """Draws a network piece by piece."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.routers: list[Router] = []
        self.links: list[Link] = []
        self.servers: list[Server] = []
        self.resolvers: list[Resolver] = []
        self.moved: dict[str, str] = {}  # addresses of the typical network -> of this one
        self.typical = _typical()
        self.used = {address for server in self.typical.servers for address in server.addresses}

    def build(self) -> WorldPlan:
        """A whole world without faults."""
        draw = self.draw
        home = f"192.168.{draw.randrange(256)}"
        isp = draw.choice(ISPS)
        trunk, borders = self._isp(home, isp)
        transits = {
            f"transit-{letter}": provider for letter, provider in zip("abc", self._providers(isp), strict=False)
        }
        carriers = {name: self._transit(name, provider, borders[0]) for name, provider in transits.items()}
        behind = self._far_ends(carriers, borders[-1])
        layout, addresses = self._resolvers(home, isp, trunk)
        names = {
            name: Entry(tuple(self.moved.get(a, a) for a in entry.addresses), entry.alias, entry.ttl_s)
            for name, entry in self.typical.names.items()
        }
        scenario = Scenario(
            name="",
            sentence="",
            expect=Expect("none", "none.app_device"),
            client=Client(f"{home}.{draw.randrange(20, 250)}/24", "home-router", addresses),
            routers=tuple(self.routers),
            links=tuple(self.links),
            servers=tuple(self.servers),
            resolvers=tuple(self.resolvers),
            routes=(Route("0.0.0.0/0", carriers["transit-b"][0], silent=draw.random() < 0.5),),
            names=names,
        )
        return WorldPlan(draw, scenario, trunk, borders, carriers, behind, layout)

    # --- pieces

    def _isp(self, home: str, isp: Provider) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The way from the client to the ISP's borders: the ISP's routers on it, and the one or two borders."""
        draw = self.draw
        quiet = draw.random() < 0.05
        self.routers.append(Router("home-router", f"{home}.1", icmp_ttl=64, silent=quiet))
        wireless = draw.random() < 0.5
        self._link(CLIENT, "home-router", (0.3, 3.0), jitter=(0.3, 2.0) if wireless else (0.02, 0.2))
        before = "home-router"
        if draw.random() < 0.3:  # a mobile or shared line: carrier-grade NAT (RFC 6598)
            for number, block in enumerate(("10.241.3", "100.72.0")[: draw.randint(1, 2)], 1):
                before = self._hop(f"isp-shared-{number}", 0, (block,), before, (2.0, 9.0))
        trunk = []
        for number in range(1, draw.randint(2, 7)):
            before = self._hop(f"isp-{number}", isp.asn, isp.blocks, before, (2.0, 9.0) if number == 1 else (0.3, 3.0))
            trunk.append(before)
        borders = [
            self._hop(f"isp-border-{number}", isp.asn, isp.blocks, before, (0.3, 2.0))
            for number in range(1, draw.randint(1, 2) + 1)
        ]
        return tuple(trunk), tuple(borders)

    def _providers(self, isp: Provider) -> list[Provider]:
        """Transits that do not belong to the ISP itself: who would be at fault then is a matter of taste."""
        others = [transit for transit in TRANSITS if (isp.asn, transit.asn) not in SIBLINGS]
        return self.draw.sample(others, self.draw.choice(_TRANSITS))

    def _transit(self, name: str, provider: Provider, border: str) -> tuple[str, ...]:
        hops = []
        before = border
        for number in range(1, self.draw.randint(1, 4) + 1):
            before = self._hop(f"{name}-{number}", provider.asn, provider.blocks, before, (0.5, 12.0))
            hops.append(before)
        return tuple(hops)

    def _far_ends(self, carriers: dict[str, tuple[str, ...]], border: str) -> dict[str, str]:
        """Put every remote network behind a transit, or beside the ISP; says who is behind whom.

        Behind the first two transits there is always somebody of the platform's and somebody who has nothing to do with
        it, and some of both are elsewhere: otherwise no diagnosis could tell a transit's fault from others'.
        """
        draw = self.draw
        carried, free = ["akamai-far", "cdn77", "bytedance", "fastly"], ["cloudflare", "google", "quad9", "wikimedia"]
        draw.shuffle(carried)
        draw.shuffle(free)
        behind = {carried[0]: "transit-a", free[0]: "transit-a", carried[1]: "transit-b", free[1]: "transit-b"}
        choices = [*carriers, "", ""]
        for network in (*carried[2:], *free[2:], "akamai-near"):
            behind[network] = draw.choice(choices)
        if draw.random() < 0.7:
            behind["akamai-near"] = ""
        lan: tuple[str, ...] = draw.choice(EXCHANGES)
        nowhere: tuple[str, ...] = ()
        for network, carrier in behind.items():
            before = carriers[carrier][-1] if carrier else border
            self._remote(network, REMOTES[network], before, nowhere if carrier else lan)
        return behind

    def _remote(self, name: str, remote: Remote, before: str, lan: tuple[str, ...]) -> None:
        draw = self.draw
        for number in range(1, draw.randint(1, 3) + 1):
            peers = lan and number == 1 and draw.random() < 0.6
            blocks = lan if peers else remote.routers
            far = (1.0, 45.0) if name == "bytedance" and number == 1 else (0.3, 6.0)
            before = self._hop(f"{name}-{number}", remote.asn, blocks, before, far)
        typical = {server.name: server for server in self.typical.servers}
        for server in remote.servers:
            old = typical[server]
            addresses = old.addresses
            if server in remote.hosts:
                block = draw.choice(remote.hosts[server])
                addresses = tuple(self._address((block,)) for _ in old.addresses)
                self.moved |= dict(zip(old.addresses, addresses, strict=True))
            self.servers.append(
                msgspec.structs.replace(
                    old,
                    addresses=addresses,
                    at=before,
                    delay_ms=draw.uniform(0.5, 20.0),
                    initial_ttl=draw.choice((64, 64, 64, 128, 255)),
                )
            )

    def _resolvers(self, home: str, isp: Provider, trunk: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """The ISP's resolvers, the public ones, maybe one at home; which layout it is, and what the client uses."""
        draw = self.draw
        layout = draw.choices(("home", "isp", "public"), (6, 3, 1))[0]
        own = tuple(f"{isp.resolvers}.{host}" for host in draw.sample(range(2, 250), draw.randint(1, 2)))
        for number, address in enumerate(own, 1):
            self.resolvers.append(Resolver(f"isp-resolver-{number}", address, draw.choice(trunk), isp.asn))
        at = {address: server.at for server in self.servers for address in server.addresses}
        for name, address in _PUBLIC.items():
            self.resolvers.append(Resolver(f"{name}-resolver", address, at[address], REMOTES[name].asn))
        if layout == "home":
            upstream = "isp-resolver-1"
            self.resolvers.append(Resolver("home-resolver", f"{home}.1", "home-router", upstream=upstream))
            return layout, (f"{home}.1",)
        if layout == "public":
            return layout, tuple(draw.sample(sorted(_PUBLIC.values()), draw.randint(1, 2)))
        return layout, own

    # --- parts

    def _hop(self, name: str, asn: int, blocks: tuple[str, ...], before: str, delay_ms: tuple[float, float]) -> str:
        """One more router behind `before`, of some temper."""
        draw = self.draw
        limit = RateLimit(draw.choice((1.0, 2.0, 5.0, 50.0)), draw.randint(3, 10)) if draw.random() < 0.15 else None
        self.routers.append(
            Router(
                name,
                self._address(blocks),
                asn,
                icmp_delay_ms=draw.uniform(0.1, 3.0),
                icmp_jitter_ms=draw.uniform(0.05, 1.0),
                icmp_ttl=draw.choice((255, 255, 255, 64)),
                silent=draw.random() < 0.1,
                rate_limit=limit,
                quote=draw.choice((0, 0, 0, 8)),
            )
        )
        self._link(before, name, delay_ms)
        return name

    def _link(
        self, one: str, other: str, delay_ms: tuple[float, float], jitter: tuple[float, float] = (0.01, 0.3)
    ) -> None:
        self.links.append(Link((one, other), self.draw.uniform(*delay_ms), self.draw.uniform(*jitter)))

    def _address(self, blocks: tuple[str, ...]) -> str:
        """An address of one of `blocks` that nobody has."""
        while (address := f"{self.draw.choice(blocks)}.{self.draw.randrange(1, 255)}") in self.used:
            pass
        self.used.add(address)
        return address
