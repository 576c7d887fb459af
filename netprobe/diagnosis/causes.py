"""The tables: causes with their sentences and advice, priors, and how likely each answer of a signal is given a cause.

Read once, strictly: an unknown key, cause, signal or state is refused with the file, the place and a hint.
"""

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from netprobe.diagnosis.signals import SIGNALS
from netprobe.model.record import Record
from netprobe.model.verdict import Cause, Component

DATA = Path(__file__).parent.parent / "data"
CAUSES = DATA / "causes.toml"
LIKELIHOODS = DATA / "likelihoods.toml"

NOBODY = "none.app_device"  # the cause that is left when everything measurable works


class TableError(ValueError):
    """A table that cannot be used: the message says which file, where in it, and what to do."""


class Step(Record, frozen=True):
    """A piece of advice. When every signal in `checks` is good, netprobe has done it already, and says `fine`."""

    step: str
    checks: tuple[str, ...] = ()
    fine: str = ""


class Tables(Record, frozen=True):
    """Everything that the weighing and the wording need. `prior` and `likelihood` are natural logarithms.

    They are over the causes that are weighed; `causes` has those too that no evidence tells yet.
    """

    causes: dict[str, Cause]
    advice: dict[str, Step]
    nodes: dict[str, str]
    prior: dict[str, float]
    likelihood: dict[tuple[str, str], dict[str, float]]


@cache
def tables() -> Tables:
    """The tables that come with netprobe."""
    return load(CAUSES, LIKELIHOODS)


def load(causes_path: Path, likelihoods_path: Path) -> Tables:
    """Read and check both tables. Raises `TableError` with one line of text."""
    raw, weights = _read(causes_path), _read(likelihoods_path)
    name = causes_path.name
    _keys(name, "the top", raw, ("advice", "node", "cause"))
    advice = {key: _row(name, f"advice.{key}", row, Step) for key, row in raw.get("advice", {}).items()}
    causes = _causes(name, raw.get("cause", []), advice)
    for key, step in advice.items():
        for signal in step.checks:
            _known(name, f"advice.{key}", "signal", signal, [s.id for s in SIGNALS])
    nodes = {str(k): str(v) for k, v in raw.get("node", {}).items()}
    for key in nodes:
        _known(name, "node", "inner place", key, inner_nodes(causes))
    name = likelihoods_path.name
    _keys(name, "the top", weights, ("source", "prior", "signal"))
    weighed = {ident: cause for ident, cause in causes.items() if cause.weighed}
    prior = _prior(name, weights.get("prior", {}), weighed)
    return Tables(causes, advice, nodes, prior, _likelihood(name, weights.get("signal", {}), weighed))


def inner_nodes(causes: Iterable[str]) -> list[str]:
    """Every proper prefix of the ids: `policy`, `policy.tls`, ..."""
    parts = [c.split(".") for c in causes]
    return sorted({".".join(p[:n]) for p in parts for n in range(1, len(p))})


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        msg = f"{path}: no such file"
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{path}: cannot be read: {error}"
    except tomllib.TOMLDecodeError as error:
        msg = f"{path.name}: is not TOML: {error}"
    raise TableError(msg)


def _causes(name: str, rows: list[dict[str, Any]], advice: Mapping[str, Step]) -> dict[str, Cause]:
    causes: dict[str, Cause] = {}
    for row in rows:
        ident = str(row.get("id", "?"))
        component = ident.split(".", maxsplit=1)[0]
        _known(name, ident, "component", component, [c.value for c in Component])
        cause = _row(name, ident, {**row, "component": component}, Cause)
        if ident in causes:
            msg = f"{name}: cause '{ident}' stands twice"
            raise TableError(msg)
        for key in cause.advice:
            _known(name, ident, "advice", key, advice)
        causes[ident] = cause
    for cause in causes.values():
        _known(name, cause.id, "look_alike", cause.look_alike, causes)
    return causes


def _prior(name: str, rows: Mapping[str, float], causes: Mapping[str, Cause]) -> dict[str, float]:
    for ident in rows:
        _known(name, "prior", "cause", ident, causes)
    missing = [c for c in causes if c not in rows]
    if missing:
        msg = f"{name}: [prior] lacks '{missing[0]}'"
        raise TableError(msg)
    total = sum(rows.values())
    return {ident: math.log(weight / total) for ident, weight in rows.items()}


def _likelihood(
    name: str, rows: Mapping[str, Mapping[str, Mapping[str, float]]], causes: Mapping[str, Cause]
) -> dict[tuple[str, str], dict[str, float]]:
    signals = {s.id: s for s in SIGNALS}
    found: dict[tuple[str, str], dict[str, float]] = {}
    for ident, states in rows.items():
        _known(name, "signal", "signal", ident, signals)
        for state, row in states.items():
            where = f'signal."{ident}".{state}'
            _known(name, f'signal."{ident}"', "state", state, signals[ident].states)
            for pattern, value in row.items():
                if pattern != "*" and not pattern.endswith(".*"):
                    _known(name, where, "cause", pattern, causes)
                elif pattern != "*" and not any(c.startswith(pattern[:-1]) for c in causes):
                    msg = f"{name}: in {where}: no cause fits '{pattern}'"
                    raise TableError(msg)
                if not 0 < value < 1:
                    msg = f"{name}: in {where}: '{pattern}' must lie between 0 and 1, not {value}"
                    raise TableError(msg)
            if "*" not in row:
                msg = f'{name}: {where} lacks "*", for the causes that it does not name'
                raise TableError(msg)
            found[ident, state] = {c: math.log(_pick(row, c)) for c in causes}
    for signal in SIGNALS:
        for state in signal.states:
            if (signal.id, state) not in found:
                msg = f"{name}: no row for state '{state}' of signal '{signal.id}'"
                raise TableError(msg)
    return found


def _pick(row: Mapping[str, float], cause: str) -> float:
    """The value of the longest pattern that fits `cause`."""
    if cause in row:
        return row[cause]
    parts = cause.split(".")
    prefixes = [".".join(parts[:n]) + ".*" for n in range(len(parts) - 1, 0, -1)]
    return next((row[p] for p in prefixes if p in row), row["*"])


def _row(name: str, where: str, row: dict[str, Any], kind: type[Any]) -> Any:
    _keys(name, where, row, kind.__struct_fields__)
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        msg = f"{name}: in '{where}': {error}"
        raise TableError(msg) from None


def _keys(name: str, where: str, row: Iterable[str], known: Iterable[str]) -> None:
    for key in row:
        _known(name, where, "key", key, known)


def _known(name: str, where: str, what: str, key: str, known: Iterable[str]) -> None:
    names = list(known)
    if key in names:
        return
    near = difflib.get_close_matches(key, names, n=1)
    hint = f" (did you mean '{near[0]}'?)" if near else ""
    msg = f"{name}: unknown {what} '{key}' in '{where}'{hint}"
    raise TableError(msg)
