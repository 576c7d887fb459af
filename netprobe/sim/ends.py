"""Where packets to an address end: at its owner, at the router that a route names, or nowhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from netprobe.sim import prefixes
from netprobe.sim.packet import HOST_UNREACHABLE
from netprobe.sim.records import Scenario

#: Bits of the prefix around a server's address in which nobody else is, in IPv4 and in IPv6.
NEIGHBOURHOOD = (24, 64)
_KEPT = 65536


@dataclass(slots=True, frozen=True)
class End:
    """Where packets to an address end: at `node`, which owns it unless `owned` is false.

    It says then what `code` of "destination unreachable" means, unless it is `silent`. How to get there depends on who
    announces the `cell` that the address is in (`interdomain`); empty: on costs alone.
    """

    node: str
    owned: bool = True
    silent: bool = False
    code: int = HOST_UNREACHABLE
    cell: str = ""


class Ends:
    """Looks up ends, and remembers what it has found."""

    def __init__(self, scenario: Scenario, owner: Mapping[str, str], cell: Callable[[str], str]) -> None:
        self._owner = owner
        self._cell = cell
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
            number = prefixes.number(address)
            for first, mask, route in self._routes:
                if number & mask == first:
                    end = route
                    break
        if end is not None and (cell := self._cell(address)):
            end = replace(end, cell=cell)
        self._found[address] = end
        return end


def _routes(scenario: Scenario) -> tuple[tuple[int, int, End], ...]:
    """Longest prefix first: the file's routes, and silence around each server, whose neighbours nobody is."""
    found = [(route.prefix, End(route.to, owned=False, silent=route.silent)) for route in scenario.routes]
    found += [
        (prefixes.around(address, *NEIGHBOURHOOD), End(server.at, owned=False, silent=True))
        for server in scenario.servers
        for address in server.addresses
    ]
    found.sort(key=lambda pair: -prefixes.length(pair[0]))
    return tuple((*prefixes.mask(prefix), end) for prefix, end in found)
