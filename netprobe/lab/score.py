"""Accuracy over scenarios: one run a scenario and seed, in virtual time or with real packets.

An abstention is not wrong, a wrong component is: `wrong_blame_rate` counts runs that named a component other than the
expected one. `brier` and `ece` (expected calibration error, ten bins of equal mass) are over runs that named one.
"""

import gc
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from netprobe.capture import Capture
from netprobe.engine import diagnose
from netprobe.lab.reliability import Bin, Forecast, brier, calibration_error, equal_mass
from netprobe.model.record import Record, from_json
from netprobe.model.report import Report
from netprobe.model.targets import Platform
from netprobe.model.verdict import Component, Verdict
from netprobe.probing.announced import Sources
from netprobe.sim.namespaces import LabError
from netprobe.sim.scenario import Scenario
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, run_in_world
from netprobe.topology.asn import Origin


class Run(Record, frozen=True):
    """One diagnosis of a network in which the truth is known."""

    scenario: str
    seed: int
    expected_component: Component
    expected_cause: str
    component: Component
    cause: str
    probability: float
    virtual_s: float
    packets: int
    expected_also: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    open: str = ""
    likeliest: Component = Component.UNDETERMINED

    @property
    def right(self) -> bool:
        """The right component."""
        return self.component == self.expected_component

    @property
    def wrong_blame(self) -> bool:
        """A component was named, and it is not the one."""
        return self.named and not self.right

    @property
    def forecast(self) -> Forecast:
        """What was said of the likeliest component, which an abstention does not name but has, and whether it is it."""
        return Forecast(self.probability, (self.component if self.named else self.likeliest) == self.expected_component)

    @property
    def named(self) -> bool:
        """A component was named."""
        return self.component != Component.UNDETERMINED

    @property
    def right_cause(self) -> bool:
        """The right cause, and every other that is there at the same time."""
        return self.cause == self.expected_cause and set(self.expected_also) <= set(self.also)

    @property
    def blames_innocent(self) -> bool:
        """Somebody was named who must never be: the worst that a diagnosis can do."""
        return any(cause.partition(".")[0] in self.never for cause in (self.component.value, *self.also))


class ScenarioScore(Record, frozen=True):
    """How one scenario fared over its seeds. `open` says why its truth is not found yet, empty where it is settled."""

    runs: int
    right_component: int
    right_cause: int
    wrong_blame: int
    innocent_blamed: int
    causes: dict[str, int]
    open: str = ""


class Rates(Record, frozen=True):
    """The rates of a part of all runs."""

    scenarios: int
    runs: int
    component_accuracy: float
    cause_accuracy: float
    wrong_blame_rate: float
    innocent_blamed_rate: float
    coverage: float


class Score(Record, frozen=True):
    """The contract's `lab score --json`. `confusion` is expected component -> answered component -> runs.

    All figures are over all runs; `settled` and `open` are over the scenarios whose truth the diagnosis is held to,
    and over those whose truth it does not find yet. `brier_argmax` is the Brier score that a plain rule would have on
    the same runs, which names the likeliest component and is certain of it; `brier_all` and `brier_argmax_all` are over
    all runs, where that rule answers and netprobe may abstain. `reliability` has the bins behind `ece`.
    """

    runs: int
    component_accuracy: float
    cause_accuracy: float
    wrong_blame_rate: float
    coverage: float
    brier: float
    ece: float
    confusion: dict[str, dict[str, int]]
    per_scenario: dict[str, ScenarioScore]
    wall_s: float
    virtual_s: float
    packets: int
    settled: Rates
    open: Rates
    brier_argmax: float
    brier_all: float
    brier_argmax_all: float
    reliability: tuple[Bin, ...]


def collect_seldom() -> None:
    """For many runs in a row: thousands of short lives, and collecting at the usual pace takes a fifth of the time."""
    gc.freeze()  # what is there by now stays to the end: there is no garbage to look for in it
    gc.set_threshold(100_000, 20, 50)  # allocations between two collections


def run_virtual(
    scenario: Scenario,
    seed: int,
    platform: Platform,
    origin: Callable[[str], Origin | None],
    pcap: Path | None = None,
) -> Report:
    """One diagnosis in virtual time: the same seed gives the same report, byte for byte.

    Raises `LabError` when `pcap` cannot be written.
    """
    vantage, sources = VirtualVantage(scenario, seed), Sources(scenario.client.announcements)
    if pcap is None:
        return diagnose(vantage, platform, origin, symptom=scenario.symptom, sources=sources)
    try:
        capture = Capture(pcap)
    except OSError as error:
        raise LabError(f"--pcap: {pcap}: {error.strerror}") from None
    try:
        vantage.record(capture)
        return diagnose(vantage, platform, origin, symptom=scenario.symptom, sources=sources)
    finally:
        capture.close()


def run_real(scenario: Scenario, seed: int, fidelity: Fidelity = Fidelity.TUN, pcap: Path | None = None) -> Report:
    """One diagnosis with real packets: the product's own command inside the scenario's network.

    Raises `RuntimeError` with the command's own words when it could not measure.
    """
    command = [sys.executable, "-m", "netprobe", "diagnose", "--json", *asked_with(scenario)]
    done = run_in_world(scenario, command, seed=seed, fidelity=fidelity, capture=True, pcap=pcap)
    try:
        return from_json(done.stdout, Report)
    except ValueError as error:
        msg = f"{scenario.name}, seed {seed}: no report (exit code {done.returncode}): {_last_line(done.stderr)}"
        raise RuntimeError(msg) from error


def asked_with(scenario: Scenario) -> list[str]:
    """The options of `netprobe diagnose` that the scenario asks for."""
    symptom = ["--symptom", scenario.symptom] if scenario.symptom else []
    return symptom + [word for url in scenario.client.announcements for word in ("--announcements", url)]


def _last_line(text: str | bytes) -> str:
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    return words.strip().rpartition("\n")[2]


def runs(
    scenarios: Iterable[Scenario], seeds: Sequence[int], measure: Callable[[Scenario, int], Report]
) -> Iterator[Run]:
    """Diagnose every scenario with every seed."""
    for scenario in scenarios:
        for seed in seeds:
            report = measure(scenario, seed)
            yield Run(
                scenario.name,
                seed,
                Component(scenario.expect.component),
                scenario.expect.cause,
                report.verdict.component,
                report.verdict.cause,
                report.verdict.probability,
                report.timing.wall_s,
                report.timing.packets_sent,
                scenario.expect.also,
                scenario.expect.never,
                report.verdict.also,
                scenario.expect.open,
                likeliest(report.verdict),
            )


def likeliest(verdict: Verdict) -> Component:
    """The component that is named; where none is, that of the best candidate."""
    if verdict.component != Component.UNDETERMINED:
        return verdict.component
    return verdict.runners_up[0].component if verdict.runners_up else Component.UNDETERMINED


def score(done: Sequence[Run], wall_s: float) -> Score:
    """Sum up `done`; rates are 0 where there is nothing to divide by."""
    forecasts = [run.forecast for run in done if run.named]
    everything = [run.forecast for run in done]
    total = _rates(done)
    confusion: dict[str, Counter[str]] = defaultdict(Counter)
    scenarios: dict[str, list[Run]] = defaultdict(list)
    for run in done:
        confusion[run.expected_component.value][run.component.value] += 1
        scenarios[run.scenario].append(run)
    return Score(
        runs=len(done),
        component_accuracy=total.component_accuracy,
        cause_accuracy=total.cause_accuracy,
        wrong_blame_rate=total.wrong_blame_rate,
        coverage=total.coverage,
        brier=brier(forecasts),
        ece=calibration_error(forecasts),
        confusion={expected: dict(sorted(answers.items())) for expected, answers in sorted(confusion.items())},
        per_scenario={name: _scenario(group) for name, group in scenarios.items()},
        wall_s=round(wall_s, 3),
        virtual_s=round(sum(run.virtual_s for run in done), 3),
        packets=sum(run.packets for run in done),
        settled=_rates([run for run in done if not run.open]),
        open=_rates([run for run in done if run.open]),
        brier_argmax=brier(_certain(forecasts)),
        brier_all=brier(everything),
        brier_argmax_all=brier(_certain(everything)),
        reliability=equal_mass(forecasts),
    )


def _certain(forecasts: Sequence[Forecast]) -> list[Forecast]:
    return [Forecast(1.0, one.came_true) for one in forecasts]


def _rates(part: Sequence[Run]) -> Rates:
    return Rates(
        scenarios=len({run.scenario for run in part}),
        runs=len(part),
        component_accuracy=_share(run.right for run in part),
        cause_accuracy=_share(run.right_cause for run in part),
        wrong_blame_rate=_share(run.wrong_blame for run in part),
        innocent_blamed_rate=_share(run.blames_innocent for run in part),
        coverage=_share(run.named for run in part),
    )


def _scenario(group: Sequence[Run]) -> ScenarioScore:
    return ScenarioScore(
        runs=len(group),
        right_component=sum(run.right for run in group),
        right_cause=sum(run.right_cause for run in group),
        wrong_blame=sum(run.wrong_blame for run in group),
        innocent_blamed=sum(run.blames_innocent for run in group),
        causes=dict(sorted(Counter(run.cause for run in group).items())),
        open=group[0].open,
    )


def _share(truths: Iterable[bool]) -> float:
    counted = list(truths)
    return sum(counted) / len(counted) if counted else 0.0
