"""Loss: is so much lost that it is noticed, and on whose part of the way?

What loses has something in common that what does not lose has not: the home network, the line, a router, a network
at the far end. A destination that is alone with its silence may only limit its answers, so it counts when the fraction,
and not the rate, of its answers stays the same at other rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from netprobe.diagnosis.facts import Destination
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal, of
from netprobe.model.probes import Hop, Path, Protocol, RatePhase, Train
from netprobe.probing.loss import (
    Counted,
    Interval,
    Silence,
    exceeds,
    is_cleaner,
    is_significant,
    judge,
    path_loss,
    wilson,
)
from netprobe.topology.addresses import is_public, is_shared, network_of
from netprobe.topology.segments import Segment

_SURE = 0.999
_CHOSEN = 4.5  # standard deviations: the two of nine places that lost least lose less than the others by 3.5 by chance
_ODD = 3.0  # and one of nine that are alike loses more than the others by so many in one case of a hundred
_FULL_TTL = 64  # beyond all routers
_ENOUGH = 20  # probes in passing that say something
NOTICED = 0.05  # lost there and back, surely: from there on pages are late and videos stop
_LIMITS = frozenset({Silence.LIMITER, Silence.BOTH})
_STATES = {Segment.HOME: "home", Segment.ISP: "isp", Segment.TRANSIT: "transit", Segment.DESTINATION: "platform"}
_WHERE = {
    "home": "your home network",
    "isp": "your provider's network",
    "transit": "a network between your provider and the platform",
    "platform": "the network that delivers the platform",
}


@dataclass(frozen=True, slots=True)
class _Count:
    """Probes to one place, and how many of them were lost. `silence` is what a test at other rates said, if any.

    `syns`: they were SYNs, which servers do not limit as they limit echo replies.
    """

    place: Destination
    index: int
    sent: int
    lost: int
    silence: Silence | None
    syns: bool = False

    @property
    def loses(self) -> bool:
        """Loss it is, and no limit: a test at other rates said so, or it is SYNs that nobody answers."""
        return self.silence is Silence.LOSS or self.syns

    @property
    def limits(self) -> bool:
        return self.silence in _LIMITS

    @property
    def noticed(self) -> bool:
        """Surely: among many places one is lossy by chance."""
        return wilson(self.lost, self.sent, _SURE).low >= NOTICED

    @property
    def clean(self) -> bool:
        return not is_significant(self.lost, self.sent)


def _counts(view: View) -> list[_Count]:
    places = {place.address: place for place in (*view.edges, *view.controls)}
    each: dict[str, _Count] = {}
    for index, train in view.facts.losses:
        if train.destination in places:
            before = each.get(train.destination)
            one = _Count(places[train.destination], index, *_all_lost(view, train), train.protocol is Protocol.TCP)
            again = before and replace(before, sent=before.sent + one.sent, lost=before.lost + one.lost)
            each[train.destination] = again or one
    # Of one kind: only one of them was tested.
    limiting = {network_of(c.place.address, wide=True) for c in each.values() if c.limits}
    return [
        replace(c, silence=Silence.LIMITER) if not c.syns and network_of(c.place.address, wide=True) in limiting else c
        for c in each.values()
    ]


def _all_lost(view: View, train: Train) -> tuple[int, int, Silence | None]:
    """How many probes a place was sent at all rates, how many of them were lost, and what that says together."""
    sent, lost = _lost(train)
    test = next((t for _, t in view.facts.rates if t.flow.destination == train.destination), None)
    if test is None:
        return sent, lost, None
    sent += sum(p.sent for p in test.phases)
    lost += sum(p.sent - p.answered for p in test.phases)
    return sent, lost, judge([*_phase(train), *test.phases]).silence


def _lost(train: Train) -> tuple[int, int]:
    return len(train.exchanges), train.lost


def _phase(train: Train) -> list[RatePhase]:
    """A train as one phase more of a test at other rates."""
    times = [x.sent_s for x in train.exchanges]
    if len(times) < 2 or times[-1] <= times[0]:
        return []
    return [RatePhase((len(times) - 1) / (times[-1] - times[0]), len(times), train.answered)]


def _apart(clean: Sequence[_Count], lossy: Sequence[_Count], deviations: float = _CHOSEN) -> bool:
    """Whether places that look clean surely lose less than the others, though they were chosen for it."""
    (sent, lost), (many, gone) = ((sum(c.sent for c in part), sum(c.lost for c in part)) for part in (clean, lossy))
    return is_cleaner(Counted(0, sent, lost), Counted(0, many, gone), deviations)


def _above_background(counts: Sequence[_Count]) -> tuple[list[_Count], list[_Count]] | None:
    """Those that lose hardly more than any path does, alike, and those that lose surely more; None without such two."""
    lossy = [c for c in counts if c.noticed]
    rest = [c for c in counts if not c.noticed]
    if not lossy or len(rest) < 2 or _pooled(rest).fraction >= NOTICED or not _apart(rest, lossy):
        return None
    alike = not any(_apart([o for o in rest if o is not c], [c], _ODD) for c in rest)
    return (rest, lossy) if alike else None


def _pooled(counts: Sequence[_Count]) -> Interval:
    return wilson(sum(c.lost for c in counts), sum(c.sent for c in counts))


def loss(view: View) -> Finding | None:
    """Where is so much lost that it is noticed?"""
    counts = _counts(view)
    if not counts:
        return _in_passing(view)
    facts = tuple(c.index for c in counts)
    honest = [c for c in counts if not c.limits]
    clean, lossy = [c for c in honest if c.clean], [c for c in honest if not c.clean]
    # Who loses a little, as any place may, and surely much less than the others, does not share their loss.
    better = [c for c in lossy if not c.noticed and len(lossy) > 1 and _apart([c], [o for o in lossy if o is not c])]
    clean, lossy = [*clean, *better], [c for c in lossy if c not in better]
    if not (clean and _apart(clean, lossy)):
        # Either all lose a little and some much more, or those that look clean are lossy places' luck.
        clean, lossy = _above_background(honest) or ([], honest)
    # Where nothing is clean, one loss is taken to be all places'; else those that lose surely, and those like them.
    noticed = [c for c in lossy if c.noticed] if clean else lossy
    if noticed and clean:
        noticed = [c for c in lossy if c.noticed or exceeds(_pooled([c]), _pooled(clean))]
    between = [c for c in lossy if c not in noticed]
    if between and _pooled(between).low >= NOTICED:  # none of them surely, but all of them together
        noticed = lossy
    if not noticed or (not clean and _pooled(noticed).low < NOTICED):
        if len(honest) < len(counts):
            told = f"{of(len(counts) - len(honest), len(counts))} places answer few probes a second, and lose nothing"
            return Finding("limiter", f"{told}; {_told(view, honest)} are lost." if honest else f"{told}.", facts)
        return Finding("light", f"{_told(view, counts)} are lost: hardly enough to be noticed.", facts)
    told = f"{_told(view, noticed)} are lost"
    if not any(c.place.platform for c in noticed):
        return Finding("elsewhere", f"{told}, but to the platform hardly any are.", facts)
    if not clean:
        return _of_everything(view, noticed, told, facts)
    told = f"{told}, and {_told(view, clean)}"
    state = _where(view, noticed, clean)
    if state in _WHERE:
        return Finding(state, f"{told}: it happens in {_WHERE[state]}.", facts)
    return Finding("unclear", f"{told}; it was not seen where.", facts)


def _in_passing(view: View) -> Finding | None:
    """What the trains of all places have lost, where that was so little that nobody has counted more."""
    trains = [f for place in (*view.edges, *view.controls) for f in place.trains if f[1].answered]
    sent, lost = (sum(column) for column in zip(*(_lost(t) for _, t in trains), strict=True)) if trains else (0, 0)
    if sent < _ENOUGH or lost > NOTICED * sent:
        return None
    return Finding("light", f"{of(lost, sent)} probes are lost in passing.", tuple(i for i, _ in trains))


def _of_everything(view: View, noticed: list[_Count], told: str, facts: tuple[int, ...]) -> Finding:
    """All places lose. The home router says whether it begins before it.

    Both sides of it can lose at once, so each is judged by itself: what it loses would surely be noticed, or surely
    not. In between nobody is named.
    """
    pooled = _pooled(noticed)
    if len({_owner(c) for c in noticed}) < 2:
        return Finding("unclear", f"{told}, and nothing else was there to compare with.", facts)
    places = {place.address for place in (*view.edges, *view.controls)}
    asked = next(((i, t) for i, t in view.facts.losses if t.destination not in places), None)
    if asked is None:
        return Finding("line", f"{told}, at home or on the line: your home router does not answer pings.", facts)
    tests = (i for i, t in view.facts.rates if t.flow.destination == asked[1].destination)
    facts = (*facts, asked[0], *tests)
    sent, lost, silence = _all_lost(view, asked[1])
    if silence in _LIMITS:
        return Finding("line", f"{told}, at home or on the line: your home router answers few pings a second.", facts)
    gateway = wilson(lost, sent)
    bounds = f"{100 * gateway.low:.0f} to {100 * gateway.high:.0f} %"
    router = f"of {sent} to your home router {100 * gateway.fraction:.0f} % (surely {bounds})"
    if gateway.low >= NOTICED and (is_public(asked[1].destination) or is_shared(asked[1].destination)):
        return Finding("isp", f"{told}, and {router}, which is your provider's: it begins on the line to it.", facts)
    if gateway.low >= NOTICED:
        return Finding("home", f"{told}, and {router}: it begins before it.", facts)
    if gateway.high < NOTICED and exceeds(pooled, gateway):
        # One place that may be clean is enough to doubt that all ways share what loses.
        state = "unclear" if any(c.clean for c in noticed) else _beyond_all(view, noticed)
        return Finding(state, f"{told}, {router}: it happens behind it, on the part that all ways share.", facts)
    return Finding("line", f"{told}, {router}: at home or on the line.", facts)


def _beyond_all(view: View, noticed: list[_Count]) -> str:
    """Whose part it is when everything but the home router loses.

    The provider's, unless a hop farther out is clean, or all ways lead through another network as well.
    """
    common = set.intersection(*(_routers(view, c.place) for c in noticed))
    if Segment.TRANSIT in {view.paths.segment_of(router) for router in common}:
        return "unclear"
    for _, path in view.facts.loss_paths:
        train = next((t for _, t in view.facts.losses if t.destination == path.flow.destination), None)
        if train is None:
            continue
        found = path_loss(list(map(_asked, _routers_before(path))), Counted(_FULL_TTL, *_lost(train)))
        clean = next((h for h in path.hops if found and h.ttl == found.after), None)
        segment = view.paths.segment_of(clean.addresses[0]) if clean and clean.addresses else Segment.UNKNOWN
        if segment in {Segment.TRANSIT, Segment.EXCHANGE, Segment.DESTINATION}:
            return "unclear"
    return "isp"


def _tell_apart(view: View, noticed: Sequence[_Count], clean: Sequence[_Count]) -> str:
    """The part of the way in which the routers stand that all that lose share, and none that does not."""
    routers = {c.place.address: _routers(view, c.place) for c in (*noticed, *clean)}
    passed = set().union(*(routers[c.place.address] for c in clean))
    seen = [routers[c.place.address] for c in noticed]
    shared = set.intersection(*seen) - passed
    # A hop that stayed silent right behind them may be any router that the other ways have there.
    told = [r for c, r in zip(noticed, seen, strict=True) if not _silence_behind(view, c.place, shared)]
    if not told:
        return "unclear"  # whoever stays silent on all ways may be the one
    suspects = set.intersection(*told) - passed
    segments = {view.paths.segment_of(router) for router in suspects} - {Segment.EXCHANGE}
    if len({_owner(c) for c in noticed}) == 1:
        if not any(c.loses for c in noticed) and not _agreed(view, noticed):
            return "unclear"  # it may limit its answers
        segments |= {Segment.DESTINATION}
    else:
        segments -= {Segment.DESTINATION}
    if len(segments) != 1:
        return "unclear"
    return _STATES.get(segments.pop(), "unclear")


def _where(view: View, noticed: Sequence[_Count], clean: Sequence[_Count]) -> str:
    """Whose part of the way it is, by what the ways share and by the hops of one, unless they contradict each other.

    A border that one network's loss begins at may be either side's; where several networks lose, it explains one only.
    """
    shared, hops = _tell_apart(view, noticed, clean), _behind_clean_hop(view, noticed, clean)
    if hops == "border":
        return "unclear" if len({_owner(c) for c in noticed}) == 1 else shared
    said = {shared, hops} - {"unclear"}
    return said.pop() if len(said) == 1 else "unclear"


def _behind_clean_hop(view: View, noticed: Sequence[_Count], clean: Sequence[_Count]) -> str:
    """The part of the way of the last router that surely answers better than what loses behind it.

    A way that loses nothing speaks for the routers on it as well.

    A router answers what expires there before it can lose it on the way on, so it and what leads away from it are the
    suspects, and whoever stays silent between it and the next that loses. Where these are not of one network it is a
    "border": the side on which packets wait is not seen.
    """
    passed = set().union(*(_routers(view, c.place) for c in clean))
    for _, path in view.facts.loss_paths:
        count = next((c for c in noticed if c.place.address == path.flow.destination), None)
        if count is None:
            continue
        routers, end = _routers_before(path), Counted(_FULL_TTL, count.sent, count.lost)
        cleaner = [h for h in routers if passed & set(h.addresses) or is_cleaner(_asked(h), end)]
        if not cleaner:
            continue
        last = _last_clean(cleaner, [h for h in routers if h not in cleaner and h.lost])
        behind = [h for h in routers if h.ttl > last.ttl and not is_cleaner(end, _asked(h))]
        if not behind and not count.loses:
            continue  # the destination itself may limit its answers
        if view.facts.filters_attacks(last.addresses[0]):
            return "platform"
        after = behind[0].addresses[0] if behind else ""
        at, then = view.paths.segment_of(last.addresses[0]), view.paths.segment_of(after) if after else None
        return _STATES.get(at, "unclear") if at is (then or Segment.DESTINATION) else "border"
    return "unclear"


def _last_clean(cleaner: Sequence[Hop], lossy: Sequence[Hop]) -> Hop:
    """The last of the hops that answer better: behind one that loses as the end does, only one that loses nothing.

    Loss goes on behind where it begins. A hop that answers all stands before it, and who lost on the way to it has
    limited his answers; one that loses some may have been lucky.
    """
    first = min((h.ttl for h in lossy), default=cleaner[-1].ttl + 1)
    sure = [h for h in cleaner if h.ttl < first or not is_significant(h.lost, len(h.exchanges))]
    return sure[-1] if sure else cleaner[0]


def _routers_before(path: Path) -> list[Hop]:
    """The hops of a way that somebody before its destination has answered for."""
    return [hop for hop in path.hops if hop.addresses and path.flow.destination not in hop.addresses]


def _asked(hop: Hop) -> Counted:
    return Counted(hop.ttl, len(hop.exchanges), hop.lost)


def _silence_behind(view: View, place: Destination, suspects: set[str]) -> bool:
    """Whether the hop behind the last suspect on the way to `place` stayed silent whenever it was asked."""
    answered: dict[int, set[str]] = {}
    for index, path in view.facts.all_paths:
        if path.flow.destination == place.address:
            for step in view.paths.steps(index, path):
                answered.setdefault(step.ttl, set()).add(step.address)
            for hop in path.hops:
                if place.address in hop.addresses:
                    answered.setdefault(hop.ttl, set()).add(place.address)
    last = max((ttl for ttl, addresses in answered.items() if addresses & suspects), default=0)
    return 0 < last < max(answered, default=0) and last + 1 not in answered


def _agreed(view: View, noticed: Sequence[_Count]) -> bool:
    """Whether hops before a destination lose as much as it does."""
    counts = {c.place.address: c for c in noticed}
    for _, path in view.facts.loss_paths:
        count = counts.get(path.flow.destination)
        if count is None:
            continue
        found = path_loss(list(map(_asked, _routers_before(path))), Counted(_FULL_TTL, count.sent, count.lost))
        if found and not found.only_destination:
            return True
    return False


def _routers(view: View, place: Destination) -> set[str]:
    return {
        s.address
        for i, p in view.facts.all_paths
        if p.flow.destination == place.address
        for s in view.paths.steps(i, p)
    }


def _owner(count: _Count) -> str:
    return count.place.network or count.place.address


def _told(view: View, counts: Sequence[_Count]) -> str:
    """So many of how many probes, between which bounds, and to whom."""
    lost, sent = sum(c.lost for c in counts), sum(c.sent for c in counts)
    interval = _pooled(counts)
    bounds = f"{100 * interval.low:.0f} to {100 * interval.high:.0f} %"
    whom = view.who(counts[0].place.address) if len(counts) == 1 else f"{len(counts)} places"
    return f"{of(lost, sent)} probes to {whom} ({100 * interval.fraction:.0f} %, surely {bounds})"


SIGNALS = (
    Signal(
        "path.loss",
        "loss",
        ("light", "limiter", "elsewhere", "home", "line", "isp", "transit", "platform", "unclear"),
        loss,
        good=("light", "limiter", "elsewhere"),
    ),
)
