"""Links that remember what crossed them: loss in bursts, a rate with a queue in front of it, and others' load on both.

One `Gate` is one direction of such a link. It has to be asked in the order in which packets come to it.
"""

import random

from netprobe.sim.routing import Wire

_LARGE = 1500  # bytes, others' packets
_SAW = 0.85  # how far a queue that others keep full runs empty again: TCP's sawtooth, a heuristic


class Gate:
    """One direction of a link, between `ends`."""

    def __init__(self, ends: tuple[str, str], wire: Wire, seed: int) -> None:
        self.ends = ends
        self._draw = random.Random(f"{seed}/gate/{ends[0]}/{ends[1]}")  # a model, not a secret
        self._losing = False
        self._free_at = 0.0  # when the last of our packets will have left the queue
        self._out_at = 0.0
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
        begin = max(at, self._free_at)
        if begin - at > self._queue_s:
            return None  # tail drop
        rate, wait_s = self._rate, 0.0
        if load:
            if load >= 1.0:
                # More comes than leaves: the queue is full, and what is too much is dropped, whosever it is.
                if self._draw.random() >= 1.0 / load:
                    return None
                wait_s = self._queue_s * self._draw.uniform(_SAW, 1.0)
            else:
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
