"""The one way that tells most about a verdict, as stops from this computer to the platform: what a page draws.

Facts only: where answers stop, and what became of the page that was asked for at the end.
"""

from collections.abc import Iterable, Sequence

from msgspec import structs

from netprobe.model.host import HostState
from netprobe.model.probes import Hop, Path, Protocol, Train
from netprobe.model.record import Record
from netprobe.model.report import Observation, Report
from netprobe.model.services import Answer, Response
from netprobe.model.unsent import NOT_CARRIED
from netprobe.model.verdict import Component
from netprobe.report.trace import Whose
from netprobe.report.words import milliseconds, platform_name

HOME = "home"
UNKNOWN = ""
_EDGES = ("edge.", "v6.edge.")  # how purposes begin that are about the platform
_HEAVY = 3.0  # nats of evidence: a factor of twenty
_AT_THE_END = (Component.PLATFORM, Component.POLICY)  # packets arrive, the page does not


class Stop(Record, frozen=True):
    """A station of the way. `network` tells colours apart; `state` is `start`, `passed`, `silent`, `broken`, `beyond`,
    `arrived` or `failed`; `rtt` is text.
    """

    title: str
    subtitle: str
    network: str
    state: str
    rtt: str = ""


def stops(report: Report, whose: Whose) -> list[Stop]:
    """The stops of the way that explains the verdict best."""
    host = next((o.fact for o in report.observations if isinstance(o.fact, HostState)), HostState())
    if over_v6(report):
        host = structs.replace(host, gateway=host.gateway_v6, neighbour=host.neighbour_v6)
    begin = [Stop("This computer", host.default_link or "not connected", HOME, "start")]
    there = Stop(platform_name(report.platform), "", UNKNOWN, "beyond")
    if not host.default_link:
        return [*begin, Stop("No way out", "this computer has no default route", UNKNOWN, "broken"), there]
    misled = _misled(report, host)
    if misled:
        return [*begin, *misled, there]
    chosen = choose(report)
    if chosen is None or not isinstance(chosen.fact, Path):
        return [*begin, _router(report, host), Stop("Not measured", "", UNKNOWN, "silent"), there]
    path = chosen.fact
    failed = _failed_pages(report)
    if path.reached and failed and path.flow.destination not in failed and report.verdict.component in _AT_THE_END:
        address, page = next(iter(failed.items()))
        between = Stop("The networks in between", "not followed step by step", UNKNOWN, "silent")
        name = f"{page.fetch.handshake.server_name}, {address}"
        return [*begin, _router(report, host), between, _outcome(there.title, name, page, "")]
    last = path.last_responding
    known = path.hops[:-1] if path.reached else path.hops[: last.ttl if last else 0]
    circle = _circle(known)
    middle = list(_hops(known[:circle] if circle else known, host, whose))
    if path.reached and not circle:
        return [*begin, *middle, _end(report, chosen, path)]
    if chosen.purpose.startswith(_EDGES):
        there = _end(report, chosen, path)
    if circle:
        where = " and ".join(dict.fromkeys(hop.addresses[0] for hop in known[circle - 2 : circle] if hop.addresses))
        return [*begin, *middle, Stop("Packets go in circles here", where, UNKNOWN, "broken"), there]
    behind = len(path.hops) - len(known)
    if not known and host.gateway:
        middle = [_router(report, host)]
    waited = f"{behind} more {'step was' if behind == 1 else 'steps were'} tried" if behind > 0 else ""
    return [*begin, *middle, Stop("No answer from here on", waited, UNKNOWN, "broken"), there]


def _circle(hops: Sequence[Hop]) -> int:
    """How many hops there are before an address comes back that was left already; 0 when none does."""
    seen: dict[str, int] = {}
    for index, hop in enumerate(hops):
        for address in hop.addresses[:1]:
            if index - seen.get(address, index) > 1:
                return index
            seen[address] = index
    return 0


def _misled(report: Report, host: HostState) -> list[Stop]:
    """Where the name is what breaks it: it was not found, or led elsewhere. Empty when it is about another thing."""
    steps = report.verdict.cause.split(".")
    if "hosts" in steps and host.hosts_overrides:
        return [Stop("The hosts file leads elsewhere", ", ".join(host.hosts_overrides), UNKNOWN, "broken")]
    if "dns" not in steps:
        return []
    router = _router(report, host)
    answers = [o.fact for o in report.observations if o.purpose == "lookup.platform" and isinstance(o.fact, Answer)]
    own = [a for a in answers if a.lookup.resolver in host.resolvers]
    failed = next((a for a in own if not a.usable), None)
    if failed:
        what = (
            f"{failed.lookup.resolver} says {failed.rcode}" if failed.rcode else f"{failed.lookup.resolver} is silent"
        )
        return [router, Stop("No address for the name", what, UNKNOWN, "broken")]
    for answer in own:
        others = {x for a in answers if a.lookup.name == answer.lookup.name and a not in own for x in a.addresses}
        if others and not others.intersection(answer.addresses):
            what = f"{answer.lookup.resolver} says {answer.addresses[0]}"
            return [router, Stop("A false address for the name", what, UNKNOWN, "broken")]
    return []


def _router(report: Report, host: HostState) -> Stop:
    """The home router and how it answered."""
    trains = [o.fact for o in report.observations if o.purpose == "gateway" and isinstance(o.fact, Train)]
    tried = [x for t in trains for x in t.exchanges if not (x.reply and x.reply.error == NOT_CARRIED)]
    answered, sent = sum(t.answered for t in trains), len(tried)
    tally = f"{answered} of {sent} answered" if sent else ""
    alive = answered or (not sent and host.neighbour not in {"failed", "incomplete"})
    state = "passed" if alive else "silent"
    return Stop("Home router", host.gateway or "directly connected", HOME, state, tally)


def over_v6(report: Report) -> bool:
    """Whether what the verdict rests on was seen over IPv6."""
    return any(e.id == "ipv6.reach" and e.weight > _HEAVY for e in report.verdict.evidence)


def choose(report: Report) -> Observation | None:
    """The way to draw: one that breaks if the network is at fault, rather one to the platform, the longest.

    One of IPv6 where the trouble is with that alone.
    """
    over = "v6." if over_v6(report) else ""
    purposes = {f"{over}edge.path", f"{over}control.path"}
    paths = [o for o in report.observations if isinstance(o.fact, Path) and o.purpose in purposes]
    failed = _failed_pages(report)
    fine = report.verdict.component is Component.NONE

    def worth(observation: Observation) -> tuple[bool, bool, bool, bool, int]:
        path = observation.fact
        if not isinstance(path, Path):
            return (False, False, False, False, 0)
        last = path.last_responding
        return (
            path.reached is fine or (report.verdict.component in _AT_THE_END and not over),
            observation.purpose == f"{over}edge.path",
            (path.flow.destination in failed) is not fine,
            path.flow.protocol is Protocol.TCP,
            last.ttl if last else 0,
        )

    return max(paths, key=worth, default=None)


def _hops(hops: Sequence[Hop], host: HostState, whose: Whose) -> Iterable[Stop]:
    """Hops as stops; silent ones in a row become one."""
    silent: list[int] = []
    for hop in hops:
        if not hop.addresses:
            silent.append(hop.ttl)
            continue
        if silent:
            yield _silence(silent)
            silent = []
        yield _hop(hop, host, whose)
    if silent:
        yield _silence(silent)


def _silence(ttls: Sequence[int]) -> Stop:
    where = f"step {ttls[0]}" if len(ttls) == 1 else f"steps {ttls[0]} to {ttls[-1]}"
    return Stop("Silent", f"{where}: passes packets on, answers nobody", UNKNOWN, "silent")


def _hop(hop: Hop, host: HostState, whose: Whose) -> Stop:
    address = hop.addresses[0]
    rtt = min(x.reply.rtt_s for x in hop.exchanges if x.reply and x.reply.source == address)
    # Over IPv6 a home router answers from the home's own prefix, which is the provider's.
    at_home = address == host.gateway or (":" in address and hop.ttl == 1 and bool(host.gateway))
    origin = None if at_home else whose(address)
    if origin:
        title, network = origin.name or origin.label, f"AS{origin.asn}" if origin.asn else "Exchange"
    elif at_home:
        title, network = "Home router", HOME
    else:
        title, network = "Private or unknown network", HOME if hop.ttl == 1 else UNKNOWN
    more = f" and {len(hop.addresses) - 1} more" if len(hop.addresses) > 1 else ""
    number = f"{network}, {address}{more}" if origin else f"{address}{more}"
    return Stop(title, number, network, "passed", milliseconds(rtt))


def _end(report: Report, chosen: Observation, path: Path) -> Stop:
    """The far end, with what became of the page that was asked for there."""
    title = platform_name(report.platform) if chosen.purpose.startswith(_EDGES) else "Another service"
    name = f"{chosen.subject}, {path.flow.destination}"
    if not path.reached:
        return Stop(title, name, UNKNOWN, "beyond")
    rtt = milliseconds(path.rtt_s)
    pages = [
        o.fact
        for o in report.observations
        if isinstance(o.fact, Response) and o.fact.fetch.handshake.address == path.flow.destination
    ]
    page = next((p for p in pages if p.fetch.handshake.server_name == chosen.subject), pages[0] if pages else None)
    if page is None:
        return Stop(title, name, "end", "arrived", rtt)
    return _outcome(title, name, page, rtt)


def _outcome(title: str, name: str, page: Response, rtt: str) -> Stop:
    """A far end at which a page was asked for."""
    if 0 < page.status < 400:  # RFC 9110: 4xx and 5xx are errors
        return Stop(title, name, "end", "arrived", rtt)
    what = f"answers {page.status}" if page.status else page.error or page.handshaken.error or "no answer"
    return Stop(f"{title}: {what}", name, "end", "failed", rtt)


def _failed_pages(report: Report) -> dict[str, Response]:
    """The platform's addresses from which no good page came, in the order in which they were asked."""
    pages = [o.fact for o in report.observations if o.purpose == "edge.fetch" and isinstance(o.fact, Response)]
    return {p.fetch.handshake.address: p for p in reversed(pages) if not 0 < p.status < 400}  # RFC 9110, as above
