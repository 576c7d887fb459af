"""The same questions over the machine's other uplinks, where something failed over the one that the routes lead to.

What fails over the cable and works over the LTE stick is not the platform's fault; what fails over both in the same way
is hardly the provider's. Economically: trains, names and pages of few places, as an uplink may cost by the megabyte.
"""

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from netprobe.model.host import HostState
from netprobe.model.probes import Protocol, Train
from netprobe.model.report import Observation
from netprobe.model.services import Answer, Response
from netprobe.model.targets import Control, Edge, Target
from netprobe.probing.ask import lookup
from netprobe.probing.observe import Observe
from netprobe.probing.port import Outcome, Over, Request
from netprobe.probing.questions import apart, can_echo, serve
from netprobe.probing.run import Plan, Session, Task, gather

T = TypeVar("T")

PREFIX = "uplink."  # what the purpose of an observation begins with that was made over another uplink
MOST_UPLINKS = 2  # others that are asked
MOST_EDGES, MOST_CONTROLS, MOST_NAMES = 6, 4, 6  # places that are asked over each
_SERVER_ERROR, _LEGAL = 500, 451

Observations = list[Observation]


class Bound:
    """Run `session` over the interface `link`; an observation that it makes says so, by a purpose of its own."""

    def __init__(self, link: str, session: Session[Any]) -> None:
        self._link = link
        self._session = session

    def next_request(self, now: float) -> Request | None:
        """What the session wants, bound to the link."""
        request = self._session.next_request(now)
        return None if request is None else Over(self._link, request)  # type: ignore[arg-type]  # no Inspect, no Over

    def sent(self, request: Request, token: int, now: float) -> None:
        """The session knows nothing of links."""
        self._session.sent(request.request if isinstance(request, Over) else request, token, now)

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """As the session wants."""
        self._session.receive(token, outcome, now)

    def deadline(self) -> float | None:
        """As the session wants."""
        return self._session.deadline()

    def result(self) -> Any:  # what the session's is
        """What was measured."""
        found = self._session.result()
        if isinstance(found, Observation):
            found = replace(found, purpose=PREFIX + found.purpose, link=self._link)
        return found


def over(link: str, plan: Plan[T]) -> Plan[T]:
    """`plan`, with all of its sessions bound to the interface `link`."""
    results: list[Any] | None = None
    while True:
        try:
            batch: Sequence[Task] = plan.send(results)  # type: ignore[arg-type]  # None starts a generator
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # the plan's own
        results = yield [over(link, t) if isinstance(t, Generator) else Bound(link, t) for t in batch]


def other_uplinks(
    found: Sequence[Observation],
    host: HostState,
    edges: Sequence[Edge],
    controls: Sequence[tuple[Control, str]],
    targets: Sequence[Target],
    resolvers: Sequence[str],
) -> Plan[Observations]:
    """Ask again over each of the other uplinks what failed, and a few controls; nothing where nothing failed.

    `controls` are those with an address, `resolvers` some that any network reaches. Not where a VPN has the default
    route: what it is there for is that nothing leaves beside it.
    """
    first, *others = host.uplinks or (None,)
    failed = failing(found)
    wanted = unserved(targets, edges, failed)
    if first is None or first.link != host.default_link or not (failed or wanted or _silent_control(found)):
        return []
    bad = [e for e in edges if (e.name, e.address) in failed and ":" not in e.address]  # the routes are those of IPv4
    chosen = {edge.address for edge in apart(bad)[:MOST_EDGES]}
    few = [edge for edge in bad if edge.address in chosen]
    echoes = can_echo(host)
    plans = [
        over(uplink.link, _questions(few, controls, wanted, resolvers, echoes=echoes))
        for uplink in others[:MOST_UPLINKS]
    ]
    return [observation for answers in (yield plans) for observation in answers]


def failing(found: Sequence[Observation]) -> set[tuple[str, str]]:
    """The names and addresses of the platform's whose pages failed whenever they were asked for."""
    pages = [
        ((o.subject, o.fact.fetch.handshake.address), o.fact)
        for o in found
        if o.purpose in {"edge.fetch", "edge.fetch.again"} and isinstance(o.fact, Response)
    ]
    return {key for key, _ in pages} - {key for key, response in pages if serves(response)}


def serves(response: Response) -> bool:
    """Whether it is an answer that a server gives in health."""
    return 0 < response.status < _SERVER_ERROR and response.status != _LEGAL and not response.error


def unserved(targets: Sequence[Target], edges: Sequence[Edge], failed: set[tuple[str, str]]) -> list[str]:
    """Names that no address was found for, and those of which one fails, in the order of their importance."""
    known, bad = {edge.name for edge in edges}, {name for name, _ in failed}
    return [target.name for target in targets if target.name in bad or target.name not in known][:MOST_NAMES]


def _silent_control(found: Sequence[Observation]) -> bool:
    trains = [o.fact for o in found if o.purpose == "control.train" and isinstance(o.fact, Train)]
    return any(not train.answered for train in trains if train.protocol is Protocol.TCP)


def _questions(
    edges: Sequence[Edge],
    controls: Sequence[tuple[Control, str]],
    names: Sequence[str],
    resolvers: Sequence[str],
    *,
    echoes: bool,
) -> Plan[Observations]:
    """The edges, some controls, and the names where they lead to other addresses from here."""
    pages: dict[str, list[tuple[str, str]]] = {}
    for edge in edges:
        pages.setdefault(edge.address, []).append((edge.name, "/"))
    families = {control.family: (control, address) for control, address in reversed(controls)}
    few = list(families.values())[::-1][:MOST_CONTROLS]
    lookups: list[Task] = [Observe("lookup.platform", n, lookup(n, r)) for r in resolvers for n in names]
    plans: list[Task] = [serve("edge", address, wanted, echoes=echoes) for address, wanted in pages.items()]
    plans += [serve("control", address, [(c.name, c.path)], echoes=echoes) for c, address in few]
    answers, *served = yield [gather(lookups), *plans]
    found: Observations = answers + [observation for group in served for observation in group]
    more: dict[str, list[tuple[str, str]]] = {}
    for answer in (o.fact for o in answers if isinstance(o.fact, Answer) and o.fact.usable):
        asked = {name for wanted in more.values() for name, _ in wanted}
        if answer.lookup.name not in asked and not pages.keys() & set(answer.addresses):
            more.setdefault(answer.addresses[0], []).append((answer.lookup.name, "/"))
    for group in (yield [serve("edge", address, wanted, echoes=echoes) for address, wanted in more.items()]):
        found += group
    return found
