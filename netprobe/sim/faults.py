"""What is wrong with a network at one time: a scenario's faults, compiled into tables that forwarding can look up.

Between two moments at which a fault begins or ends nothing changes, so such a stretch (an `Epoch`) is compiled once.
"""

import random
from dataclasses import dataclass

from netprobe.sim.boxes import BOXES, Box, Clamp
from netprobe.sim.interdomain import ROUTING_KINDS
from netprobe.sim.records import Fault, RateLimit, Scenario
from netprobe.sim.routing import CLIENT, Ends, Wire, directions, during, wires


@dataclass(slots=True, frozen=True)
class Hook:
    """What one router does to packets in passing; `other` is the second place of a fault that has two."""

    kind: str
    at: str
    box: Box
    other: str = ""

    @classmethod
    def of(cls, fault: Fault, at: str, draw: random.Random) -> "Hook":
        """The one that makes `fault`."""
        other = next((name for name in fault.at if name != at), at)
        return cls(fault.kind, at, BOXES[fault.kind](fault, draw), other)


@dataclass(slots=True)
class Epoch:
    """A stretch of time, from `begin_s` to `end_s`, in which the same faults are on."""

    begin_s: float
    end_s: float
    down: frozenset[str]
    rerouted: frozenset[str]
    silent: frozenset[str]
    refusing: frozenset[str]
    limits: dict[str, RateLimit]
    syn_loss: dict[str, float]
    hooks: dict[str, tuple[Hook, ...]]
    loads: dict[Ends, float]
    wires: dict[Ends, Wire]  # those that are otherwise than usual
    routing: tuple[Fault, ...]  # those that change what networks announce
    scarce: dict[str, float]  # of new connections, which part finds no port at a router that translates addresses

    def link_up(self, card: str = CLIENT) -> bool:
        """Whether the client's own link has a carrier: that of the card whose node is `card`."""
        return card not in self.down


class Timeline:
    """The epochs of a scenario. `at(now)` is cheap while time stays in one epoch."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._seed = seed
        self._always = {
            r.name: (Hook("mss_clamp", r.name, Clamp(r.mss_clamp)),) for r in scenario.routers if r.mss_clamp
        }
        self._hooks: dict[tuple[int, str], Hook] = {}
        for number, fault in enumerate(scenario.faults):
            if fault.kind in BOXES:
                for at in fault.at:
                    draw = random.Random(f"{seed}/fault/{number}/{at}")  # a model, not a secret
                    self._hooks[number, at] = Hook.of(fault, at, draw)
        self._edges = sorted({0.0, *(t for fault in scenario.faults for t in (fault.begin_s, fault.end_s))})
        self._current = self._compile(0.0)

    def at(self, now: float) -> Epoch:
        """The epoch that `now` lies in."""
        current = self._current
        if not current.begin_s <= now < current.end_s:
            current = self._current = self._compile(max(now, 0.0))
        return current

    def _compile(self, now: float) -> Epoch:
        on = [(number, fault) for number, fault in enumerate(self._scenario.faults) if fault.active(now)]

        def places(kind: str) -> frozenset[str]:
            return frozenset(at for _, fault in on if fault.kind == kind for at in fault.at)

        hooks: dict[str, tuple[Hook, ...]] = dict(self._always)
        for number, fault in on:
            for at in fault.at if fault.kind in BOXES else ():
                hooks[at] = (*hooks.get(at, ()), self._hooks[number, at])
        return Epoch(
            begin_s=max((edge for edge in self._edges if edge <= now), default=0.0),
            end_s=min((edge for edge in self._edges if edge > now), default=float("inf")),
            down=places("down"),
            rerouted=frozenset(at for _, f in on if f.kind == "down" and f.reroute for at in f.at),
            silent=places("silent") | frozenset(r.name for r in self._scenario.routers if r.silent),
            refusing=places("refuse"),
            syn_loss={at: f.syn_loss for _, f in on if f.kind == "overload" for at in f.at},
            limits={r.name: r.rate_limit for r in self._scenario.routers if r.rate_limit}
            | {at: RateLimit(f.rate, f.burst, f.per) for _, f in on if f.kind == "rate_limit" for at in f.at},
            hooks=hooks,
            routing=tuple(f for _, f in on if f.kind in ROUTING_KINDS),
            loads={ends: f.load for _, f in on if f.kind == "congestion" for ends in directions(f)},
            wires=self._changed([f for _, f in on if f.kind == "link"]),
            scarce={at: f.fraction for _, f in on if f.kind == "exhausted" for at in f.at},
        )

    def _changed(self, on: list[Fault]) -> dict[Ends, Wire]:
        """The wires that faults of kind `link` change."""
        places = {frozenset(fault.at) for fault in on}
        links = [link for link in self._scenario.links if frozenset(link.ends) in places] if places else []
        return {ends: wire for link in links for ends, wire in wires(during(link, on), self._seed).items()}

    def gated(self) -> dict[Ends, Wire]:
        """Directions of links that remember what crossed them, at some time because of a fault."""
        found: dict[Ends, Wire] = {}
        for edge in self._edges:
            on = [fault for fault in self._scenario.faults if fault.kind == "link" and fault.active(edge)]
            found |= {ends: wire for ends, wire in self._changed(on).items() if wire.remembers}
        return found
