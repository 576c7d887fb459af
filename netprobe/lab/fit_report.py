"""What a fit says about itself: what changed, and how it fares in worlds and families that it has not seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from netprobe.diagnosis.calibration import Calibration, covered
from netprobe.diagnosis.causes import Tables
from netprobe.diagnosis.weigh import answer
from netprobe.lab.appraisal import appraise
from netprobe.lab.platt import Answered, answered
from netprobe.lab.reliability import Bin, Forecast, brier, calibration_error, diagram, equal_mass
from netprobe.lab.score import Run, Score, score
from netprobe.lab.sweep import Sample
from netprobe.model.verdict import Component

_SCORES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Fit:
    """A fit and what it is judged by. `before` is the map that was there, None for the first.

    `left_out` are the forecasts of answers by maps that have not seen their family of causes.
    """

    table: Tables
    before: Calibration | None
    after: Calibration
    seen: Sequence[Sample]
    fresh: Sequence[Sample]
    left_out: Sequence[Forecast]

    @cached_property
    def held_out(self) -> list[Answered]:
        """The answers in worlds that the fit has not seen."""
        return answered(self.fresh, self.table)

    @cached_property
    def bins(self) -> tuple[Bin, ...]:
        """The reliability of the new map in them."""
        return equal_mass([one.forecast(self.after) for one in self.held_out])


def report(fit: Fit) -> str:
    """The report, as Markdown."""
    parts = (_maps(fit), _measures(fit), _diagrams(fit), _components(fit), _coverage(fit))
    return "\n".join(line for part in parts for line in part) + "\n"


def _maps(fit: Fit) -> Iterator[str]:
    yield "# The fit\n"
    yield f"{len(fit.seen)} generated worlds seen, {len(fit.fresh)} held out. Made by `{fit.after.made_by}`.\n"
    yield "## What changed: a score's probability\n"
    yield "| score | before | somebody is at fault | nobody is |"
    yield "|---|---|---|---|"
    for value in _SCORES:
        old = "as it is" if fit.before is None else f"{fit.before.worth(value, Component.HOME):.3f}"
        new = fit.after.worth(value, Component.HOME)
        yield f"| {value} | {old} | {new:.3f} | {fit.after.worth(value, Component.NONE):.3f} |"
    yield (
        f"\nslope {fit.after.slope}, offset {fit.after.offset}, nobody {fit.after.nobody}; "
        f"never outside {fit.after.lowest} to {fit.after.highest}.\n"
    )


def _measures(fit: Fit) -> Iterator[str]:
    yield "## How far probabilities are what they say\n"
    yield "ECE: ten bins of equal mass. Answer: the truth lies at or under the place that was named,"
    yield "or, where it is a cause that no verdict tells yet, in its component. Component: that one is right."
    yield "Argmax: a rule that is certain of each answer.\n"
    yield "| answers | n | right | mean said | ECE (answer) | ECE (component) | Brier | argmax |"
    yield "|---|---|---|---|---|---|---|---|"
    settled = answered([one for one in fit.fresh if not one.truth.open], fit.table)
    raw = [Forecast(one.score, one.right) for one in fit.held_out]
    raw_components = [Forecast(one.score, one.right_component) for one in fit.held_out]
    yield _row("held out, the score itself", raw, raw_components)
    if fit.before is not None:
        yield _mapped("held out, the map before", fit.held_out, fit.before)
    yield _mapped("held out", fit.held_out, fit.after)
    yield _mapped("held out, settled truths only", settled, fit.after)
    yield _row("seen, each family left out in turn", fit.left_out, None)
    yield _mapped("seen", answered(fit.seen, fit.table), fit.after)
    yield ""


def _mapped(name: str, answers: Sequence[Answered], means: Calibration) -> str:
    forecasts = [one.forecast(means) for one in answers]
    components = [Forecast(f.probability, a.right_component) for f, a in zip(forecasts, answers, strict=True)]
    return _row(name, forecasts, components)


def _row(name: str, forecasts: Sequence[Forecast], components: Sequence[Forecast] | None) -> str:
    count = max(1, len(forecasts))
    right = sum(one.came_true for one in forecasts) / count
    told = sum(one.probability for one in forecasts) / count
    of_components = "-" if components is None else f"{calibration_error(components):.4f}"
    return (
        f"| {name} | {len(forecasts)} | {right:.4f} | {told:.4f} | {calibration_error(forecasts):.4f} | "
        f"{of_components} | {brier(forecasts):.4f} | {1 - right:.4f} |"
    )


def _diagrams(fit: Fit) -> Iterator[str]:
    for name, bins in (("held out", fit.bins), ("each family left out in turn", equal_mass(fit.left_out))):
        yield f"## Reliability diagram, {name}\n\n```"
        yield from diagram(bins)
        yield "```\n"


def _components(fit: Fit) -> Iterator[str]:
    yield "## Held out, by who was named\n"
    yield "| named | answers | right | mean said |"
    yield "|---|---|---|---|"
    for component in Component:
        part = [one for one in fit.held_out if one.component is component]
        if part:
            right = sum(one.right for one in part) / len(part)
            told = sum(one.forecast(fit.after).probability for one in part) / len(part)
            yield f"| {component.value} | {len(part)} | {right:.4f} | {told:.4f} |"
    yield ""


def _coverage(fit: Fit) -> Iterator[str]:
    decisions = [answer(one.evidence(), fit.table) for one in fit.fresh]
    named = [pair for pair in decisions if pair[0].determined]
    inside = sum(covered(first, second, fit.after) for first, second in named)
    yield "## Held out, as `netprobe lab score` counts\n"
    yield f"- the map covers {inside} of {len(named)} answers"
    runs = appraise(fit.fresh, fit.table, fit.after)
    for name, part in (("all", runs), ("settled", [run for run in runs if not run.open])):
        yield f"- {name}: {_told(score(part, 0.0), part)}"


def _told(figures: Score, part: Sequence[Run]) -> str:
    innocents = sum(run.blames_innocent for run in part)
    policy = sum(run.component is Component.POLICY and not run.right for run in part)
    return (
        f"answered {figures.coverage:.4f}, component right where answered "
        f"{figures.component_accuracy / max(figures.coverage, 1e-9):.4f}, cause right {figures.cause_accuracy:.4f}, "
        f"wrongly blamed {figures.wrong_blame_rate:.4f}, innocents named {innocents}, policy accused falsely {policy}, "
        f"ECE {figures.ece:.4f}, Brier {figures.brier:.4f} beside {figures.brier_argmax:.4f}"
    )
