"""The own machine's files and tables, whatever is in them."""

import socket
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netprobe.live import host, netlink


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nameserver 192.0.2.1\nnameserver 2001:db8::1\n", ("192.0.2.1", "2001:db8::1")),
        ("# nameserver 192.0.2.9\n; nameserver 192.0.2.8\nnameserver\t192.0.2.1 # the router\n", ("192.0.2.1",)),
        ("nameserver fe80::1%eth0\n", ("fe80::1%eth0",)),
        ("search example.com\noptions timeout:1\n", ()),
        ("nameserver\nnameserver resolver.example\nnameserver 300.1.1.1\n", ()),
        ("nameserver 192.0.2.1\nnameserver 192.0.2.1\n", ("192.0.2.1",)),
        ("".join(f"nameserver 192.0.2.{n}\n" for n in range(9)), ("192.0.2.0", "192.0.2.1", "192.0.2.2")),
        ("", ()),
    ],
)
def test_resolvers_are_those_of_the_c_library(tmp_path: Path, text: str, expected: tuple[str, ...]) -> None:
    """Name servers of resolv.conf(5) in order, comments and rubbish left out."""
    path = tmp_path / "resolv.conf"
    path.write_text(text)
    assert host.resolvers(path) == expected


def test_a_missing_file_is_no_error(tmp_path: Path) -> None:
    """No resolv.conf is an observation: no resolver."""
    state = host.inspect(tmp_path / "none", tmp_path / "none")
    assert (state.resolvers, state.hosts_overrides) == ((), ())
    assert state.wall_clock_s > 1.7e9


def test_overridden_names_are_those_of_somebody_else(tmp_path: Path) -> None:
    """Names of the local host and of this machine are no overrides; names of the world are."""
    path = tmp_path / "hosts"
    path.write_text(
        "127.0.0.1 localhost localhost.localdomain\n::1 ip6-localhost printer.local\n"
        f"192.0.2.1 {socket.gethostname()}\n"
        "0.0.0.0 WWW.TikTok.com www.tiktok.com # blocked\n127.0.0.1 ads.example.com router\n"
    )
    assert host.inspect(path, path).hosts_overrides == ("www.tiktok.com", "ads.example.com")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300))
def test_arbitrary_files_do_no_harm(tmp_path: Path, content: bytes) -> None:
    """Nothing is raised for files that hold anything."""
    path = tmp_path / "anything"
    path.write_bytes(content)
    assert host.resolvers(path) == host.inspect(path, path).resolvers


def test_links_need_no_right_and_leave_out_the_loopback() -> None:
    """The kernel tells everybody about links and neighbours."""
    assert all(link.name != "lo" and link.mtu > 0 for link in host.inspect().links)
    names = [row.text(3) for row in netlink.dump(netlink.NEW_LINK)]
    assert "lo" in names


def test_a_destination_without_a_route_has_none() -> None:
    """0.0.0.0/8 is no destination (RFC 1122, 3.2.1.3); the kernel says so and that is an answer."""
    assert netlink.route_to("255.255.255.255") is None or netlink.route_to("127.0.0.1") is not None
    (index,) = struct.unpack("@I", netlink.route_to("127.0.0.1").attributes[4])  # type: ignore[union-attr]
    assert index == socket.if_nametoindex("lo")
