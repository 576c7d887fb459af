"""The rows of `make bench` by name, and what is held by a test instead."""

from collections.abc import Callable, Iterable

from tests.benchmarks import branches, others, round_trips, traces
from tests.benchmarks.figures import Figure

#: Every row, in the order in which they are measured.
ROWS: dict[str, Callable[[], Iterable[Figure]]] = {
    "path": traces.path,
    "many": traces.many,
    "rtt": round_trips.rtt,
    "ecmp": branches.ecmp,
    "startup": others.startup,
    "virtual": others.virtual,
    "trace": others.trace,
    "diagnose": others.diagnose,
}

#: Those that are only measured when they are named: other tools need minutes for the same.
SLOW = ("trace", "diagnose")

#: What has no other tool beside it and no clock: (what, the test that holds it).
HELD: tuple[tuple[str, str], ...] = (
    (
        "a rate-limited hop, 1,000 runs: none called loss",
        "tests/probing/test_loss_evidence.py::test_a_limited_hop_is_never_called_loss",
    ),
    (
        "3 % loss: found in 95 % of runs within 200 probes",
        "tests/probing/test_loss_evidence.py::test_three_percent_are_found_within_200_probes",
    ),
    ("500 mixed cases of limit and loss: 98 % right", "tests/probing/test_loss_evidence.py::test_mixed_cases"),
    (
        "--share: next to no hop is wrong where flows are balanced",
        "tests/probing/test_share.py::test_where_flows_are_balanced_each_shows_its_own_way",
    ),
)
