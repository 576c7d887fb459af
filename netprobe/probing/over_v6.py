"""What is asked about IPv6, and over it, beside all that is asked over IPv4.

Only where this machine has a way to the IPv6 Internet. It is a handful of questions, of the kind that an app would ask
that can do both (RFC 8305): one address a name, and controls that nobody needs a name server for. They go out beside
those over IPv4, so that a survey takes no longer where all is well. `v6.` stands before the purpose of what was
measured over IPv6, `.aaaa` behind that of a question for IPv6 addresses, over whatever it was asked.
"""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from operator import itemgetter

from msgspec import structs

from netprobe.model.host import HostState
from netprobe.model.probes import Flow, Protocol, Train
from netprobe.model.report import Observation
from netprobe.model.services import Answer, Response
from netprobe.model.targets import Control, Edge, Platform, Target
from netprobe.probing.ask import fetch, lookup
from netprobe.probing.loss import is_significant
from netprobe.probing.losses import count_losses
from netprobe.probing.observe import Observe
from netprobe.probing.questions import HTTPS, TRAIN_COUNT, TRAIN_INTERVAL_S, apart, page, patience_s, steadily
from netprobe.probing.run import Plan, Session, gather
from netprobe.probing.sizes import ask_sizes, in_small_segments, stalls
from netprobe.probing.traceroute import Traceroute
from netprobe.topology.addresses import is_global_v6, one_a_network

OVER = "v6."  # before the purpose of what was measured over IPv6
EDGES = 12  # addresses of the platform that are asked whether they are there, different vendors first
PAGES = 4  # of them that are asked for a page
NAMED_CONTROLS = 2  # names that have nothing to do with the platform and are asked for
FAILING_PATHS = 4  # destinations that do not answer whose way is traced
PASSING_PATHS = 2  # of those that answer, where others do not


def lookups(platform: Platform, targets: Sequence[Target], configured: Sequence[str]) -> Iterable[Session[Observation]]:
    """Every name at the first configured resolver, as the system asks it, and a few others."""
    for resolver in configured[:1]:
        for target in targets:
            yield Observe("lookup.platform.aaaa", target.name, lookup(target.name, resolver, "AAAA"))
        for name in [c.name for c in platform.controls if not c.address][:NAMED_CONTROLS]:
            yield Observe("lookup.control.aaaa", name, lookup(name, resolver, "AAAA"))


def anycast_controls(controls: Sequence[Control]) -> Iterable[Session[Observation]]:
    """Controls that need no name: are they there?"""
    return [_knock("v6.control", c.name, c.address_v6) for c in controls if c.address_v6]


def find_edges(targets: Sequence[Target], found: Iterable[Observation]) -> tuple[Edge, ...]:
    """The addresses to measure: the first of each name at which a server can be, each once."""
    first = _first(found, "lookup.platform.aaaa")
    named = [(t, *first[t.name]) for t in targets if t.name in first]
    return tuple(apart(Edge(address, t.name, t.role, t.vendor, by) for t, address, by in named)[:EDGES])


def find_controls(controls: Sequence[Control], found: Iterable[Observation]) -> list[tuple[Control, str]]:
    """The controls that were found by their names, with their addresses."""
    first = _first(found, "lookup.control.aaaa")
    return [(control, first[control.name][0]) for control in controls if control.name in first]


def _first(found: Iterable[Observation], purpose: str) -> dict[str, tuple[str, str]]:
    """By name an address at which a server can be, and the resolver that gave it. Others are never asked anything."""
    answers = [o.fact for o in found if o.purpose == purpose and isinstance(o.fact, Answer) and o.fact.usable]
    chosen = [(a.lookup, next(filter(is_global_v6, a.addresses), "")) for a in answers]
    return {asked.name: (address, asked.resolver) for asked, address in chosen if address}


def look(
    edges: Sequence[Edge], controls: Sequence[tuple[Control, str]], before: Sequence[Observation]
) -> Plan[list[Observation]]:
    """Are they there? Then what those that are serve, and the ways to those that are not.

    Who answers no SYN is not asked for a page.
    """
    knocks = [_knock("v6.edge", edge.name, edge.address) for edge in edges]
    knocks += [_knock("v6.control", control.name, address) for control, address in controls]
    there: list[Observation] = yield knocks
    answering = {o.fact.destination for o in there if isinstance(o.fact, Train) and _answers(o)}
    asked = [edge for edge in edges[:PAGES] if edge.address in answering]
    fetches = [Observe("v6.edge.fetch", edge.name, fetch(page(edge.address, edge.name))) for edge in asked]
    return there + (yield [*fetches, *paths([*before, *there])])


def _knock(what: str, subject: str, address: str) -> Session[Observation]:
    syns = steadily(Protocol.TCP, address, count=TRAIN_COUNT, interval_s=TRAIN_INTERVAL_S)
    return Observe(f"{what}.train", subject, syns)


def _answers(observation: Observation) -> bool:
    return isinstance(observation.fact, Train) and bool(observation.fact.answered)


def count(
    found: Sequence[Observation], edges: Sequence[Edge], controls: Sequence[tuple[Control, str]]
) -> Plan[list[Observation]]:
    """Count what is lost over IPv6, where something was, and hardly anything over IPv4, which explained it."""
    if any(o.purpose in {"edge.loss", "control.loss"} and isinstance(o.fact, Train) and _loses(o.fact) for o in found):
        return []
    return _marked((yield from count_losses(_own(found), edges, controls, "")))


def look_at_sizes(
    found: Sequence[Observation], edges: Sequence[Edge], controls: Sequence[tuple[Control, str]]
) -> Plan[list[Observation]]:
    """Is it the size of packets, where connections over IPv6 stall, and none over IPv4, which explained it?"""
    fetched = [(o.purpose, o.fact) for o in found if isinstance(o.fact, Response)]
    stalling = {purpose.startswith(OVER) for purpose, response in fetched if stalls(response)}
    if stalling != {True}:
        return []
    hosts, own = [o for o in found if isinstance(o.fact, HostState)], _own(found)
    looked: list[Observation] = yield from gather(list(in_small_segments(own, edges, controls)))
    looked += yield from ask_sizes([*hosts, *own, *looked], edges, controls)
    return _marked(looked)


def _own(found: Iterable[Observation]) -> list[Observation]:
    """What was measured over IPv6, as if it had been measured over IPv4."""
    return [structs.replace(o, purpose=o.purpose.removeprefix(OVER)) for o in found if o.purpose.startswith(OVER)]


def _marked(looked: Iterable[Observation]) -> list[Observation]:
    return [structs.replace(o, purpose=f"{OVER}{o.purpose}") for o in looked]


def _loses(train: Train) -> bool:
    return is_significant(train.lost, len(train.exchanges))


def paths(found: Sequence[Observation]) -> Iterable[Session[Observation]]:
    """The ways to what does not answer over IPv6, and one to compare with; none where all answers.

    Edges and controls by turns: both are needed to tell whose trouble it is.
    """
    silent = {what: _spread(found, what, answering=False) for what in ("v6.edge", "v6.control")}
    pairs = zip_longest(*silent.values())
    failing = [each for pair in pairs for each in pair if each][:FAILING_PATHS]
    passing = [*_spread(found, "v6.edge", answering=True), *_spread(found, "v6.control", answering=True)]
    wait_s = patience_s(found)
    for purpose, subject, address in [*failing, *passing[: PASSING_PATHS if failing else 0]]:
        yield Observe(purpose, subject, Traceroute(Flow(Protocol.TCP, address, HTTPS), last_s=wait_s))


def _spread(found: Iterable[Observation], what: str, *, answering: bool) -> list[tuple[str, str, str]]:
    """Purpose, subject and address of a path to each that does or does not answer, one a network."""
    trains = [(o, o.fact) for o in found if o.purpose == f"{what}.train" and isinstance(o.fact, Train)]
    each = [(f"{what}.path", o.subject, train.destination) for o, train in trains if _answers(o) is answering]
    return one_a_network(each, itemgetter(2))
