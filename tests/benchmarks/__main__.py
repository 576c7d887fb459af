"""Measurements beside the tools that people use today: `make bench`. Measured here, never asserted in a test.

Prints a table; with --json one object a figure instead. Arguments choose rows by name. All of them take about five
minutes, most of which is mtr.
"""

import os
import platform
import sys

import msgspec

from tests.benchmarks import measures
from tests.benchmarks.measures import Figure
from tests.benchmarks.tap import tap

_COLUMNS = (("", 34), ("netprobe", 14), ("beside it", 14), ("ratio", 8))

ROWS = {**measures.ROWS, "tap": tap}


def main(arguments: list[str]) -> int:
    """Measure the rows that were asked for and print each as soon as it is known."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
    as_json = "--json" in arguments
    chosen = [word for word in arguments if not word.startswith("-")]
    unknown = set(chosen) - ROWS.keys()
    if unknown:
        sys.stderr.write(f"benchmarks: no such row: {', '.join(sorted(unknown))}; there are: {', '.join(ROWS)}\n")
        return 2
    if not as_json:
        machine = f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}"
        print(f"{machine}, Python {platform.python_version()}")
        print("".join(f"{head:<{width}}" for head, width in _COLUMNS) + "note")
    for name in chosen or ROWS:
        for figure in ROWS[name]():
            print(msgspec.json.encode(figure).decode() if as_json else _line(figure), flush=True)
    return 0


def _line(figure: Figure) -> str:
    beside = "" if figure.beside is None else _number(figure.beside, figure.unit)
    ratio = f"{figure.ratio:.3g}" if figure.ratio else ""
    words = (figure.what, _number(figure.netprobe, figure.unit), beside, ratio)
    return "".join(f"{word:<{width}}" for word, (_, width) in zip(words, _COLUMNS, strict=True)) + figure.note


def _number(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
