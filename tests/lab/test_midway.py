"""Troubles that begin or end in the middle of a survey: half a picture accuses nobody who did nothing."""

from functools import cache

import msgspec
import pytest

from netprobe.lab.score import run_virtual
from netprobe.model.report import Report
from netprobe.model.verdict import Component, Level
from netprobe.sim.virtual import WALL_CLOCK_S
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform
from tests.scenarios import load

FOREVER_S = 3600.0


def moments(step_s: float, last: int) -> list[object]:
    """So many moments; `make check` tries every third of them."""
    return [pytest.param(round(step_s * n, 2), marks=() if n % 3 == 1 else pytest.mark.slow) for n in range(1, last)]


@cache
def measured(name: str, begin_s: float, end_s: float) -> Report:
    """The report of a survey that begins at second 0 of a scenario whose faults last from `begin_s` to `end_s`."""
    scenario = load(name)
    faults = tuple(msgspec.structs.replace(fault, begin_s=begin_s, end_s=end_s) for fault in scenario.faults)
    with AsnTable.open() as networks:
        return run_virtual(msgspec.structs.replace(scenario, faults=faults), 1, load_platform(), networks.lookup)


def said(report: Report) -> str:
    """What the verdict says of whether the network stayed as it was."""
    evidence = {e.id: e.state for e in report.verdict.evidence if e.level is Level.SCORED}
    return evidence.get("network.constant", "")


@pytest.mark.parametrize("begin_s", moments(0.1, 16))
def test_an_outage_that_begins_meanwhile_is_measured_again(begin_s: float) -> None:
    """While QUIC is tried a firewall seemed to stop it, while pages are fetched somebody to decrypt them."""
    report = measured("isp-outage-begins-and-ends", begin_s, FOREVER_S)
    assert report.verdict.component in {Component.ISP, Component.UNDETERMINED}, report.verdict.cause
    assert report.observations[0].at_s > 0
    assert report.taken_s == pytest.approx(WALL_CLOCK_S + report.observations[0].at_s)
    assert said(report) == "again"


@pytest.mark.parametrize("end_s", moments(0.25, 24))
def test_an_outage_that_ends_meanwhile_is_over(end_s: float) -> None:
    """What was silent at first answers at the end: IPv6 seemed broken at home, or the provider's name servers."""
    report = measured("isp-outage-begins-and-ends", 0.0, end_s)
    assert report.verdict.component is Component.NONE, report.verdict.cause


@pytest.mark.parametrize(
    ("name", "end_s"), [("mobile-isp-resolver-failing", 2.7), ("home-firewall", 3.5), ("home-firewall", 3.9)]
)
def test_resolvers_that_come_back_meanwhile_are_forged_by_nobody(name: str, end_s: float) -> None:
    """Over TLS there was an answer to what a moment before there was none to: that seemed a filter's work."""
    report = measured(name, 0.0, end_s)
    assert report.verdict.component in {Component.NONE, Component.UNDETERMINED}, report.verdict.cause


def test_what_stays_as_it_is_is_measured_once() -> None:
    """An outage from before the beginning is the same at the end, and the report says that it was looked for."""
    report = measured("isp-outage-begins-and-ends", -1.0, FOREVER_S)
    assert report.verdict.component is Component.ISP
    assert report.observations[0].at_s == 0.0
    assert said(report) == "yes"


def test_nothing_is_asked_twice_where_all_is_well() -> None:
    """A guest does not ask without need."""
    report = measured("isp-outage-begins-and-ends", 1000.0, FOREVER_S)
    assert report.verdict.component is Component.NONE
    assert said(report) == ""
    assert not [o for o in report.observations if o.purpose.startswith("recheck.")]


@pytest.mark.parametrize("end_s", [6.0, 8.0, 10.0, 12.0])
def test_what_changes_in_the_second_attempt_too_accuses_nobody_else(end_s: float) -> None:
    """It begins in the first attempt and ends in the second: what fails by halves does not count then."""
    report = measured("isp-outage-begins-and-ends", 0.8, end_s)
    assert said(report) == "changing"
    assert report.verdict.component in {Component.ISP, Component.NONE, Component.UNDETERMINED}, report.verdict.cause


def test_a_line_that_comes_and_goes_all_the_time_accuses_nobody_else() -> None:
    """However often it does."""
    scenario = load("isp-outage-begins-and-ends")
    (fault,) = scenario.faults
    for period_s in (0.8, 1.5, 2.5, 4.0, 7.0):
        times = [(period_s * n, period_s * (n + 0.5)) for n in range(60)]
        faults = tuple(msgspec.structs.replace(fault, begin_s=begin_s, end_s=end_s) for begin_s, end_s in times)
        with AsnTable.open() as networks:
            flapping = msgspec.structs.replace(scenario, faults=faults)
            verdict = run_virtual(flapping, 1, load_platform(), networks.lookup).verdict
        assert verdict.component in {Component.ISP, Component.NONE, Component.UNDETERMINED}, (period_s, verdict.cause)
