"""Prefixes of both versions of IP, compiled so that one comparison of numbers tells whether an address lies within."""

from functools import lru_cache
from ipaddress import ip_network
from socket import AF_INET6, inet_aton, inet_pton

_V6 = 1 << 128  # above all bits of an address: no number of IPv6 is one of IPv4


@lru_cache(maxsize=16384)
def number(address: str) -> int:
    """An address as a number that no address of the other version has."""
    return _V6 | int.from_bytes(inet_pton(AF_INET6, address)) if ":" in address else int.from_bytes(inet_aton(address))


@lru_cache(maxsize=1024)
def mask(prefix: str) -> tuple[int, int]:
    """The number of a prefix, and what of an address's number must be the same."""
    network = ip_network(prefix, strict=False)
    first, bits = int(network.network_address), int(network.netmask)
    return (_V6 | first if network.version == 6 else first), _V6 | bits


def within(address: str, masks: tuple[tuple[int, int], ...]) -> bool:
    """Whether an address lies in one of some prefixes."""
    found = number(address)
    return any(found & bits == first for first, bits in masks)


@lru_cache(maxsize=1024)
def length(prefix: str) -> int:
    """How many bits of an address a prefix says."""
    return ip_network(prefix, strict=False).prefixlen


def around(address: str, v4_bits: int, v6_bits: int) -> str:
    """The prefix of so many bits that an address lies in."""
    return str(ip_network(f"{address}/{v6_bits if ':' in address else v4_bits}", strict=False))
