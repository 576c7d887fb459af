"""How true the simulated network with real packets is to its own delays, and how much it carries."""

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from netprobe.sim.network import Network
from netprobe.sim.world import World
from tests.benchmarks.figures import Figure
from tests.benchmarks.networks import edges, straight

DELAY_BUDGET_MS = 1.0  # how far one in a hundred round trips may be from what the links say
_HOPS, _RTT_MS, _TIMES = 8, 40.0, 3
_PUNCTUAL_PER_S, _MOST_PER_S, _SECONDS = (500, 1000, 2000), 10_000, 2.0


class _Series(NamedTuple):
    """One series: how wrong its round trips were, in order of size, and how many packets were lost."""

    errors_ms: Sequence[float]
    lost: int
    rate: float

    @property
    def one_in_a_hundred_ms(self) -> float:
        return self.errors_ms[int(0.99 * (len(self.errors_ms) - 1))]


def punctual() -> Iterator[Figure]:
    """Echo requests at a steady pace, timed by the kernel on the client's card: there and back, two packets each."""
    scenario = straight(_HOPS, _RTT_MS)
    quiet = tuple(msgspec.structs.replace(link, jitter_ms=0.0) for link in scenario.links)
    scenario = msgspec.structs.replace(scenario, links=quiet)
    address = edges(scenario)[0]
    network = Network(scenario)
    ways = (network.reaches("client", address, 0.0), network.reaches("edge", scenario.client_address, 0.0))
    true_s = sum(way for way in ways if way is not None)
    for rate in (*_PUNCTUAL_PER_S, _MOST_PER_S):
        with World(scenario) as world:
            series = [_measure(world, address, rate, true_s) for _ in range(_TIMES)]
        best = min(series, key=lambda one: (one.lost, one.one_in_a_hundred_ms))
        all_ms = ", ".join(f"{one.one_in_a_hundred_ms:.2f}" for one in series)
        what, held = f"TUN, {rate} echoes/s", rate in _PUNCTUAL_PER_S
        yield Figure("punctual", f"{what}: error, median", statistics.median(best.errors_ms), "ms")
        yield Figure(
            "punctual",
            "  error, 99 %",
            best.one_in_a_hundred_ms,
            "ms",
            DELAY_BUDGET_MS if held else None,
            note=f"the best of {_TIMES}: {all_ms}",
        )
        yield Figure(
            "punctual",
            "  lost",
            best.lost,
            "packets",
            0,
            note=f"the best of {_TIMES}: {', '.join(str(one.lost) for one in series)}; sent at {best.rate:.0f} a second",
        )


def _measure(world: World, address: str, rate: int, true_s: float) -> _Series:
    done = world.run([sys.executable, "-m", "tests.benchmarks.steady", address, str(rate), str(_SECONDS)])
    if done.returncode:
        raise RuntimeError(done.stderr)
    said = json.loads(done.stdout)
    errors_ms = sorted(abs(rtt - true_s) * 1e3 for rtt in said["rtts"])
    return _Series(errors_ms, said["sent"] - len(errors_ms), said["rate"])
