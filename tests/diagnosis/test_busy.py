"""A machine that is too busy to measure blames nobody for its own lateness."""

import pytest

from netprobe.model.verdict import Component, Level
from tests.diagnosis.picture import EDGES, EVERYTHING, HOME, Picture, cut, ended, losses
from tests.diagnosis.test_causes import CAUSES, TIMEOUT

healthy = CAUSES["none.app_device"]

#: What lateness alone makes of a healthy network.
SELF_MADE: dict[str, Picture] = {
    "nothing answers": healthy.but(
        silent=EVERYTHING,
        ways=cut(EVERYTHING, 1),
        gateway_answers=False,
        answers={(HOME, kind): TIMEOUT for kind in ("platform", "control")},
    ),
    "no edge answers": healthy.but(silent=EDGES, ways=cut(EDGES, 3)),
    "no edge answers, nor a router behind the second": healthy.but(silent=EDGES, ways=cut(EDGES, 2)),
    "everything dies in the core": healthy.but(silent=EVERYTHING, ways=cut(EVERYTHING, 3)),
    "one network is silent": healthy.but(silent=("151.0.1.10",), ways=cut(("151.0.1.10",), 7)),
    "handshakes time out": healthy.but(named=ended("timeout")),
    "the resolver is silent": healthy.but(answers={(HOME, k): TIMEOUT for k in ("platform", "control")}),
    "answers are late": healthy.but(first_byte_s=dict.fromkeys(EDGES, 4.0)),
    "probes are lost": healthy.but(closer=losses(*EVERYTHING)),
    "probes are lost on the way to the home router": healthy.but(closer=losses(*EVERYTHING, router=10)),
}


@pytest.mark.parametrize("case", SELF_MADE)
def test_silence_of_a_starved_round_blames_nobody(case: str) -> None:
    """Half of a probe's time-out is enough for silence to be one's own; the evidence says why it does not count."""
    verdict = SELF_MADE[case].but(late_s=2.1).verdict()
    assert verdict.component in {Component.NONE, Component.UNDETERMINED}, verdict.cause
    assert "this computer was too busy (late by 2.1 s)" in {
        e.reason for e in verdict.evidence if e.level is Level.DISCARDED
    }


@pytest.mark.parametrize(
    "case", ["answers are late", "probes are lost", "probes are lost on the way to the home router"]
)
def test_times_and_losses_of_a_late_round_do_not_count(case: str) -> None:
    """A fifth of a second is nothing for a time-out, and much for a time."""
    verdict = SELF_MADE[case].but(late_s=0.18).verdict()
    assert verdict.component in {Component.NONE, Component.UNDETERMINED}, verdict.cause
    assert "this computer was too busy (late by 180 ms)" in {e.reason for e in verdict.evidence}


@pytest.mark.parametrize("cause", ["isp.core.branch", "transit.branch"])
def test_a_late_round_knows_a_dead_branch(cause: str) -> None:
    """A fifth of a second makes no flow silent five times running while others answer each time."""
    assert CAUSES[cause].but(late_s=0.22).verdict().cause == cause


@pytest.mark.parametrize("cause", CAUSES)
def test_a_starved_round_names_the_right_one_or_none(cause: str) -> None:
    """What servers say is true however late it was read; nothing else is blamed for anything."""
    component = CAUSES[cause].but(late_s=2.0).verdict().component
    assert component in {cause.partition(".")[0], "undetermined", "none"}


@pytest.mark.parametrize(
    "cause", sorted({"policy.tls.sni_reset", "platform.maintenance", "platform.certificate", "policy.geo.withdrawn"})
)
def test_what_servers_say_stays_true(cause: str) -> None:
    """A starved round still hears a reset, a notice, a certificate."""
    assert CAUSES[cause].but(late_s=2.0).verdict().cause == cause


@pytest.mark.parametrize("cause", [cause for cause in CAUSES if cause != "home.device.busy"])
def test_a_modestly_busy_machine_gets_its_verdict(cause: str) -> None:
    """Up to a tenth of a second everything counts."""
    assert CAUSES[cause].but(late_s=0.1).verdict().cause == cause


def test_a_machine_whose_processor_others_have_is_the_trouble_itself() -> None:
    """Overdue for a third of the time, while others want the processor: whatever else was seen comes after that."""
    for case in SELF_MADE.values():
        verdict = case.but(late_s=2.1, overdue_s=9.0, load=6.0).verdict()
        assert verdict.cause == "home.device.busy"


@pytest.mark.parametrize(
    "changes", [{"overdue_s": 9.0, "load": 0.2}, {"overdue_s": 9.0}, {"overdue_s": 3.0, "load": 6.0}]
)
def test_a_machine_that_was_stopped_or_slept_is_not_called_busy(changes: dict[str, float]) -> None:
    """Late without any others that want the processor, or seldom: nobody is to blame, and nothing counts."""
    verdict = healthy.but(late_s=2.1, **changes).verdict()
    assert verdict.cause != "home.device.busy"
    assert next(e.state for e in verdict.evidence if e.id == "host.busy") == "starved"
