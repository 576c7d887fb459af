"""What replies teach about the way, through kernel routers that change packets in passing."""

import re
import socket
from collections.abc import Iterator

import pytest

from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import Flow, Path, Probe, Protocol, Reply, ReplyKind
from netprobe.model.replies import RST
from netprobe.probing.run import one, run
from netprobe.probing.traceroute import Traceroute
from tests.live.live_network import HOPS, HOPS_V6, SERVER, SERVER_V6, Network
from tests.live.live_servers import listening

pytestmark = [pytest.mark.packets, pytest.mark.usefixtures("inside")]

OPEN, CLOSED = 443, 81
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
