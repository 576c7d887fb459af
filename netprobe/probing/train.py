"""Probes at full TTL to one destination: the ICMP echo series and the TCP SYN train.

Each SYN is a flow of its own: a second SYN on the same four-tuple would be a retransmission to a server in SYN-RECEIVED
(RFC 9293, 3.10.7.4) and draw no SYN-ACK of its own.
"""

from netprobe.model.probes import Exchange, Flow, Probe, Protocol, Reply, Train
from netprobe.model.unsent import PASSING
from netprobe.probing.port import Outcome, Request

_LABEL_BASE = 100  # labels below belong to traceroutes, whose flow must stay constant


class TrainSession:
    """Send `count` probes `interval_s` apart, wait `timeout_s` for each."""

    def __init__(
        self,
        protocol: Protocol,
        destination: str,
        *,
        port: int = 0,
        count: int = 3,
        interval_s: float = 0.1,
        timeout_s: float = 1.0,
    ) -> None:
        self._train = (protocol, destination, port)
        self._count = count
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._next_at: float | None = None
        self._last_at = 0.0
        self._expired = False
        self._sequence: dict[int, int] = {}  # by token
        self._sent_s: list[float] = []
        self._replies: dict[int, Reply] = {}  # by sequence

    def next_request(self, now: float) -> Request | None:
        """The next probe when its time has come."""
        if len(self._sent_s) >= self._count:
            self._expired = now >= self._last_at + self._timeout_s
            return None
        if self._next_at is not None and now < self._next_at:
            return None
        protocol, destination, port = self._train
        sequence = len(self._sent_s)
        label = 0 if protocol is Protocol.ICMP else _LABEL_BASE + sequence
        return Probe(Flow(protocol, destination, port, label), sequence=sequence)

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note when it left."""
        del request
        self._sequence[token] = len(self._sent_s)
        self._sent_s.append(now)
        self._next_at = now + self._interval_s
        self._last_at = now

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Keep the first reply to each probe; one that said too early that the probe did not leave makes room."""
        del now
        if isinstance(outcome, Reply):
            before = self._replies.get(self._sequence[token])
            if before is None or before.error in PASSING:
                self._replies[self._sequence[token]] = outcome

    def deadline(self) -> float | None:
        """The next probe's time, or the last one's time-out."""
        if len(self._sent_s) < self._count:
            return self._next_at if self._next_at is not None else self._last_at
        if len(self._replies) >= self._count or self._expired:
            return None
        return self._last_at + self._timeout_s

    def result(self) -> Train:
        """All exchanges, in order of sending."""
        protocol, destination, port = self._train
        exchanges = tuple(Exchange(64, n, at, self._replies.get(n)) for n, at in enumerate(self._sent_s))
        return Train(protocol, destination, port, exchanges)
