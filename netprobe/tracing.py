"""Many targets in one pass: names to addresses by the machine's own resolvers, then a path to each of them."""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any

from netprobe.model.host import HostState
from netprobe.model.probes import Flow, Path, Protocol, ReplyKind
from netprobe.model.record import Record
from netprobe.model.services import Answer
from netprobe.probing.ask import inspect, lookup
from netprobe.probing.port import Vantage
from netprobe.probing.run import DEFAULT_RATE, Plan, run
from netprobe.probing.share import trace_shared
from netprobe.probing.traceroute import Traceroute

_LONG_TURN_S = 0.04  # when each target's turn comes so seldom, an answer is there before the next
_TURNS = 1.5  # how many turns an answer may take until the next probe leaves without it

NO_ROUTE = frozenset({"ENETUNREACH", "EHOSTUNREACH", "ENETDOWN"})


class Traced(Record, frozen=True):
    """What became of one target. Without an address there is no path, and `error` says why."""

    target: str
    address: str = ""
    path: Path | None = None
    error: str = ""

    @property
    def never_left(self) -> str:
        """The errno's name when no probe could be sent at all; else empty."""
        replies = [x.reply for hop in self.path.hops for x in hop.exchanges] if self.path else []
        errors = {reply.error for reply in replies if reply and reply.kind is ReplyKind.SEND_FAILED}
        failed = bool(errors) and all(reply is None or reply.kind is ReplyKind.SEND_FAILED for reply in replies)
        return min(errors) if failed else ""


#: Told about each traceroute when it begins, so that somebody can look at it while it runs.
Watcher = Callable[[str, Traceroute], None]


def trace(
    vantage: Vantage,
    targets: Sequence[str],
    protocol: Protocol,
    *,
    port: int = 0,
    max_ttl: int = 30,
    rate: float = DEFAULT_RATE,
    share: bool = False,
    watch: Watcher | None = None,
) -> list[Traced]:
    """The path to each of `targets` (names or addresses), in their order, in one pass of `rate` probes a second.

    With `share` what their paths have in common is probed once; there is nothing to watch then.
    """
    flows = Flow(protocol, "", port)
    if share:
        return run(_plan(targets, flows, lambda found, _: trace_shared(found, max_ttl=max_ttl)), vantage, rate=rate)

    def each(found: Sequence[Flow], names: Sequence[str]) -> Plan[list[Path]]:
        turn_s = len(found) / rate
        patience_s = _TURNS * turn_s if turn_s > _LONG_TURN_S else 0.0
        sessions = [Traceroute(flow, max_ttl=max_ttl, patience_s=patience_s) for flow in found]
        if watch:
            for name, session in zip(names, sessions, strict=True):
                watch(name, session)
        return (yield sessions)

    return run(_plan(targets, flows, each), vantage, rate=rate)


def _plan(
    targets: Sequence[str], kind: Flow, paths: Callable[[Sequence[Flow], Sequence[str]], Plan[list[Path]]]
) -> Plan[list[Traced]]:
    """Find the addresses of `targets`, and the way to each by `paths` with flows like `kind` and their targets."""
    names = [target for target in dict.fromkeys(targets) if not _is_address(target)]
    known: dict[str, Traced] = {}
    if names:
        (host,) = yield [inspect()]
        known = yield from _resolve(names, host)
    resolved = [known.get(target) or Traced(target, target) for target in targets]
    # One probe stream to an address, however many names it has: the flows would be the same.
    first = {t.address: t.target for t in reversed(resolved) if t.address}
    addresses = list(dict.fromkeys(t.address for t in resolved if t.address))
    flows = [Flow(kind.protocol, address, kind.port) for address in addresses]
    found = yield from paths(flows, [first[address] for address in addresses])
    by_address = dict(zip(addresses, found, strict=True))
    return [Traced(t.target, t.address, by_address.get(t.address), t.error) for t in resolved]


def _resolve(names: Sequence[str], host: HostState) -> Plan[dict[str, Traced]]:
    """Ask the first resolver for every name, the next one for those that got no answer, and so on."""
    found: dict[str, Traced] = {}
    said: dict[str, str] = dict.fromkeys(names, "no resolver is configured in /etc/resolv.conf")
    for resolver in host.resolvers:
        missing = [name for name in names if name not in found]
        if not missing:
            break
        answers: list[Any] = yield [lookup(name, resolver) for name in missing]
        for name, answer in zip(missing, answers, strict=True):
            if answer.usable:
                found[name] = Traced(name, answer.addresses[0])
            else:
                said[name] = _why(answer) if host.default_link or answer.rcode else "this computer has no default route"
    return {name: found.get(name, Traced(name, error=said[name])) for name in names}


def _why(answer: Answer) -> str:
    resolver = answer.lookup.resolver
    if answer.rcode == "NXDOMAIN":
        return f"there is no such name, says the resolver {resolver}"
    if answer.rcode and not answer.error:
        return f"the resolver {resolver} gave no address ({answer.rcode})"
    return f"the resolver {resolver} did not answer ({answer.error or 'nothing came'})"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
