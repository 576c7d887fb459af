"""Reads scenario files strictly: what is wrong in one is said with the file, the place in it and a hint.

A file holds the tables of records.py by their TOML names ([[router]], [names], ...). With `network = "typical"` the
tables of `networks/typical.toml` come first and the file's own are added to them.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from netprobe.model.hint import hint
from netprobe.model.host import GivenFacts
from netprobe.model.record import Record
from netprobe.sim import checks, library
from netprobe.sim.feeds import Feed
from netprobe.sim.interception import spread
from netprobe.sim.records import (
    Back,
    Client,
    Entry,
    Expect,
    Fault,
    Link,
    Match,
    Nat,
    RateLimit,
    Resolver,
    Route,
    Router,
    Scenario,
    Server,
    Uplink,
)

__all__ = ["Scenario", "ScenarioError", "json_schema", "load"]

#: Tables that may stand more than once, by their TOML key.
_ROWS: dict[str, type[Record]] = {
    "uplink": Uplink,
    "router": Router,
    "link": Link,
    "server": Server,
    "resolver": Resolver,
    "route": Route,
    "fault": Fault,
}
_NETWORK_KEYS = ("client", "names", *(key for key in _ROWS if key != "fault"))
_MOST_NETWORKS = 4  # that build on each other
_SCENARIO_KEYS = ("sentence", "network", "symptom", "incident", "expect", *_NETWORK_KEYS, "fault")
_NESTED: dict[str, type[Record]] = {
    "match": Match,
    "rate_limit": RateLimit,
    "back": Back,
    "nat": Nat,
    "facts": GivenFacts,
    "feed": Feed,
}
_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<where>.*)`)?$")


class ScenarioError(ValueError):
    """A scenario that cannot be used: one line that says which file, which place, and what to do."""


def load(name_or_path: str | Path) -> Scenario:
    """Read a scenario: a built-in one by its name (`healthy`), any other by its path (`./mine.toml`).

    Raises `ScenarioError` with one line of text when the file is missing, is no TOML, or says what is not understood.
    """
    path = library.find(name_or_path)
    if path is None:
        raise ScenarioError(_missing(str(name_or_path)))
    shown = library.shown(path)
    document = _read(path, shown)
    try:
        _refuse_unknown(document, _SCENARIO_KEYS, "at the top")
        tables = _Tables()
        tables.add_network(path, document)
        tables.add(document)
        scenario = tables.scenario(path.stem, document)
        checks.check(scenario)
        scenario = spread(scenario)
    except checks.WrongError as error:
        msg = f"{shown}: {error}"
        raise ScenarioError(msg) from None
    return scenario


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a scenario file, after `network` was put in its place."""
    schema = msgspec.json.schema(Scenario)
    record = schema["$defs"]["Scenario"]
    del record["properties"]["name"]
    record["properties"]["network"] = {"type": "string", "default": ""}
    record["required"] = ["sentence", "expect"]
    places: dict[str, Any] = schema["$defs"]["Fault"]["properties"]
    for key in ("at", "prefix"):
        places[key] = {"anyOf": [{"type": "string"}, places[key]]}
    del places["end_s"]["default"]  # JSON has no infinity
    entry = record["properties"]["names"]["additionalProperties"]
    record["properties"]["names"]["additionalProperties"] = {
        "anyOf": [{"type": "array", "items": {"type": "string"}}, entry]
    }
    return schema


def _missing(name: str) -> str:
    known = (*library.names(), *library.timelines())
    close = difflib.get_close_matches(Path(name).stem, known, n=3)
    if close:
        remedy = f"did you mean {' or '.join(repr(one) for one in close)}?"
    else:
        remedy = 'run "netprobe lab list" for the built-in ones, or give the path of a .toml file'
    return f"{name}: no such scenario ({remedy})"


def _read(path: Path, shown: str) -> dict[str, Any]:
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        msg = f"{shown}: is not TOML: {error}"
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{shown}: cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8 text'}"
    raise ScenarioError(msg) from None


_parse = lru_cache(maxsize=64)(tomllib.loads)  # most files build on the same few networks; nobody changes a document


class _Tables:
    """The tables of a scenario as they are put together from its network and itself."""

    def __init__(self) -> None:
        self.client: dict[str, Any] = {}
        self.rows: dict[str, list[Any]] = {key: [] for key in _ROWS}
        self.names: dict[str, Entry] = {}

    def add_network(self, path: Path, document: dict[str, Any], depth: int = 0) -> None:
        """The tables of the file that `network` names, which may build on another one in the same way."""
        name = _text(document, "network")
        if not name:
            return
        if depth >= _MOST_NETWORKS:
            msg = f"'network' at the top: {_MOST_NETWORKS} networks already build on each other"
            raise checks.WrongError(msg)
        network = library.find_network(name, path)
        if network is None:
            known = library.networks(path)
            msg = f"no network '{name}' ({hint(name, known)})"
            raise checks.WrongError(msg)
        document = _read(network, library.shown(network))
        try:
            _refuse_unknown(document, ("network", *_NETWORK_KEYS), "at the top")
            self.add_network(network, document, depth + 1)
            self.add(document)
        except checks.WrongError as error:
            msg = f"{library.shown(network)}: {error}"
            raise ScenarioError(msg) from None

    def add(self, document: dict[str, Any]) -> None:
        """One file's tables."""
        client = _table(document.get("client", {}), "[client]")
        _refuse_unknown(client, Client.__struct_fields__, "in [client]")
        self.client |= client
        for key, kind in _ROWS.items():
            rows = list(_rows(document.get(key, []), key, kind))
            again = {_replaces(row) for row in rows} - {None}
            _check_gone(rows, self.rows[key])
            self.rows[key] = [row for row in self.rows[key] if _replaces(row) not in again] + rows
        for name, entry in _table(document.get("names", {}), "[names]").items():
            row = {"addresses": entry} if isinstance(entry, list) else _table(entry, f"[names] '{name}'")
            self.names[name.lower()] = _record(row, Entry, f"[names] '{name}'")

    def scenario(self, name: str, document: dict[str, Any]) -> Scenario:
        """The whole."""
        if not self.client:
            msg = 'there is no [client], and no network = "..." that has one'
            raise checks.WrongError(msg)
        sentence = _text(document, "sentence")
        if not sentence:
            msg = "'sentence' is missing: say in one sentence what happens"
            raise checks.WrongError(msg)
        if "expect" not in document:
            msg = "[expect] is missing: say which component and cause a perfect diagnosis names"
            raise checks.WrongError(msg)
        return Scenario(
            name=name,
            sentence=sentence,
            expect=_record(_table(document["expect"], "[expect]"), Expect, "[expect]"),
            client=_record(self.client, Client, "[client]"),
            uplinks=tuple(self.rows["uplink"]),
            routers=tuple(self.rows["router"]),
            links=tuple(self.rows["link"]),
            servers=tuple(self.rows["server"]),
            resolvers=tuple(self.rows["resolver"]),
            routes=tuple(route for route in self.rows["route"] if route.to),
            names=self.names,
            faults=tuple(self.rows["fault"]),
            symptom=_text(document, "symptom"),
            incident=_text(document, "incident"),
        )


def _replaces(row: Record) -> object:
    """What a later file's row has in common with the one that it replaces; None for rows that are only added."""
    if isinstance(row, Link):
        return frozenset(row.ends)
    if isinstance(row, Route):
        return Route, row.prefix
    return (type(row), row.name) if isinstance(row, Uplink | Router | Server | Resolver) else None


def _check_gone(rows: Iterable[Record], before: Iterable[Record]) -> None:
    """Who takes a route away (`to = ""`) names one that there is."""
    known = {_replaces(row) for row in before}
    for row in rows:
        if isinstance(row, Route) and not row.to and _replaces(row) not in known:
            msg = f"[[route]] '{row.prefix}': 'to' is empty, and the network has no such route to take away"
            raise checks.WrongError(msg)


def _rows(rows: object, key: str, kind: type[Record]) -> Iterable[Record]:
    """Every `[[key]]` as a record."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        msg = f"'{key}' must be written as [[{key}]]"
        raise checks.WrongError(msg)
    for number, row in enumerate(rows, 1):
        label = row.get("kind" if key == "fault" else "name")
        where = f"[[{key}]] '{label}'" if isinstance(label, str) and label else f"[[{key}]] number {number}"
        lists = ("at", "prefix") if key == "fault" else ()
        short = {several: [row[several]] for several in lists if isinstance(row.get(several), str)}
        yield _record(row | short, kind, where)


def _record(row: dict[str, Any], kind: type[Any], where: str) -> Any:  # a record of `kind`
    """`row` as a record. Raises `WrongError` for an unknown key, a missing one, or a wrong type."""
    _refuse_unknown(row, kind.__struct_fields__, f"in {where}")
    for key, nested in _NESTED.items():
        if key in row and key in kind.__struct_fields__:
            known = nested.__struct_encode_fields__
            _refuse_unknown(_table(row[key], f"'{key}' in {where}"), known, f"in {key} of {where}")
    try:
        return msgspec.convert(row, kind)
    except msgspec.ValidationError as error:
        found = _PLACE.match(str(error))
        what, place = (found["what"], found["where"]) if found else (str(error), "")
        what = what[:1].lower() + what[1:].replace("`", "'")
        msg = f"'{place}' in {where}: {what}" if place else f"{where}: {what}"
        raise checks.WrongError(msg) from None


def _text(document: dict[str, Any], key: str) -> str:
    """A key at the top that is text; empty where it is not there."""
    value = document.get(key, "")
    if not isinstance(value, str):
        msg = f"'{key}' at the top: expected 'str', got '{type(value).__name__}'"
        raise checks.WrongError(msg)
    return value


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        msg = f"{where} must be a table"
        raise checks.WrongError(msg)
    return value


def _refuse_unknown(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            msg = f"unknown key '{key}' {where} ({hint(key, known)})"
            raise checks.WrongError(msg)
