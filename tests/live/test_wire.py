"""Source ports that are held, and sockets that hear only what is theirs."""

import errno
import socket
from contextlib import ExitStack

import pytest

from netprobe.live import bpf
from netprobe.live.hearing import Hearing
from netprobe.live.wire import HeldPorts, open_wire, source_address
from tests.live.live_network import SERVER, Network


@pytest.fixture
def blocks() -> bpf.Blocks:
    """Four ports for probes and one for a connection, all of them free a moment ago."""
    with ExitStack() as stack:
        for first in range(17000, 32000, 5):
            try:
                for port in range(first, first + 5):
                    stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)).bind(("", port))
            except OSError:
                continue
            break
    return bpf.Blocks(first, 5, 0x4200)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_label_keeps_its_port(blocks: bpf.Blocks, kind: socket.SocketKind) -> None:
    """One label, one port of the block, for as long as it is used; another label has another."""
    ports = HeldPorts(kind, blocks)
    first = [ports.port(7, now) for now in (0.0, 100.0, 200.0)]
    assert len(set(first)) == 1
    assert first[0] in blocks.probe_ports
    assert ports.port(8, 200.0) not in first
    ports.close()


def test_a_held_port_is_nobody_elses(blocks: bpf.Blocks) -> None:
    """The kernel gives a held port to no other program, and takes it back when it is released."""
    held: list[socket.socket] = []
    released: list[socket.socket] = []
    ports = HeldPorts(socket.SOCK_STREAM, blocks, on_hold=held.append, on_release=released.append)
    port = ports.port(0, 0.0)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        with pytest.raises(OSError, match="Address already in use"):
            other.bind(("", port))
        ports.close()
        other.bind(("", port))
    assert held == released
    assert len(held) == 1


def test_ports_that_others_have_are_passed_over(blocks: bpf.Blocks) -> None:
    """What is taken is skipped; when all are, the error is the kernel's. What was taken once may be free later."""
    with ExitStack() as stack:
        for port in range(blocks.first_port, blocks.first_port + 3):
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)).bind(("", port))
        ports = HeldPorts(socket.SOCK_STREAM, blocks)
        assert ports.port(0, 0.0) == blocks.first_port + 3
        ports.close()
        stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)).bind(("", blocks.first_port + 3))
        with pytest.raises(OSError, match="no source port left") as raised:
            ports.port(0, 0.0)
        assert raised.value.errno == errno.EADDRINUSE
    assert ports.port(0, 0.0) in blocks.probe_ports
    ports.close()


def test_the_longest_idle_goes_first(blocks: bpf.Blocks) -> None:
    """A fifth label gets the port of the one that was not used for longest."""
    ports = HeldPorts(socket.SOCK_STREAM, blocks)
    first = {label: ports.port(label, 0.0) for label in range(4)}
    ports.port(0, 1.0)
    assert ports.port(4, 2.0) == first[1]
    assert ports.port(0, 3.0) == first[0]
    ports.close()


def test_probes_and_connections_have_no_port_in_common(blocks: bpf.Blocks) -> None:
    """A server keeps a connection's port in mind after its end: a SYN from there draws no SYN-ACK, and seems lost."""
    probes = HeldPorts(socket.SOCK_STREAM, blocks)
    hearing = Hearing(blocks)
    with socket.socket() as connection, socket.socket() as another:
        ear = hearing.listen(connection, "192.0.2.1", 443, 0.0)
        assert ear
        assert ear.ends[2] == blocks.first_port + 4
        assert hearing.listen(another, "192.0.2.1", 443, 0.0) is None
        assert {probes.port(label, 0.0) for label in range(4)} == set(blocks.probe_ports)
        probes.close()


def test_the_source_address_is_the_kernels_choice() -> None:
    """No packet is sent to find out from where one would be."""
    assert source_address("127.0.0.9") == "127.0.0.1"


@pytest.mark.packets
def test_the_wire_keeps_other_peoples_packets_out(inside: Network) -> None:
    """Somebody else's ping and connections, however many, never reach our sockets."""
    wire = open_wire()
    try:
        # ping draws its identifier, and one in 254 would fall into our block.
        foreign = str((wire.blocks.ident_base ^ 0x0100) + 1)
        inside.client.run("ping", "-c", "3", "-i", "0.01", "-q", "-e", foreign, SERVER)
        for sock in (wire.v4.icmp, wire.v4.tcp):
            with pytest.raises(BlockingIOError):
                sock.recv(2000)
    finally:
        wire.close()
