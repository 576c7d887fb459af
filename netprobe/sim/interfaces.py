"""The interfaces that routers tell of in their errors (RFC 5837): one a wire, with its name in the kernel's routers."""

from netprobe.model.replies import Interface
from netprobe.sim.records import Scenario

_FIRST = 2  # RFC 2863: ifIndex counts from 1, which is the loopback interface


class Interfaces:
    """Those of the routers of `scenario` that tell."""

    def __init__(self, scenario: Scenario) -> None:
        self._told: dict[tuple[str, str, bool], Interface] = {}  # by router, neighbour, and whether it is IPv6
        for router in scenario.routers:
            wires = [link for link in scenario.links if router.interfaces and router.name in link.ends]
            for number, link in enumerate(wires, _FIRST):
                (neighbour,) = set(link.ends) - {router.name}
                for address in router.addresses:
                    told = Interface("incoming", number, address, f"to-{neighbour}", link.mtu)
                    self._told[router.name, neighbour, ":" in address] = told

    def incoming(self, router: str, neighbour: str, *, over_v6: bool) -> Interface | None:
        """The one by which packets from `neighbour` come to `router`; None: it does not tell."""
        return self._told.get((router, neighbour, over_v6))
