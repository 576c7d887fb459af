"""IPv6 in the simulated network: its own addresses over the same wires, its own ways, its own rules."""

from typing import Any

import msgspec
import pytest

from netprobe.model.host import HostState, Inspect
from netprobe.model.probes import Flow, Path, PathMtu, Probe, Protocol, Reply, ReplyKind, Train
from netprobe.model.replies import Interface
from netprobe.model.services import Answer, Fetch, Handshake, Handshaken, Lookup, Response
from netprobe.probing.pmtu import PathMtuSession
from netprobe.probing.port import Outcome, Request
from netprobe.probing.run import one, run
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.train import TrainSession
from netprobe.sim import packet as ip
from netprobe.sim import prefixes
from netprobe.sim.network import Delivery, Network
from netprobe.sim.packet import Packet
from netprobe.sim.records import Entry, Link, Nat, Router, Scenario
from netprobe.sim.tcp_options import offered_mss, syn_options
from netprobe.sim.virtual import VirtualVantage
from tests.sim.small import (
    CLIENT_V6,
    RESOLVER_V6,
    ROUTERS_V6,
    SERVER,
    SERVER_V6,
    datagram,
    dual,
    echo,
    fault,
    line,
    segment,
)

replace = msgspec.structs.replace


def outcome(network: Network, packet: Packet, now: float = 0.0) -> list[Delivery]:
    """What comes of one packet of the client, each as its bytes say it: they are right IPv6, checksums and all."""
    network.inject(packet, "client", now)
    return [Delivery(d.node, again(d.packet), d.at_s) for d in network.advance(now + 60)]


def again(packet: Packet) -> Packet:
    """What the bytes of a packet say, once its checksum was found right."""
    data = packet.to_bytes()
    if ":" not in packet.source:
        return Packet.from_bytes(data)
    pseudo = data[8:40] + (len(data) - 40).to_bytes(4) + data[6].to_bytes(4)
    assert ip.checksum(pseudo + data[40:]) == 0
    return Packet.from_bytes(data)


def only(network: Network, packet: Packet, now: float = 0.0) -> Packet:
    """The one packet that comes of one packet."""
    (delivery,) = outcome(network, packet, now)
    return delivery.packet


def asked(request: Request, scenario: Scenario) -> Outcome:
    """What comes of a request in virtual time."""
    vantage = VirtualVantage(scenario)
    vantage.send(request)
    event = vantage.receive(100.0)
    assert event is not None
    return event.outcome


# --- forwarding


def test_each_hop_limit_is_answered_by_its_router() -> None:
    """From its address of IPv6, with the quote as it came; the next one gets to the server."""
    network = Network(dual())
    for ttl, address in enumerate(ROUTERS_V6, 1):
        error = only(network, echo(SERVER_V6, ttl=ttl))
        assert (error.source, error.icmp_type, error.quoted().ttl) == (address, ip.TIME_EXCEEDED, 1)
        assert (error.to_bytes()[40], error.to_bytes()[41]) == (3, 0)
    (arrived,) = outcome(network, echo(SERVER_V6, ttl=5))
    assert (arrived.node, arrived.packet.ttl) == ("servers", 1)
    assert [router.address6 for router in network.hops(SERVER_V6)] == [*ROUTERS_V6]


def test_routers_answer_echo_requests_at_their_address() -> None:
    """And refuse what else is for them."""
    network = Network(dual())
    reply = only(network, echo(ROUTERS_V6[2], number=7))
    assert (reply.source, reply.icmp_type, reply.icmp_seq) == (ROUTERS_V6[2], ip.ECHO_REPLY, 7)
    assert only(network, segment(ROUTERS_V6[2], flags=ip.SYN)).flags & ip.RST
    error = only(network, datagram(ROUTERS_V6[2], port=33434))
    assert error.to_bytes()[40:42] == bytes([1, 4])  # port unreachable


def test_a_router_without_an_address_forwards_and_says_nothing() -> None:
    """A link-local source does not get beyond the next router."""
    routers = tuple(replace(r, address6="") if r.name == "r2" else r for r in dual().routers)
    network = Network(dual(routers=routers))
    assert not outcome(network, echo(SERVER_V6, ttl=2))
    assert only(network, echo(SERVER_V6, ttl=3)).source == ROUTERS_V6[2]
    assert only(network, echo(SERVER, ttl=2)).source == "10.0.0.2"


def test_addresses_of_nobody_are_unreachable_or_silent() -> None:
    """As the file's routes say; around a server nobody is, and without a route the gateway has none."""
    network = Network(dual())
    assert only(network, echo("2001:db8:aaaa::1")).to_bytes()[40:42] == bytes([1, 3])  # address unreachable
    assert not outcome(network, echo("2001:db8:bbbb::1"))
    assert not outcome(network, echo("2001:db8:ed::99"))
    error = only(network, echo("2001:db8:cccc::1"))
    assert (error.source, error.to_bytes()[40:42]) == (ROUTERS_V6[0], bytes([1, 0]))  # no route


@pytest.mark.parametrize("size", [1300, 1301, 1500])
def test_what_does_not_fit_is_told_and_never_cut(size: int) -> None:
    """Packet Too Big with the next link's MTU, whatever kind of packet it is: IPv6 knows no DF."""
    links = tuple(replace(link, mtu=1300) if "r3" in link.ends and "r4" in link.ends else link for link in dual().links)
    packet = echo(SERVER_V6, size=size - 48)
    packet.dont_fragment = False
    (delivery,) = outcome(Network(dual(links=links)), packet)
    if size <= 1300:
        assert delivery.node == "servers"
        return
    error = delivery.packet
    assert (error.source, error.to_bytes()[40:42], error.to_bytes()[44:48]) == (
        ROUTERS_V6[2],
        bytes([2, 0]),
        (1300).to_bytes(4),
    )
    assert error.size == 1280  # RFC 4443, 2.4


def test_limits_of_icmp_are_for_both_versions() -> None:
    """One bucket a router."""
    network = Network(dual(fault("rate_limit", "r2", rate=1.0, burst=3)))
    answers = [bool(outcome(network, echo(SERVER_V6 if n % 2 else SERVER, ttl=2))) for n in range(5)]
    assert answers == [True, True, True, False, False]


def test_flow_labels_choose_the_way() -> None:
    """Where flows are balanced, all packets of a label take one way, and labels are spread over the ways."""
    routers = (*dual().routers, Router("r5", "10.0.0.5", address6="2001:db8:0:5::1"))
    routers = tuple(replace(r, balance="flow") if r.name == "r1" else r for r in routers)
    links = (*dual().links, Link(("r1", "r5"), 2.0), Link(("r5", "r3"), 3.0))
    network = Network(dual(routers=routers, links=links))

    def hop(label: int) -> str:
        packet = echo(SERVER_V6, ttl=2)
        packet.ident = label
        return only(network, packet).source

    ways = [hop(label) for label in range(1, 21)]
    assert set(ways) == {ROUTERS_V6[1], "2001:db8:0:5::1"}
    assert ways == [hop(label) for label in range(1, 21)]


# --- ways of its own


def test_ipv6_goes_around_what_carries_none() -> None:
    """A longer way, while IPv4 takes the short one."""
    routers = (*dual().routers, Router("r5", "10.0.0.5", address6="2001:db8:0:5::1"))
    links = tuple(replace(link, ipv6=False) if set(link.ends) == {"r2", "r3"} else link for link in dual().links)
    links += (Link(("r2", "r5"), 20.0), Link(("r5", "r3"), 20.0))
    network = Network(dual(routers=routers, links=links))
    assert [router.name for router in network.hops(SERVER_V6)] == ["r1", "r2", "r5", "r3", "r4"]
    assert [router.name for router in network.hops(SERVER)] == ["r1", "r2", "r3", "r4"]
    assert only(network, echo(SERVER_V6, ttl=3)).source == "2001:db8:0:5::1"


@pytest.mark.parametrize("where", ["router", "link"])
def test_the_last_one_with_ipv6_has_no_route(where: str) -> None:
    """Who stands before a router or a link without IPv6 says so; IPv4 is as ever."""
    scenario = dual()
    if where == "router":
        scenario = replace(
            scenario, routers=tuple(replace(r, ipv6=False) if r.name == "r3" else r for r in scenario.routers)
        )
    else:
        links = tuple(replace(link, ipv6=False) if set(link.ends) == {"r2", "r3"} else link for link in scenario.links)
        scenario = replace(scenario, links=links)
    network = Network(scenario)
    error = only(network, echo(SERVER_V6))
    assert (error.source, error.to_bytes()[40:42], error.quoted().ttl) == (ROUTERS_V6[1], bytes([1, 0]), 63)
    assert only(network, echo(SERVER_V6, ttl=1)).icmp_type == ip.TIME_EXCEEDED
    assert only(network, echo(SERVER)).destination == SERVER


def test_translators_leave_it_alone() -> None:
    """A router with `nat` hides the client from IPv4 only."""
    routers = tuple(replace(r, nat=Nat("87.0.0.1")) if r.name == "r1" else r for r in dual().routers)
    network = Network(dual(routers=routers))
    assert only(network, echo(SERVER_V6)).source == CLIENT_V6
    assert only(network, echo(SERVER)).source == "87.0.0.1"


def test_a_bound_of_segments_is_one_of_packets() -> None:
    """SYNs of IPv6 offer 20 bytes less than those of IPv4, which their header is longer."""
    routers = tuple(replace(r, mss_clamp=1400) if r.name == "r2" else r for r in dual().routers)
    network = Network(dual(routers=routers))
    for address, mss in ((SERVER_V6, 1380), (SERVER, 1400)):
        syn = segment(address, flags=ip.SYN, options=syn_options(1440))
        assert offered_mss(only(network, syn).options) == mss


# --- faults


@pytest.mark.parametrize(
    "match",
    [
        {"destination": ["2001:db8:ed::/48"]},
        {"destination": ["23.0.0.0/8", "::/0"]},
        {"source": ["2001:db8:1::/64"], "protocol": "icmp"},
        {"larger_than": 1000},
    ],
)
def test_drops_match_ipv6(match: dict[str, object]) -> None:
    """By prefixes, protocol and size."""
    network = Network(dual(fault("drop", "r3", match=match)))
    assert not outcome(network, echo(SERVER_V6, size=1200))
    assert outcome(network, echo(RESOLVER_V6, size=1200))  # hangs before r3
    assert len(outcome(Network(dual(fault("drop", "r3", match={"source": ["0.0.0.0/0"]}))), echo(SERVER_V6))) == 1


def test_a_loop_runs_the_hop_limit_out() -> None:
    """At one of its two ends."""
    error = only(Network(dual(fault("loop", "r2", "r3"))), echo(SERVER_V6))
    assert (error.icmp_type, error.source in ROUTERS_V6[1:3]) == (ip.TIME_EXCEEDED, True)


@pytest.mark.parametrize("more", [{}, {"injected": True}, {"fin": True}])
def test_forged_ends_are_right_packets(more: dict[str, Any]) -> None:
    """Both sides are told in the other's name."""
    syn = segment(SERVER_V6, flags=ip.PSH | ip.ACK, seq=1000, ack=2000, payload=b"x" * 10)
    out = outcome(Network(dual(fault("reset", "r3", **more))), syn)
    told = [d.packet for d in out if d.packet.flags & (ip.RST | ip.FIN)]
    assert {(d.source, d.destination) for d in told} == {(SERVER_V6, CLIENT_V6), (CLIENT_V6, SERVER_V6)}


@pytest.mark.parametrize("raw", [False, True])
def test_redirected_packets_keep_right_checksums(*, raw: bool) -> None:
    """To who is named, and back in the name of whom it was for; bytes that came in are changed in place."""
    edge, _ = dual().servers
    other = replace(edge, name="portal", addresses=("2001:db8:99::1",), at="r3")
    scenario = dual(fault("redirect", "r2", to="2001:db8:99::1"), servers=(edge, other))
    network = Network(scenario)
    syn = segment(SERVER_V6, flags=ip.SYN, seq=1)
    there = only(network, Packet.from_bytes(syn.to_bytes()) if raw else syn)
    assert there.destination == "2001:db8:99::1"
    answer = Packet(there.destination, there.source, protocol=ip.TCP, source_port=443, destination_port=4000)
    answer = Packet.from_bytes(answer.to_bytes()) if raw else answer
    network.inject(answer, "servers", 1.0)
    (back,) = network.advance(60.0)
    assert (back.node, again(back.packet).source) == ("client", SERVER_V6)
    assert only(network, segment(SERVER, flags=ip.SYN)).destination == SERVER, "of the other version"


def test_dead_gateways_answer_no_neighbour_solicitation() -> None:
    """The own kernel says that it is unreachable, in the machine's own name."""
    reply = asked(Probe(Flow(Protocol.ICMP, SERVER_V6)), dual(fault("down", "r1")))
    assert isinstance(reply, Reply)
    assert (reply.kind, reply.error, reply.source) == (ReplyKind.SEND_FAILED, "EHOSTUNREACH", CLIENT_V6)


# --- what a vantage sees


@pytest.mark.parametrize("protocol", [Protocol.ICMP, Protocol.TCP, Protocol.UDP, Protocol.QUIC])
def test_paths_show_the_routers(protocol: Protocol) -> None:
    """By each protocol, with ICMPv6's own numbers."""
    port = 0 if protocol is Protocol.ICMP else 443
    path: Path = run(one(Traceroute(Flow(protocol, SERVER_V6, port))), VirtualVantage(dual()))
    assert path.reached
    assert [hop.addresses for hop in path.hops] == [(address,) for address in (*ROUTERS_V6, SERVER_V6)]
    (first, *_) = path.hops[0].exchanges
    assert first.reply is not None
    assert (first.reply.icmp_type, first.reply.icmp_code, first.reply.ip_id) == (3, 0, -1)


def test_interfaces_are_told_with_their_address() -> None:
    """Of the version that the packet is of (RFC 5837)."""
    routers = tuple(replace(router, interfaces=True) for router in dual().routers)
    reply = asked(Probe(Flow(Protocol.ICMP, SERVER_V6), ttl=2), dual(routers=routers))
    assert isinstance(reply, Reply)
    assert reply.interfaces == (Interface("incoming", 2, ROUTERS_V6[1], "to-r1", 1500),)


@pytest.mark.parametrize("protocol", [Protocol.ICMP, Protocol.TCP, Protocol.ACK])
def test_trains_are_answered(protocol: Protocol) -> None:
    """Echo replies, SYN-ACKs, and the resets that ACKs draw."""
    port = 0 if protocol is Protocol.ICMP else 443
    train: Train = run(one(TrainSession(protocol, SERVER_V6, port=port)), VirtualVantage(dual()))
    assert train.answered == 3


def test_the_mtu_of_a_path_is_found() -> None:
    """A router says what fits, in ICMPv6's words."""
    links = tuple(replace(link, mtu=1280) if "r3" in link.ends and "r4" in link.ends else link for link in dual().links)
    found: PathMtu = run(one(PathMtuSession(Flow(Protocol.ICMP, SERVER_V6))), VirtualVantage(dual(links=links)))
    assert (found.mtu, found.told) == (1280, ((ROUTERS_V6[2], 1280),))


@pytest.mark.parametrize("mtu", [1500, 1280])
def test_fetches_are_served(mtu: int) -> None:
    """Over TLS; segments shrink to what a narrow link carries."""
    links = tuple(replace(link, mtu=mtu) if "r3" in link.ends and "r4" in link.ends else link for link in dual().links)
    servers = tuple(replace(server, body_bytes=20_000) for server in dual().servers)
    page = asked(Fetch(Handshake(SERVER_V6, 443, "www.tiktok.com")), dual(links=links, servers=servers))
    assert isinstance(page, Response)
    assert (page.status, page.error, page.body_bytes) == (200, "", 20_000)


def test_names_have_addresses_of_both_versions() -> None:
    """Asked at a resolver's address of IPv6, which forwards over IPv4 all the same."""
    for resolver in (ROUTERS_V6[0], RESOLVER_V6):
        for kind, address in (("A", SERVER), ("AAAA", SERVER_V6)):
            answer = asked(Lookup("www.tiktok.com", resolver, record_type=kind), dual())
            assert isinstance(answer, Answer)
            assert (answer.rcode, answer.addresses) == ("NOERROR", (address,))


def test_lies_about_names_are_of_the_version_that_is_asked_for() -> None:
    """By a resolver, and by who forges an answer on the way."""
    for place in ("provider", "r2"):
        lie = fault("dns", place, addresses=("10.10.10.10", "2001:db8:bad::1"))
        for kind, address in (("A", "10.10.10.10"), ("AAAA", "2001:db8:bad::1")):
            answer = asked(Lookup("www.tiktok.com", RESOLVER_V6, record_type=kind), dual(lie))
            assert isinstance(answer, Answer)
            assert answer.addresses == (address,), place


def test_regions_choose_addresses_of_both_versions() -> None:
    """By who asks; of a version that a region has none of, everybody's count."""
    entry = Entry((SERVER,), aaaa=(SERVER_V6,), regions={"194.25.0.0/16": ("23.50.131.11", "2001:db8:ed::11")})
    scenario = dual(names={"www.tiktok.com": entry})
    for kind, address in (("A", "23.50.131.11"), ("AAAA", "2001:db8:ed::11")):
        answer = asked(Lookup("www.tiktok.com", RESOLVER_V6, record_type=kind), scenario)
        assert isinstance(answer, Answer)
        assert answer.addresses == (address,)


def test_a_resolver_that_is_down_is_so_at_both_addresses() -> None:
    """And only the one of that name, where several share a machine."""
    for address in (RESOLVER_V6, "194.25.2.129"):
        answer = asked(Lookup("www.tiktok.com", address, timeout_s=1.0), dual(fault("down", "provider")))
        assert isinstance(answer, Answer)
        assert answer.error == "timeout"


def test_what_is_said_of_a_connection_is_told() -> None:
    """In the words of IPv4."""
    shaken = asked(Handshake("2001:db8:cccc::1"), dual())
    assert isinstance(shaken, Handshaken)
    assert shaken.error == "unreachable"
    assert shaken.detail == f"ENETUNREACH (network unreachable, says {ROUTERS_V6[0]})"


def test_the_host_knows_its_way_to_the_ipv6_internet() -> None:
    """Where it has an address that is valid there."""
    for client, link in (
        (dual().client, "eth0"),
        (line().client, ""),
        (replace(dual().client, address6="fd00::9/64"), ""),
    ):
        state = asked(Inspect(), dual(client=client))
        assert isinstance(state, HostState)
        assert state.global_link_v6 == link
        assert len(state.links[0].addresses) == 1 + bool(client.address6)


# --- prefixes


def test_numbers_of_both_versions_are_never_the_same() -> None:
    """`::1.2.3.4` is not 1.2.3.4, and the whole of one version is nothing of the other."""
    assert prefixes.number("::102:304") != prefixes.number("1.2.3.4")
    everything = {version: (prefixes.mask(version),) for version in ("0.0.0.0/0", "::/0")}
    assert prefixes.within("1.2.3.4", everything["0.0.0.0/0"])
    assert not prefixes.within("1.2.3.4", everything["::/0"])
    assert prefixes.within("::1", everything["::/0"])
    assert not prefixes.within("::1", everything["0.0.0.0/0"])
