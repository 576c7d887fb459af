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
