"""Links that remember what crossed them: loss in bursts, a rate with a queue in front of it, and others' load on both.

One `Gate` is one direction of such a link. It has to be asked in the order in which packets come to it.
"""

import random
from collections.abc import Iterable

from netprobe.sim.records import Fault
from netprobe.sim.routing import Ends, Wire, directions

_LARGE = 1500  # bytes, others' packets
_LEAST = 0.7  # RFC 9438, 4.6: whose packet is lost goes on with so much of the window, and the queue is that window
_CYCLE = 10.0  # times that a whole queue takes, from one such loss to the next: a heuristic


class Gate:
    """One direction of a link, between `ends`. `jams_end` is when others cease to keep its queue full."""

    def __init__(self, ends: Ends, wire: Wire, seed: int, jams_end: Iterable[float] = ()) -> None:
        self.ends = ends
        self._draw = random.Random(f"{seed}/gate/{ends[0]}/{ends[1]}")  # a model, not a secret
        self._losing = False
        self._free_at = 0.0  # when what waits now will have left the queue
        self._out_at = 0.0
        self._phase = phase(seed, ends)
        self._jams_end = tuple(jams_end)
        self.change(wire)

    def change(self, wire: Wire) -> None:
        """From now on the link is like this; what waits goes on to wait."""
        self.wire = wire
        self._rate = wire.rate_mbit * 1e6 / 8  # bytes a second; 0: no limit
        self._queue_s = wire.queue_s
        self._enter, self._leave = transitions(wire.loss, wire.loss_burst) if wire.loss_burst > 1 else (0.0, 1.0)

    def cross(self, size: int, at: float, load: float = 0.0) -> float | None:
        """When a packet of `size` bytes that comes at `at` has left on the wire; None: it is lost.

        `load` is what others send over the link, as a fraction of its rate.
        """
        if self._enter and self._lost():
            return None
        if not self._rate:
            return at
        rate, wait_s = self._rate, 0.0
        begin = max(at, self._free_at)
        if load >= 1.0:
            # More comes than leaves: the queue is full, and what is too much is dropped, whosever it is.
            if self._draw.random() >= 1.0 / load:
                return None
            begin = max(begin, at + others_wait_s(at, self._queue_s, self._phase))
        for end in self._jams_end:
            if end <= at:  # others have gone, and left behind what waits
                begin = max(begin, end + others_wait_s(end, self._queue_s, self._phase))
        if begin - at > self._queue_s:
            return None  # tail drop
        if 0.0 < load < 1.0:
            rate *= 1.0 - load
            # The mean wait of packets of one size that come at random (M/D/1), exponential as a simplification.
            mean_s = load / (2 * (1.0 - load)) * _LARGE / self._rate
            wait_s = min(self._queue_s, self._draw.expovariate(1.0 / mean_s))
        self._free_at = begin + size / rate
        self._out_at = max(self._out_at, self._free_at + wait_s)  # one queue: nobody overtakes
        return self._out_at

    def _lost(self) -> bool:
        """One step of Gilbert's model: a link that is either good, or loses everything."""
        chance = self._draw.random()
        self._losing = chance >= self._leave if self._losing else chance < self._enter
        return self._losing


def transitions(loss: float, burst: float) -> tuple[float, float]:
    """Gilbert's two probabilities, of beginning to lose and of ceasing to, for a fraction lost in bursts of a mean."""
    leave = 1.0 / burst
    return leave * loss / (1.0 - loss), leave


def jams(faults: Iterable[Fault]) -> dict[Ends, list[float]]:
    """When others cease to keep queues full, by the direction of the link."""
    found: dict[Ends, list[float]] = {}
    for fault in faults:
        if fault.kind == "congestion" and fault.load >= 1.0:
            for ends in directions(fault):
                found.setdefault(ends, []).append(fault.end_s)
    return found


def others_wait_s(at: float, queue_s: float, phase: float) -> float:
    """How long a queue of `queue_s` takes at `at` that others keep full: TCP's sawtooth.

    It grows in a line, as a simplification; then somebody loses a packet and sends none until less is under way, so
    that it shrinks as fast as the link takes what waits. `phase` is a fraction of that cycle.
    """
    if not queue_s:
        return 0.0
    fall = 1.0 - _LEAST
    turn = (at / queue_s + phase * _CYCLE) % _CYCLE
    if turn < fall:
        return queue_s * (1.0 - turn)
    return queue_s * (_LEAST + fall * (turn - fall) / (_CYCLE - fall))


def phase(seed: int, ends: Ends) -> float:
    """Where in its cycle the queue of one direction of a link is at the start."""
    return random.Random(f"{seed}/jam/{ends[0]}/{ends[1]}").random()  # a model
