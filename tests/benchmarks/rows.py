"""The rows of `make bench` by name, and what is held by a test instead."""

from collections.abc import Callable, Iterable

from tests.benchmarks import branches, forgeries, lab, others, punctual, resident, round_trips, surveys, tap, traces
from tests.benchmarks.figures import Figure

#: Every row, in the order in which they are measured.
ROWS: dict[str, Callable[[], Iterable[Figure]]] = {
    "path": traces.path,
    "many": traces.many,
    "rtt": round_trips.rtt,
    "ecmp": branches.ecmp,
    "forged": forgeries.forged,
    "startup": others.startup,
    "virtual": others.virtual,
    "punctual": punctual.punctual,
    "lab": lab.lab,
    "asn": others.asn,
    "tap": tap.tap,
    "trace": others.trace,
    "diagnose": others.diagnose,
    "survey": surveys.survey,
    "memory": resident.memory,
}

#: Those that are only measured when they are named: other tools need minutes for the same.
SLOW = ("trace", "diagnose", "survey", "tap")

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
    ("samples: every packet is read to its label", "tests/live/test_samples.py::test_every_file_is_read_by_some_test"),
    (
        "arbitrary bytes, 10^6 inputs a parser: no exception (make fuzz)",
        "tests/fuzz/test_fuzz.py::test_no_input_breaks_an_invariant",
    ),
    (
        "kernel lab: nothing left behind, also after SIGKILL",
        "tests/sim/kernel/test_lab.py::test_the_next_start_removes_what_a_kill_has_left",
    ),
    ("broker: at most 12 MB", "tests/live/test_broker.py::test_five_thousand_probes_fit_into_twelve_megabytes"),
    (
        "broker: destination, rate and size are refused",
        "tests/live/test_broker.py::test_what_may_not_leave_is_told_with_its_reason",
    ),
    (
        "worker: no capability, no raw socket",
        "tests/live/test_seccomp.py::test_the_worker_cannot_get_back_what_it_gave_up",
    ),
)
