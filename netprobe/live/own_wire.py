"""The own wire: tells what this machine did to a probe or its answer from what the network did.

A tap sees packets on the devices, the sockets see what the machine lets through. Only silence is looked into: where
everything is answered no tap is opened, unless it is wanted from the start.
"""

from collections import Counter
from collections.abc import Callable, Collection
from typing import Protocol

from netprobe.capture import Capture, Packet
from netprobe.live.fate import Coverage, Fate, fates
from netprobe.live.reactor import Reactor, Timer
from netprobe.live.tap import Seen, Tap
from netprobe.model.host import OwnWire

_TURN_S = 0.04
_GRACE_S = 0.015  # from an answer's being seen on the wire to its being missed at the sockets
_SILENT_S = 0.08  # how long a probe is unanswered when the tap is opened for it
_LEAVES_WITHIN_S = 0.7  # what has not left then is too late for whoever waits for its answer
_FORGOTTEN_S = 3.0


class Prober(Protocol):
    """What is asked of whoever knows the probes."""

    def probe_of(self, packet: bytes, *, outgoing: bool) -> int | None:
        """The token of the probe that `packet` is, or answers."""
        ...

    def stamped(self, token: int) -> bool:
        """Whether the kernel has stamped the probe's departure."""
        ...

    def overflowed(self) -> int:
        """How many packets the receiving sockets had no room for, ever."""
        ...

    def holds(self, packet: bytes, *, outgoing: bool) -> bool:
        """Whether `packet` is from, or for, a port that is held for a flow of ours."""
        ...

    def dropped_here(self, packet: bytes, at_s: float) -> None:
        """An answer came in at `at_s`, and this machine dropped it."""
        ...

    def never_left(self, token: int) -> None:
        """The probe was taken by the kernel, and no device has sent it."""
        ...


class Watch:
    """Looks after the probes of one prober. `open_tap` may return None: then nothing can be told."""

    def __init__(self, reactor: Reactor, prober: Prober, open_tap: Callable[[], Tap | None]) -> None:
        self._reactor = reactor
        self._prober = prober
        self._open_tap = open_tap
        self._capture: Capture | None = None
        self._tap: Tap | None = None
        self._tried = False
        self._coverage = Coverage(0.0, 0.0)
        self._overflowed = 0
        self._waiting: dict[int, float] = {}  # when they were sent, by token, oldest first
        self._answered: dict[int, float] = {}  # the same of those answered since the last turn
        self._left: set[int] = set()
        self._came: dict[int, tuple[bytes, float, float]] = {}  # the answer, its time, and when it was seen
        self._counts: Counter[Fate] = Counter()
        self._before: Seen | None = None
        self._timer: Timer | None = None
        self._judgement: Timer | None = None

    # -- told by the prober -------------------------------------------------------------------------------------------

    def sent(self, token: int, at_s: float) -> None:
        """A probe was handed to the kernel."""
        if self._tried and self._tap is None:
            return
        self._waiting[token] = at_s
        if self._timer is None:
            self._timer = self._reactor.at(at_s + _TURN_S, self._turn)

    def accepted(self, token: int) -> None:
        """An answer was read from a socket, or the probe could not be sent."""
        at_s = self._waiting.pop(token, None)
        if at_s is not None and self._tap:
            self._answered[token] = at_s

    def failed(self, token: int) -> None:
        """The kernel did not take the probe: there is nothing to look for."""
        self._waiting.pop(token, None)

    def summary(self) -> OwnWire | None:
        """What has been counted, None while there is no tap."""
        if self._tap is None:
            return None
        counts = {fate: self._counts[fate] for fate in Fate}
        return OwnWire(
            counts[Fate.ANSWERED],
            counts[Fate.LOST],
            counts[Fate.DROPPED_HERE],
            counts[Fate.NEVER_LEFT],
            counts[Fate.UNKNOWN],
        )

    def open(self) -> bool:
        """Look from now on, at what leaves and at what comes: whether that can be done."""
        if not self._tried:
            self._tried = True
            self._tap = self._open_tap()
            self._overflowed = self._prober.overflowed()
            self._coverage = Coverage(self._reactor.now(), 0.0)
        return self._tap is not None

    def record(self, capture: Capture | None) -> None:
        """Write what belongs to our probes to `capture`; None: what has been seen is written, and then no more."""
        if self._capture and self._tap:
            self._look(self._tap)
        self._capture = capture
        if capture and self.open():
            self._timer = self._timer or self._reactor.at(self._reactor.now() + _TURN_S, self._turn)

    def close(self) -> None:
        """Look no longer."""
        for timer in (self._timer, self._judgement):
            if timer:
                timer.cancel()
        if self._tap:
            self._tap.close()
            self._tap = None

    # -- in turns -----------------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        now = self._reactor.now()
        late = self._timer is not None and now - self._timer.when > _TURN_S  # an answer may wait to be read
        self._timer = None
        oldest_s = next(iter(self._waiting.values()), now)
        if not self._tried and now - oldest_s >= _SILENT_S and not late:
            self.open()
        if self._tap:
            self._look(self._tap)
            self._check_sockets(now)
            # What the sockets have had until here is read before timers of the next turn are called.
            self._judgement = self._reactor.at(self._reactor.now(), self._judge)
        else:
            self._forget(now)
        if self._waiting or self._answered or self._capture:
            self._timer = self._reactor.at(now + (_GRACE_S if self._came else _TURN_S), self._turn)

    def _look(self, tap: Tap) -> None:
        """Take in what the tap has seen."""
        seen = tap.read()
        now = self._reactor.now()
        own: list[Packet] = []
        for packet in seen:
            token = self._prober.probe_of(packet.data, outgoing=packet.outgoing)
            if token in self._waiting or token in self._answered:
                if packet.outgoing:
                    self._left.add(token)
                else:
                    self._came.setdefault(token, (packet.data, packet.at_s, now))
            if self._capture and (token is not None or self._prober.holds(packet.data, outgoing=packet.outgoing)):
                if not self._again(packet):
                    own.append(Packet(packet.at_ns, packet.data))
                self._before = packet
        if self._capture:
            self._capture.write(own)
        if tap.missed():
            self._coverage = self._coverage._replace(tap_since_s=now)

    def _again(self, packet: Seen) -> bool:
        """Whether it is the packet before once more, on the device below: a VLAN's, a bond's."""
        before = self._before
        return before is not None and before.data == packet.data and before.device != packet.device

    def _check_sockets(self, now: float) -> None:
        overflowed = self._prober.overflowed() if self._came else self._overflowed
        if overflowed != self._overflowed:
            self._overflowed = overflowed
            self._coverage = self._coverage._replace(sockets_since_s=now)

    def _judge(self) -> None:
        now = self._reactor.now()
        departed = self._departed(now)
        for token, at_s in self._answered.items():
            if at_s >= self._coverage.tap_since_s and token not in departed:
                self._coverage = self._coverage._replace(departures=False)
        ripe = {t: at_s for t, at_s in self._waiting.items() if t in self._came or now - at_s >= _LEAVES_WITHIN_S}
        found = fates({**self._answered, **ripe}, departed, self._came, self._answered, self._coverage)
        for token, fate in found.items():
            self._conclude(token, fate, now)
        self._answered.clear()

    def _conclude(self, token: int, fate: Fate, now: float) -> None:
        """Act on what is certain by now; the others may still be answered."""
        if fate is Fate.DROPPED_HERE:
            packet, at_s, seen_s = self._came[token]
            if now - seen_s < _GRACE_S:
                return
            self._prober.dropped_here(packet, at_s)
        elif fate is Fate.NEVER_LEFT:
            self._prober.never_left(token)
        elif fate is not Fate.ANSWERED and now - self._waiting[token] < _FORGOTTEN_S:
            return
        self._counts[fate] += 1
        self._waiting.pop(token, None)
        self._left.discard(token)
        self._came.pop(token, None)

    def _departed(self, now: float) -> Collection[int]:
        """Those that were seen leaving; and those whose departure the kernel stamped, where that matters."""
        doubtful = [t for t, at_s in self._waiting.items() if now - at_s >= _LEAVES_WITHIN_S]
        unseen = [t for t in (*doubtful, *self._answered) if t not in self._left]
        return self._left.union(filter(self._prober.stamped, unseen))

    def _forget(self, now: float) -> None:
        while self._waiting and now - next(iter(self._waiting.values())) >= _FORGOTTEN_S:
            del self._waiting[next(iter(self._waiting))]
