"""Waiting: do packets stand in a queue that somebody keeps full, and on whose part of the way?

What waits in a full queue takes longer and less long by turns, and never as little as the way itself. Where nothing
beyond the home router answers as soon as it does anywhere near a home, everything waits in front of the line. Where
only some places lose packets, and answers from just these change more than others', they are behind a full queue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import fmean, median

from netprobe.diagnosis.facts import Destination
from netprobe.diagnosis.pattern import View
from netprobe.diagnosis.signals.base import Finding, Signal
from netprobe.diagnosis.signals.loss import NOTICED
from netprobe.model.probes import Train
from netprobe.probing.delays import NEAR_S, round_trips
from netprobe.probing.loss import is_significant
from netprobe.probing.throughput import ks_probability

HOME_S = 0.01  # to the home router, in front of the queue
SWING_S = 0.01  # between the quick tenth of the answers and the slow one
_FEWEST = 15  # answers
_TENTH = 0.1
_LOSES = 0.065  # of probes, there and back. Heuristic: a home's few connections yield to one loss in a hundred; what
# hundreds of customers send does not, and is dropped by the tenth
_SPARED = 0.25  # of what is lost in the mean: places that lose less are not behind what loses
_OWN_BUSY_MBIT = 0.8  # sent by this device beside the measurement
_SILENT = 0.5  # of probes: who loses more limits its answers, or is hardly there
_BY_CHANCE = 2.0  # the mean square of what changes from one answer to the next, in variances, where chance does it
_DRIFTS = 1.0  # the same where something grows and shrinks
_TOGETHER_S = 1.0  # apart at most are the beginnings of what is asked at the same time
_LATER_S = 0.0045  # in the mean, behind the shallowest queue that holds anybody up: 50 ms, of which 15 come and go
_BY_LUCK = 0.01  # that what changes alike looks so different,
_BY_MUCH_LUCK = 1e-5  # and where it is hardly later than others: no two ways change quite alike


@dataclass(frozen=True)
class _Timed:
    """One place: its answers' round trips, in order of size, and how many probes were lost."""

    place: Destination
    index: int
    train: Train

    @property
    def sent(self) -> int:
        return len(self.train.exchanges)

    @cached_property
    def times(self) -> tuple[float, ...]:
        return tuple(sorted(self.train.in_time))

    @property
    def lost(self) -> int:
        return self.sent - len(self.times)

    @property
    def beyond_quick(self) -> list[float]:
        """How much longer than the quick tenth each took."""
        quick = self.times[int(_TENTH * len(self.times))]
        return [time - quick for time in self.times]

    @property
    def swing_s(self) -> float:
        return self.beyond_quick[-1 - int(_TENTH * len(self.times))]


def _timed(view: View) -> list[_Timed]:
    places = {place.address: place for place in (*view.edges, *view.controls)}
    found = {}
    for index, train in view.facts.delays:
        if train.destination in places and len(train.in_time) >= _FEWEST:
            found[train.destination] = _Timed(places[train.destination], index, train)
    return list(found.values())


def _drift(view: View, timed: Sequence[_Timed]) -> float:
    """How much the answers that come one after the other differ, the mean of all places that were asked together.

    What hits each packet by itself evens out; a queue that all stand in does not.
    """
    groups: dict[tuple[int, int], list[Train]] = {}
    for t in timed:
        began_s = view.facts.observations[t.index].at_s
        groups.setdefault((round(began_s / _TOGETHER_S), t.sent), []).append(t.train)
    together = max(groups.values(), key=len)
    apart = [_from_median(train) for train in together]
    means = [fmean(row) for moment in zip(*apart, strict=True) if (row := [x for x in moment if x is not None])]
    return _von_neumann(means) if len(means) >= _FEWEST else _BY_CHANCE


def _from_median(train: Train) -> list[float | None]:
    """Of each probe in turn, how much more than usual it took; None for those that were lost."""
    usual = median(train.in_time)
    return [None if time is None else time - usual for time in train.in_turn]


def _von_neumann(times: Sequence[float]) -> float:
    """Von Neumann's ratio (1941): how much neighbours in time differ, in variances of all."""
    middle = fmean(times)
    variance = fmean((time - middle) ** 2 for time in times)
    if not variance:
        return _BY_CHANCE
    return fmean((after - before) ** 2 for before, after in pairwise(times)) / variance


def queue(view: View) -> Finding | None:
    """Does something wait in a queue, and where?"""
    timed = _timed(view)
    if not timed:
        return _in_passing(view)
    gateway = [(i, t) for i, t in view.facts.delays if view.facts.at_home(t.destination)]
    facts = (*(t.index for t in timed), *(i for i, _ in gateway))
    quickest = min((t.times[0] for t in timed), default=0.0)
    quickest = min([quickest, *_hops_beyond(view, min(view.facts.observations[t.index].at_s for t in timed))])
    if quickest >= NEAR_S:
        return _line(view, timed, [t for _, t in gateway], quickest, facts)
    lossy = [t for t in timed if is_significant(t.lost, t.sent) and t.lost < _SILENT * t.sent]
    calm = [t for t in timed if not is_significant(t.lost, t.sent)]
    if not lossy or not calm:
        return Finding("none", f"Nothing waits in front of all of {len(timed)} places.", facts)
    here = [time for t in lossy for time in t.beyond_quick]
    there = [time for t in calm for time in t.beyond_quick]
    swing, other = (max(t.swing_s for t in group) for group in (lossy, calm))
    told = (
        f"Answers of {len(lossy)} places that lose packets change by up to {1e3 * swing:.0f} ms, those of "
        f"{len(calm)} that do not by up to {1e3 * other:.0f}"
    )
    later_s = median(here) - median(there)
    luck = _BY_LUCK if later_s >= _LATER_S else _BY_MUCH_LUCK
    if swing < SWING_S or later_s <= 0.0 or ks_probability(here, there) >= luck:
        return Finding("alike", f"{told}: it is lost, and does not wait.", facts)
    if sum(t.lost for t in lossy) <= NOTICED * sum(t.sent for t in lossy):
        return Finding("alike", f"{told}: so little is lost there that nobody notices.", facts)
    if not any(t.place.platform for t in lossy):
        return Finding("elsewhere", f"{told}, and none of them is the platform's.", facts)
    return Finding("some", f"{told}: they stand in a queue that is full, and the others do not.", facts)


def _in_passing(view: View) -> Finding | None:
    """What was seen where nobody has asked for longer."""
    hops = _hops_beyond(view, 0.0)
    if not hops or min(hops) >= NEAR_S:
        return None
    return Finding("none", f"What is near answers within {1e3 * min(hops):.0f} ms: nothing waits in front of all.")


def _hops_beyond(view: View, since_s: float) -> list[float]:
    """The round trips to routers behind the home's, on ways that were traced since; where none was, on all."""
    paths = dict([*view.facts.all_paths, *view.facts.delay_paths])
    late = [path for index, path in paths.items() if view.facts.observations[index].at_s >= since_s]
    return [
        time
        for path in late or paths.values()
        for hop in path.hops
        if hop.addresses and not any(view.facts.at_home(address) for address in hop.addresses)
        for time in round_trips(hop.exchanges)
    ]


def _line(view: View, timed: list[_Timed], gateway: list[Train], quickest: float, facts: tuple[int, ...]) -> Finding:
    """Nothing beyond the home is near."""
    told = f"Nothing beyond your home router answers within {1e3 * quickest:.0f} ms"
    at_home = min(_times_at_home(view, gateway), default=None)
    swings = sorted(t.swing_s for t in timed)
    lost = _lost_by_all(timed)
    # A radio's delays differ from packet to packet; a queue grows and shrinks.
    by_chance = lost <= _LOSES and _drift(view, timed) > _DRIFTS
    if median(swings) < SWING_S or by_chance:
        return Finding("far", f"{told}: all of it is far away, or waits somewhere.", facts)
    in_front = not _wired(view) if at_home is None else at_home > HOME_S  # of the home router, for all that is known
    if in_front:
        return Finding(
            "waits", f"{told}, and times change: a queue is full, and nobody saw on which side of it.", facts
        )
    near = "a cable leads to it" if at_home is None else f"it does in {1e3 * at_home:.0f}"
    told = f"{told}, {near}, and beyond it times change by up to {1e3 * swings[-1]:.0f} ms"
    if (mbit := view.facts.own_mbit[0] or 0.0) >= _OWN_BUSY_MBIT:
        return Finding("line_own", f"{told}: the line's queue is full, and this device sends {mbit:.1f} Mbit/s.", facts)
    if lost > _LOSES:
        return Finding("line_lossy", f"{told}: a queue that all share is full, and loses {100 * lost:.0f} %.", facts)
    return Finding("line", f"{told}: the line's queue is full, and hardly anything is lost there.", facts)


def _lost_by_all(timed: Sequence[_Timed]) -> float:
    """The fraction of probes that is lost; 0 where some places hardly share in it, because it is lost elsewhere."""
    lost = _fraction(timed)
    spared = [t for t in timed if not is_significant(t.lost, t.sent)]
    return 0.0 if spared and _fraction(spared) < _SPARED * lost else lost


def _fraction(timed: Sequence[_Timed]) -> float:
    return sum(t.lost for t in timed) / sum(t.sent for t in timed)


def _times_at_home(view: View, gateway: Sequence[Train]) -> list[float]:
    """Round trips to the home router: of pings, or of what it says of packets that end there, pings or not."""
    hops = [hop for _, path in view.facts.delay_paths for hop in path.hops]
    own = [hop.exchanges for hop in hops if any(view.facts.at_home(address) for address in hop.addresses)]
    return [time for exchanges in (*(t.exchanges for t in gateway), *own) for time in round_trips(exchanges)]


def _wired(view: View) -> bool:
    """Whether a cable leads to the home router, in which nothing waits."""
    link = view.facts.host.link if view.facts.host else None
    return link is not None and not link.wireless and not link.tunnel


SIGNALS = (
    Signal(
        "path.queue",
        "queue",
        ("none", "alike", "elsewhere", "far", "waits", "line_own", "line", "line_lossy", "some"),
        queue,
        good=("none", "alike", "elsewhere"),
    ),
)
