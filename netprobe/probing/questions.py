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
from netprobe.probing.train import FIRST_LABEL, TrainSession

HTTPS = 443
TRAIN_COUNT = 3
TRAIN_INTERVAL_S = 0.05
FETCH_TIMEOUT_S = 5.0
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.6, 1.0  # for an answer to a probe
WAIT_FACTOR = 3.0  # times the slowest round trip that was measured,
SLOW_PATH_S = 0.15  # and what routers may take beside it: they answer from a slow path
RETRANSMISSION_S = 1.0  # of a SYN (RFC 6298, 2.1): who has answered none so far gets another one


def trains(
    what: str, subject: str, address: str, *, echoes: bool = True, timeout_s: float = LONGEST_WAIT_S
) -> Iterable[Session[Observation]]:
    """Is it there? Three SYNs to its service and three echoes; as many SYNs where this machine can send no `echoes`."""
    syns = TRAIN_COUNT if echoes else 2 * TRAIN_COUNT
    for protocol, count in ((Protocol.TCP, syns), *([(Protocol.ICMP, TRAIN_COUNT)] if echoes else [])):
        session = steadily(protocol, address, count=count, interval_s=TRAIN_INTERVAL_S, timeout_s=timeout_s)
        yield Observe(f"{what}.train", subject, session)


def steadily(
    protocol: Protocol,
    address: str,
    *,
    count: int,
    interval_s: float,
    timeout_s: float = LONGEST_WAIT_S,
    first_label: int = FIRST_LABEL,
) -> TrainSession:
    """So many echo requests to an address, or SYNs to its service, at one pace."""
    port = 0 if protocol is Protocol.ICMP else HTTPS
    return TrainSession(
        protocol,
        address,
        port=port,
        count=count,
        interval_s=interval_s,
        timeout_s=timeout_s,
        first_label=first_label,
    )


def can_echo(host: HostState) -> bool:
    """Whether echo requests can leave this machine."""
    return Protocol.ICMP not in cannot(host.footing)


def serve(
    what: str, address: str, wanted: Sequence[tuple[str, str]], *, echoes: bool = True
) -> Plan[list[Observation]]:
    """One address: is it there, and does it serve its names? `wanted` are (name, path)."""
    found: list[Observation] = yield list(trains(what, wanted[0][0], address, echoes=echoes))
    return found + (yield list(pages(what, address, wanted, found)))


def pages(
    what: str, address: str, wanted: Sequence[tuple[str, str]], found: Sequence[Observation]
) -> Iterable[Session[Observation]]:
    """What an address serves. Who has answered no SYN in `found` is asked too, but is not waited for as long."""
    knocked = [o.fact for o in found if isinstance(o.fact, Train) and o.fact.protocol is Protocol.TCP]
    silent = any(train.destination == address and not train.answered for train in knocked)
    patience = RETRANSMISSION_S + patience_s(found) if silent else FETCH_TIMEOUT_S
    return [Observe(f"{what}.fetch", name, fetch(page(address, name, path, patience))) for name, path in wanted]


def patience_s(found: Iterable[Observation]) -> float:
    """How long to wait for an answer to a probe, by how long others have taken.

    TCP's own rule for the first retransmission is a second (RFC 6298, 2.1), and a few round trips once they are known.
    """
    trains = [o.fact for o in found if isinstance(o.fact, Train)]
    slowest = max((x.reply.rtt_s for t in trains for x in t.exchanges if x.reply), default=None)
    if slowest is None:
        return LONGEST_WAIT_S
    return min(max(SHORTEST_WAIT_S, WAIT_FACTOR * slowest + SLOW_PATH_S), LONGEST_WAIT_S)


def page(address: str, name: str, path: str = "/", timeout_s: float = FETCH_TIMEOUT_S, *, mss: int = 0) -> Fetch:
    """A request for a page of `name` at `address`, in TCP segments of up to `mss` bytes (0: the usual ones)."""
    return Fetch(Handshake(address, HTTPS, name, timeout_s=timeout_s, mss=mss), path=path)


def apart(edges: Iterable[Edge]) -> list[Edge]:
    """One edge an address, different vendors first."""
    each = list({edge.address: edge for edge in reversed(list(edges))}.values())[::-1]
    first = list({edge.vendor: edge for edge in reversed(each)}.values())
    return first + [edge for edge in each if edge not in first]
