"""The catalogue of situations: the diagnosis says of each what its file expects, or the file says why it cannot yet."""

from collections.abc import Iterator
from functools import cache

import pytest

from netprobe.diagnosis.causes import tables
from netprobe.diagnosis.signs import seen_in, signs
from netprobe.lab.score import Run, run_virtual, runs
from netprobe.model.report import Report
from netprobe.model.targets import Platform
from netprobe.model.verdict import Component
from netprobe.sim import library
from netprobe.sim.records import Expect, Scenario
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform
from tests.scenarios import load
from tests.sim.fidelities import drawn

SEEDS = (1, 2, 3, 4, 5)
#: Every third scenario is diagnosed by `make check` too, which has a minute.
QUICK = frozenset(library.names()[::3])


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Platform, AsnTable]]:
    """The platform and the table of networks that every diagnosis uses."""
    with AsnTable.open() as table:
        yield load_platform(), table


def diagnosed(
    name: str, seeds: tuple[int, ...], world: tuple[Platform, AsnTable], reports: list[Report] | None = None
) -> list[Run]:
    platform, table = world

    def report(scenario: Scenario, seed: int) -> Report:
        made = run_virtual(scenario, seed, platform, table.lookup)
        if reports is not None:
            reports.append(made)
        return made

    return list(runs([load(name)], seeds, report))


def check(
    name: str, seeds: tuple[int, ...], world: tuple[Platform, AsnTable], reports: list[Report] | None = None
) -> None:
    """A settled scenario is answered rightly with every seed; an open one blames no innocent, and is open with reason.

    Where chance decides what gets lost, it may once in five hide enough: nobody is named then.
    """
    done = diagnosed(name, seeds, world, reports)
    said = [(run.seed, run.cause, *run.also) for run in done]
    assert not any(run.blames_innocent for run in done), f"{name}: an innocent was blamed: {said}"
    if not load(name).expect.open:
        missed = [run for run in done if not (run.right and run.right_cause)]
        if missed and drawn(load(name)):
            missed = [run for run in diagnosed(name, SEEDS, world) if not (run.right and run.right_cause)]
            assert len(missed) <= 1, f"{name}: {said}"
            missed = [run for run in missed if run.component not in {Component.UNDETERMINED, Component.NONE}]
        assert not missed, f"{name}: {said}"
    elif all(run.right and run.right_cause for run in done):
        rest = () if seeds == SEEDS else tuple(seed for seed in SEEDS if seed not in seeds)
        if all(run.right and run.right_cause for run in diagnosed(name, rest, world)):
            pytest.fail(f"{name}: is right now; take 'open' out of its [expect]")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in library.names()]
)
def test_the_truth_is_found_or_known_to_be_missing(name: str, world: tuple[Platform, AsnTable]) -> None:
    """With one seed: what the file expects; of an open one only that no innocent is blamed.

    And the facts show the signs that docs/signals.md says they do, and none that it says they must not.
    """
    reports: list[Report] = []
    check(name, SEEDS[:1], world, reports)
    wrong = amiss(name, reports[:1], world)
    if wrong and drawn(load(name)):
        diagnosed(name, SEEDS[1:], world, reports := reports[:1])
        wrong = amiss(name, reports, world)
    assert not wrong, f"{name}: {wrong}"


def amiss(name: str, reports: list[Report], world: tuple[Platform, AsnTable]) -> list[str]:
    """The signs that most of `reports` lack and should show, or show and should not, or read from elsewhere."""
    must, never = signs().expected(name)
    if not must | never:
        return []
    platform, table = world
    shown = [seen_in(report, platform, table.lookup) for report in reports]
    times = {key: sum(key in seen for seen in shown) for key in must | never}
    source = {key: set(signs().sign[key].source) for key in must}
    return [
        *(f"{key} is not seen" for key in sorted(must) if 2 * times[key] <= len(reports)),
        *(f"{key} is seen" for key in sorted(never) if 2 * times[key] > len(reports)),
        *(
            f"{key} is read from {seen[key]}"
            for seen in shown
            for key in must & set(seen)
            if seen[key].isdisjoint(source[key]) and seen[key]
        ),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", library.names())
def test_the_truth_does_not_depend_on_chance(name: str, world: tuple[Platform, AsnTable]) -> None:
    """The same with several more seeds."""
    check(name, SEEDS[1:], world)


#: Causes whose plain scenario nothing simulated can hold yet, and what is missing.
NOT_SIMULATED: dict[str, str] = {}


@cache
def expectations() -> tuple[Expect, ...]:
    """What every file expects."""
    return tuple(load(name).expect for name in library.names())


@pytest.mark.parametrize("cause", tables().causes)
def test_every_cause_has_its_scenario_and_that_of_its_look_alike(cause: str) -> None:
    """A plain one in which it is the truth, and one in which its look-alike is and it is easily suspected."""
    expected = expectations()
    look_alike = tables().causes[cause].look_alike
    assert any(e.cause == cause for e in expected) != (cause in NOT_SIMULATED)
    assert any(cause in e.mistaken_for and look_alike in {e.cause, *e.also} for e in expected)


#: The documented incidents that are replayed.
INCIDENTS = {
    *("US_SHUTDOWN_2025", "ORACLE_JAN_2026", "BACKEND_MAY_2025", "SINGAPORE_DC_2020", "INDIA_2020_PLATFORM"),
    *("AZERBAIJAN_2022", "NEPAL_2023", "ALBANIA_2025", "RUSSIA_2022_CONTENT", "RUSSIA_16KB_2025", "FASTLY_2021"),
    *("TURKEY_TWITTER_2023", "AWS_2025", "WEST_AFRICA_CABLES_2024", "DM_HACK_2024", "INDONESIA_2023", "JORDAN_2022"),
}


def test_every_incident_is_replayed() -> None:
    """Each has its file, in scenarios/incidents, with the day and the source above; nothing else is called one."""
    folder = library.folder() / "incidents"
    replayed = {path.stem: load(path.stem).incident for path in folder.glob("*.toml")}
    assert set(replayed.values()) == INCIDENTS
    assert {name for name in library.names() if load(name).incident} == set(replayed)
    for name in replayed:
        text = (folder / f"{name}.toml").read_text(encoding="utf-8")
        assert text.startswith("# 20"), name
        assert "Source: " in text.partition("\n")[0], name


def test_many_healthy_networks_are_odd() -> None:
    """At least fifteen in which nothing is wrong and something is unusual."""
    odd = [name for name in library.names() if load(name).expect.component == "none" and load(name).faults]
    odd += [name for name in library.names() if name.startswith("healthy-") and not load(name).faults]
    assert len(odd) >= 15
