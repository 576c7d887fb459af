"""The smallest vantage: one straight path of routers in virtual time, with its faults given as arguments."""

import heapq
from dataclasses import dataclass, field

from netprobe.model.probes import Flow, Probe, Protocol, Reply, ReplyKind
from netprobe.probing.port import Event, Outcome, Request, Usage

DESTINATION = "192.0.2.1"


@dataclass
class LineVantage:
    """`hops` routers 198.51.100.1... `hop_s` apart (one way), then the destination; nothing is random."""

    hops: int
    hop_s: float = 0.002
    silent: frozenset[int] = frozenset()
    dead_after: int | None = None  # nothing that goes beyond this TTL draws anything
    barred_at: int | None = None  # this router answers "administratively prohibited" to what goes beyond it
    full_ttl_only: bool = False  # the destination ignores probes that arrive with their last TTL
    initial_ttl: int = 64
    send_error: str = ""
    outcomes: dict[type, Outcome] = field(default_factory=dict)  # by type of request, for everything but probes
    sent: list[tuple[float, Request]] = field(default_factory=list)
    clock: float = 100.0
    queue: list[tuple[float, int, Event]] = field(default_factory=list)

    def now(self) -> float:
        return self.clock

    def usage(self) -> Usage:
        return Usage(len(self.sent), 40 * len(self.sent))

    def send(self, request: Request) -> int:
        token = len(self.sent)
        self.sent.append((self.clock, request))
        answer = self._probe(request) if isinstance(request, Probe) else (0.01, self.outcomes[type(request)])
        if answer is not None:
            delay, outcome = answer
            at = self.clock + delay
            heapq.heappush(self.queue, (at, token, Event(token, at, outcome)))
        return token

    def receive(self, until: float) -> Event | None:
        if self.queue and self.queue[0][0] <= until:
            at, _, event = heapq.heappop(self.queue)
            self.clock = max(self.clock, at)
            return event
        self.clock = max(self.clock, until)
        return None

    def _probe(self, probe: Probe) -> tuple[float, Reply] | None:
        if self.send_error:
            return 0.0, Reply(ReplyKind.SEND_FAILED, "", 0.0, error=self.send_error)
        away = min(probe.ttl, self.hops + 1)
        if self.barred_at is not None and away > self.barred_at:
            return self._from_router(self.barred_at, ReplyKind.UNREACHABLE, 3, 13)
        if self.dead_after is not None and away > self.dead_after:
            return None
        if away <= self.hops:
            return None if away in self.silent else self._from_router(away, ReplyKind.TIME_EXCEEDED, 11, 0)
        if self.full_ttl_only and probe.ttl == away:
            return None
        rtt = 2 * away * self.hop_s
        kind = ReplyKind.ECHO_REPLY if probe.flow.protocol is Protocol.ICMP else ReplyKind.SYN_ACK
        return rtt, Reply(kind, DESTINATION, rtt, ttl=self.initial_ttl - self.hops)

    def _from_router(self, hop: int, kind: ReplyKind, icmp_type: int, code: int) -> tuple[float, Reply]:
        rtt = 2 * hop * self.hop_s
        return rtt, Reply(kind, f"198.51.100.{hop}", rtt, 255 - hop + 1, icmp_type, code)

    @property
    def probes(self) -> list[Probe]:
        return [request for _, request in self.sent if isinstance(request, Probe)]


def flow(protocol: Protocol = Protocol.ICMP) -> Flow:
    return Flow(protocol, DESTINATION, 0 if protocol is Protocol.ICMP else 443)
