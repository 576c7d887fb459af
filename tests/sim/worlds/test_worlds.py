"""Generated worlds: different, whole, and with a truth that follows from the place of the fault."""

from collections import Counter
from collections.abc import Iterator
from functools import cache

import msgspec
import pytest

from netprobe.model.record import to_json
from netprobe.sim.network import SERVERS, Network
from netprobe.sim.packet import ECHO, Packet
from netprobe.sim.records import Fault, Scenario
from netprobe.sim.routing import CLIENT, Routing
from netprobe.sim.worlds import BLAMABLE, generate, troubles, uplinks
from netprobe.sim.worlds.over_v6 import OVER_V6
from netprobe.sim.worlds.troubles import TROUBLES
from netprobe.topology.addresses import is_private
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform

MANY = 300


@cache
def number(seed: int) -> Scenario:
    return generate(seed)


def worlds(count: int = MANY) -> Iterator[Scenario]:
    return map(number, range(count))


@pytest.fixture(params=range(40))
def world(request: pytest.FixtureRequest) -> Scenario:
    return number(request.param)


def test_a_world_is_always_the_same() -> None:
    """Byte for byte; and no two are alike."""
    assert [to_json(generate(seed)) for seed in range(5)] == [to_json(world) for world in worlds(5)]
    assert len({to_json(world) for world in worlds()}) == MANY


def test_every_trouble_comes_up() -> None:
    """In a few hundred worlds most rows of the table are met, and nothing being wrong is the most common one."""
    met = Counter(world.expect.cause for world in worlds())
    causes = {trouble.cause for trouble in TROUBLES}
    assert met.keys() <= causes
    assert len(met) >= 0.9 * len(causes)
    assert met.most_common(1)[0][0] == "none.app_device"


@pytest.mark.parametrize("row", range(len(TROUBLES)))
def test_every_trouble_fits_somewhere(row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is the only one that is drawn, some worlds have it, with its truth and whether that is found."""
    trouble = TROUBLES[row]
    monkeypatch.setattr(troubles, "TROUBLES", (trouble,))
    found = [world.expect for world in map(generate, range(12)) if world.expect.cause == trouble.cause]
    assert found
    assert {expect.open for expect in found} == {trouble.open}


def test_part_of_the_homes_have_ipv6_and_then_it_works() -> None:
    """Addresses are of the networks that they claim, names lead to servers that are reached, and nobody is in the way."""
    dual = [world for world in worlds(60) if world.client.address6 and not is_private(world.client.address6[:-3])]
    assert 10 < len(dual) < 40
    dual = [world for world in dual if not world.expect.cause.endswith(".ipv6.broken")]
    with AsnTable.open() as table:
        for world in dual:
            asn = {r.name: r.asn for r in world.routers}
            for router in world.routers:
                origin = table.lookup(router.address6) if router.address6 else None
                assert not router.address6 or (origin is not None and asn[router.name] in {0, origin.asn})
            network = Network(msgspec.structs.replace(world, faults=()))
            owner = {address: server for server in world.servers for address in server.addresses}
            for entry in world.names.values():
                for address in entry.aaaa:
                    assert [r.name for r in network.hops(address)] == [
                        r.name for r in network.hops(owner[address].addresses[0])
                    ]
            assert any(entry.aaaa for entry in world.names.values())
            said = [
                router.address6
                for link in world.links
                if link.mtu < 1500
                for router in world.routers
                if router.name in link.ends
            ]
            assert all(said), "who stands at a narrow link says so"


def test_what_only_ipv4_meets_is_in_homes_without_ipv6() -> None:
    """A captive portal, or a carrier without ports, would be no trouble to who has IPv6 too."""
    met = [world for world in worlds() if any(fault.kind in {"redirect", "exhausted"} for fault in world.faults)]
    assert met
    assert not any(world.client.address6 for world in met)


def test_addresses_are_those_of_their_networks(world: Scenario) -> None:
    """A world numbers its networks as the Internet does; only the LAN of an exchange is numbered by a third."""
    with AsnTable.open() as table:
        for router in world.routers:
            origin = table.lookup(router.address)
            assert router.asn == 0 or (origin is not None and (origin.exchange or origin.asn == router.asn))
        for server in world.servers:
            for address in server.addresses:
                origin = table.lookup(address)
                assert server.asn == (origin.asn if origin else 0)
                assert origin is not None or is_private(address)


def test_every_name_leads_to_a_server_that_serves_it(world: Scenario) -> None:
    """All that the catalogue asks is there, at servers with a certificate for it."""
    owner = {address: server for server in world.servers for address in server.addresses}
    platform = load_platform()
    assert world.names.keys() == {t.name for t in platform.targets} | {c.name for c in platform.controls}
    for name, entry in world.names.items():
        for address in entry.addresses:
            assert {name, f"*.{name.partition('.')[2]}"} & set(owner[address].serves), name


def test_without_its_faults_everything_answers(world: Scenario) -> None:
    """The network under the fault is whole: every server and resolver can be reached, within 30 hops."""
    network = Network(msgspec.structs.replace(world, faults=()))
    addresses = [a for server in world.servers for a in server.addresses] + [r.address for r in world.resolvers]
    for address in addresses:
        assert network.reaches("client", address, 0.0) is not None
        assert len(network.hops(address)) < 30


def test_where_ipv6_is_broken_ipv4_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """At home, at the ISP and on the way: something of the platform is lost over IPv6, and nothing over IPv4."""
    monkeypatch.setattr(troubles, "TROUBLES", OVER_V6)
    broken = [world for world in map(generate, range(60)) if world.expect.component != "none"]
    assert {world.expect.cause for world in broken} == {row.cause for row in OVER_V6}
    for world in broken:
        network = Network(world)
        edges = [a for server in world.servers if server.name.endswith("-edge") for a in server.addresses]
        got = {address: arrives(network, address, number) for number, address in enumerate(edges)}
        assert all(here for address, here in got.items() if ":" not in address), world.name
        assert not all(got.values()), world.name


def arrives(network: Network, address: str, number: int) -> bool:
    """Whether one of a few packets comes out at the servers, as large as any line carries."""
    own = network.scenario.client_addresses[":" in address]
    payload = bytes(1420 - (48 if ":" in address else 28))
    for again in range(5):
        echo = Packet(own, address, icmp_type=ECHO, icmp_code=0, icmp_ident=number, icmp_seq=again, payload=payload)
        network.inject(echo, CLIENT, number * 20.0 + again)
    return any(delivery.node == SERVERS for delivery in network.advance(number * 20.0 + 19.0))


def test_layouts_differ() -> None:
    """Homes, lines, ISPs, transits, exchanges, vendors, places and parallel ways: a sweep measures no one topology."""
    platform = load_platform()
    with AsnTable.open() as table:
        origins = {r.address: table.lookup(r.address) for world in worlds() for r in world.routers}
    homes = Counter(sum(r.name.startswith("home-router") for r in world.routers) for world in worlds())
    assert homes.keys() == {0, 1, 2}
    assert {sum(r.name.startswith("isp-") for r in world.routers) for world in worlds()} >= set(range(2, 9))
    assert {count(world, "transit-", "-1") for world in worlds()} == {0, 1, 2, 3, 4}
    assert len({r.asn for world in worlds() for r in world.routers if r.name == "isp-1"}) > 40
    assert len({r.asn for world in worlds() for r in world.routers if r.name == "transit-a-1"}) > 12
    lans = {o.name for o in origins.values() if o is not None and o.exchange}
    assert len(lans) > 15
    widths = Counter(w for world in worlds() for w in ways(world).values())
    assert widths.keys() == {2, 3, 4, 6, 8}
    assert {link.mtu for world in worlds() for link in world.links} == {1430, 1492, 1500}
    served = {(t.role, vendors(world)[t.name]) for world in worlds() for t in platform.targets}
    assert {vendor for _, vendor in served} == {"own", *platform.cdn_asns} - {
        "lumen",
        "cloudflare",
        "prolexic",
        "imperva",
        "radware",
    }
    assert len(served) > 60
    isps = [next((r.asn for r in world.routers if r.name == "isp-1"), 0) for world in worlds()]
    inside = [any(s.vendor and s.asn == isp for s in world.servers) for world, isp in zip(worlds(), isps, strict=True)]
    assert 10 < sum(inside) < MANY / 3
    assert 10 < sum(not is_private(world.client_address) for world in worlds()) < 60


def test_parallel_ways_are_taken() -> None:
    """Flows to what is behind a diamond go over all of its members."""
    for world in worlds(60):
        routing = Routing(world, 0)
        for behind, width in ways(world).items():
            found = {way.hops[-1] for way in routing.ways(CLIENT, behind)}
            assert found == {f"{behind}-way-{n}" for n in range(1, width + 1)}, world.name


def test_a_faulty_world_is_faulty(world: Scenario) -> None:
    """Something is wrong with it that the platform feels; a healthy one has oddities at most."""
    others = {s.name: f"{s.addresses[0]}/32" for s in world.servers if not s.name.endswith("-edge")}
    own = [f for f in world.faults if not harmless(f, others)]
    if world.expect.component == "none":
        assert not own
    else:
        changed = world.client.hosts or world.client.clock_ahead_s
        changed = changed or any(link.loss > 0.05 or not link.ipv6 for link in world.links)
        assert own or changed
    assert set(world.expect.never) <= set(BLAMABLE) - {world.expect.component}


def test_what_is_broken_is_where_the_truth_says() -> None:
    """The component at fault runs the router that the fault is at; and the platform is behind it."""
    prefix = {"isp": ("isp-",), "policy": ("isp-",), "transit": ("transit-",)}
    for world in worlds():
        component = world.expect.component
        routers = {r.name for r in world.routers}
        at = [a for a in world.faults[0].at if a in routers] if world.faults else []
        if component in prefix and at and world.faults[0].kind not in {"congestion", "link"}:  # at a wire
            if world.expect.cause != "transit.exchange.outage":
                assert all(a.startswith(prefix[component]) for a in at), world.name
            routing = Routing(world, 0)
            ways = [way for s in world.servers if s.name.endswith("-edge") for way in routing.ways(CLIENT, s.name)]
            assert any(set(at) & set(way.hops) for way in ways), world.name


def test_an_exchange_that_is_down_takes_all_who_meet_there() -> None:
    """All routers in its LAN, and nobody else's."""
    down = [world for world in worlds() if world.expect.cause == "transit.exchange.outage"]
    assert down
    with AsnTable.open() as table:
        for world in down:
            lans = {r.name: o.name for r in world.routers if (o := table.lookup(r.address)) is not None and o.exchange}
            exchanges = {lans[name] for name in world.faults[0].at}
            assert len(exchanges) == 1
            assert set(world.faults[0].at) == {name for name, lan in lans.items() if lan in exchanges}


def test_a_narrow_line_speaks() -> None:
    """A router in front of a narrow line says what fits: a silent one would be a fault that nobody named."""
    for world in worlds():
        routers = {r.name: r for r in world.routers}
        ends = [end for link in world.links if link.mtu < 1500 for end in link.ends if not end.startswith("home")]
        speaking = all(not routers[end].silent and routers[end].rate_limit is None for end in ends)
        clamped = any(router.mss_clamp for router in world.routers)
        assert speaking or clamped or world.expect.cause == "home.mtu.blackhole"
        if ends and world.expect.component == "none":
            assert not any(f.kind == "drop" and f.match.protocol == "icmp" for f in world.faults)


def test_every_oddity_comes_up() -> None:
    """What makes networks odd and harms nobody is met in a few hundred worlds: each in three at least."""
    met: Counter[str] = Counter()
    for world in worlds():
        routers, links = world.routers, world.links
        met.update(
            name
            for name, here in {
                "translates": any(r.nat for r in routers),
                "translates twice": sum(r.nat is not None for r in routers) > 1,
                "few ports": any(r.nat and r.nat.ports for r in routers),
                "clamps": any(r.mss_clamp for r in routers),
                "labels": any(r.mpls for r in routers),
                "hides": any(not r.propagate_ttl for r in routers),
                "garbles": any(r.mangle for r in routers),
                "tells interfaces": any(r.interfaces for r in routers),
                "limits each": any(r.rate_limit and r.rate_limit.per == "peer" for r in routers),
                "other way back": any(r.name == "back-1" for r in routers),
                "queue": any(link.rate_mbit and link.queue_ms > 200 for link in links),
                "hours": any(f.kind == "congestion" and f.begin_s for f in world.faults),
                "bursts": any(f.loss_burst > 1 for f in world.faults) or any(link.loss_burst > 1 for link in links),
                "cookies": any(f.cookies and not f.syn_loss for f in world.faults),
                "large pages": any(s.body_bytes for s in world.servers),
                "private IPv6": world.client.address6.startswith("fd"),
                "others silent over IPv6": any(quiet_over_v6(f) for f in world.faults),
                "QUIC announced and closed": any("alt-svc" in s.headers and not s.quic for s in world.servers),
                "a little work": any(f.kind == "busy" and f.delay_ms < 100 for f in world.faults),
                "a stick without a lease": any(f.kind == "no_lease" and f.at != (CLIENT,) for f in world.faults),
            }.items()
            if here
        )
    assert len(met) == 20
    assert min(met.values()) >= 3, met


def quiet_over_v6(fault: Fault) -> bool:
    """Some addresses of IPv6 alone do not answer."""
    return (
        fault.kind == "drop"
        and bool(fault.match.destination)
        and all(a.endswith("/128") for a in fault.match.destination)
    )


def harmless(fault: Fault, others: dict[str, str]) -> bool:
    """A fault that changes nothing for the platform: an oddity."""
    if fault.kind in {"rate_limit", "delay", "silent"}:
        return True
    if fault.kind in {"congestion", "link"}:
        return fault.load < 1.0 and fault.loss < 0.01
    if fault.kind in {"busy", "no_lease"}:
        return fault.at != (CLIENT,) or 0 < fault.delay_ms < 100
    if fault.kind == "overload":
        return not fault.syn_loss and not fault.delay_ms
    if fault.kind == "drop":
        aimed = (
            fault.match.protocol == "icmp"
            or fault.match.port == 53
            or set(fault.match.destination) & set(others.values())
        )
        return bool(aimed) or quiet_over_v6(fault) or fault.fraction < 0.05
    return len(fault.at) == 1 and fault.at[0] in others


def count(world: Scenario, begin: str, end: str) -> int:
    return sum(r.name.startswith(begin) and r.name.endswith(end) and r.name.count("-") == 2 for r in world.routers)


def ways(world: Scenario) -> Counter[str]:
    """How wide each diamond of a world is."""
    return Counter(r.name.rpartition("-way-")[0] for r in world.routers if "-way-" in r.name)


def vendors(world: Scenario) -> dict[str, str]:
    """Who serves each name of a world."""
    owner = {address: server.vendor for server in world.servers for address in server.addresses}
    return {name: owner[entry.addresses[0]] for name, entry in world.names.items()}


def test_some_homes_have_another_uplink() -> None:
    """One home in ten or so: of another provider, with ways to everybody that cross nothing of the first one's."""
    two = [world for world in worlds() if world.uplinks]
    assert 0.05 * MANY < len(two) < 0.2 * MANY
    for world in two:
        (uplink,) = world.uplinks
        routing = Routing(world, 0)
        own = {router.name for router in world.routers if router.name.startswith("lte-")}
        for server in world.servers:
            there, here = routing.way(uplink.name, server.name), routing.way(CLIENT, server.name)
            assert there is not None
            assert here is not None
            assert not any(hop.startswith(("isp-", "home-", "transit-")) for hop in there.hops)
            assert not own.intersection(here.hops)


def test_another_uplink_changes_nothing_else_of_a_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is drawn for it is drawn apart: without it the world is what it would be."""
    seed = next(seed for seed in range(MANY) if number(seed).uplinks)
    world = number(seed)
    monkeypatch.setattr(uplinks, "_HOMES", 0.0)
    without = generate(seed)
    assert not without.uplinks
    assert world.routers[: len(without.routers)] == without.routers
    assert world.links[: len(without.links)] == without.links
    assert world.faults[: len(without.faults)] == without.faults
    assert all(fault.at == (world.uplinks[0].name,) for fault in world.faults[len(without.faults) :])
    assert (world.servers, world.expect) == (without.servers, without.expect)
