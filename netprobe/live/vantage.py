"""The live network as a place to measure from: everything here waits in one thread, on one epoll."""

import contextlib
import functools
import itertools
import resource
from collections import deque
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from netprobe.capture import Capture
from netprobe.live.identity import Identity
from netprobe.live.ladder import climb
from netprobe.live.prober import Prober
from netprobe.live.reactor import Reactor
from netprobe.live.wire import Wire
from netprobe.model.host import Inspect
from netprobe.model.probes import Probe
from netprobe.model.services import Fetch, Handshake, Lookup, QuicHandshake
from netprobe.probing.port import Event, Outcome, Over, Request, Usage

if TYPE_CHECKING:
    from netprobe.live.services import Services
    from netprobe.live.trust import Trust

_DESCRIPTORS = 4096  # held ports and connections of hundreds of edges at once


class LiveVantage:
    """Measures with real packets; a context manager that owns its sockets.

    `ca_file` replaces the system's trust store. `wire` and `trust` are for a caller that has opened the raw sockets, or
    read the certificates, while it had the right to. Without a wire and without CAP_NET_RAW probes leave by lower rungs
    of the ladder: `footing` says which. Raises `CannotMeasure` where there is none, or when `ca_file` cannot be read.
    """

    def __init__(
        self,
        ca_file: str | None = None,
        *,
        wire: Wire | None = None,
        trust: "Trust | None" = None,
        identity: Identity | None = None,
    ) -> None:
        self._reactor = Reactor()
        self._packets = 0
        self._bytes = 0
        self._ca_file = ca_file
        self._trust = trust
        self._loaded: Services | None = None
        if ca_file:
            self._services()
        _raise_descriptor_limit()
        self._events: deque[Event] = deque()
        self._tokens = itertools.count(1)
        self._prober, self.footing = climb(self._reactor, self._emit, wire=wire, identity=identity)
        raw = self._prober if isinstance(self._prober, Prober) else None
        self._watch = raw.watch if raw else None
        self._hearing = raw.hearing if raw else None
        self._looked_s = 0.0  # when the own machine was last looked at

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all sockets; requests under way draw no event any more."""
        if self._loaded:
            self._loaded.close()
        self._prober.close()
        self._reactor.close()

    def look(self) -> bool:
        """Look at the own network devices from now on, not only when a probe stays silent: whether that can be done."""
        return self._watch is not None and self._watch.open()

    def record(self, capture: Capture | None) -> None:
        """Write what the own network devices show of our probes to `capture` from now on; None: no more."""
        if self._watch:
            self._watch.record(capture)

    def now(self) -> float:
        """Monotonic seconds."""
        return self._reactor.now()

    def send(self, request: Request) -> int:
        """Start `request` and return the token that its events will carry."""
        token = next(self._tokens)
        now = self.now()
        link = ""
        if isinstance(request, Over):
            link, request = request.link, request.request
        match request:
            case Probe():
                self._prober.send(request, token, now, link)
            case Inspect():
                state = self._services().inspect()
                wire = self._watch.summary() if self._watch else None
                late_s, overdue_s = self.lateness_s(self._looked_s), self._reactor.lateness.overdue(self._looked_s)
                self._looked_s = now
                seen = msgspec.structs.replace(
                    state, footing=self.footing, own_wire=wire, late_s=late_s, overdue_s=overdue_s
                )
                self._emit(token, now, seen)
            case Lookup() | Handshake() | Fetch() | QuicHandshake():
                done = functools.partial(self._emit_now, token)
                self._services().start(request, token, done, self._hearing, link)
        return token

    def receive(self, until: float) -> Event | None:
        """The next event, waiting for it until the clock shows `until`; None then."""
        self._prober.flush()
        while not self._events:
            self._reactor.turn(until)
            if not self._events and self.now() >= until:
                return None
        return self._events.popleft()

    def usage(self) -> Usage:
        """What was sent since the vantage was made. Connections are counted when they end."""
        return Usage(self._prober.packets_sent + self._packets, self._prober.bytes_sent + self._bytes)

    def lateness_s(self, since_s: float = 0.0, share: float = 1.0) -> float:
        """How late this process was since the clock showed `since_s`: at waking, and at reading what had come.

        `share` of all cases were not later: 1.0 is the worst. What is not small beside the time-outs of a round says
        that the round was starved of the processor, and its losses may be this machine's own.
        """
        return self._reactor.lateness.since(since_s, share)

    def _services(self) -> "Services":
        if self._loaded is None:
            from netprobe.live.services import Services, load_trust  # noqa: PLC0415  # most traces need none of it

            self._loaded = Services(self._trust or load_trust(self._ca_file), self._reactor, self._count)
        return self._loaded

    def _emit(self, token: int, at_s: float, outcome: Outcome) -> None:
        self._events.append(Event(token, at_s, outcome))

    def _emit_now(self, token: int, outcome: Outcome) -> None:
        self._emit(token, self.now(), outcome)

    def _count(self, packets: int, size: int) -> None:
        self._packets += packets
        self._bytes += size


def _raise_descriptor_limit() -> None:
    """Use more of the descriptors that the administrator allows anyway."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
