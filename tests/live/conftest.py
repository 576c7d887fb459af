"""The network and the certificate authority that the tests of this room share."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.live.live_authority import Authority
from tests.live.live_network import Network, network_of_routers

settings.register_profile("live", deadline=None)  # other work on the machine is no failure
settings.load_profile("live")


@pytest.fixture(scope="session")
def network() -> Iterator[Network]:
    """A client, two kernel routers and a server."""
    if os.geteuid() != 0:
        pytest.fail("packet tests make network namespaces: run them as root")
    with network_of_routers() as made:
        yield made


@pytest.fixture
def inside(network: Network) -> Iterator[Network]:
    """The network, with the test itself on the client."""
    with network.client.inside():
        yield network


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Whom the tests' clients trust."""
    return Authority("Tests")
