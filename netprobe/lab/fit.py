"""`make fit`: sweeps generated worlds, fits what the tables need, writes it and says what changed.

    python -m netprobe.lab.fit [--worlds N] [--seed S] [--held-out N] [--held-out-seed S] [--keep FILE] [--minutes M]
        [--report FILE] [--svg FILE] [--dry-run]

The map from scores to probabilities (data/calibration.toml) is fitted on the first sweep and judged on the second,
whose worlds it has not seen, and on families of causes that were left out. The same seeds give the same map.
"""

import argparse
import datetime as dt
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from netprobe.diagnosis.calibration import CALIBRATION
from netprobe.diagnosis.calibration import load as load_map
from netprobe.diagnosis.causes import TableError, tables
from netprobe.lab import platt
from netprobe.lab.fit_report import Fit, report
from netprobe.lab.plot import reliability_svg
from netprobe.lab.score import collect_seldom
from netprobe.lab.sweep import Sample, sweep
from netprobe.lab.written import calibration_text
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform

WORLDS, HELD_OUT = 5000, 3000
SEED, HELD_OUT_SEED = 2_000_001, 3_000_001
MINUTES = 90.0
_MOST = 100_000
_EVERY = 50  # worlds between two lines of progress


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when the tables were written (or would be), 2 for what cannot be."""
    asked = _parser().parse_args(arguments)
    until_s = time.monotonic() + 60.0 * asked.minutes
    try:
        seen = list(_swept(asked.seed, asked.worlds, asked.keep, until_s, "to fit"))
        fresh = list(_swept(asked.held_out_seed, asked.held_out, asked.keep, until_s, "held out"))
        done = _fitted(asked, seen, fresh)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"fit: {error}\n")
        return 2
    text = report(done)
    sys.stdout.write(text)
    for path, content in ((asked.report, text), (asked.svg, reliability_svg(done.bins))):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, content)
    if not asked.dry_run:
        write(CALIBRATION, calibration_text(done.after))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m netprobe.lab.fit", description=(__doc__ or "").partition("\n")[0])
    count = partial(parser.add_argument, type=_count, metavar="N")
    count("--worlds", default=WORLDS, help="generated worlds to fit on")
    count("--seed", default=SEED, help="the first of them")
    count("--held-out", default=HELD_OUT, help="generated worlds to judge by")
    count("--held-out-seed", default=HELD_OUT_SEED, help="the first of them")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="after so long, go on with what was measured")
    file = partial(parser.add_argument, type=Path, metavar="FILE")
    file("--keep", help="samples that are there are not measured again; remove it when signals or worlds have changed")
    file("--report", help="write the report there too")
    file("--svg", help="write the reliability diagram there")
    parser.add_argument("--dry-run", action="store_true", help="write no table")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if not 0 < number <= 100 * _MOST:
        raise argparse.ArgumentTypeError(f"must lie between 1 and {100 * _MOST}")
    return number


def _swept(first: int, count: int, keep: Path | None, until_s: float, what: str) -> Iterator[Sample]:
    """Samples with progress on stderr; fewer than `count` where the time is up."""
    collect_seldom()
    with AsnTable.open() as networks:
        samples = sweep(range(first, first + min(count, _MOST)), load_platform(), networks.lookup, keep)
        for done, one in enumerate(samples, 1):
            yield one
            if done % _EVERY == 0 or done == count:
                sys.stderr.write(f"{done} of {count} worlds {what}\n")
            if time.monotonic() > until_s:
                sys.stderr.write(f"the time is up: {done} of {count} worlds {what}\n")
                return


def _fitted(asked: argparse.Namespace, seen: Sequence[Sample], fresh: Sequence[Sample]) -> Fit:
    table = tables()
    command = f"python -m netprobe.lab.fit --worlds {len(seen)} --seed {asked.seed}"
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    fit = partial(platt.fit, made_by=command, made_on=today, worlds=len(seen))
    answers = platt.answered(seen, table)
    try:
        before = load_map(CALIBRATION)
    except TableError:
        before = None  # the first fit
    return Fit(table, before, fit(answers), seen, fresh, platt.families_left_out(answers, fit))


def write(path: Path, text: str) -> None:
    """Put a text in the place of what the file had, in one step. Raises `OSError`."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, prefix=".", delete=False) as beside:
        beside.write(text)
    try:
        Path(beside.name).chmod(0o644)
        os.replace(beside.name, path)  # noqa: PTH105 - os.replace is the atomic one by its documentation
    except OSError:
        Path(beside.name).unlink()
        raise


if __name__ == "__main__":
    sys.exit(main())
