"""docs/causes.md from the table of causes: `python -m netprobe.diagnosis.table > docs/causes.md`."""

import sys

from netprobe.diagnosis.causes import Tables, tables
from netprobe.model.verdict import Cause, Component

_HEAD = """\
# The causes

Generated from `netprobe/data/causes.toml` by `make docs`: change the table, not this page.

An id is a place in a hierarchy, and its first part is the component at fault. Where the evidence does not reach down to
a cause, the answer is the deepest place that it does reach (`policy.tls`); where two components are too close, it is
`undetermined`, with the probe that would settle it. Durations are expectations from public outages, never promises.

Causes that are marked *not told yet* are here for the scenarios in which they are the truth: the evidence that tells
them from their look-alikes is not weighed yet, so no verdict names them.
"""

_FALLBACK = Component.UNDETERMINED.value  # it is not weighed: it is said where the weights do not suffice
_NOT_TOLD = "*not told yet*"

_GUIDE_CLASSES = {
    "a": "technical glitch",
    "b": "planned maintenance",
    "c": "attack",
    "d": "connectivity",
    "e": "the user's own side",
}


def page(table: Tables) -> str:
    """The whole page."""
    parts = [_HEAD, _overview(table)]
    component = ""
    for cause in table.causes.values():
        if cause.component != component:
            component = cause.component
            parts.append(f"## {component.value}\n")
        parts.append(_cause(cause, table))
    return "\n".join(parts)


def _overview(table: Tables) -> str:
    rows = ["| id | guide class | in one sentence |", "|---|---|---|"]
    for c in table.causes.values():
        mark = "" if c.weighed or c.id == _FALLBACK else f" ({_NOT_TOLD})"
        rows.append(f"| [`{c.id}`](#{_anchor(c.id)}){mark} | {c.guide_class} | {c.sentence} |")
    return "\n".join(rows) + "\n"


def _cause(cause: Cause, table: Tables) -> str:
    steps = "\n".join(f"{n}. {table.advice[key].step}" for n, key in enumerate(cause.advice, 1))
    told = f"{_NOT_TOLD}\n\n"
    return (
        f"### {cause.id}\n\n{cause.sentence}\n\n"
        f"{'' if cause.weighed or cause.id == _FALLBACK else told}"
        f"- guide class: {cause.guide_class}, {_GUIDE_CLASSES.get(cause.guide_class, 'none')}\n"
        f"- usually lasts: {cause.duration}\n"
        f"- looks like [`{cause.look_alike}`](#{_anchor(cause.look_alike)}); "
        f"what tells them apart: {cause.discriminator}\n\n"
        f"What to do:\n\n{steps}\n"
    )


def _anchor(ident: str) -> str:
    """How a heading's anchor is made: lower case, without dots."""
    return ident.replace(".", "")


if __name__ == "__main__":
    sys.stdout.write(page(tables()))
