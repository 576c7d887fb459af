"""What the kernel counts itself: queues, tracked connections, errors; against real state in a namespace."""

import socket
from pathlib import Path

import pytest

from netprobe.live import counters, host
from netprobe.model.host import HostState, Link
from tests.live.live_network import SERVER, Network


def seen() -> tuple[HostState, Link]:
    """The own machine, and the link that the default route leads to."""
    state = host.inspect()
    return state, next(link for link in state.links if link.name == state.default_link)


@pytest.mark.packets
def test_what_waits_in_front_of_a_narrow_link_is_told(inside: Network) -> None:
    """A token bucket of 8 kbit/s: what does not fit waits, and what does not fit into its queue is dropped."""
    client = inside.client
    _, before = seen()
    assert not before.queued_bytes
    client.run(
        "tc", "qdisc", "add", "dev", before.name, "root", "tbf", "rate", "8kbit", "burst", "1600", "limit", "4000"
    )
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(9):
                sock.sendto(bytes(1000), (SERVER, 9))
        _, after = seen()
    finally:
        client.run("tc", "qdisc", "del", "dev", before.name, "root")
    assert after.queued_bytes is not None
    assert 1000 < after.queued_bytes <= 4000
    assert after.queue_drops is not None
    assert after.queue_drops >= 3
    assert (after.collisions, after.tx_errors) == (0, 0)


@pytest.mark.packets
def test_connections_that_the_firewall_keeps_in_mind_are_counted(inside: Network) -> None:
    """One more for each conversation, and the room for them."""
    with inside.client.firewall("output ct state new accept"):
        before, _ = seen()
        for port in range(20):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"", (SERVER, 20000 + port))
        after, _ = seen()
    assert before.tracked is not None
    assert after.tracked is not None
    assert after.tracked - before.tracked >= 20
    assert after.tracked_most is not None
    assert after.tracked_most > after.tracked


def test_packets_that_nobody_took_are_summed_up_over_processors(tmp_path: Path) -> None:
    """The second column, hexadecimal, a line a processor."""
    path = tmp_path / "softnet_stat"
    path.write_text("0004385d 0000000a 00000000\n00033c8f 00000006 00000000\n")
    assert counters.dropped_unread(path) == 16
    path.write_text("rubbish")
    assert counters.dropped_unread(path) is None
    assert counters.dropped_unread(tmp_path / "none") is None
    assert counters.tracked(tmp_path) == (None, None)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, ""),
        ({"https_proxy": "http://somebody:secret@proxy.example:3128/"}, "proxy.example:3128"),
        ({"all_proxy": "socks5h://127.0.0.1:9050"}, "127.0.0.1:9050"),
        ({"http_proxy": "proxy.example"}, "proxy.example"),
        ({"HTTP_PROXY": "http://proxy.example"}, ""),
        ({"https_proxy": "http://proxy.example:999999", "all_proxy": ""}, ""),
        ({"https_proxy": "http://\x1bproxy:1"}, "\N{REPLACEMENT CHARACTER}proxy:1"),
    ],
)
def test_a_proxy_is_told_without_its_password(environment: dict[str, str], told: str) -> None:
    """Host and port, of the variables that programs heed."""
    assert counters.proxy(environment) == told
