"""Routers in virtual time as a graph: balancing, limiters of ICMP errors, loss and MTUs, each as an argument."""

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from netprobe.model.probes import Flow, Probe, Protocol, Reply, ReplyKind
from netprobe.probing.port import Event, Request, Usage

CLIENT = "client"
DESTINATION = "192.0.2.1"


@dataclass
class Bucket:
    """A token bucket as Linux has one for each peer: `burst` errors, then `rate` a second."""

    rate: float
    burst: float = 6.0
    level: float = -1.0
    at: float = 0.0

    def allows(self, now: float, draw: float) -> bool:
        del draw
        level = self.burst if self.level < 0 else min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        self.level = level - 1.0 if level >= 1.0 else level
        return level >= 1.0


@dataclass
class Early:
    """A limiter that drops at random, so that about `rate` answers a second remain (as RED does with a queue)."""

    rate: float
    recent: float = 0.0  # what was asked, half of it forgotten in the time of two answers
    at: float = 0.0

    def allows(self, now: float, draw: float) -> bool:
        half_s = 2.0 / self.rate
        self.recent = self.recent * 2.0 ** (-(now - self.at) / half_s) + 1.0
        self.at = now
        asked = (self.recent - 0.5) * math.log(2.0) / half_s
        return draw < self.rate / max(self.rate, asked)


Limiter = Bucket | Early


@dataclass(frozen=True)
class Wire:
    """A link: what is lost on the way there, and how large a packet may be. `mute`: nobody says that it is not."""

    loss: float = 0.0
    mtu: int = 1500
    mute: bool = False
    told: int | None = None  # what the router says instead of the MTU


@dataclass
class RouterVantage:
    """`next_hops` says for each node who comes next; the last is DESTINATION. All links take `hop_s`."""

    next_hops: dict[str, tuple[str, ...]]
    wires: dict[tuple[str, str], Wire] = field(default_factory=dict)
    limiters: dict[str, Limiter] = field(default_factory=dict)
    per_packet: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    answers: Callable[[Probe], bool] = lambda _probe: True  # the destination's
    seed: int = 1
    hop_s: float = 0.004
    local_mtu: int = 9000
    sent: list[tuple[float, Probe]] = field(default_factory=list)
    clock: float = 100.0
    limited: int = 0  # errors that a limiter kept back

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.queue: list[tuple[float, int, Event]] = []
        self.salt = {node: self.random.getrandbits(64) for node in self.next_hops}

    def now(self) -> float:
        return self.clock

    def usage(self) -> Usage:
        return Usage(len(self.sent), 40 * len(self.sent))

    def send(self, request: Request) -> int:
        assert isinstance(request, Probe)
        token = len(self.sent)
        self.sent.append((self.clock, request))
        reply = self._walk(request)
        if reply is not None:
            at = self.clock + reply.rtt_s
            heapq.heappush(self.queue, (at, token, Event(token, at, reply)))
        return token

    def receive(self, until: float) -> Event | None:
        if self.queue and self.queue[0][0] <= until:
            at, _, event = heapq.heappop(self.queue)
            self.clock = max(self.clock, at)
            return event
        assert until < float("inf"), "nothing will ever come"
        self.clock = max(self.clock, until)
        return None

    def _walk(self, probe: Probe) -> Reply | None:
        if probe.size > self.local_mtu:
            return Reply(ReplyKind.SEND_FAILED, "", 0.0, error="EMSGSIZE")
        node, hops = CLIENT, 0
        while True:
            following = self._choose(node, probe.flow)
            wire = self.wires.get((node, following), Wire())
            if probe.size > wire.mtu:
                said = wire.mtu if wire.told is None else wire.told
                return None if wire.mute else self._error(node, hops, ReplyKind.UNREACHABLE, (3, 4), said)
            if self.random.random() < wire.loss:
                return None
            node, hops = following, hops + 1
            if node == DESTINATION:
                limiter = self.limiters.get(node)
                if not self.answers(probe) or (limiter and not self._allowed(limiter, hops)):
                    return None
                kind = ReplyKind.ECHO_REPLY if probe.flow.protocol is Protocol.ICMP else ReplyKind.SYN_ACK
                return Reply(kind, DESTINATION, 2 * hops * self.hop_s, ttl=64 - hops)
            if hops == probe.ttl:
                return self._error(node, hops, ReplyKind.TIME_EXCEEDED, (11, 0))

    def _choose(self, node: str, flow: Flow) -> str:
        ways = self.next_hops[node]
        if len(ways) == 1:
            return ways[0]
        if node in self.per_packet:
            return self.random.choice(ways)
        return random.Random(self.salt[node] + flow.label).choice(ways)

    def _error(self, node: str, hops: int, kind: ReplyKind, icmp: tuple[int, int], mtu: int = 0) -> Reply | None:
        limiter = self.limiters.get(node)
        if node in self.silent or (limiter and not self._allowed(limiter, hops)):
            return None
        return Reply(kind, node, 2 * hops * self.hop_s, 255 - hops, icmp[0], icmp[1], mtu=mtu)

    def _allowed(self, limiter: Limiter, hops: int) -> bool:
        allowed = limiter.allows(self.clock + hops * self.hop_s, self.random.random())
        self.limited += not allowed
        return allowed


def chain(*layers: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Every node of a layer balances over all of the next."""
    whole = ((CLIENT,), *layers, (DESTINATION,))
    return {node: after for before, after in pairwise(whole) for node in before}


def line(hops: int) -> dict[str, tuple[str, ...]]:
    """Routers 198.51.100.1... one behind the other."""
    return chain(*((f"198.51.100.{hop}",) for hop in range(1, hops + 1)))
