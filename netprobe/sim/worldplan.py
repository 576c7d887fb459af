"""What a generated world looks like to whoever wants to break it."""

import random
from dataclasses import dataclass

from netprobe.sim.records import Scenario


@dataclass(slots=True, frozen=True)
class WorldPlan:
    """A whole network without faults, and the places in it.

    `trunk` are the ISP's routers that everything crosses, from the access on; `borders` its last ones. `carriers` are
    the transits' routers in order, by name; `behind` says which transit a remote network is behind, empty for one that
    peers with the ISP. `layout` is where the client's resolver is: `home`, `isp` or `public`.
    """

    draw: random.Random
    scenario: Scenario
    trunk: tuple[str, ...]
    borders: tuple[str, ...]
    carriers: dict[str, tuple[str, ...]]
    behind: dict[str, str]
    layout: str

    def resolvers(self, kind: str = "") -> tuple[str, ...]:
        """Names of the resolvers: all, or those whose name begins with `kind`."""
        return tuple(r.name for r in self.scenario.resolvers if r.name.startswith(kind))
