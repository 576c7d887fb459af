"""Many targets in one pass: names to addresses by the machine's own resolvers, then a path to each of them.

Behind the paths, on demand: rounds that count loss on them, or all the ways that flows to the targets take. What is
known can be asked for at any time, by those who watch and by those who do not wait for the end.
"""

import ipaddress
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from netprobe.model.probes import Flow, Multipath, Path, Protocol, ReplyKind
from netprobe.model.record import Record
from netprobe.probing.port import Vantage
from netprobe.probing.run import DEFAULT_RATE, Plan, run
from netprobe.probing.traceroute import Traceroute

if TYPE_CHECKING:
    from netprobe.probing.loss_evidence import LossEvidence, LossMeasurement
    from netprobe.probing.multipath import MultipathSession

_LONG_TURN_S = 0.04  # when each target's turn comes so seldom, an answer is there before the next
_TURNS = 1.5  # how many turns an answer may take until the next probe leaves without it


class Traced(NamedTuple):
    """What became of one target. Without an address there is no path, and `error` says why.

    `over`: nothing more will come. With rounds, `loss` is what they allow to say; `ways` are those that flows take.
    """

    target: str
    address: str = ""
    path: Path | None = None
    error: str = ""
    over: bool = True
    loss: "LossEvidence | None" = None
    ways: Multipath | None = None

    @property
    def never_left(self) -> str:
        """The errno's name when no probe could be sent at all; else empty."""
        replies = [x.reply for hop in self.path.hops for x in hop.exchanges] if self.path else []
        errors = {reply.error for reply in replies if reply and reply.kind is ReplyKind.SEND_FAILED}
        failed = bool(errors) and all(reply is None or reply.kind is ReplyKind.SEND_FAILED for reply in replies)
        return min(errors) if failed else ""


class Wanted(Record, frozen=True):
    """How to trace. `family` is 4 or 6, 0 for what the system would choose; `rounds` are `interval_s` apart."""

    protocol: Protocol
    port: int = 0
    max_ttl: int = 30
    share: bool = False
    family: int = 0
    rounds: int = 0
    interval_s: float = 0.5
    ways: bool = False
    tos: int = 0
    first_ttl: int = 1


class Stage(StrEnum):
    """What a pass is at."""

    NAMES = "names"
    PATHS = "paths"
    ROUNDS = "rounds"
    TESTS = "tests"
    WAYS = "ways"
    OVER = "over"


class Progress(NamedTuple):
    """How far a pass is: `done` of `of` (targets; probes in rounds), and about how long it will still take at least."""

    stage: Stage
    done: int
    of: int
    left_s: float | None = None


def trace(  # what to trace, and how
    vantage: Vantage,
    targets: Sequence[str],
    protocol: Protocol,
    *,
    port: int = 0,
    max_ttl: int = 30,
    rate: float = DEFAULT_RATE,
    share: bool = False,
) -> list[Traced]:
    """The path to each of `targets` (names or addresses), in their order, in one pass of `rate` probes a second.

    With `share` what their paths have in common is probed once.
    """
    work = Pass(targets, Wanted(protocol, port, max_ttl, share), rate=rate)
    run(work.plan(), vantage, rate=rate)
    return work.known()


class Pass:
    """One pass over `targets`: `plan()` measures, `known()` is what is known of each of them at any time.

    `ready` is called with each target that is over, in the order in which they were given.
    """

    def __init__(
        self,
        targets: Sequence[str],
        wanted: Wanted,
        *,
        rate: float = DEFAULT_RATE,
        ready: Callable[[Traced], None] | None = None,
    ) -> None:
        self.targets = tuple(targets)
        self.stage = Stage.NAMES
        self.measurement: LossMeasurement | None = None  # the rounds, once they have begun
        self.searching: MultipathSession | None = None  # the ways that are being looked for
        self._wanted = wanted
        self._rate = rate
        self._ready = ready
        self._handed_out = 0
        self._resolved = [Traced(target, target if is_address(target) else "", over=False) for target in targets]
        self._paths: dict[str, Path] = {}  # by address, those that are complete
        self._growing: Callable[[], list[Path]] = list  # and those under way
        self._losses: dict[str, LossEvidence] = {}
        self._ways: dict[str, Multipath] = {}
        self._over: set[str] = set()

    def plan(self) -> Plan[None]:
        """Find the addresses, the path to each, and what else is wanted."""
        yield from self._resolve()
        self.stage = Stage.PATHS
        self._hand_out()
        # One probe stream to an address, however many names it has: the flows would be the same.
        wanted = self._wanted
        flows = [Flow(wanted.protocol, address, wanted.port, tos=wanted.tos) for address in self.addresses]
        yield from self._share(flows) if self._wanted.share else self._trace_each(flows)
        if self._wanted.ways:
            yield from self._find_ways()
        elif self._wanted.rounds:
            yield from self._count_loss()
        self._over.update(self.addresses)
        self.stage = Stage.OVER
        self._hand_out()

    @property
    def addresses(self) -> list[str]:
        """Each address once, in the order of the targets."""
        return list(dict.fromkeys(one.address for one in self._resolved if one.address))

    def progress(self, now: float) -> Progress:
        """How far it is."""
        if self.stage is Stage.WAYS and self.searching:
            return Progress(self.stage, len(self._ways), len(self._paths), self.searching.left_s(now))
        if self.measurement and self.stage is Stage.ROUNDS:
            tests = self.measurement.tests.values()
            if tests:
                left_s = max(test.left_s for test in tests)
                return Progress(Stage.TESTS, sum(test.deadline() is None for test in tests), len(tests), left_s)
            rounds = self.measurement.rounds
            return Progress(self.stage, rounds.asked, rounds.planned, rounds.left_s)
        done = len(self._paths) + sum(path.reached for path in self._growing())
        return Progress(self.stage, done, len(self.addresses))

    def known(self) -> list[Traced]:
        """What is known of each target, in order."""
        self._look_at_loss()
        growing = {path.flow.destination: path for path in self._growing()}
        return [self._one(resolved, growing.get(resolved.address)) for resolved in self._resolved]

    def glance(self) -> list[Traced]:
        """The same, but of rounds the destinations' counts only: cheap enough to be looked at all the time."""
        if self.measurement is None:
            return self.known()
        seen = {path.flow.destination: path for path in self._paths.values()}
        counts = self.measurement.glance()
        return [
            self._one(resolved)._replace(path=seen.get(resolved.address), loss=counts.get(resolved.address))
            for resolved in self._resolved
        ]

    def _one(self, resolved: Traced, growing: Path | None = None) -> Traced:
        address = resolved.address
        loss = self._losses.get(address)
        path = loss.path if loss else self._paths.get(address, growing)
        over = bool(resolved.error) or address in self._over
        return resolved._replace(path=path, over=over, loss=loss, ways=self._ways_to(address))

    def _ways_to(self, address: str) -> Multipath | None:
        found = self._ways.get(address)
        if found is None and self.searching and self.searching.destination == address:
            return self.searching.result()
        return found

    def _finish(self, address: str) -> None:
        """Nothing more will come of `address`."""
        self._over.add(address)
        self._hand_out()

    def _hand_out(self) -> None:
        """Give those that are over to whom it concerns; a target waits for those before it."""
        while self._handed_out < len(self._resolved):
            resolved = self._resolved[self._handed_out]
            if not (resolved.error or resolved.address in self._over):
                return
            self._handed_out += 1
            if self._ready:
                self._ready(self._one(resolved))

    # -- the steps ----------------------------------------------------------------------------------------------------

    def _resolve(self) -> Plan[None]:
        names = [one.target for one in self._resolved if not one.address]
        if not names:
            return
        from netprobe.probing.resolve import resolve  # noqa: PLC0415  # addresses need none

        found = yield from resolve(names, self._wanted.family)
        self._resolved = [
            one if one.address else Traced(one.target, found[one.target].address, error=found[one.target].error)
            for one in self._resolved
        ]

    def _trace_each(self, flows: Sequence[Flow]) -> Plan[None]:
        turn_s = len(flows) / self._rate
        patience_s = _TURNS * turn_s if turn_s > _LONG_TURN_S else 0.0
        first, last = self._wanted.first_ttl, self._wanted.max_ttl
        sessions = [Traceroute(f, first_ttl=first, max_ttl=last, patience_s=patience_s) for f in flows]
        pairs = list(zip(flows, sessions, strict=True))
        self._growing = lambda: [x.result() for flow, x in pairs if flow.destination not in self._paths]
        yield [self._trace(flow, session) for flow, session in pairs]
        self._growing = list

    def _trace(self, flow: Flow, session: Traceroute) -> Plan[None]:
        (self._paths[flow.destination],) = yield [session]
        if not (self._wanted.rounds or self._wanted.ways):
            self._finish(flow.destination)

    def _share(self, flows: Sequence[Flow]) -> Plan[None]:
        from netprobe.probing.share import trace_shared  # noqa: PLC0415  # only who asks for it

        paths = yield from trace_shared(flows, max_ttl=self._wanted.max_ttl, watch=self._watch)
        self._paths = {path.flow.destination: path for path in paths}
        self._growing = list

    def _watch(self, growing: Callable[[], list[Path]]) -> None:
        self._growing = growing

    def _count_loss(self) -> Plan[None]:
        from netprobe.probing.loss_evidence import LossMeasurement  # noqa: PLC0415  # the same

        paths = [path for path in self._paths.values() if path.hops]
        self.measurement = LossMeasurement(paths, count=self._wanted.rounds, interval_s=self._wanted.interval_s)
        self.stage = Stage.ROUNDS
        yield from self.measurement.plan()
        self._look_at_loss()

    def _look_at_loss(self) -> None:
        if self.measurement:
            self._losses = {one.path.flow.destination: one for one in self.measurement.result()}

    def _find_ways(self) -> Plan[None]:
        """One target after the other: the routers near by stand on the way to all of them, and have one patience."""
        from netprobe.probing.multipath import MultipathSession  # noqa: PLC0415  # the same

        self.stage = Stage.WAYS
        spent: dict[str, tuple[float, float]] = {}
        for address, path in self._paths.items():
            self.searching = MultipathSession(path.flow, max_ttl=self._wanted.max_ttl, store=spent)
            (self._ways[address],) = yield [self.searching]
            self.searching = None
            self._finish(address)


def is_address(text: str) -> bool:
    """Whether `text` is an IP address and not a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
