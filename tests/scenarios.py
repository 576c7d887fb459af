"""Built-in scenarios for tests, each read once: a record does not change, and reading one takes as long as a test."""

from functools import cache

from netprobe.sim.records import Scenario
from netprobe.sim.scenario import load as read


@cache
def load(name: str) -> Scenario:
    """The scenario of that name."""
    return read(name)
