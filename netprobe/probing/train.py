"""Probes at full TTL to one destination: the ICMP echo series and the TCP SYN train.

Each SYN is a flow of its own: a second SYN on the same four-tuple would be a retransmission to a server in SYN-RECEIVED
(RFC 9293, 3.10.7.4) and draw no SYN-ACK of its own.
"""

from netprobe.model.probes import Exchange, Flow, Probe, Protocol, Reply, ReplyKind, Train
from netprobe.probing.port import Outcome, Request

_FULL_TTL = 64
_CONTRADICTION_S = 0.15  # how much later than a forged reset the answer may come, beside a round trip
FIRST_LABEL = 100  # labels below belong to traceroutes, whose flow must stay constant


class TrainSession:
    """Send `count` probes `interval_s` apart, wait `timeout_s` for each.

    SYNs are flows from `first_label` on: those of an earlier train to the same place are best not used again at once.
    """

    def __init__(
        self,
        protocol: Protocol,
        destination: str,
        *,
        port: int = 0,
        count: int = 3,
        interval_s: float = 0.1,
        timeout_s: float = 1.0,
        first_label: int = FIRST_LABEL,
    ) -> None:
        self._train = (protocol, destination, port)
        self._first_label = first_label
        self._count = count
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._next_at: float | None = None
        self._last_at = 0.0
        self._expired = False
        self._contradicted_by = 0.0  # until when the real answer after a forged reset may come
        self._sequence: dict[int, int] = {}  # by token
        self._exchanges: list[Exchange] = []

    def next_request(self, now: float) -> Request | None:
        """The next probe when its time has come."""
        if len(self._exchanges) >= self._count:
            over = self._contradicted_by if self._all_answered else self._last_at + self._timeout_s
            self._expired = now >= over
            return None
        if self._next_at is not None and now < self._next_at:
            return None
        protocol, destination, port = self._train
        sequence = len(self._exchanges)
        label = 0 if protocol is Protocol.ICMP else self._first_label + sequence
        return Probe(Flow(protocol, destination, port, label), sequence=sequence)

    def sent(self, request: Request, token: int, now: float) -> None:
        """Note when it left."""
        del request
        self._sequence[token] = len(self._exchanges)
        self._exchanges.append(Exchange(_FULL_TTL, len(self._exchanges), now))
        self._next_at = now + self._interval_s
        self._last_at = now

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Keep the replies to each probe. A reset is waited after: who forges one is quicker than who answers."""
        if not isinstance(outcome, Reply):
            return
        index = self._sequence[token]
        self._exchanges[index] = self._exchanges[index].answered_by(outcome)
        if outcome.kind is ReplyKind.RST:
            patience_s = min(self._timeout_s, _CONTRADICTION_S + outcome.rtt_s)
            self._contradicted_by = max(self._contradicted_by, now + patience_s)

    def deadline(self) -> float | None:
        """The next probe's time, or the last one's time-out."""
        if len(self._exchanges) < self._count:
            return self._next_at if self._next_at is not None else self._last_at
        if self._expired or (self._all_answered and not self._contradicted_by):
            return None
        return self._contradicted_by if self._all_answered else self._last_at + self._timeout_s

    def result(self) -> Train:
        """All exchanges, in order of sending."""
        protocol, destination, port = self._train
        return Train(protocol, destination, port, tuple(self._exchanges))

    @property
    def _all_answered(self) -> bool:
        return len(self._exchanges) >= self._count and all(exchange.reply for exchange in self._exchanges)
