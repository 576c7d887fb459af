"""Reports to show: real diagnoses of simulated networks in virtual time."""

from functools import cache

from netprobe.engine import diagnose
from netprobe.model.report import Report
from netprobe.sim.scenario import load
from netprobe.sim.virtual import VirtualVantage
from netprobe.topology.asn import AsnTable, Origin
from netprobe.topology.platform import load_platform


@cache
def _table() -> AsnTable:
    return AsnTable.open()


def whose(address: str) -> Origin | None:
    """The network of an address by the table that comes with netprobe."""
    return _table().lookup(address)


@cache
def sample(scenario: str) -> Report:
    """What a diagnosis inside `scenario` says; the same on every call."""
    return diagnose(VirtualVantage(load(scenario), 1), load_platform(), whose)
