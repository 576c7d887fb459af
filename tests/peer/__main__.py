"""Run simulation files of Trippy's format with our tracer, each once, and compare hop by hop. There are no retries.

    python -m tests.peer [--repeat N] [--tolerance-ms MS] [--json | --scenario] FILE...

With --scenario nothing is run: a scenario file of ours that says the same of the network is printed.
The exit code is 0 when all is as the files say, 1 when something is not, 2 when a file cannot be read.
"""

import argparse
import sys
from pathlib import Path

from netprobe.model.probes import Hop
from netprobe.model.record import Record, to_json
from netprobe.sim.namespaces import LabError
from tests.peer.compare import TOLERANCE_MS, differences
from tests.peer.inside import measure
from tests.peer.scenario import to_toml
from tests.peer.simulation import BadSimulation, read


def main(arguments: list[str]) -> int:
    """Run the files that were named, in their order."""
    parser = argparse.ArgumentParser(prog="python -m tests.peer", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="run each so often; all have to hold")
    parser.add_argument("--tolerance-ms", type=float, default=TOLERANCE_MS, metavar="MS", help="(%(default)s)")
    parser.add_argument("--json", action="store_true", help="one line a run")
    parser.add_argument("--scenario", action="store_true", help="print a scenario file instead")
    asked = parser.parse_args(arguments)
    failed = 0
    for path in asked.files:
        for _ in range(asked.repeat):
            try:
                if asked.scenario:
                    print(to_toml(read(path)), end="")
                    continue
                outcome = once(path, asked.tolerance_ms)
            except (BadSimulation, LabError) as error:
                sys.stderr.write(f"{error}\n")
                return 2
            failed += bool(outcome.differences)
            print(to_json(outcome).decode() if asked.json else _block(outcome), flush=True)
    return 1 if failed else 0


class Outcome(Record, frozen=True):
    """What became of one file: `differences` are all that was not as it says, `hops` what the last round saw."""

    file: str
    name: str
    differences: tuple[str, ...]
    notes: tuple[str, ...]
    hops: tuple[Hop, ...]
    probes: int
    wall_s: float


def once(path: Path, tolerance_ms: float) -> Outcome:
    """Run the file at `path` once. Raises `BadSimulation`, `LabError`."""
    simulation = read(path)
    measured = measure(simulation)
    return Outcome(
        path.name,
        simulation.name,
        tuple(differences(simulation, measured.paths, measured.seen, tolerance_ms)),
        simulation.notes,
        measured.paths[-1].hops,
        len(measured.seen),
        measured.wall_s,
    )


def _block(outcome: Outcome) -> str:
    head = f"{'FAILED' if outcome.differences else 'ok':<7}{outcome.file}: {outcome.name}"
    lines = [f"{head} ({outcome.probes} probes, {outcome.wall_s:.2f} s)", *(f"  note: {x}" for x in outcome.notes)]
    if outcome.differences:
        lines += [*(f"  {what}" for what in outcome.differences), *map(_line, outcome.hops)]
    return "\n".join(lines)


def _line(hop: Hop) -> str:
    times = (f"{x.reply.rtt_s * 1000:.1f} ms" if x.reply else "*" for x in hop.exchanges)
    return f"  {hop.ttl:>3}  {', '.join(hop.addresses) or '*'}  {' '.join(times)}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
