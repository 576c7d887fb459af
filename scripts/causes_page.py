#!/usr/bin/env python3
"""Write docs/causes.md from the table of causes and the scenarios that show them. `--check` only compares."""

import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from netprobe.diagnosis.causes import tables
from netprobe.model.verdict import Cause, Component
from netprobe.sim import library
from netprobe.sim.scenario import load

PAGE = Path(__file__).resolve().parents[1] / "docs" / "causes.md"
HEADINGS = {
    Component.HOME: "The user's own side",
    Component.ISP: "The internet provider",
    Component.TRANSIT: "The networks in between",
    Component.POLICY: "A block on purpose",
    Component.PLATFORM: "The platform",
    Component.NONE: "Nobody on the network",
}
CLASSES = {
    "a": "technical glitch",
    "b": "planned maintenance",
    "c": "attack",
    "d": "connectivity",
    "e": "the user's own side",
}


def page() -> str:
    """The whole page."""
    shown: dict[str, list[str]] = defaultdict(list)
    for name in library.names():
        shown[load(name).expect.cause].append(name)
    lines = [
        "# Causes",
        "What a verdict can name. Written from `netprobe/data/causes.toml` by `make docs`; do not edit.",
        "How likely each piece of evidence is given a cause stands in `netprobe/data/likelihoods.toml`.",
    ]
    for component, causes in groupby(tables().causes.values(), key=lambda cause: cause.component):
        lines += ["", f"## {HEADINGS[component]}"]
        for cause in causes:
            lines += ["", *entry(cause, shown[cause.id])]
    return "\n".join(lines) + "\n"


def entry(cause: Cause, scenarios: list[str]) -> Iterator[str]:
    """One cause."""
    yield f"### {cause.id}"
    yield cause.sentence
    yield ""
    if cause.guide_class in CLASSES:
        yield f"- kind of outage: {CLASSES[cause.guide_class]}"
    yield f"- usually lasts: {cause.duration}"
    yield f"- what to do: {' '.join(tables().advice[key].step for key in cause.advice)}"
    if cause.look_alike:
        yield f"- looks like `{cause.look_alike}`; what tells them apart: {cause.discriminator}"
    if scenarios:
        yield f"- shown by: {', '.join(f'`{name}`' for name in scenarios)}"


def main() -> int:
    """Write the page, or say that it is not what it should be."""
    if "--check" in sys.argv[1:]:
        current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        if not current:
            sys.stderr.write("docs/causes.md is not current: make docs\n")
        return not current
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
