"""Kinds of addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.topology import addresses

KINDS = (addresses.is_private, addresses.is_shared, addresses.is_bogon, addresses.is_public)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("10.1.2.3", "is_private"),
        ("172.31.255.255", "is_private"),
        ("172.32.0.0", "is_public"),
        ("192.168.1.1", "is_private"),
        ("169.254.1.1", "is_private"),
        ("fd00::1", "is_private"),
        ("fe80::1", "is_private"),
        ("100.64.0.1", "is_shared"),
        ("100.127.255.255", "is_shared"),
        ("100.128.0.0", "is_public"),
        ("0.1.2.3", "is_bogon"),
        ("127.0.0.1", "is_bogon"),
        ("192.0.2.1", "is_bogon"),
        ("198.51.100.7", "is_bogon"),
        ("203.0.113.9", "is_bogon"),
        ("224.0.0.1", "is_bogon"),
        ("255.255.255.255", "is_bogon"),
        ("2001:db8::1", "is_bogon"),
        ("8.8.8.8", "is_public"),
        ("2606:4700:4700::1111", "is_public"),
        ("::ffff:8.8.8.8", "is_public"),
        ("::ffff:10.0.0.1", "is_private"),
        ("64:ff9b::8.8.8.8", "is_public"),
        ("64:ff9b::127.0.0.1", "is_bogon"),
        ("64:ff9b:1::1", "is_bogon"),
        ("::", "is_bogon"),
        ("::1", "is_bogon"),
        ("::7f00:1", "is_bogon"),
        ("100::1", "is_bogon"),
        ("100:0:0:1::", "is_bogon"),
        ("2001:2::1", "is_bogon"),
        ("2001:1f:ffff::", "is_bogon"),
        ("2001:20::1", "is_bogon"),
        ("3ffe::1", "is_bogon"),
        ("3fff:fff::1", "is_bogon"),
        ("5f00::1", "is_bogon"),
        ("fec0::1", "is_bogon"),
        ("ff02::1", "is_bogon"),
        ("febf::1", "is_private"),
        ("fc00::1", "is_private"),
        ("2001:4860:4860::8888", "is_public"),
    ],
)
def test_an_address_is_of_one_kind(address: str, kind: str) -> None:
    """Each address is of exactly the kind that its registry says."""
    assert [k.__name__ for k in KINDS if k(address)] == [kind]


@given(st.text(max_size=40))
def test_text_from_the_network_never_raises(text: str) -> None:
    """Whatever somebody writes where an address belongs, at most one question is answered yes."""
    assert sum(kind(text) for kind in KINDS) == (1 if addresses.parse(text) else 0)


@pytest.mark.parametrize(("address", "family"), [("8.8.8.8", 4), ("::1", 6), ("8.8.8", None), ("", None)])
def test_family(address: str, family: int | None) -> None:
    """4, 6, or none at all."""
    assert addresses.family(address) == family


@pytest.mark.parametrize(
    ("address", "can_be"),
    [
        ("2606:4700:4700::1111", True),
        ("2001:4860:4860::8888", True),
        ("64:ff9b::8.8.8.8", True),  # made by a DNS64
        ("64:ff9b::10.0.0.1", False),
        ("::ffff:8.8.8.8", False),
        ("8.8.8.8", False),
        ("::1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fd12::1", False),
        ("2001:db8::1", False),
        ("2001::1", False),  # Teredo: what censors like to forge
        ("2002:808:808::1", False),
        ("4000::1", False),
        ("1:2:3", False),
        ("", False),
    ],
)
def test_where_a_server_can_be_over_ipv6(address: str, *, can_be: bool) -> None:
    """Only global unicast addresses, and what a NAT64 translates; nothing that leads home, nowhere, or into a trap."""
    assert addresses.is_global_v6(address) is can_be


@given(st.text(max_size=40))
def test_any_text_has_a_network_or_none(text: str) -> None:
    """No text raises, and only addresses have networks."""
    assert (
        bool(addresses.network_of(text)) == bool(addresses.network_of(text, wide=True)) == bool(addresses.parse(text))
    )


def test_networks() -> None:
    """What is announced at the least, and what one operator has at the least."""
    assert addresses.network_of("192.0.2.7") == "192.0.2.0/24"
    assert addresses.network_of("192.0.2.7", wide=True) == "192.0.0.0/16"
    assert addresses.network_of("2606:4700:4700::1111") == "2606:4700:4700::/48"
    assert addresses.network_of("2606:4700:4700::1111", wide=True) == "2606:4700::/32"
