"""What kind of address it is, from the address alone: private, shared, bogon, public.

Text that is no address at all is of no kind: every question about it is answered "no". Nothing here raises.
"""

import ipaddress
from enum import Enum
from functools import lru_cache

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*prefixes: str) -> tuple[_Network, ...]:
    return tuple(ipaddress.ip_network(prefix) for prefix in prefixes)


#: RFC 1918, RFC 4193, and the link-local blocks of RFC 3927 and RFC 4291.
PRIVATE = _networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10")

#: RFC 6598: between a customer's router and the provider's carrier-grade NAT.
SHARED = _networks("100.64.0.0/10")

#: Never the source of an honest packet on the Internet. IANA special-purpose registries (RFC 6890).
BOGON = _networks(
    "0.0.0.0/8",
    "127.0.0.0/8",
    "192.0.0.0/24",
    "192.0.2.0/24",  # documentation, RFC 5737
    "198.18.0.0/15",  # benchmarks, RFC 2544
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "2001:db8::/32",  # documentation, RFC 3849
    "3fff::/20",  # documentation, RFC 9637
    "ff00::/8",
)


class Kind(Enum):
    """What an address may be used for."""

    PRIVATE = "private"
    SHARED = "shared"
    BOGON = "bogon"
    PUBLIC = "public"  # all the others


_BLOCKS = ((Kind.PRIVATE, PRIVATE), (Kind.SHARED, SHARED), (Kind.BOGON, BOGON))


def parse(text: str) -> IPAddress | None:
    """The address that `text` writes, or None. An IPv4 address inside an IPv6 one (::ffff:a.b.c.d) is the IPv4 one."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=1024)  # a round asks about the same few dozen addresses again and again
def kind(text: str) -> Kind | None:
    """The one kind that an address is of; None for what is no address."""
    address = parse(text)
    if address is None:
        return None
    blocks = ((k, network) for k, networks in _BLOCKS for network in networks if network.version == address.version)
    return next((k for k, network in blocks if address in network), Kind.PUBLIC)


def family(text: str) -> int | None:
    """4, 6, or None for what is no address."""
    address = parse(text)
    return address.version if address else None


def is_private(text: str) -> bool:
    """An address that is used behind a NAT or on one link only (RFC 1918, 4193, 3927)."""
    return kind(text) is Kind.PRIVATE


def is_shared(text: str) -> bool:
    """An address of a carrier-grade NAT's inside (RFC 6598)."""
    return kind(text) is Kind.SHARED


def is_bogon(text: str) -> bool:
    """An address that nobody may use on the Internet: documentation, benchmark, loopback, multicast, reserved."""
    return kind(text) is Kind.BOGON


def is_public(text: str) -> bool:
    """An address that somebody may announce: none of the other kinds."""
    return kind(text) is Kind.PUBLIC
