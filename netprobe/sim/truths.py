"""What a scenario may expect: components, and causes of the table that the diagnosis names its answers from."""

import difflib
import tomllib
from functools import cache
from pathlib import Path

from netprobe.model.hint import hint
from netprobe.model.verdict import Component
from netprobe.sim.records import Expect

_TABLE = Path(__file__).resolve().parents[1] / "data" / "causes.toml"


class ExpectationError(ValueError):
    """An expectation that no verdict can meet."""


@cache
def causes() -> frozenset[str]:
    """Every id of the table of causes (data/causes.toml)."""
    return frozenset(row["id"] for row in tomllib.loads(_TABLE.read_text(encoding="utf-8"))["cause"])


@cache
def places() -> tuple[str, ...]:
    """Every answer that a verdict may give: a cause, an inner place of their hierarchy, or none of them."""
    parts = [ident.split(".") for ident in causes()]
    inner = {".".join(p[:n]) for p in parts for n in range(1, len(p))}
    return tuple(sorted(causes() | inner | {Component.UNDETERMINED.value}))


def component_of(cause: str) -> str:
    """The component at fault, by the first part of a cause's id."""
    return cause.partition(".")[0]


def check_expect(expect: Expect) -> None:
    """Raise `ExpectationError` for a component or a cause that there is not, and for a contradiction."""
    components = [component.value for component in Component]
    for component in (expect.component, *expect.never):
        if component not in components:
            msg = f"there is no component '{component}' ({hint(component, components)})"
            raise ExpectationError(msg)
    for cause in (expect.cause, *expect.also):
        _check_cause(cause)
        if component_of(cause) in expect.never:
            msg = f"component '{component_of(cause)}' is expected and in never"
            raise ExpectationError(msg)
    if component_of(expect.cause) != expect.component:
        msg = f"cause '{expect.cause}' is one of component '{component_of(expect.cause)}', not of '{expect.component}'"
        raise ExpectationError(msg)
    for cause in expect.mistaken_for:
        _check_cause(cause)
        if cause in {expect.cause, *expect.also}:
            msg = f"cause '{cause}' is expected and in mistaken_for"
            raise ExpectationError(msg)
    if expect.cause in expect.also:
        msg = f"cause '{expect.cause}' is expected twice; also is for another one at the same time"
        raise ExpectationError(msg)


def _check_cause(cause: str) -> None:
    if cause not in places():
        close = difflib.get_close_matches(cause, places(), n=1)
        remedy = f"did you mean '{close[0]}'?" if close else "docs/causes.md lists them"
        msg = f"there is no cause '{cause}' ({remedy})"
        raise ExpectationError(msg)
