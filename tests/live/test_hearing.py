"""Who ended a kernel connection: heard on the raw socket, through kernel routers and an injector that is ours."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP

from netprobe.live.vantage import LiveVantage
from netprobe.model.probes import ReplyKind
from netprobe.model.services import Handshake, Handshaken
from netprobe.probing.ask import handshake
from netprobe.probing.injection import Grade, injected
from netprobe.probing.run import one, run
from tests.live.live_authority import Authority
from tests.live.live_network import SERVER, SERVER_V6, Namespace, Network
from tests.live.live_servers import Handler, after_hello, reset, serving, silence, tls

pytestmark = [pytest.mark.packets, pytest.mark.usefixtures("inside")]

NAME = "www.example.com"
_CLIENT_HELLO = b"\x16\x03"
_ETH_IP = 0x0800


def shaken(address: str = SERVER, port: int = 443) -> Handshaken:
    with LiveVantage() as vantage:
        return run(one(handshake(Handshake(address, port, NAME, verify=False))), vantage)


@contextmanager
def injector(router: Namespace, device: str, ttl: int) -> Iterator[None]:
    """On the path, not in it: for each ClientHello that passes, a RST to the client in the server's name."""
    with router.inside():
        ears = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_IP))
        mouth = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    ears.bind((device, _ETH_IP))
    ears.settimeout(0.1)
    over = threading.Event()

    def forge() -> None:
        while not over.is_set():
            try:
                packet = IP(ears.recv(65536))
            except TimeoutError:
                continue
            hello = TCP in packet and bytes(packet[TCP].payload).startswith(_CLIENT_HELLO)
            if hello and packet.dst == SERVER:
                answer = packet[TCP]
                forged = IP(src=packet.dst, dst=packet.src, ttl=ttl, id=0x5151) / TCP(
                    sport=answer.dport,
                    dport=answer.sport,
                    seq=answer.ack,
                    ack=answer.seq + len(answer.payload),
                    flags="RA",
                    window=1503,
                )
                mouth.sendto(bytes(forged), (packet.src, 0))

    thread = threading.Thread(target=forge, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5)
        ears.close()
        mouth.close()


def slowly(handler: Handler, by: float) -> Handler:
    """The same, `by` seconds later: a server that is farther away than the injector."""

    def handle(connection: socket.socket) -> None:
        threading.Event().wait(by)
        handler(connection)

    return handle


@pytest.fixture
def chain(authority: Authority, tmp_path: Path) -> Path:
    """A certificate for the name."""
    return authority.issue_file(tmp_path / "server.pem", NAME)


def test_a_forged_reset_is_told_from_the_server(network: Network, chain: Path) -> None:
    """The reset has another TTL, and the server's own answer still comes."""
    with serving(network.server, SERVER, 443, slowly(tls(chain), 0.05)), injector(network.first, "inner", 128):
        ended = shaken()
    assert (ended.phase, ended.error) == ("tls", "reset")
    kinds = [reply.kind for reply in ended.heard]
    assert kinds[0] is ReplyKind.SYN_ACK
    assert ReplyKind.RST in kinds
    judged = injected(ended.heard)
    assert judged.grade is Grade.LIKELY, ended.heard
    assert {"goes_on", "ttl", "fragmenting"} <= set(judged.marks)


@pytest.mark.parametrize("address", [SERVER, SERVER_V6])
def test_a_servers_own_reset_is_consistent(network: Network, address: str) -> None:
    """A kernel that resets because its program wants so looks as it did before."""
    with serving(network.server, address, 443, after_hello(slowly(reset, 0.02))):
        ended = shaken(address)
    assert (ended.phase, ended.error) == ("tls", "reset")
    assert ended.heard[0].tcp is not None
    assert ended.heard[0].tcp.mss == (1440 if ":" in address else 1460)
    assert injected(ended.heard).grade is Grade.CONSISTENT, ended.heard


def test_a_router_that_rejects_is_doubtful(network: Network) -> None:
    """A firewall's RST comes from one hop nearer: too little for more than a doubt."""
    rule = "forward tcp dport 443 tcp flags & (psh|syn) == psh reject with tcp reset"
    with serving(network.server, SERVER, 443, silence), network.second.firewall(rule):
        ended = shaken()
    assert ended.error == "reset"
    judged = injected(ended.heard)
    assert judged.grade is Grade.DOUBTFUL, ended.heard
    assert "ttl" in judged.marks


def test_a_closed_port_is_not_forged(network: Network) -> None:
    """Its RST is all that there is."""
    del network
    ended = shaken(port=81)
    assert (ended.phase, ended.error) == ("connect", "refused")
    assert [reply.kind for reply in ended.heard] == [ReplyKind.RST]
    assert injected(ended.heard).grade is Grade.UNKNOWN
