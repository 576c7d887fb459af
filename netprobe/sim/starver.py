"""Keeps the processor from the client's processes, turn by turn: stopped and continued, while the kernel works on.

A process of its own, started by a `World` inside it, which costs no processor time that a machine would miss. It gets
the scenario and its beginning over standard input, and ends when that does, having let everybody go on.

    python -m netprobe.sim.starver PID...    the processes that are spared, beside itself
"""

import os
import select
import signal
import sys
import time
from collections.abc import Collection

from netprobe.sim import wiring
from netprobe.sim.devices import inhabitants
from netprobe.sim.turns import Turns


def _tell(number: signal.Signals, spared: Collection[int]) -> None:
    for pid in inhabitants():
        if pid not in spared:
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue


def main(spared: Collection[int]) -> None:
    """Stop and continue the inhabitants of this network namespace until standard input ends."""
    turns = Turns(wiring.receive(sys.stdin.buffer, wiring.Setup).scenario)
    began = wiring.receive(sys.stdin.buffer, wiring.Ready).began
    try:
        while True:
            now = time.monotonic() - began
            _tell(signal.SIGCONT if turns.runs(now) else signal.SIGSTOP, spared)
            left_s = max(0.0, turns.changes(now) - (time.monotonic() - began))
            readable, _, _ = select.select((sys.stdin,), (), (), None if left_s == float("inf") else left_s)
            if readable:
                return
    finally:
        _tell(signal.SIGCONT, spared)


if __name__ == "__main__":
    main({os.getpid(), *map(int, sys.argv[1:])})
