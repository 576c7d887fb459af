"""Where packets to an address end: at its owner, at the router that a route names, or nowhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from netprobe.sim.records import Scenario

_KEPT = 65536


@dataclass(slots=True, frozen=True)
class End:
    """Where packets to an address end: at `node`, which owns it unless `owned` is false."""

    node: str
    owned: bool = True
    silent: bool = False


class Ends:
    """Looks up ends, and remembers what it has found."""

    def __init__(self, scenario: Scenario, owner: Mapping[str, str]) -> None:
        self._owner = owner
        self._routes = _routes(scenario)
        self._found: dict[str, End | None] = {}

    def end(self, address: str) -> End | None:
        """Where packets to `address` end: its owner, else the router that a route names, else nowhere."""
        try:
            return self._found[address]
        except KeyError:
            pass
        if len(self._found) >= _KEPT:
            self._found.clear()
        end: End | None = None
        if address in self._owner:
            end = End(self._owner[address])
        else:
            number = int(IPv4Network(address).network_address)
            for network, mask, route in self._routes:
                if number & mask == network:
                    end = route
                    break
        self._found[address] = end
        return end


def _routes(scenario: Scenario) -> tuple[tuple[int, int, End], ...]:
    """Longest prefix first: the file's routes, and silence around each server, whose neighbours nobody is."""
    found = [(IPv4Network(route.prefix), End(route.to, owned=False, silent=route.silent)) for route in scenario.routes]
    found += [
        (IPv4Network(f"{address}/24", strict=False), End(server.at, owned=False, silent=True))
        for server in scenario.servers
        for address in server.addresses
    ]
    found.sort(key=lambda pair: -pair[0].prefixlen)
    return tuple((int(net.network_address), int(net.netmask), end) for net, end in found)
