"""What kind of address it is, from the address alone: private, shared, bogon, public.

Text that is no address at all is of no kind: every question about it is answered "no". Nothing here raises.
"""

import ipaddress
from collections.abc import Callable, Iterable
from enum import Enum
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*prefixes: str) -> tuple[Network, ...]:
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
    "::/96",  # unspecified and loopback, RFC 4291, 2.5; and an IPv4 address behind zeros, deprecated there
    "64:ff9b:1::/48",  # translation inside one network, RFC 8215
    "100::/64",  # to be thrown away, RFC 6666
    "100:0:0:1::/64",  # a place holder, RFC 9780
    "2001:2::/48",  # benchmarks, RFC 5180
    "2001:10::/28",  # ORCHID, RFC 4843, given back; and ORCHIDv2, RFC 7343: identifiers, never in a packet's header
    "2001:20::/28",
    "2001:db8::/32",  # documentation, RFC 3849
    "3ffe::/16",  # the 6bone, given back, RFC 3701
    "3fff::/20",  # documentation, RFC 9637
    "5f00::/16",  # segment identifiers of one network, RFC 9602
    "fec0::/10",  # site-local, RFC 3879: no longer to be used
    "ff00::/8",  # multicast, RFC 4291, 2.7
)

#: RFC 4291, 2.4: the part of IPv6 that IANA gives out, so that what is outside leads nowhere.
GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")
#: IPv4 addresses in other clothes: 6to4 (RFC 3056; its relays are deprecated, RFC 7526), Teredo (RFC 4380).
TUNNELLED_V6 = _networks("2002::/16", "2001::/32")
#: RFC 6052, 2.1: what a NAT64 translates to the IPv4 address in the last 32 bits.
TRANSLATED_V6 = ipaddress.IPv6Network("64:ff9b::/96")


class Kind(Enum):
    """What an address may be used for."""

    PRIVATE = "private"
    SHARED = "shared"
    BOGON = "bogon"
    PUBLIC = "public"  # all the others


_BLOCKS = ((Kind.PRIVATE, PRIVATE), (Kind.SHARED, SHARED), (Kind.BOGON, BOGON))


def parse(text: str) -> IPAddress | None:
    """The address that `text` writes, or None. An IPv4 address inside an IPv6 one is the IPv4 one.

    That is ::ffff:a.b.c.d (RFC 4291, 2.5.5.2), and 64:ff9b::a.b.c.d, to which packets for it are sent where a NAT64
    translates (RFC 6052).
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address in TRANSLATED_V6:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address
    return address


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


def is_of_homes(text: str) -> bool:
    """Whether it is of the block from which home routers number their networks; a second one may stand behind one."""
    return text.startswith("192.168.")


def is_shared(text: str) -> bool:
    """An address of a carrier-grade NAT's inside (RFC 6598)."""
    return kind(text) is Kind.SHARED


def is_bogon(text: str) -> bool:
    """An address that nobody may use on the Internet: documentation, benchmark, loopback, multicast, reserved."""
    return kind(text) is Kind.BOGON


def is_public(text: str) -> bool:
    """An address that somebody may announce: none of the other kinds."""
    return kind(text) is Kind.PUBLIC


def is_global_v6(text: str) -> bool:
    """An IPv6 address at which a server on the Internet can be: global unicast, and none of the special blocks.

    Neither an IPv4 address in IPv6's clothes: nobody has one of those in his AAAA record (RFC 4291, 2.5.5.2; RFC 4380),
    but for one that a NAT64's resolver has made for this network (RFC 6147).
    """
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    if address in TRANSLATED_V6:
        return is_public(text)
    return address in GLOBAL_UNICAST_V6 and is_public(text) and not any(address in net for net in TUNNELLED_V6)


@lru_cache(maxsize=1024)
def network_of(text: str, *, wide: bool = False) -> str:
    """The network around an address as routes know it, as text; empty for what is no address.

    Narrow: what is announced at the least, a /24 of IPv4 and a /48 of IPv6 (RFC 7454, 6.1.3), behind which all
    addresses are reached by one way. `wide`: a /16 and a /32, what registries give one operator at the least of IPv6.
    """
    address = parse(text)
    if address is None:
        return ""
    length = {4: (24, 16), 6: (48, 32)}[address.version][wide]
    return str(ipaddress.ip_network((address, length), strict=False))


def one_a_network(places: Iterable[T], address_of: Callable[[T], str]) -> list[T]:
    """The first of the places in each network (`network_of`, wide), in order."""
    chosen: dict[str, T] = {}
    for place in places:
        chosen.setdefault(network_of(address_of(place), wide=True), place)
    return list(chosen.values())
