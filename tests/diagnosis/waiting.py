"""Round trips of places for some seconds, as a survey would see them where something waits in a queue."""

import math
import random

from netprobe.model.probes import Exchange, Protocol, Reply, ReplyKind, Train
from netprobe.model.report import Observation
from tests.diagnosis.picture import CONTROLS, HOME, TARGETS


def delays(
    base_s: float, swing_s: float = 0.06, *waiting: str, lost: int = 0, noise_s: float = 0.0
) -> tuple[Observation, ...]:
    """Forty answers of everything and of the home router; those of `waiting` (nobody: all) take so long, by turns.

    Of each that waits `lost` are missing. `noise_s` is in the mean what else each answer takes, by chance.
    """
    found = []
    draw = random.Random(1)
    places = {**{a: ("control", n) for n, a in CONTROLS.items()}, **{a: ("edge", n) for n, a in TARGETS.items()}}
    for address, (what, name) in {**places, HOME: ("gateway", HOME)}.items():
        waits = what != "gateway" and (not waiting or address in waiting)
        exchanges = []
        protocol = Protocol.ICMP if what == "gateway" else Protocol.TCP
        kind = ReplyKind.ECHO_REPLY if what == "gateway" else ReplyKind.SYN_ACK
        for turn in range(40):
            took = base_s + swing_s * (1 + math.sin(turn / 3)) if waits else 0.02 + 1e-4 * (turn * 7 % 11)
            took += draw.expovariate(1 / noise_s) if noise_s else 0.0
            took = 0.001 + 1e-5 * (turn * 7 % 11) if what == "gateway" else took
            gone = waits and turn % 4 == 0 and turn < 4 * lost
            reply = None if gone else Reply(kind, address, took)
            exchanges.append(Exchange(64, turn, 20.0 + 0.15 * turn, reply))
        train = Train(protocol, address, 0 if what == "gateway" else 443, tuple(exchanges))
        found.append(Observation(20.0, f"{what}.delay", name, train))
    return tuple(found)
