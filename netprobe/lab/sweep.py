"""Sweeps over generated worlds: of each the truth beside what its signals said, which is all that a fit needs.

Weighing is cheap and measuring is not: a sample keeps the states of the signals that counted, so that any table can be
tried on it without measuring again. Samples are kept as JSON lines, one a world, and a sweep that was interrupted goes
on where it stopped.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from netprobe.diagnosis.calibration import family
from netprobe.diagnosis.signals import SIGNALS
from netprobe.lab.score import run_virtual
from netprobe.model.record import Record, from_json, to_json
from netprobe.model.targets import Platform
from netprobe.model.verdict import Evidence, Level, Verdict
from netprobe.sim.records import Expect, Scenario
from netprobe.sim.worlds import generate
from netprobe.topology.asn import Origin

_GROUPS = {signal.id: signal.group for signal in SIGNALS}


class Sample(Record, frozen=True):
    """One diagnosis of a network in which the truth is known.

    `states` are those of the signals that counted (signal -> state), after what is not to be trusted was discarded;
    `truth` is what the world expects.
    """

    name: str
    truth: Expect
    states: dict[str, str]

    @property
    def family(self) -> str:
        """The true cause's first two places: `home.dns`."""
        return family(self.truth.cause)

    def evidence(self) -> tuple[Evidence, ...]:
        """What counted, in the order of SIGNALS, without its sentences."""
        found = ((ident, self.states[ident]) for ident in _GROUPS if ident in self.states)
        return tuple(Evidence(ident, state, Level.SCORED, "", _GROUPS[ident]) for ident, state in found)


def sample(scenario: Scenario, verdict: Verdict) -> Sample:
    """What is kept of the diagnosis of `scenario`."""
    states = {e.id: e.state for e in verdict.evidence if e.level is Level.SCORED}
    return Sample(scenario.name, scenario.expect, {ident: states[ident] for ident in _GROUPS if ident in states})


def sweep(
    numbers: Iterable[int],
    platform: Platform,
    origin: Callable[[str], Origin | None],
    keep: Path | None = None,
) -> Iterator[Sample]:
    """The samples of the worlds with these numbers, in order; those in the file `keep` are not measured again.

    New ones are appended to it. Raises `ValueError` for a file that holds something else, `OSError` where it cannot be
    written.
    """
    known = {one.name: one for one in read(keep)} if keep and keep.exists() else {}
    for number in numbers:
        done = known.get(f"world-{number}")
        if done is None:
            world = generate(number)
            done = sample(world, run_virtual(world, 1, platform, origin).verdict)
            if keep:
                with keep.open("ab") as file:
                    file.write(to_json(done) + b"\n")
        yield done


def read(path: Path) -> list[Sample]:
    """The samples in a file; a last line that was cut off is left out."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [from_json(line, Sample) for line in whole.splitlines()]
