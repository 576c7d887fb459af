"""The questions that are asked of one address, as sessions with their purposes: is it there, and does it serve?"""

from collections.abc import Iterable, Sequence

from netprobe.model.host import HostState
from netprobe.model.probes import Protocol, Train
from netprobe.model.report import Observation
from netprobe.model.rungs import cannot
from netprobe.model.services import Fetch, Handshake
from netprobe.model.targets import Edge
from netprobe.probing.ask import fetch
from netprobe.probing.observe import Observe
from netprobe.probing.run import Plan, Session
from netprobe.probing.train import TrainSession

HTTPS = 443
TRAIN_COUNT = 3
TRAIN_INTERVAL_S = 0.05
FETCH_TIMEOUT_S = 5.0
SILENT_TIMEOUT_S = 2.0  # for an address that has answered no SYN so far


def trains(what: str, subject: str, address: str, *, echoes: bool = True) -> Iterable[Session[Observation]]:
    """Is it there? Three SYNs to its service and three echoes; as many SYNs where this machine can send no `echoes`."""
    syns = TRAIN_COUNT if echoes else 2 * TRAIN_COUNT
    session = TrainSession(Protocol.TCP, address, port=HTTPS, count=syns, interval_s=TRAIN_INTERVAL_S)
    yield Observe(f"{what}.train", subject, session)
    if echoes:
        session = TrainSession(Protocol.ICMP, address, count=TRAIN_COUNT, interval_s=TRAIN_INTERVAL_S)
        yield Observe(f"{what}.train", subject, session)


def can_echo(host: HostState) -> bool:
    """Whether echo requests can leave this machine."""
    return Protocol.ICMP not in cannot(host.footing)


def serve(
    what: str, address: str, pages: Sequence[tuple[str, str]], *, reach: bool = True, echoes: bool = True
) -> Plan[list[Observation]]:
    """One address: is it there, and does it serve its names? `pages` are (name, path).

    Whoever answers no SYN of a train is asked for pages too, but is not waited for as long.
    """
    found: list[Observation] = (yield list(trains(what, pages[0][0], address, echoes=echoes))) if reach else []
    silent = any(isinstance(o.fact, Train) and o.fact.protocol is Protocol.TCP and not o.fact.answered for o in found)
    patience = SILENT_TIMEOUT_S if silent else FETCH_TIMEOUT_S
    return found + (
        yield [Observe(f"{what}.fetch", name, fetch(page(address, name, path, patience))) for name, path in pages]
    )


def page(address: str, name: str, path: str = "/", timeout_s: float = FETCH_TIMEOUT_S, *, mss: int = 0) -> Fetch:
    """A request for a page of `name` at `address`, in TCP segments of up to `mss` bytes (0: the usual ones)."""
    return Fetch(Handshake(address, HTTPS, name, timeout_s=timeout_s, mss=mss), path=path)


def apart(edges: Iterable[Edge]) -> list[Edge]:
    """One edge an address, different vendors first."""
    each = list({edge.address: edge for edge in reversed(list(edges))}.values())[::-1]
    first = list({edge.vendor: edge for edge in reversed(each)}.values())
    return first + [edge for edge in each if edge not in first]
