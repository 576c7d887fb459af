"""Which sessions a diagnosis needs: the whole survey as a plan that reads from top to bottom.

Every observation carries one of the purposes listed in ARCHITECTURE.md. The survey decides by facts only ("the
handshake did not finish"), never by meaning; what it means is the diagnosis' business.

Where this machine has IPv6, a handful of the same is asked over it in the same stages (`over_v6`).

The stages: the own machine; then, side by side, gateway, names and the controls that need no name; then whether the
edges and the controls that were found are there; then, side by side, what they serve and the ways to some of them; then
a second look at whatever failed, and a look over the other uplinks of a machine that has several.

Few destinations are traced, those that fail first: an ordinary router answers one peer with a burst of about six ICMP
errors and then one a second, so that tracing everything at once would manufacture silent hops close to home.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from netprobe.model.host import HostState
from netprobe.model.probes import Flow, Protocol, Train
from netprobe.model.report import Observation
from netprobe.model.services import Answer
from netprobe.model.targets import Control, Edge, Platform, Target
from netprobe.probing import over_v6, plain
from netprobe.probing.announced import Ending, listen
from netprobe.probing.ask import Pause, inspect, lookup
from netprobe.probing.constancy import has_changed, recheck
from netprobe.probing.losses import ask_more
from netprobe.probing.observe import Observe
from netprobe.probing.questions import HTTPS, can_echo, pages, patience_s, trains
from netprobe.probing.quic import try_quic
from netprobe.probing.run import Plan, Session
from netprobe.probing.second_look import failing_resolvers, second_look
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.train import TrainSession
from netprobe.probing.uplinks import other_uplinks
from netprobe.topology.addresses import network_of, one_a_network

MAX_RESOLVERS = 3
ATTEMPTS = 2  # at a picture of a network that does not change while it is taken
EDGES_PER_NAME = 2  # addresses of one name that are measured: the first of the own resolver's, the first of another's
FAILING_PATHS = 3  # destinations that do not answer whose way is traced, at once
PUBLIC_RESOLVERS = 2  # that are asked over another uplink, whose own resolver nobody knows
HEAD_START_S = 0.3  # of the ways to the silent, before they are asked for pages
PASSING_PATHS = 2  # destinations that answer whose way is traced, for comparison

Observations = tuple[Observation, ...]
#: What kind of place it is, its address, and its names with their pages.
_Wanted = tuple[str, str, list[tuple[str, str]]]


def survey(
    platform: Platform,
    targets: Sequence[Target],
    *,
    symptom: str = "",
    locating: bool = False,
    all_uplinks: bool = True,
    announcements: Sequence[str] = (),
) -> Plan[Observations]:
    """Measure what a diagnosis of `platform` needs, `targets` being the names to try, in order of importance.

    `symptom` is what the user sees, where that asks for something that nothing else does. `locating`: find the hop at
    which a name is minded, at the price of asking for it again and again. `all_uplinks`: what fails over the first
    uplink is asked over the others too, which may cost by the megabyte. `announcements` are feeds, read beside it all.

    What changes meanwhile is measured again, as it is then; of the time before, only what shows the change is kept.
    """
    rechecks: list[Observation] = []
    for _ in range(ATTEMPTS):
        (host,) = yield [Observe("host", "self", inspect())]
        ending = Ending()
        measuring = _measure(host, platform, targets, symptom=symptom, locating=locating, all_uplinks=all_uplinks)
        (found, again, changed), heard = yield [
            ending.mark(measuring),
            listen(announcements, host, platform, ending),
        ]
        rechecks += again
        if not changed:
            break
    return (*found, *rechecks, *heard)


def _measure(
    host: Observation,
    platform: Platform,
    targets: Sequence[Target],
    *,
    symptom: str,
    locating: bool,
    all_uplinks: bool,
) -> Plan[tuple[list[Observation], list[Observation], bool]]:
    """All of it once; then what was asked a second time, and whether that says that the network has changed."""
    facts: HostState = host.fact  # type: ignore[assignment]  # what a look at the own machine brings
    found: list[Observation] = [host]
    again: list[Observation] = []
    stamp = f"{facts.wall_clock_s:.0f}"
    if facts.default_link or facts.global_link_v6:
        resolvers = tuple(dict.fromkeys(facts.resolvers[:MAX_RESOLVERS]))
        echoes = can_echo(facts)
        begin = [
            _all(_gateway(facts)),
            _all(_lookups(platform, targets, resolvers)),
            _all(_missing(platform.controls, resolvers, stamp)),
            _all(_anycast_controls(platform.controls, echoes=echoes)),
        ]
        if facts.global_link_v6:
            begin.append(_all(over_v6.lookups(platform, targets, resolvers)))
            begin.append(_all(over_v6.anycast_controls(platform.controls)))
        found += _flat((yield begin))
        edges = choose_edges(targets, resolvers, _answers(found, "lookup.platform"))
        named = _named_controls(platform.controls, resolvers, _answers(found, "lookup.control"))
        edges_v6, controls_v6 = over_v6.find_edges(targets, found), over_v6.find_controls(platform.controls, found)
        second = yield [
            _ask(tuple(found), edges, named, echoes=echoes),
            over_v6.look(edges_v6, controls_v6, found),
            _all(failing_resolvers(found, resolvers)),
            _later(list(plain.ask_controls(named, found))),
        ]
        found += _flat(second)
        again += yield from recheck(found, resolvers, stamp, later=False)
        if has_changed(found, again):
            return found, again, True
        beside = [o for o in found if o.purpose.startswith(over_v6.OVER)]
        looked = yield from second_look(
            [o for o in found if o not in beside],
            edges,
            named,
            resolvers,
            platform,
            stamp=stamp,
            symptom=symptom,
            locating=locating,
        )
        looked += yield from over_v6.look_at_sizes(found, edges_v6, controls_v6)
        looked += yield from over_v6.count([*beside, *looked], edges_v6, controls_v6)
        found += looked
        if all_uplinks:
            public = [c.address for c in platform.controls if c.resolver][:PUBLIC_RESOLVERS]
            found += yield from other_uplinks(found, facts, edges, named, targets, public)
        again += yield from recheck(found, resolvers, stamp, later=True)
        found.append((yield [Observe("host", "self", inspect())])[0])
    return found, again, has_changed(found, again)


def _all(sessions: Iterable[Session[Any]]) -> Plan[list[Observation]]:
    return (yield list(sessions))


def _flat(groups: Iterable[Iterable[Observation]]) -> list[Observation]:
    return [observation for group in groups for observation in group]


def _answers(found: Iterable[Observation], purpose: str) -> list[Answer]:
    return [o.fact for o in found if o.purpose == purpose and isinstance(o.fact, Answer)]


def _gateway(host: HostState) -> Iterable[Session[Observation]]:
    if host.gateway:
        yield Observe("gateway", host.gateway, TrainSession(Protocol.ICMP, host.gateway, count=4))


def _lookups(
    platform: Platform, targets: Sequence[Target], configured: Sequence[str]
) -> Iterable[Session[Observation]]:
    """Every name at the first configured resolver; enough of them elsewhere to see whether answers agree."""
    independent = [c.address for c in platform.controls if c.resolver and c.address not in configured]
    few = _one_per_zone(platform, targets)
    control_names = [c.name for c in platform.controls if not c.address][:3]
    for rank, resolver in enumerate((*configured, *independent)):
        for target in targets if rank == 0 else few:
            yield Observe("lookup.platform", target.name, lookup(target.name, resolver))
        for name in control_names if rank else [c.name for c in platform.controls if not c.address]:
            yield Observe("lookup.control", name, lookup(name, resolver))


def _missing(controls: Sequence[Control], configured: Sequence[str], stamp: str) -> Iterable[Session[Observation]]:
    """A name that nobody has, below an unrelated one: does an own resolver make up an answer all the same?"""
    for parent in [c.name for c in controls if not c.address][:1]:
        for resolver in configured:
            yield Observe("lookup.missing", parent, lookup(f"np{stamp}.{parent}", resolver))


def _one_per_zone(platform: Platform, targets: Sequence[Target]) -> list[Target]:
    """The most important name of each zone: zones are what authoritative servers and blocking lists go by."""
    chosen: dict[str, Target] = {}
    for target in targets:
        zone = next((z for z in platform.zones if target.name == z or target.name.endswith("." + z)), target.name)
        chosen.setdefault(zone, target)
    return list(chosen.values())


def _anycast_controls(controls: Sequence[Control], *, echoes: bool) -> Iterable[Session[Observation]]:
    """Controls that need no DNS: reachability over two protocols, and the way there."""
    for control in controls:
        if control.address:
            yield from trains("control", control.name, control.address, echoes=echoes)
            yield Observe("control.path", control.name, Traceroute(Flow(Protocol.TCP, control.address, HTTPS)))


def choose_edges(targets: Sequence[Target], configured: Sequence[str], answers: Sequence[Answer]) -> tuple[Edge, ...]:
    """The addresses to measure: what the user's own resolvers say, and beside it what others say where they differ."""
    edges: list[Edge] = []
    for target in targets:
        usable = [a for a in answers if a.lookup.name == target.name and a.usable]
        usable.sort(
            key=lambda a: configured.index(a.lookup.resolver) if a.lookup.resolver in configured else MAX_RESOLVERS
        )
        own = [a for a in usable if a.lookup.resolver in configured]
        others = [a for a in usable if a.lookup.resolver not in configured]
        chosen = {a.addresses[0]: a.lookup.resolver for a in reversed(own[:1])}
        known = {address for a in own for address in a.addresses}
        for answer in others:
            if len(chosen) < EDGES_PER_NAME and not known.intersection(answer.addresses):
                chosen.setdefault(answer.addresses[0], answer.lookup.resolver)
                known.update(answer.addresses)
        edges += [
            Edge(address, target.name, target.role, target.vendor, by, target.large_path)
            for address, by in chosen.items()
        ]
    return tuple(edges)


def _named_controls(
    controls: Sequence[Control], configured: Sequence[str], answers: Sequence[Answer]
) -> list[tuple[Control, str]]:
    """Controls with an address to fetch from: their own where it is well known, else what a resolver said."""
    found = []
    for control in controls:
        usable = [a for a in answers if a.lookup.name == control.name and a.usable]
        usable.sort(key=lambda a: a.lookup.resolver not in configured)
        if control.address:
            found.append((control, control.address))
        elif usable:
            found.append((control, usable[0].addresses[0]))
    return found


def _ask(
    before: Sequence[Observation], edges: Sequence[Edge], controls: Sequence[tuple[Control, str]], *, echoes: bool
) -> Plan[list[Observation]]:
    """Who is there; then, side by side, what they serve, and the ways to some of them."""
    wanted = _wanted(edges, controls)
    # Controls with an address of their own have been knocked at before anything was known of names.
    known = {address for control, address in controls if control.address}
    wait_s = patience_s(before)
    asked = [(w, a, names[0][0]) for w, a, names in wanted if w == "edge" or a not in known]
    knocks = [_all(trains(what, name, address, echoes=echoes, timeout_s=wait_s)) for what, address, name in asked]
    there = _flat((yield knocks))
    heard = [*before, *there]
    answering = _answering(heard)
    loud = _fetches([each for each in wanted if each[1] in answering], heard)
    quiet = _fetches([each for each in wanted if each[1] not in answering], heard)
    beside = [_pages(loud, heard, edges, controls), _all(_paths(heard, edges, controls)), _later(quiet)]
    return [*there, *_flat((yield beside))]


def _answering(found: Iterable[Observation]) -> set[str]:
    """The addresses that have answered a SYN."""
    trains = [o.fact for o in found if isinstance(o.fact, Train) and o.fact.protocol is Protocol.TCP]
    return {train.destination for train in trains if train.answered}


def _pages(
    fetches: Sequence[Session[Observation]],
    heard: Sequence[Observation],
    edges: Sequence[Edge],
    controls: Sequence[tuple[Control, str]],
) -> Plan[list[Observation]]:
    """What is served; then whether who says that it speaks QUIC does, and whether a packet is lost now and then."""
    fetched: list[Observation] = yield fetches
    more = ask_more([*heard, *fetched], edges)
    return fetched + (yield [*try_quic(fetched, edges, controls), *more])


def _fetches(wanted: Sequence[_Wanted], heard: Sequence[Observation]) -> list[Session[Observation]]:
    return [one for what, address, names in wanted for one in pages(what, address, names, heard)]


def _later(sessions: Sequence[Session[Observation]]) -> Plan[list[Observation]]:
    """What may draw errors, a moment after what these are needed for: who is silent is asked after the way to him.

    In a loop, and at a filter that says so, each SYN draws an error of the routers on the way, which send only so many.
    """
    if sessions:
        yield [Pause(HEAD_START_S)]
    return (yield list(sessions))


def _wanted(edges: Sequence[Edge], controls: Sequence[tuple[Control, str]]) -> list[_Wanted]:
    """What is asked of each address, with its names and their pages."""
    served: dict[str, list[tuple[str, str]]] = {}
    for edge in edges:
        served.setdefault(edge.address, []).append((edge.name, "/"))
    asked = [("edge", address, names) for address, names in served.items()]
    return [*asked, *(("control", address, [(control.name, control.path)]) for control, address in controls)]


def _paths(
    found: Sequence[Observation], edges: Sequence[Edge], controls: Sequence[tuple[Control, str]]
) -> Iterable[Session[Observation]]:
    """The ways to a few destinations, spread over networks; those that answer nothing first."""
    destinations = {edge.address: ("edge.path", edge.name) for edge in edges}
    for control, address in controls:
        if not control.address:
            destinations.setdefault(address, ("control.path", control.name))
    heard = _answering(found)
    failing = one_a_network((address for address in destinations if address not in heard), str)[:FAILING_PATHS]
    # A neighbour that answers is the best comparison: routes part at a network that is announced.
    beside = [a for f in failing for a in destinations if a in heard and network_of(a) == network_of(f)]
    passing = [a for a in destinations if a in heard and destinations[a][0] == "edge.path"]
    wait_s = patience_s(found)
    for address in failing + one_a_network(beside + passing, str)[:PASSING_PATHS]:
        yield Observe(*destinations[address], Traceroute(Flow(Protocol.TCP, address, HTTPS), last_s=wait_s))
