"""Servers without room for connections: SYNs that vanish, SYN cookies, connections that nobody takes for a while."""

import sys
from pathlib import Path

import pytest

from netprobe.model.probes import Flow, Probe, Protocol, Reply
from netprobe.model.replies import TcpHeader, parse_options
from netprobe.model.services import Fetch, Handshake, Response
from netprobe.probing.cookies import cookie_signs
from netprobe.sim.packet import SYN
from netprobe.sim.records import Fault
from netprobe.sim.routing import CLIENT
from netprobe.sim.tcp_options import cookie_options, syn_options
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, World
from tests.sim import real_scenario
from tests.sim.small import SERVER, fault, line, segment

#: Connects many times, without time stamps if so asked, and prints how many stood within half a second and what options
#: the kernel says that they have (tcp_info.tcpi_options in linux/tcp.h: 1 time stamps, 2 SACK, 4 window scale).
CROWD = """
import select, socket, sys, time
with open("/proc/sys/net/ipv4/tcp_timestamps", "w") as setting:
    setting.write(sys.argv[1])
wires = []
for _ in range(int(sys.argv[2])):
    wire = socket.socket()
    wire.setblocking(False)
    wire.connect_ex(("23.50.131.10", 443))
    wires.append(wire)
time.sleep(0.5)
stand = select.select([], wires, [], 0)[1]
options = sorted({w.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] for w in stand})
print(len(stand), options)
"""


def fetched(*faults: Fault) -> Response:
    vantage = VirtualVantage(line(*faults))
    vantage.send(Fetch(Handshake(SERVER, 443, "www.tiktok.com", timeout_s=30.0)))
    event = vantage.receive(100.0)
    assert event is not None
    assert isinstance(event.outcome, Response)
    return event.outcome


def syn_acks(*faults: Fault, count: int = 4) -> list[TcpHeader]:
    vantage = VirtualVantage(line(*faults))
    found = []
    for number in range(count):
        vantage.send(Probe(Flow(Protocol.TCP, SERVER, 443, number), sequence=number))
        event = vantage.receive(vantage.now() + 0.5)
        if event is not None and isinstance(event.outcome, Reply) and event.outcome.tcp is not None:
            found.append(event.outcome.tcp)
        vantage.receive(vantage.now() + 0.2)
    return found


def test_cookies_show_and_connections_work() -> None:
    """The stamps of SYN-ACKs keep their low bits, which other servers' do not tell by; a page comes all the same."""
    cookie = fault("overload", "edge", cookies=True)
    assert cookie_signs(syn_acks(cookie)) == ("stamp_bits",)
    assert cookie_signs(syn_acks()) == ()
    assert fetched(cookie).status == 200


def test_a_cookie_has_no_room_for_options_without_stamps() -> None:
    """Linux keeps them in the time stamp that the client echoes, or not at all (net/ipv4/syncookies.c)."""
    bare = parse_options(cookie_options(b"\x02\x04\x05\xb4", 1460, 1.0))
    assert [option.name for option in bare] == ["mss"]
    whole = {option.name: option.value for option in parse_options(cookie_options(syn_options(), 1460, 1.0))}
    assert {"mss", "sack", "timestamps", "window_scale"} <= set(whole)
    assert (whole["timestamps"] or 0) & 0x3F == 7 | 1 << 4  # our window scale, and that we take SACK


def test_a_repeated_syn_gets_the_same_cookie() -> None:
    """The server remembers nothing: it works the number out again."""
    vantage = VirtualVantage(line(fault("overload", "edge", cookies=True)))
    numbers = []
    for _ in range(2):
        vantage._clock.send(segment(flags=SYN, seq=77), CLIENT)  # no request of ours repeats a SYN as it was
        vantage._clock.watch = lambda packet, _: (
            numbers.append(packet.seq) if packet.flags & SYN and packet.ack else None
        )
        vantage.receive(vantage.now() + 0.5)
    assert len(numbers) == 2
    assert len(set(numbers)) == 1


def test_lost_syns_are_sent_again() -> None:
    """About half of the probes find no room; a connection comes to stand a second or three later."""
    half = fault("overload", "edge", syn_loss=0.5)
    assert 8 <= len(syn_acks(half, count=30)) <= 22
    response = fetched(half)
    assert response.status == 200


def test_a_connection_that_nobody_takes_stalls_in_tls() -> None:
    """The kernel has shaken hands already: only what comes after it is late."""
    response = fetched(fault("overload", "edge", delay_ms=2000.0))
    shaken = response.handshaken
    assert response.status == 200
    assert shaken.connect_s is not None
    assert shaken.tls_s is not None
    assert shaken.connect_s < 0.1
    assert 2.0 < shaken.tls_s < 2.2


@pytest.mark.packets
def test_kernels_see_it_too(tmp_path: Path, fidelity: Fidelity) -> None:
    """A client's kernel tells which options a connection has, how many SYNs got through, and curl how long TLS took."""
    faults = '[[fault]]\nkind = "overload"\nat = "edge"\nsyn_loss = 0.5\ncookies = true\ndelay_ms = 400\n'
    with World(real_scenario.scenario(tmp_path, faults), fidelity=fidelity) as world:

        def crowd(stamps: int, count: int) -> tuple[int, str]:
            said = world.run([sys.executable, "-c", CROWD, str(stamps), str(count)])
            number, _, options = said.stdout.partition(" ")
            return int(number), options.strip()

        count, options = crowd(0, 80)
        assert 20 <= count <= 60
        assert options == "[0]"
        assert crowd(1, 20)[1] == "[7]"
        site = ["--resolve", f"www.tiktok.com:443:{real_scenario.EDGE}", "https://www.tiktok.com/"]
        said = world.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{time_connect} %{time_appconnect}", *site])
    connect_s, shaken_s = map(float, said.stdout.split())
    assert shaken_s - connect_s > 0.4
