"""How many ICMP messages a node may send: token buckets, one for each peer or one for all, as in Linux."""

from netprobe.sim.records import RateLimit

_PEERS = 4096  # peers whose buckets are remembered; a bucket that is forgotten is full


class Bucket:
    """`rate` tokens a second and at most `burst`, full at first; says whether one may be taken at `at`."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._at = 0.0

    def has(self, at: float) -> bool:
        """Whether there is one at `at`."""
        self._tokens = min(self._burst, self._tokens + max(0.0, at - self._at) * self._rate)
        self._at = max(self._at, at)
        return self._tokens >= 1.0

    def take(self, at: float) -> bool:
        """Whether there is one; takes it."""
        if not self.has(at):
            return False
        self._tokens -= 1.0
        return True


class Limiter:
    """One node's limit. What one bucket refuses costs the other nothing (Linux, net/ipv4/icmp.c)."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self._total = Bucket(limit.total_rate, limit.total_burst) if limit.total_rate else None
        self._peers: dict[str, Bucket] = {}

    def take(self, peer: str, at: float) -> bool:
        """Whether one more message may leave for address `peer` at `at`."""
        if self._total is not None and not self._total.has(at):
            return False
        key = peer if self.limit.per == "peer" else ""
        bucket = self._peers.get(key)
        if bucket is None:
            if len(self._peers) >= _PEERS:
                del self._peers[next(iter(self._peers))]
            bucket = self._peers[key] = Bucket(self.limit.rate, self.limit.burst)
        return bucket.take(at) and (self._total is None or self._total.take(at))
