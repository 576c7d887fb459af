"""Reports to show: real diagnoses of simulated networks in virtual time."""

from functools import cache
from typing import TypeVar

import msgspec

from netprobe.engine import diagnose
from netprobe.model.report import Report
from netprobe.probing.announced import Sources
from netprobe.sim.virtual import VirtualVantage
from netprobe.topology.asn import AsnTable, Origin
from netprobe.topology.platform import load_platform
from tests.scenarios import load

T = TypeVar("T")


@cache
def _table() -> AsnTable:
    return AsnTable.open()


def whose(address: str) -> Origin | None:
    """The network of an address by the table that comes with netprobe."""
    return _table().lookup(address)


@cache
def sample(scenario: str) -> Report:
    """What a diagnosis inside `scenario` says; the same on every call."""
    network = load(scenario)
    sources = Sources(network.client.announcements)
    return diagnose(VirtualVantage(network, 1), load_platform(), whose, sources=sources)


def soiled(value: T, dirt: str) -> T:
    """`value` with `dirt` in place of every free text in it; enumerations keep what they are."""
    found: object = value
    if type(value) is str:
        found = dirt
    elif isinstance(value, tuple):
        found = tuple(soiled(item, dirt) for item in value)
    elif isinstance(value, dict):
        found = {key: soiled(item, dirt) for key, item in value.items()}
    elif isinstance(value, msgspec.Struct):
        changed = {name: soiled(getattr(value, name), dirt) for name in value.__struct_fields__}
        found = msgspec.structs.replace(value, **changed)
    return found  # type: ignore[return-value]  # of the same kind, whatever it is
