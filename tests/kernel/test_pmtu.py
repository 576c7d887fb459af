"""Path MTU discovery and rate tests through Linux routers.

client 192.0.2.2 -- 192.0.2.1 first 198.51.100.1 -- 198.51.100.2 second 203.0.113.1 -- server 203.0.113.2
"""

from collections.abc import Iterator

import pytest

from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import BlackHole, Flow, PathMtu, Protocol
from netprobe.probing.loss import Silence, judge
from netprobe.probing.pmtu import PathMtuSession
from netprobe.probing.rate_limit import RateLimitSession
from netprobe.probing.run import one, run
from tests.live.live_network import HOPS, SERVER, Network, network_of_routers

pytestmark = pytest.mark.packets

FLOW = Flow(Protocol.ICMP, SERVER)


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with network_of_routers() as made:
        yield made


def find(network: Network, flow: Flow = FLOW) -> PathMtu:
    with network.client.inside(), LiveVantage() as vantage:
        return run(one(PathMtuSession(flow)), vantage)


def narrow(network: Network, mtu: int) -> None:
    """The link between the routers has this MTU."""
    network.first.run("ip", "link", "set", "outer", "mtu", str(mtu))
    network.second.run("ip", "link", "set", "inner", "mtu", str(mtu))


@pytest.mark.parametrize("protocol", [Protocol.ICMP, Protocol.UDP])
def test_mtu_that_a_router_tells(network: Network, protocol: Protocol) -> None:
    """A kernel's "fragmentation needed" is followed to the MTU of its link."""
    narrow(network, 1400)
    found = find(network, Flow(protocol, SERVER, 0 if protocol is Protocol.ICMP else 33434))
    assert (found.mtu, found.told, found.black_hole) == (1400, ((HOPS[0], 1400),), None)


def test_black_hole(network: Network) -> None:
    """Where the router is made to keep quiet about it, the link is named."""
    narrow(network, 1400)
    with network.first.firewall("output icmp type destination-unreachable drop"):
        found = find(network)
    assert (found.mtu, found.told) == (1400, ())
    assert found.black_hole == BlackHole(1401, (1, HOPS[0]), (2, HOPS[1]))


def test_wide_path(network: Network) -> None:
    """Ethernet all the way: two probes."""
    narrow(network, 1500)
    found = find(network)
    assert (found.mtu, found.black_hole, len(found.exchanges)) == (1500, None, 2)


def test_kernel_limiter_is_no_loss(network: Network) -> None:
    """A Linux router that answers fifty errors a second is told to be a limiter of fifty a second."""
    network.first.sysctl(icmp_ratelimit=20)  # milliseconds
    with network.client.inside(), LiveVantage() as vantage:
        limited = judge(run(one(RateLimitSession(FLOW, 1, rate=100.0)), vantage).phases)
    network.first.sysctl(icmp_ratelimit=0)
    assert limited.silence is Silence.LIMITER
    assert limited.rate == pytest.approx(50.0, rel=0.2)


def test_kernel_loss_is_no_limiter(network: Network) -> None:
    """Packets that are dropped at random are lost at any rate."""
    with (
        network.first.firewall("prerouting numgen random mod 100 < 20 drop"),
        network.client.inside(),
        LiveVantage() as vantage,
    ):
        lossy = judge(run(one(RateLimitSession(FLOW, 2, rate=100.0)), vantage).phases)
    assert lossy.silence is Silence.LOSS
    assert lossy.loss == pytest.approx(0.3, abs=0.15)  # both ways of the packet cross it
