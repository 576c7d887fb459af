"""Generated worlds: different, whole, and with a truth that can be seen from the client."""

from collections import Counter

import pytest

from netprobe.model.record import to_json
from netprobe.sim import packet as ip
from netprobe.sim.network import Network
from netprobe.sim.packet import Packet
from netprobe.sim.records import Scenario
from netprobe.sim.scenario import load
from netprobe.sim.troubles import PLATFORM, TROUBLES
from netprobe.sim.worlds import generate
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform

WORLDS = tuple(generate(seed) for seed in range(30))


@pytest.fixture(params=WORLDS, ids=lambda world: f"{world.name}-{world.expect.cause}")
def world(request: pytest.FixtureRequest) -> Scenario:
    scenario: Scenario = request.param
    return scenario


def test_a_world_is_always_the_same() -> None:
    """Byte for byte; and no two are alike."""
    assert [to_json(generate(seed)) for seed in range(5)] == [to_json(world) for world in WORLDS[:5]]
    assert len({to_json(world) for world in WORLDS}) == len(WORLDS)


def test_every_trouble_comes_up() -> None:
    """In a few hundred worlds each row of the table is met, and nothing being wrong is the most common one."""
    met = Counter(generate(seed).expect.cause for seed in range(300))
    assert set(met) == {trouble.cause for trouble in TROUBLES}
    assert met.most_common(1)[0][0] == "none.app_device"


def test_addresses_are_those_of_their_networks(world: Scenario) -> None:
    """A world numbers its networks as the Internet does; only the LAN of an exchange is numbered by a third."""
    with AsnTable.open() as table:
        for router in world.routers:
            origin = table.lookup(router.address)
            assert router.asn == 0 or (origin is not None and (origin.exchange or origin.asn == router.asn))
        for server in world.servers:
            for address in server.addresses:
                origin = table.lookup(address)
                assert origin is not None
                assert origin.asn == server.asn


def test_every_name_leads_to_a_server_that_serves_it(world: Scenario) -> None:
    """The names of the typical network are there, at a server with a certificate for them."""
    owner = {address: server for server in world.servers for address in server.addresses}
    assert world.names.keys() == load("healthy").names.keys()
    for name in [target.name for target in load_platform().targets]:
        for address in world.names[name].addresses:
            assert {name, f"*.{name.partition('.')[2]}"} & set(owner[address].serves)


def test_without_its_faults_everything_answers(world: Scenario) -> None:
    """The network under the fault is whole: every server and resolver can be reached."""
    network = Network(Scenario(**{k: getattr(world, k) for k in world.__struct_fields__} | {"faults": ()}))
    addresses = [a for server in world.servers for a in server.addresses] + [r.address for r in world.resolvers]
    for address in addresses:
        assert network.reaches("client", address, 0.0) is not None


def test_a_faulty_world_is_faulty(world: Scenario) -> None:
    """Something is wrong with it; a healthy world has decoys at most."""
    places = {place for fault in world.faults for place in fault.at}
    if world.expect.component == "none":
        assert not places & set(PLATFORM)
        assert all(fault.fraction < 0.05 for fault in world.faults if fault.kind == "drop")
    else:
        assert world.faults
    assert world.expect.component not in world.expect.never


def test_a_transit_outage_spares_somebody(world: Scenario) -> None:
    """Behind a dead transit there are the platform's servers and others', and elsewhere there are some of both."""
    if world.expect.cause != "transit.outage":
        return
    network = Network(world)

    def alive(address: str) -> bool:
        network.inject(Packet(world.client_address, address, icmp_type=ip.ECHO, icmp_code=0), "client", 0.0)
        return any(delivery.node == "servers" for delivery in network.advance(60.0))

    decoys = {place for fault in world.faults[1:] for place in fault.at}
    for platform in (True, False):
        group = [s for s in world.servers if (s.name in PLATFORM) is platform and s.name not in decoys]
        if not platform and len(group) < 6:
            continue  # a decoy may be the one that would be spared
        assert {alive(server.addresses[0]) for server in group} == {True, False}
