"""Multipath discovery through default Linux routers, in namespaces of their own (`tests/kernel/ecmp.py`)."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.benchmarks.figures import Figure

_WAYS = (2, 3, 4, 8)
_RUNS = 5  # of each, side by side: nearly all of a run is waiting for routers that say one thing a second
_MISSES = 0.05  # what the stopping rule may miss, as a share of runs; of five at most one


def ecmp() -> Iterator[Figure]:
    """How often all branches are found, and what the routers' kernels kept back on our account."""
    jobs = [ways for ways in _WAYS for _ in range(_RUNS)]
    with ThreadPoolExecutor(len(jobs)) as pool:
        results = list(zip(jobs, pool.map(_discover, jobs), strict=True))
    for ways in _WAYS:
        said = [found for count, found in results if count == ways]
        true = [f"10.1.{number}.2" for number in range(ways)]
        missed = sum(_at_two(graph) != true for graph, _, _ in said)
        what = f"ECMP, {ways} ways: runs that miss one"
        note = f"of {_RUNS}; 5 % may; median {statistics.median(seconds for _, _, seconds in said):.1f} s"
        yield Figure("ecmp", what, missed, "runs", max(1, _MISSES * _RUNS), note=note)
        kept = sum(kept for _, kept, _ in said)
        yield Figure("ecmp", "  errors that a router's kernel kept back", kept, "packets", 0)


def _discover(ways: int) -> tuple[dict[str, list[dict[str, object]]], int, float]:
    """The graph, what was kept back, and the seconds that it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "tests.kernel.ecmp", str(ways)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    found = json.loads(done.stdout)
    return found["graph"], found["kept_back"], time.perf_counter() - began


def _at_two(graph: dict[str, list[dict[str, object]]]) -> list[object]:
    return [vertex["address"] for vertex in graph["vertices"] if vertex["ttl"] == 2]
