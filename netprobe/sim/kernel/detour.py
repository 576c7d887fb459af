"""A side road out of a router: packets that a fault may be about go through this process and come back, or not.

The router's kernel counts the TTL down once more when a packet comes back, so it is put up by one before.
"""

import contextlib
import heapq
import itertools
import os
import random
from collections.abc import Mapping

from netprobe.sim.faults import Hook
from netprobe.sim.packet import Packet
from netprobe.sim.records import Fault

_PACKET_LIMIT = 65536
_BATCH = 64  # packets read before due ones leave


class Detour:
    """What one router does to packets in passing; `device` is its TUN device."""

    def __init__(self, router: str, device: int, seed: int) -> None:
        self.device = device
        self._router = router
        self._seed = seed
        self._hooks: dict[int, Hook] = {}  # by the fault's place in the scenario
        self._on: tuple[Hook, ...] = ()
        self._held: list[tuple[float, int, bytes]] = []
        self._count = itertools.count()

    def change(self, faults: Mapping[int, Fault]) -> None:
        """From now on these faults are on, by their place in the scenario; one that was on remembers its flows."""
        for number, fault in faults.items():
            if number not in self._hooks:
                draw = random.Random(f"{self._seed}/fault/{number}/{self._router}")  # a model, not a secret
                self._hooks[number] = Hook.of(fault, self._router, draw)
        self._on = tuple(self._hooks[number] for number in faults)

    def next_at(self) -> float | None:
        """When the next packet that is held up leaves."""
        return self._held[0][0] if self._held else None

    def read(self, now: float) -> None:
        """Look at what has come."""
        for _ in range(_BATCH):
            try:
                data = os.read(self.device, _PACKET_LIMIT)
            except OSError:  # nothing more
                return
            try:
                packet = Packet.from_bytes(data)
            except ValueError:  # made odd on purpose: nobody's business
                self._send(data)
                continue
            self._pass(packet, now)

    def release(self, now: float) -> None:
        """Let go what has been held up for long enough."""
        while self._held and self._held[0][0] <= now:
            _, _, data = heapq.heappop(self._held)
            self._send(data)

    def _pass(self, packet: Packet, now: float) -> None:
        held_s = 0.0
        late: list[Packet] = []
        for hook in self._on:
            deed = hook.box.meet(packet, now + held_s)
            if deed.lag_s:
                late += deed.forged
            else:
                self._return(*deed.forged)
            if not deed.passes:
                return
            held_s += deed.held_s
        if held_s:
            packet.ttl += 1
            heapq.heappush(self._held, (now + held_s, next(self._count), packet.to_bytes()))
        else:
            self._return(packet)
        self._return(*late)

    def _return(self, *packets: Packet) -> None:
        for packet in packets:
            packet.ttl += 1
            self._send(packet.to_bytes())

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a full queue loses packets, as in life
            os.write(self.device, data)
