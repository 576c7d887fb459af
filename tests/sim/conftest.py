"""What the tests with real packets share: one healthy world, which nobody changes."""

from collections.abc import Iterator

import pytest

from netprobe.sim.world import World
from tests.sim.real_scenario import scenario


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world in which nothing is wrong."""
    with World(scenario(tmp_path_factory.mktemp("scenario"))) as world:
        yield world
