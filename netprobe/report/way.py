"""The one way that tells most about a verdict, as stops from this computer to the platform: what a page draws.

Facts only: where answers stop, and what became of the page that was asked for at the end.
"""

from collections.abc import Iterable, Sequence

from netprobe.model.host import HostState
from netprobe.model.probes import Hop, Path, Protocol, Train
from netprobe.model.record import Record
from netprobe.model.report import Observation, Report
from netprobe.model.services import Answer, Response
from netprobe.model.verdict import Component
from netprobe.report.trace import Whose
from netprobe.report.words import milliseconds, platform_name

HOME = "home"
UNKNOWN = ""


class Stop(Record, frozen=True):
    """A station of the way. `network` tells colours apart; `state` is `start`, `passed`, `silent`, `broken`, `beyond`,
    `arrived` or `failed`; `rtt` is text."""  # noqa: D205, D209 - one sentence a field

    title: str
    subtitle: str
    network: str
    state: str
    rtt: str = ""


def stops(report: Report, whose: Whose) -> list[Stop]:
    """The stops of the way that explains the verdict best."""
    host = next((o.fact for o in report.observations if isinstance(o.fact, HostState)), HostState())
    chosen = choose(report)
    begin = [Stop("This computer", host.default_link or "not connected", HOME, "start")]
    if chosen is None or not isinstance(chosen.fact, Path):
        return [*begin, *_without_path(report, host)]
    path = chosen.fact
    end = _end(report, chosen, path)
    last = path.last_responding
    known = path.hops if path.reached else path.hops[: last.ttl if last else 0]
    middle = list(_hops(known[:-1] if path.reached else known, host, whose))
    if path.reached:
        return [*begin, *middle, end]
    behind = len(path.hops) - len(known)
    if not known and host.gateway:
        middle = [Stop("Home router", host.gateway, HOME, "silent", _gateway(report))]
    waited = f"{behind} more {'step was' if behind == 1 else 'steps were'} tried" if behind > 0 else ""
    return [*begin, *middle, Stop("No answer from here on", waited, UNKNOWN, "broken"), end]


def choose(report: Report) -> Observation | None:
    """The way to draw: one that breaks if the network is at fault, rather one to the platform, the longest."""
    paths = [o for o in report.observations if isinstance(o.fact, Path) and o.purpose in {"edge.path", "control.path"}]
    failed = {
        (o.subject, o.fact.fetch.handshake.address)
        for o in report.observations
        if isinstance(o.fact, Response) and (not o.fact.status or o.fact.status >= 400)
    }
    fine = report.verdict.component is Component.NONE

    def worth(observation: Observation) -> tuple[bool, bool, bool, bool, int]:
        path = observation.fact
        if not isinstance(path, Path):
            return (False, False, False, False, 0)
        last = path.last_responding
        return (
            path.reached is fine or report.verdict.component in {Component.PLATFORM, Component.POLICY},
            observation.purpose == "edge.path",
            ((observation.subject, path.flow.destination) in failed) is not fine,
            path.flow.protocol is Protocol.TCP,
            last.ttl if last else 0,
        )

    return max(paths, key=worth, default=None)


def _without_path(report: Report, host: HostState) -> list[Stop]:
    """There is no way to draw: nothing was found out about the names, or there is no default route at all."""
    there = Stop(platform_name(report.platform), "", UNKNOWN, "beyond")
    if not host.default_link:
        return [Stop("No way out", "this computer has no default route", UNKNOWN, "broken"), there]
    router = Stop("Home router", host.gateway or "directly connected", HOME, "passed", _gateway(report))
    lookups = [o.fact for o in report.observations if isinstance(o.fact, Answer)]
    if lookups and not any(a.usable for a in lookups):
        return [router, Stop("No name was found", "the name service gave no address", UNKNOWN, "broken"), there]
    return [router, Stop("Not measured", "", UNKNOWN, "silent"), there]


def _gateway(report: Report) -> str:
    trains = [o.fact for o in report.observations if o.purpose == "gateway" and isinstance(o.fact, Train)]
    sent = sum(len(t.exchanges) for t in trains)
    return f"{sum(t.answered for t in trains)} of {sent} answered" if sent else ""


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
    origin = whose(address)
    if origin:
        title, network = origin.name or origin.label, f"AS{origin.asn}" if origin.asn else "Exchange"
    elif address == host.gateway:
        title, network = "Home router", HOME
    else:
        title, network = "Private or unknown network", HOME if hop.ttl == 1 else UNKNOWN
    more = f" and {len(hop.addresses) - 1} more" if len(hop.addresses) > 1 else ""
    number = f"{network}, {address}{more}" if origin else f"{address}{more}"
    return Stop(title, number, network, "passed", milliseconds(rtt))


def _end(report: Report, chosen: Observation, path: Path) -> Stop:
    """The far end, with what became of the page that was asked for there."""
    title = platform_name(report.platform) if chosen.purpose.startswith("edge") else "Another service"
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
    if page.status:
        good = page.status < 400
        return Stop(
            title if good else f"{title}: answers {page.status}", name, "end", "arrived" if good else "failed", rtt
        )
    what = page.error or page.handshaken.error or "no answer"
    return Stop(f"{title}: {what}", name, "end", "failed", rtt)
