"""What the tests with real packets share: one healthy world of each fidelity, which nobody changes."""

from collections.abc import Iterator

import pytest

from netprobe.sim.world import Fidelity, World
from tests.sim.real_scenario import scenario


@pytest.fixture(scope="session", params=list(Fidelity), ids=str)
def healthy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world in which nothing is wrong."""
    with World(scenario(tmp_path_factory.mktemp("scenario")), fidelity=request.param) as world:
        yield world


@pytest.fixture(params=list(Fidelity), ids=str)
def fidelity(request: pytest.FixtureRequest) -> Fidelity:
    """How real the world is that a test makes for itself."""
    return Fidelity(request.param)
