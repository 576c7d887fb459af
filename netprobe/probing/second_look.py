"""A second look at whatever failed: once more, and from another side. It is led by facts only, never by meaning."""

from collections.abc import Iterable, Sequence

from netprobe.model.host import HostState
from netprobe.model.probes import Flow, FlowTest, Path, Protocol, Train
from netprobe.model.report import Observation
from netprobe.model.services import Answer, Fetch, Handshake, Handshaken, Response
from netprobe.model.targets import Control, Edge, Platform
from netprobe.probing.ask import about_itself, fetch, handshake, lookup
from netprobe.probing.delays import measure_delays
from netprobe.probing.flows import compare_flows, is_split
from netprobe.probing.interference import REFUSALS
from netprobe.probing.locate import locate
from netprobe.probing.losses import count_losses
from netprobe.probing.names_again import Doubt, anything_came, in_doubt, look_at_names
from netprobe.probing.observe import Observe
from netprobe.probing.plain import ask_for_names
from netprobe.probing.questions import FETCH_TIMEOUT_S, HTTPS, apart, page, patience_s, trains
from netprobe.probing.quic import look_into_silence
from netprobe.probing.regions import look_elsewhere
from netprobe.probing.run import Plan, Session, gather
from netprobe.probing.sizes import ask_sizes, in_small_segments, stalls
from netprobe.probing.speed import compare_by_name
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.train import TrainSession
from netprobe.probing.zones import ask_zones

DNS = 53
UPLOAD = "upload"  # the symptom that only packets on the way there can explain
SLOW = "slow"  # the one that only large pages can show
PATIENCE_S = 6.0  # for a resolver that has not answered anything in the usual time
SECOND_LOOK_EDGES = 4  # failed edges that are looked at again: a guest does not hammer
CALM_TURNS = 4


def failing_resolvers(found: Sequence[Observation], configured: Sequence[str]) -> Iterable[Session[Observation]]:
    """Is the resolver's host there, where do packets to it end, and does it fail if one waits longer?"""
    for resolver in configured:
        answers = [o.fact for o in found if isinstance(o.fact, Answer) and o.fact.lookup.resolver == resolver]
        if answers and not any(a.rcode for a in answers):
            # A forwarder gives up on a dead upstream only after seconds: its SERVFAIL tells that it lives itself.
            name = answers[-1].lookup.name
            yield Observe("lookup.control", name, lookup(name, resolver, timeout_s=PATIENCE_S))
        if answers and not any(a.rcode in {"NOERROR", "NXDOMAIN"} for a in answers):
            yield Observe("resolver.train", resolver, TrainSession(Protocol.ICMP, resolver))
            yield Observe("resolver.train", resolver, TrainSession(Protocol.TCP, resolver, port=DNS))
            yield Observe("resolver.self", resolver, about_itself(resolver))
            yield Observe("resolver.path", resolver, Traceroute(Flow(Protocol.ICMP, resolver)))


def second_look(
    found: Sequence[Observation],
    edges: Sequence[Edge],
    controls: Sequence[tuple[Control, str]],
    resolvers: Sequence[str],
    platform: Platform,
    *,
    stamp: str,
    symptom: str = "",
    locating: bool = False,
) -> Plan[list[Observation]]:
    """What failed, once more and from another side: chance, name, address, protocol, or size?

    `controls` are those with an address; `stamp` makes names that nobody has asked for before. `symptom` is
    what the user sees: of `upload`, nothing that is fetched would show it; with `slow`, large pages are fetched in any
    case. `locating`: where a name alone breaks the handshake, it is found out at which hop.
    """
    failed = {
        (o.subject, o.fact.fetch.handshake.address): o.fact.handshaken
        for o in found
        if o.purpose == "edge.fetch" and isinstance(o.fact, Response) and _bad(o.fact)
    }
    other_name = next((c.name for c, _ in controls if not c.vendor), "example.com")
    elsewhere = next((address for c, address in controls if _served(found, c.name)), "")
    batch: list[Session[Observation]] = []
    for edge in apart(edge for edge in edges if (edge.name, edge.address) in failed)[:SECOND_LOOK_EDGES]:
        shaken = failed[edge.name, edge.address]
        if shaken.phase == "connect" and shaken.error == "timeout":
            batch += trains("edge", edge.name, edge.address)
            continue
        batch.append(Observe("edge.fetch.again", edge.name, fetch(page(edge.address, edge.name))))
        if shaken.phase == "tls":
            batch.append(Observe("sni.target", edge.name, handshake(_unchecked(edge.address, edge.name))))
            batch.append(Observe("sni.control", edge.name, handshake(_unchecked(edge.address, other_name))))
            if elsewhere:
                batch.append(Observe("sni.elsewhere", edge.name, handshake(_unchecked(elsewhere, edge.name))))
    wait_s = patience_s(found)
    for o in found:
        if o.purpose in {"edge.path", "control.path"} and isinstance(o.fact, Path) and not o.fact.reached:
            echoed = Flow(Protocol.ICMP, o.fact.flow.destination)
            batch.append(Observe(o.purpose, o.subject, Traceroute(echoed, last_s=wait_s)))
        elif o.purpose == "gateway" and isinstance(o.fact, Train) and not o.fact.answered:
            batch.append(Observe("gateway", o.subject, TrainSession(Protocol.ICMP, o.subject, count=4)))
    batch += in_small_segments(found, edges, controls)
    batch += _whatever_is_shown(found, edges, controls)
    batch += ask_for_names(found, edges, controls)
    groups: list[list[Observation]] = yield [gather(batch), *_about_names(found, edges, controls, resolvers, platform)]
    looked = [observation for group in groups for observation in group]
    if locating:
        looked += yield from _locate(looked, other_name)
    looked += yield from look_into_silence(found, controls)
    looked += yield from ask_sizes([*found, *looked], edges, controls, uploading=symptom == UPLOAD)
    looked += yield from compare_by_name(found, edges, controls, wanted=symptom == SLOW)
    hosts = [o.fact for o in found if isinstance(o.fact, HostState)]
    flows = yield from compare_flows(found, edges, controls)
    looked += flows
    if any(isinstance(o.fact, FlowTest) and is_split(o.fact) for o in flows):
        return looked  # what else there is to count would be the dead branch again
    gateway = hosts[0].gateway if hosts else ""
    counted = yield from count_losses([*found, *looked], edges, controls, gateway)
    looked += counted
    if not any(o.purpose.endswith(".loss") for o in counted):  # else there is more than enough to see it in
        looked += yield from measure_delays([*found, *looked], edges, controls, gateway)
    for doubt in _doubts(found, resolvers):  # only when everything else is over: these are about milliseconds
        looked += yield from _calmly(*doubt, stamp)
    return looked


def _whatever_is_shown(
    found: Sequence[Observation], edges: Sequence[Edge], controls: Sequence[tuple[Control, str]]
) -> Iterable[Session[Observation]]:
    """What stands behind a certificate that was not accepted: its server's clock, a portal's page, a block page?

    Asked of one name of the platform and of one unrelated one; nothing that is not public is in the request.
    """
    shown = {
        (o.purpose, o.subject)
        for o in found
        if isinstance(o.fact, Response) and o.fact.handshaken.error == "certificate"
    }
    places = (
        ("edge.fetch", [(edge.name, edge.address, "/") for edge in edges]),
        ("control.fetch", [(control.name, address, control.path) for control, address in controls]),
    )
    for purpose, each in places:
        for name, address, path in [place for place in each if (purpose, place[0]) in shown][:1]:
            yield Observe(f"{purpose}.unchecked", name, fetch(Fetch(_unchecked(address, name), path=path)))


def _about_names(
    found: Sequence[Observation],
    edges: Sequence[Edge],
    controls: Sequence[tuple[Control, str]],
    resolvers: Sequence[str],
    platform: Platform,
) -> list[Plan[list[Observation]]]:
    """Names that are in doubt: over other transports, at the platform's own servers, and for other regions."""
    if not anything_came(found):
        return []
    doubts, rows = in_doubt(found, edges, resolvers), [control for control, _ in controls]
    unknown = [name for name, doubt in doubts.items() if doubt is not Doubt.UNSERVED]
    return [
        look_at_names(list(doubts), edges, resolvers, rows),
        ask_zones(unknown, platform, rows),
        look_elsewhere(found, edges, rows, platform.regions),
    ]


def _locate(looked: Sequence[Observation], other_name: str) -> Plan[list[Observation]]:
    """The hop at which a name is minded, for the first name that gets nowhere where another one gets an answer."""
    shaken = [(o.purpose, o.subject, o.fact) for o in looked if isinstance(o.fact, Handshaken)]
    answered = {f.handshake.address for p, _, f in shaken if p == "sni.control" and (f.done or f.error in REFUSALS)}
    for purpose, name, fact in shaken:
        cut = purpose == "sni.target" and fact.phase == "tls" and fact.error not in REFUSALS
        if cut and fact.handshake.address in answered:
            return (yield from locate(fact.handshake.address, name, other_name))
    return []


def _doubts(found: Sequence[Observation], resolvers: Sequence[str]) -> list[tuple[str, str, str]]:
    """Resolvers that do not know a platform's name which others know, with that name and a control's."""
    answers = [(o.purpose, o.fact) for o in found if isinstance(o.fact, Answer)]
    known: dict[str, set[str]] = {}
    for purpose, answer in answers:
        if purpose == "lookup.platform" and answer.usable and answer.lookup.resolver not in resolvers:
            known.setdefault(answer.lookup.name, set()).update(answer.addresses)
    control = next((a.lookup.name for purpose, a in answers if purpose == "lookup.control" and a.usable), "")
    doubts: dict[str, tuple[str, str, str]] = {}
    for purpose, answer in answers:
        name, resolver = answer.lookup.name, answer.lookup.resolver
        if purpose != "lookup.platform" or resolver not in resolvers or not (answer.rcode and control):
            continue
        if name in known and not known[name].intersection(answer.addresses):
            doubts.setdefault(resolver, (resolver, name, control))
    return list(doubts.values())


def _calmly(resolver: str, name: str, control: str, stamp: str) -> Plan[list[Observation]]:
    """Names under `name` and `control` that nobody has asked for, one after the other: how long does each kind take?

    In the survey's burst answers wait for each other, and a name that was asked for before may come from a cache.
    """
    found: list[Observation] = []
    for turn in range(CALM_TURNS):
        for purpose, parent in (("lookup.fresh.platform", name), ("lookup.fresh.control", control)):
            found += yield [Observe(purpose, parent, lookup(f"np{stamp}-{turn}.{parent}", resolver))]
    return found


def _bad(response: Response) -> bool:
    return not response.status or response.status >= 400 or stalls(response)


def _served(found: Sequence[Observation], control: str) -> bool:
    return any(
        o.purpose == "control.fetch" and o.subject == control and isinstance(o.fact, Response) and o.fact.status
        for o in found
    )


def _unchecked(address: str, name: str) -> Handshake:
    return Handshake(address, HTTPS, name, verify=False, timeout_s=FETCH_TIMEOUT_S)
