"""What a scenario asks of a simulator: the keys that it uses, and the kinds of its faults with their places and matches.

Scenarios that ask the same are simulated by the same code, so one of them stands for all where a test is dear.
"""

import math
from collections.abc import Iterable, Iterator
from functools import cache

import msgspec

from netprobe.model.record import Record
from netprobe.sim import library
from netprobe.sim.middlebox import QUIC
from netprobe.sim.records import Fault, Scenario
from tests.scenarios import load

Feature = tuple[str, ...]

#: Keys that name or number something: whatever their value, the same code handles it.
_LABELS = frozenset({"name", "address", "addresses", "asn", "at", "ends", "vendor", "serves"})
_FAULT_LABELS = frozenset({"kind", "at", "match", "begin_s", "end_s"})


_fields = cache(msgspec.structs.fields)


def _used(row: Record, labels: frozenset[str] = _LABELS) -> Iterator[str]:
    """The keys of `row` that say something other than what they say by default, and are no labels."""
    for field in _fields(type(row)):
        default = field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        if field.name not in labels and getattr(row, field.name) != default:
            yield field.name


def _fault(scenario: Scenario, fault: Fault) -> Iterator[Feature]:
    places = {row.name: kind for kind in ("router", "server", "resolver") for row in getattr(scenario, kind + "s")}
    for where in {places.get(at, at) for at in fault.at}:
        yield "fault", fault.kind, "at", where
        for key in _used(fault, _FAULT_LABELS):
            yield "fault", fault.kind, where, key
    for key in _used(fault.match, frozenset()):
        yield "fault", fault.kind, "match", key
    if fault.match.protocol == QUIC:  # which takes code of its own
        yield "fault", fault.kind, "match", QUIC
    if fault.begin_s or fault.end_s != math.inf:
        yield "fault", fault.kind, "timed"


def features(scenario: Scenario) -> frozenset[Feature]:
    """Everything that is asked of a simulator of `scenario`."""
    found: set[Feature] = {("client", key) for key in _used(scenario.client)}
    found.add(("gateway", scenario.client.gateway))  # which network it is
    for kind in ("router", "link", "server", "resolver", "route"):
        for row in getattr(scenario, kind + "s"):
            found |= {(kind, key) for key in _used(row)}
    for fault in scenario.faults:
        found |= set(_fault(scenario, fault))
    if scenario.symptom:
        found.add(("symptom", scenario.symptom))
    return frozenset(found)


@cache
def features_of(name: str) -> frozenset[Feature]:
    """Everything that the built-in scenario `name` asks for."""
    return features(load(name))


@cache
def representatives(without: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """A few built-in scenarios that together ask for everything that all of them (but `without`) ask for.

    Greedy: the one that adds most is taken next, the first by name among equals.
    """
    left = {name: features_of(name) for name in library.names() if name not in without}
    wanted = frozenset[Feature]().union(*left.values())
    chosen: list[str] = []
    while wanted:
        best = max(sorted(left), key=lambda name: len(left[name] & wanted))
        chosen.append(best)
        wanted -= left.pop(best)
    return tuple(sorted(chosen))


def alone(names: Iterable[str]) -> dict[str, list[Feature]]:
    """For each of `names`, what none of the others asks for: why it is needed."""
    asked = {name: features_of(name) for name in names}
    return {
        name: sorted(own - frozenset[Feature]().union(*(f for other, f in asked.items() if other != name)))
        for name, own in asked.items()
    }
