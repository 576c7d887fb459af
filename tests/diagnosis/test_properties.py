"""What must hold for every situation: order, a missing control and a silent router change no verdict for the worse."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netprobe.diagnosis import diagnose
from netprobe.model.record import from_json, to_json
from netprobe.model.report import Observation
from netprobe.model.verdict import Component, Level, Verdict
from tests.diagnosis.picture import CONTROLS, EVERYTHING, PLATFORM, Picture, nowhere, origin, way
from tests.diagnosis.test_causes import AMBIGUOUS, CAUSES, NASTY

SITUATIONS = {
    **CAUSES,
    **{name: nasty.picture for name, nasty in NASTY.items()},
    **{n: p for n, (p, _) in AMBIGUOUS.items()},
}
names = st.sampled_from(sorted(SITUATIONS))


@settings(deadline=None)
@given(names, st.randoms(use_true_random=False))
def test_order_of_observations_means_nothing(name: str, draw: random.Random) -> None:
    """The same observations in any order give the same verdict, byte for byte."""
    observations = list(SITUATIONS[name].observations())
    shuffled = draw.sample(observations, len(observations))
    assert to_json(diagnose(shuffled, PLATFORM, origin)) == to_json(diagnose(observations, PLATFORM, origin))


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("name", CAUSES)
def test_removing_a_control_changes_no_blame(name: str, control: str) -> None:
    """No single control carries a blame: without it the verdict is the same, or more careful, never somebody else."""
    verdict = CAUSES[name].but(unmeasured=(control,)).verdict()
    assert verdict.component in {CAUSES[name].verdict().component, Component.UNDETERMINED}


@pytest.mark.parametrize("control", CONTROLS)
def test_any_control_may_be_dead(control: str) -> None:
    """A control that fails alone is that control's fault."""
    assert Picture(silent=(CONTROLS[control],)).verdict().component is Component.NONE


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("name", CAUSES)
def test_a_silent_router_changes_no_verdict(name: str, place: int) -> None:
    """A router that never answers blames nobody else, wherever it is."""
    picture = CAUSES[name]
    routers = {way(address)[place] for address in EVERYTHING if len(way(address)) > place}
    ways = {a: tuple("" if r in routers else r for r in picture.ways.get(a, way(a))) for a in EVERYTHING}
    assert picture.but(ways=ways).verdict().component in {picture.verdict().component, Component.UNDETERMINED}


@pytest.mark.parametrize("name", CAUSES)
def test_without_as_data_nobody_else_is_blamed(name: str) -> None:
    """Where no network has a name, the verdict is the same or none: never another component."""
    picture = CAUSES[name]
    assert picture.verdict(nowhere).component in {picture.verdict().component, Component.UNDETERMINED}


@settings(deadline=None, max_examples=60)
@given(names, st.data())
def test_missing_observations_never_raise(name: str, data: st.DataObject) -> None:
    """Any part of a survey is a survey: it gives a verdict that survives JSON, and `home` is not blamed for gaps."""
    observations = SITUATIONS[name].observations()
    some: list[Observation] = data.draw(st.lists(st.sampled_from(observations), max_size=25))
    verdict = diagnose(some, PLATFORM, origin)
    assert from_json(to_json(verdict), Verdict) == verdict


def test_nothing_measured_is_undetermined() -> None:
    """Without any observation there is no verdict, and every signal says that it was not measured."""
    verdict = diagnose((), PLATFORM, origin)
    assert verdict.component is Component.UNDETERMINED
    assert {e.level for e in verdict.evidence} == {Level.NONE}
    assert verdict.next_probe


def test_a_dead_gateway_discards_what_lies_beyond() -> None:
    """Behind a dead router nothing counts, and each item says why."""
    evidence = CAUSES["home.gateway.dead"].verdict().evidence
    discarded = {e.id for e in evidence if e.level is Level.DISCARDED}
    assert {"reach.controls", "path.breaks", "dns.configured"} <= discarded
    assert all(e.reason for e in evidence if e.level is Level.DISCARDED)


def test_two_troubles_are_both_named() -> None:
    """A failing name server does not hide that the platform is under maintenance; the nearer trouble comes first."""
    both = CAUSES["isp.dns.failure"].but(
        status=CAUSES["platform.maintenance"].status, headers=CAUSES["platform.maintenance"].headers
    )
    verdict = both.verdict()
    assert verdict.cause == "isp.dns.failure"
    assert verdict.also == ("platform.maintenance",)


def test_the_innocent_are_named_with_counts() -> None:
    """Everything green exonerates everybody, with how many checks speak for each."""
    exonerated = {e.component: e for e in Picture().verdict().exonerated}
    assert set(exonerated) == {"home", "isp", "transit", "policy", "platform"}
    assert all(e.passed == e.checks and e.checks for e in exonerated.values())


def test_nobody_at_fault_is_exonerated() -> None:
    """Whoever is blamed is not called innocent in the same breath."""
    for name, picture in CAUSES.items():
        verdict = picture.verdict()
        assert verdict.component not in {e.component for e in verdict.exonerated}, name


def test_advice_is_only_what_fits() -> None:
    """An outage of the provider sends nobody to reinstall an app; a healthy connection is said to be checked."""
    outage = " ".join(a.step for a in CAUSES["isp.access.outage"].verdict().advice)
    assert "einstall" not in outage
    steps = {a.step: a.checked for a in Picture().verdict().advice}
    assert (
        steps["Check your own connection: do other sites work, is the Wi-Fi signal good?"]
        == "checked: your connection is fine"
    )
