"""What replies teach about the way, through kernel routers that change packets in passing."""

import re
import socket
from collections.abc import Iterator

import pytest

from netprobe.live.vantage import LiveVantage
from netprobe.model.dscp import DSCP
from netprobe.model.probes import Flow, Path, Probe, Protocol, Reply, ReplyKind, Train
from netprobe.model.replies import RST
from netprobe.probing.changes import changes_on
from netprobe.probing.cookies import cookie_signs
from netprobe.probing.distance import path_length
from netprobe.probing.run import one, run
from netprobe.probing.traceroute import Traceroute
from netprobe.probing.train import TrainSession
from netprobe.report.changes import remarks_at
from tests.live.live_network import CLIENT, HOPS, HOPS_V6, SERVER, SERVER_V6, Network
from tests.live.live_servers import listening

pytestmark = [pytest.mark.packets, pytest.mark.usefixtures("inside")]

OPEN, CLOSED = 443, 81
EF = DSCP["EF"]
STATEFUL = "forward tcp flags & (syn|ack) == ack ct state new,invalid drop"


@pytest.fixture
def vantage() -> Iterator[LiveVantage]:
    with LiveVantage() as made:
        yield made


@pytest.fixture
def open_port(network: Network) -> Iterator[None]:
    """The server listens, over both versions of IP."""
    with (
        listening(network.server, SERVER, OPEN, socket.SOCK_STREAM),
        listening(network.server, SERVER_V6, OPEN, socket.SOCK_STREAM),
    ):
        yield


def trace(vantage: LiveVantage, flow: Flow) -> Path:
    return run(one(Traceroute(flow)), vantage)


def reply_to(vantage: LiveVantage, probe: Probe, within_s: float = 1.0) -> Reply | None:
    token = vantage.send(probe)
    while (event := vantage.receive(vantage.now() + within_s)) is not None:
        if event.token == token and isinstance(event.outcome, Reply):
            return event.outcome
    return None


@pytest.mark.usefixtures("open_port")
@pytest.mark.parametrize("port", [OPEN, CLOSED])
@pytest.mark.parametrize(("server", "hops"), [(SERVER, HOPS), (SERVER_V6, HOPS_V6)])
def test_an_ack_draws_a_reset_from_a_host(vantage: LiveVantage, server: str, hops: tuple[str, ...], port: int) -> None:
    """RFC 9293, 3.10.7.1: at an open and at a closed port alike, and hops before it are those of any trace."""
    path = trace(vantage, Flow(Protocol.ACK, server, port))
    assert [hop.addresses for hop in path.hops] == [*((hop,) for hop in hops), (server,)]
    reply = path.hops[-1].exchanges[0].reply
    assert reply is not None
    assert reply.kind is ReplyKind.RST
    assert reply.tcp is not None
    assert reply.tcp.flags & RST
    assert reply.ttl == 62


@pytest.mark.usefixtures("open_port")
def test_a_stateful_firewall_swallows_an_ack(network: Network, vantage: LiveVantage) -> None:
    """It knows of no such connection; a SYN to the same port passes it, and hops before it answer both."""
    with network.second.firewall(STATEFUL):
        path = trace(vantage, Flow(Protocol.ACK, SERVER, OPEN))
        syn = reply_to(vantage, Probe(Flow(Protocol.TCP, SERVER, OPEN)))
    assert not path.reached
    assert [hop.addresses for hop in path.hops[:3]] == [(HOPS[0],), (HOPS[1],), ()]
    assert syn is not None
    assert syn.kind is ReplyKind.SYN_ACK


@pytest.mark.usefixtures("open_port")
def test_an_ack_probe_looks_as_tcpdump_reads_it(network: Network, vantage: LiveVantage) -> None:
    """A bare ACK with time stamps and a right checksum, as in a connection; the reset has its number."""
    with network.client.capturing("uplink", "tcp port 443", count=2) as heard:
        assert reply_to(vantage, Probe(Flow(Protocol.ACK, SERVER, OPEN))) is not None
    sent, answer = heard
    match = re.search(r"Flags \[\.\], cksum \S+ \((\w+)[^)]*\), ack (\d+), win 502, options \[nop,nop,TS", sent)
    assert match, sent
    assert match[1] == "correct"
    assert "Flags [R], cksum" in answer
    assert f"seq {match[2]}," in answer


def changed(vantage: LiveVantage, flow: Flow) -> list[tuple[str, int | str, int | str, int, int]]:
    """What changes on the way, with both values, behind which TTL and before which."""
    found = changes_on(trace(vantage, flow))
    return [(one.change.field, one.change.sent, one.change.seen, one.after, one.ttl) for one in found]


METHODS = [Protocol.ICMP, Protocol.TCP, Protocol.ACK, Protocol.UDP, Protocol.QUIC]
PORTS = {Protocol.ICMP: 0, Protocol.UDP: 33434}


def flow_of(protocol: Protocol, server: str = SERVER, tos: int = 0) -> Flow:
    return Flow(protocol, server, PORTS.get(protocol, CLOSED), tos=tos)


@pytest.mark.parametrize("protocol", METHODS)
@pytest.mark.parametrize("server", [SERVER, SERVER_V6])
def test_a_way_that_changes_nothing_shows_nothing(vantage: LiveVantage, protocol: Protocol, server: str) -> None:
    """Kernel routers quote what came; with every mark set there is no false alarm."""
    path = trace(vantage, flow_of(protocol, server, EF << 2 | 2))
    assert path.reached
    assert [reply.changes for hop in path.hops for x in hop.exchanges if (reply := x.reply)] == [()] * len(path.hops)
    assert [x.reply.quoted_tos for hop in path.hops[:2] for x in hop.exchanges if x.reply] == [EF << 2 | 2] * 2


@pytest.mark.parametrize("protocol", METHODS)
def test_a_mark_that_is_taken_away_is_located(network: Network, vantage: LiveVantage, protocol: Protocol) -> None:
    """The first router sets DSCP to zero as it forwards: the second hop is the first to show it."""
    with network.first.firewall("forward ip dscp set cs0"):
        found = changed(vantage, flow_of(protocol, tos=EF << 2))
    assert found == [("dscp", EF, 0, 1, 2)]


def test_ecn_that_is_cleared_is_told_from_dscp(network: Network, vantage: LiveVantage) -> None:
    """Of the one byte, only the part that was changed is named."""
    with network.second.firewall("prerouting ip ecn set not-ect"):
        found = changed(vantage, flow_of(Protocol.UDP, tos=EF << 2 | 2))
    assert found == [("ecn", 2, 0, 1, 2)]


def test_a_clamped_mss_is_seen_in_quotes_and_in_the_answer(network: Network, vantage: LiveVantage) -> None:
    """Routers quote the SYN as it came; the SYN-ACK is clamped on its way back."""
    clamp = "forward tcp flags syn tcp option maxseg size set 1400"
    with listening(network.server, SERVER, OPEN, socket.SOCK_STREAM), network.first.firewall(clamp):
        path = trace(vantage, Flow(Protocol.TCP, SERVER, OPEN))
    assert [(one.change.field, one.change.seen, one.after, one.ttl) for one in changes_on(path)] == [
        ("mss", 1400, 1, 2)
    ]
    reply = path.hops[-1].exchanges[0].reply
    assert reply is not None
    assert reply.tcp is not None
    assert reply.tcp.mss == 1400
    assert [option.name for option in reply.tcp.options] == ["mss", "sack", "timestamps", "nop", "window_scale"]
    assert remarks_at(path) == {2: ["MSS clamped to 1400 here"], 3: ["MSS 1400"]}


def test_a_rewritten_source_is_nat(network: Network, vantage: LiveVantage) -> None:
    """Who rewrites addresses without keeping state does not put them back in the quote."""
    there = "forward ip saddr 192.0.2.2 ip saddr set 192.0.2.77"
    back = "prerouting ip daddr 192.0.2.77 ip daddr set 192.0.2.2"
    with network.first.firewall(there, back):
        path = trace(vantage, flow_of(Protocol.UDP))
    found = {one.change.field: (one.change.sent, one.change.seen, one.after, one.ttl) for one in changes_on(path)}
    assert found["source"] == (CLIENT, "192.0.2.77", 1, 2)
    assert "NAT here" in remarks_at(path)[2]


@pytest.mark.parametrize("protocol", METHODS)
def test_masquerading_puts_everything_back(network: Network, vantage: LiveVantage, protocol: Protocol) -> None:
    """Linux's NAT restores the quote (RFC 5508, 4.2), checksums too: it is not seen, and not suspected."""
    network.first.run("nft", "add", "table", "ip", "nat")
    network.first.run(
        "nft",
        "-f",
        "-",
        stdin="add chain ip nat out { type nat hook postrouting priority 100; }\n"
        "add rule ip nat out oifname outer masquerade\n",
    )
    try:
        path = trace(vantage, flow_of(protocol))
    finally:
        network.first.run("nft", "delete", "table", "ip", "nat")
    assert path.reached
    assert changes_on(path) == ()


def test_a_server_without_syn_cookies_shows_no_sign_of_them(network: Network, vantage: LiveVantage) -> None:
    """Its time stamps count on, and all options that were offered are there."""
    network.server.sysctl(tcp_syncookies=0)
    try:
        with listening(network.server, SERVER, OPEN, socket.SOCK_STREAM):
            session = TrainSession(Protocol.TCP, SERVER, port=OPEN, count=6, interval_s=0.067)
            train: Train = run(one(session), vantage)
    finally:
        network.server.sysctl(tcp_syncookies=1)
    headers = [x.reply.tcp for x in train.exchanges if x.reply and x.reply.tcp]
    assert len(headers) == 6
    assert cookie_signs(headers) == ()


def test_the_way_back_is_as_long_as_the_way_there(vantage: LiveVantage) -> None:
    """Where both are the same routers, each hop's TTL on arrival says so."""
    path = trace(vantage, flow_of(Protocol.ICMP))
    lengths = [path_length(x.reply.ttl) for hop in path.hops for x in hop.exchanges if x.reply]
    assert lengths == [1, 2, 3]
