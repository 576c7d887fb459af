"""Measurements beside the tools that people use today: `make bench`. Measured here, never asserted in a test.

    python -m tests.benchmarks [--json FILE] [ROW...]

Prints a table, each row as soon as it is known, and with --json writes all of it to a file. The exit code is 1 when a
bar was not held. Without names every row but the slow ones is measured, which takes about four minutes.
"""

import argparse
import os
import platform
import sys
from pathlib import Path

import msgspec

from tests.benchmarks.figures import Figure
from tests.benchmarks.rows import HELD, ROWS, SLOW

_COLUMNS = (("", 42), ("netprobe", 14), ("bar", 14), ("held", 6), ("beside it", 14), ("ratio", 7))


def main(arguments: list[str]) -> int:
    """Measure the rows that were asked for and print each as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[*ROWS, []], help=", ".join(ROWS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there, too")
    asked = parser.parse_args(arguments)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its bytecode
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}"
    )
    print(machine)
    print("".join(f"{head:<{width}}" for head, width in _COLUMNS) + "tool, note")
    figures: list[Figure] = []
    for name in asked.rows or [name for name in ROWS if name not in SLOW]:
        for figure in ROWS[name]():
            figures.append(figure)
            print(_line(figure), flush=True)
    if not asked.rows:
        print("\nheld by tests:")
        print("\n".join(f"  {what:<66}{test}" for what, test in HELD))
    if asked.json:
        rows = [msgspec.to_builtins(figure) | {"held": figure.held, "ratio": figure.ratio} for figure in figures]
        asked.json.write_bytes(msgspec.json.encode({"machine": machine, "load": os.getloadavg()[0], "figures": rows}))
    return int(any(figure.held is False for figure in figures))


def _line(figure: Figure) -> str:
    words = (
        figure.what,
        _number(figure.netprobe, figure.unit),
        _number(figure.bar, figure.unit),
        {True: "yes", False: "NO", None: ""}[figure.held],
        _number(figure.beside, figure.unit),
        f"{figure.ratio:.3g}" if figure.ratio is not None else "",
    )
    columns = "".join(f"{word:<{width}}" for word, (_, width) in zip(words, _COLUMNS, strict=True))
    return (columns + "; ".join(word for word in (figure.tool, figure.note) if word)).rstrip()


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
