"""What is known of the way to one of many targets: its own answers, and whose hops stand before where it joins.

The bookkeeping of `share`; nothing here decides what to ask.
"""

from collections.abc import Iterator

from msgspec import Struct, field
from msgspec.structs import replace

from netprobe.model.probes import Exchange, Flow, Hop, Path, Reply, ReplyKind

#: A router at its distance. The same address at another TTL is another node: where paths meet, so do their TTLs.
Node = tuple[int, str]


class Way(Struct, eq=False):
    """The way of `flow`. `asked` has the exchanges at each TTL, none as long as the probe waits for its turn.

    `seen` has the router that answered at each TTL, also while a whole trace is under way.
    """

    flow: Flow
    asked: dict[int, list[Exchange]] = field(default_factory=dict)
    seen: dict[int, str] = field(default_factory=dict)
    open: int = 0  # TTLs at which it is still to be asked, or an answer may come
    length: int = 0  # the shortest TTL at which the destination answered; 0 while it has not
    rtt_s: float | None = None
    whole: Path | None = None  # traced by itself
    joins: "Way | None" = None  # whose hops are taken over
    joins_at: int = 0  # from the TTL before this one on
    lent: dict[int, Hop] = field(default_factory=dict)

    def answered(self, ttl: int, reply: Reply) -> Node | None:
        """Note what answered at `ttl`; the node, when it is a router."""
        if reply.from_destination:
            self.length = min(ttl, self.length or ttl)
            self.rtt_s = reply.rtt_s if self.rtt_s is None else min(reply.rtt_s, self.rtt_s)
        elif reply.kind is ReplyKind.TIME_EXCEEDED and ttl not in self.seen:
            self.seen[ttl] = reply.source
            return ttl, reply.source
        return None

    def silent(self, ttl: int) -> bool:
        """Whether nothing has come of what was asked at `ttl`."""
        return not any(exchange.reply for exchange in self.asked[ttl])

    def routers(self) -> Iterator[Node]:
        """The routers that answered itself, the farthest first."""
        for ttl in sorted(self.seen, reverse=True):
            if ttl < self.length:
                yield ttl, self.seen[ttl]

    def at(self, ttl: int) -> str:
        """The router at `ttl`, its own or taken over; empty when nobody is known."""
        way: Way | None = self
        while way:
            if ttl in way.seen:
                return way.seen[ttl]
            way = way.joins if ttl < way.joins_at else None
        return ""

    def takes(self) -> Iterator[int]:
        """The TTLs that are taken over without having been asked, from the farthest."""
        for ttl in range(self.joins_at - 1, 0, -1):
            if ttl not in self.asked:
                yield ttl

    @property
    def complete(self) -> bool:
        """Whether it is known from the first hop to the destination, as far as anybody answers."""
        return bool(self.whole or (self.length and (self.joins or 1 in self.asked)))

    def rests_on(self, other: "Way") -> bool:
        """Whether what this one takes over leads to `other`, which may then take nothing over from here."""
        way: Way | None = self
        while way and way is not other:
            way = way.joins
        return way is other

    def path(self, doubtful: set[Node]) -> Path:
        """All that is known. A hop that is taken over is marked, and is never one of the `doubtful`.

        Where it was asked itself and got no answer, another's answer stands in all the same: many ways ask one router
        at a time, and the silence is probably our own doing.
        """
        sent = sum(map(len, self.asked.values()))
        if self.whole:
            return replace(self.whole, probes_sent=self.whole.probes_sent + sent)
        hops = tuple(self._shown(ttl, doubtful) for ttl in range(1, self.length + 1))
        return Path(self.flow, hops, reached=True, rtt_s=self.rtt_s, probes_sent=sent)

    def own(self) -> Path:
        """What it was asked itself so far, as long as it is not complete."""
        sent = sum(map(len, self.asked.values()))
        last = self.length or max(self.asked, default=0)
        hops = tuple(Hop(ttl, tuple(self.asked.get(ttl, ()))) for ttl in range(1, last + 1))
        return Path(self.flow, hops, reached=self.length > 0, rtt_s=self.rtt_s, probes_sent=sent)

    def _shown(self, ttl: int, doubtful: set[Node]) -> Hop:
        other = self.joins.lend(ttl) if self.joins and ttl < self.joins_at and ttl not in self.seen else None
        trusted = other and (ttl, self.at(ttl)) not in doubtful
        if other and trusted and (self.at(ttl) or not self.asked.get(ttl)):
            return other
        return Hop(ttl, tuple(self.asked.get(ttl, ())))

    def lend(self, ttl: int) -> Hop | None:
        """The hop at `ttl` as another way takes it over; the same for all of them."""
        if ttl in self.lent:
            return self.lent[ttl]
        own = self.whole.hops[ttl - 1 : ttl] if self.whole else (Hop(ttl, tuple(self.asked.get(ttl, ()))),)
        hop = replace(own[0], shared_from=self.flow.destination) if own and own[0].exchanges else None
        if ttl not in self.seen and self.joins and ttl < self.joins_at:
            hop = self.joins.lend(ttl) or hop
        if hop:
            self.lent[ttl] = hop
        return hop
