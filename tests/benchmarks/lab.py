"""How long a network of kernel routers takes to be made and to be gone again."""

from collections.abc import Iterator

from netprobe.sim.world import Fidelity, World
from tests.benchmarks.figures import Figure, median_s
from tests.sim.twenty import ROUTERS, twenty

BUDGET_S = 3.0
_TIMES = 5


def lab() -> Iterator[Figure]:
    """From nothing to servers that answer, and back until no process of it is left."""
    network = twenty()

    def there_and_gone() -> None:
        with World(network, fidelity=Fidelity.KERNEL):
            pass

    took = median_s(there_and_gone, _TIMES)
    yield Figure(
        "lab", f"kernel lab, {ROUTERS} routers: made and gone", took, "s", BUDGET_S, note=f"median of {_TIMES}"
    )
