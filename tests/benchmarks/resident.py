"""How much memory the agent takes for a round: all of its processes, what they share divided among them."""

import os
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from netprobe.sim.scenario import load
from netprobe.sim.world import World
from tests.benchmarks.figures import Figure
from tests.benchmarks.traces import NETPROBE

_BUDGET_MB = 60.0
_TURNS = 3
_EVERY_S = 0.02
_MARK = "netprobe-memory"  # in the name of its folder, and so in what its processes were started with


def memory() -> Iterator[Figure]:
    """PSS (proportional set size, proc_pid_smaps(5)) of worker, broker and QUIC helper together, sampled."""
    peaks = [_peak_mb() for _ in range(_TURNS)]
    worst = max(peaks)
    note = f"PSS over {len(worst[1])} processes ({', '.join(f'{mb:.0f}' for mb in worst[1])}); the worst of {_TURNS}"
    yield Figure("memory", "agent --once, at its peak", worst[0], "MB", _BUDGET_MB, note=note)


def _peak_mb() -> tuple[float, list[float]]:
    """The most that was seen at one moment, and process by process."""
    best: tuple[float, list[float]] = (0.0, [])
    over = threading.Event()

    def sample() -> None:
        nonlocal best
        while not over.wait(_EVERY_S):
            taken = sorted((_pss_mb(pid) for pid in _family(os.getpid())), reverse=True)
            taken = [mb for mb in taken if mb]
            best = max(best, (sum(taken), taken))

    with World(load("healthy")) as world, tempfile.TemporaryDirectory(prefix=_MARK) as state:
        Path(state).chmod(0o777)  # it keeps its records as a user who may not do much
        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            world.run([*NETPROBE, "agent", "--once", "--state", state])
        finally:
            over.set()
            sampler.join()
    return best


def _family(root: int) -> list[int]:
    """The agent's processes below `root`: those with its folder in their arguments, and what these have started."""
    children: dict[int, list[int]] = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            children[int(path.read_text().rpartition(")")[2].split()[1])].append(int(path.parent.name))
        except (OSError, ValueError, IndexError):
            continue
    found: list[int] = []
    rest = [(pid, False) for pid in children[root]]
    while rest:
        pid, inside = rest.pop()
        inside = inside or _is_agent(pid)
        found += [pid] if inside else []
        rest += [(child, inside) for child in children[pid]]
    return found


def _is_agent(pid: int) -> bool:
    """Whether it is Python with the agent's folder among its arguments, and not who starts it in the network."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0] == sys.executable.encode() and any(_MARK.encode() in word for word in words)


def _pss_mb(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(text.partition("\nPss:")[2].split()[0]) / 1024
    except (OSError, IndexError, ValueError):  # it has just ended
        return 0.0
