"""What `netprobe lab` does once its arguments are known."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from netprobe.cli.console import show, show_json, width
from netprobe.cli.failure import Failure
from netprobe.cli.settings import load as load_settings
from netprobe.model.record import to_json
from netprobe.model.report import Report
from netprobe.model.verdict import EXIT_CANNOT_MEASURE
from netprobe.report.lines import Line, Span, line, paragraph
from netprobe.report.words import clean, duration
from netprobe.sim import library
from netprobe.sim.records import Scenario
from netprobe.sim.scenario import load
from netprobe.topology.asn import AsnTable

if TYPE_CHECKING:
    from netprobe.lab.score import Score  # loaded when it is needed: a network may be run without

_FAILED = 1
_SIGNALLED = 128  # what a shell adds to the number of the signal that ended a command


def list_scenarios(*, as_json: bool) -> None:
    """Every built-in scenario with its truth."""
    scenarios = [load(name) for name in library.names()]
    if as_json:
        show_json(
            to_json(
                [
                    {
                        "name": s.name,
                        "component": s.expect.component,
                        "cause": s.expect.cause,
                        "sentence": s.sentence,
                        "open": s.expect.open,
                    }
                    for s in scenarios
                ]
            )
        )
        return
    longest = max((len(s.name) for s in scenarios), default=0)
    lines: list[Line] = []
    for scenario in scenarios:
        lead = (Span(f"{scenario.name:<{longest}}  ", "strong"), Span(f"{scenario.expect.component:<13} ", "mark"))
        mark = (Span("  (truth not found yet)", "faint"),) if scenario.expect.open else ()
        lines.append((*lead, Span(clean(scenario.sentence, 200)), *mark))
    show(lines)


def show_scenario(name: str, config: Path | None, *, as_json: bool) -> None:
    """One scenario, drawn; as JSON, its records."""
    scenario = load(name)
    if as_json:
        show_json(to_json(scenario))
        return
    from netprobe.lab.drawing import draw

    with AsnTable.open(load_settings(config).asn_table or None) as table:
        show(draw(scenario, table.lookup, width=width()))


def run_inside(
    name: str, command: Sequence[str], flags: Sequence[str], seed: int, fidelity: str, pcap: Path | None
) -> int:
    """Run `command` in the scenario's network and return its exit code. `netprobe` means this very program.

    Without one it is diagnosed, with `flags` and the announcements that its client is told of.
    """
    from netprobe.sim.namespaces import own_environment
    from netprobe.sim.world import Fidelity, run_in_world

    scenario = load(name)
    lead = (Span("simulating  ", "faint"), Span(f"{scenario.name}  ", "strong"))
    show(paragraph(clean(scenario.sentence, 300), width=width(), first=lead, indent=12), sys.stderr)
    if not command:
        feeds = [word for url in scenario.client.announcements for word in ("--announcements", url)]
        command = ["netprobe", "diagnose", *flags, *feeds]
    own = [sys.executable, "-m", "netprobe"] if command[0] == "netprobe" else [command[0]]
    inside = [*own, *command[1:]]
    environment = own_environment()
    # A shell inside finds this very program too, behind what the user's own path has.
    environment["PATH"] = os.pathsep.join([environment.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    code = run_in_world(scenario, inside, seed=seed, fidelity=Fidelity(fidelity), env=environment, pcap=pcap).returncode
    return code if code >= 0 else _SIGNALLED - code


def draw_worlds(first: int, count: int, only: str) -> list[Scenario]:
    """`count` generated worlds from number `first` on; with `only`, of that cause."""
    from netprobe.sim.worlds import generated

    try:
        return list(generated(first, count, only))
    except ValueError as error:
        raise Failure(f"--only: {error}") from None


def score_scenarios(
    paths: Sequence[str],
    worlds: Sequence[Scenario],
    seeds: Sequence[int],
    config: Path | None,
    *,
    real: str,
    pcap: Path | None,
    as_json: bool,
) -> int:
    """Diagnose every scenario (or generated world) with every seed and compare.

    1 when somebody was blamed wrongly where the truth can be found, or somebody innocent was anywhere.
    `real` is the fidelity of networks with real packets, empty for virtual time. `pcap` is for one run only.
    """
    from netprobe.lab.reliability import diagram
    from netprobe.lab.score import ScenarioScore, collect_seldom, run_real, run_virtual, runs, score
    from netprobe.sim.world import Fidelity
    from netprobe.topology.platform import load_platform

    settings = load_settings(config)
    scenarios = list(worlds) or [load(path) for path in _files(paths)]
    platform = load_platform(settings.platform)
    if pcap and len(scenarios) * len(seeds) != 1:
        raise Failure("--pcap: one file for one run; name one scenario, without --repeat")
    began_s = time.monotonic()
    collect_seldom()
    done = []

    def measure(scenario: Scenario, seed: int) -> Report:
        if real:
            return run_real(scenario, seed, Fidelity(real), pcap)
        return run_virtual(scenario, seed, platform, table.lookup, pcap)

    with AsnTable.open(settings.asn_table or None) as table:
        try:
            for run in runs(scenarios, seeds, measure):
                done.append(run)
                if sys.stderr.isatty():
                    sys.stderr.write(f"\r{len(done)} of {len(scenarios) * len(seeds)} runs: {run.scenario:<40.40}")
        except RuntimeError as error:  # a command inside gave no report
            raise Failure(str(error), EXIT_CANNOT_MEASURE) from error
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    result = score(done, time.monotonic() - began_s)
    if as_json:
        show_json(to_json(result))
        return _exit_code(result)

    def row(name: str, one: ScenarioScore) -> Line:
        style = "bad" if one.wrong_blame else "good" if one.right_component == one.runs else "warn"
        mark = {"bad": "✗", "good": "✓", "warn": "≈"}[style]
        answers = ", ".join(f"{cause} {count}" for cause, count in one.causes.items())
        return (
            Span(f" {mark} ", style),
            Span(f"{name:<{longest}}  "),
            Span(f"{one.right_component:>4} of {one.runs:<4}", style),
            Span(f"  {answers}", "faint"),
            Span("  open" if one.open else "", "mark"),
        )

    longest = max(map(len, result.per_scenario), default=0)
    show([row(name, one) for name, one in result.per_scenario.items()])
    settled, still_open = result.settled, result.open
    apart = (
        f"without the {still_open.scenarios} whose truth is not found yet (open): component right "
        f"{settled.component_accuracy:.1%}, cause right {settled.cause_accuracy:.1%}, "
        f"wrongly blamed {settled.wrong_blame_rate:.1%}, answered {settled.coverage:.1%} of {settled.runs} runs"
    )
    show(
        [
            line(
                f"component right {result.component_accuracy:.1%}, cause right {result.cause_accuracy:.1%}, "
                f"wrongly blamed {result.wrong_blame_rate:.1%}, answered {result.coverage:.1%} of {result.runs} runs",
                "strong",
            ),
            *([line(apart)] if still_open.runs else []),
            *([line("")] if result.reliability else []),
            *(line(row, "faint") for row in diagram(result.reliability) if result.reliability),
            *([line("")] if result.reliability else []),
            line(
                f"Brier score {result.brier:.4f} (a plain argmax rule's: {result.brier_argmax:.4f}; over all runs "
                f"{result.brier_all:.4f} and {result.brier_argmax_all:.4f}), "
                f"expected calibration error {result.ece:.4f} (bins of equal mass)",
                "faint",
            ),
            line(
                f"{result.packets} packets, {duration(result.virtual_s)} inside, {result.wall_s:.1f} s outside",
                "faint",
            ),
        ]
    )
    return _exit_code(result)


def _files(paths: Sequence[str]) -> list[str]:
    """Scenario names and files; a folder stands for every .toml in it."""
    if not paths:
        return list(library.names())
    found: list[str] = []
    for path in paths:
        if Path(path).is_dir():
            inside = sorted(str(p) for p in Path(path).glob("*.toml"))
            if not inside:
                msg = f"{path}: no scenario (.toml) in this folder"
                raise Failure(msg)
            found += inside
        else:
            found.append(path)
    return found


def _exit_code(result: "Score") -> int:
    innocents = result.settled.innocent_blamed_rate or result.open.innocent_blamed_rate
    return _FAILED if result.settled.wrong_blame_rate or innocents else 0
