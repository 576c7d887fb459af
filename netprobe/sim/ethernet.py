"""The client's Ethernet: frames, and what the gateway says on it to who asks for its card.

The gateway exists in the simulation only, so it answers ARP (RFC 826) and neighbour solicitations (RFC 4861) for itself
and for whatever else of the client's own network hangs on it.
"""

import struct
from collections.abc import Collection
from ipaddress import ip_address, ip_interface

from netprobe.sim import ipv6
from netprobe.sim.cards import Card
from netprobe.sim.packet import checksum
from netprobe.sim.records import GATEWAY6, Scenario

GATEWAY_MAC = bytes.fromhex("0200000000fe")

HEADER = struct.Struct("!6s6sH")
TYPE_IPV4, TYPE_ARP, TYPE_IPV6 = 0x0800, 0x0806, 0x86DD
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_ARP_REQUEST = (1, TYPE_IPV4, 6, 4, 1)  # RFC 826: Ethernet, IPv4, the lengths of both, request

_NEIGHBOUR = struct.Struct("!BBHI16s")  # RFC 4861, 4.3 and 4.4: type, code, checksum, flags, target
_SOLICITATION, _ADVERTISEMENT = 135, 136
_NEXT_HEADER_AT, _HOP_LIMIT = 6, 255  # RFC 4861, 7.1.1: nobody from farther away may ask
_TARGET_ADDRESS = 2  # RFC 4861, 4.6.1: an option
_ROUTER, _SOLICITED, _OVERRIDE = 1 << 31, 1 << 30, 1 << 29
_UNSPECIFIED = bytes(16)
_ALL_NODES = ipv6.pack_address("ff02::1")
_ALL_NODES_MAC = bytes.fromhex("333300000001")  # RFC 2464, 7


def neighbours(scenario: Scenario, card: Card) -> frozenset[bytes]:
    """Addresses on the network of a client's card that its gateway's box has, packed: its own and what hangs on it."""
    gateway = next(router for router in scenario.routers if router.name == card.gateway)
    networks = [ip_interface(address).network for address in card.interfaces]
    hung = [a for r in scenario.resolvers for a in r.addresses] + [a for s in scenario.servers for a in s.addresses]
    found = [*gateway.addresses, *(a for a in hung if any(ip_address(a) in network for network in networks))]
    if card.interface_v6:
        found.append(GATEWAY6)
    return frozenset(ip_address(address).packed for address in found)


def answer(frame: bytes, answers: Collection[bytes]) -> bytes | None:
    """What the gateway says to a `frame` in which somebody asks for the card of one of the addresses `answers`."""
    if len(frame) < HEADER.size:
        return None
    kind = int.from_bytes(frame[12:14])
    if kind == TYPE_ARP:
        return arp_reply(frame, answers)
    return neighbour_advertisement(frame, answers) if kind == TYPE_IPV6 else None


def arp_reply(frame: bytes, answers: Collection[bytes]) -> bytes | None:
    """What the gateway says to `frame` if it is an ARP request (RFC 826) for one of its addresses."""
    if len(frame) < HEADER.size + _ARP.size:
        return None
    *kind, sender_mac, sender, _, target = _ARP.unpack_from(frame, HEADER.size)
    if tuple(kind) != _ARP_REQUEST or target not in answers:
        return None
    reply = _ARP.pack(1, TYPE_IPV4, 6, 4, 2, GATEWAY_MAC, target, sender_mac, sender)
    return HEADER.pack(sender_mac, GATEWAY_MAC, TYPE_ARP) + reply


def neighbour_advertisement(frame: bytes, answers: Collection[bytes]) -> bytes | None:
    """What it says to a neighbour solicitation (RFC 4861, 7.2.4): also to one that only asks whether it is still there.

    Who has no address yet looks whether another one has it, and is told as all are.
    """
    packet = frame[HEADER.size :]
    body = packet[ipv6.HEADER_BYTES :]
    if len(body) < _NEIGHBOUR.size or packet[_NEXT_HEADER_AT] != ipv6.ICMPV6 or packet[7] != _HOP_LIMIT:
        return None
    kind, code, _, _, target = _NEIGHBOUR.unpack_from(body)
    if (kind, code) != (_SOLICITATION, 0) or target not in answers:
        return None
    asker, mac = packet[8:24], frame[6:12]
    flags = _ROUTER | _OVERRIDE
    if asker == _UNSPECIFIED:
        asker, mac = _ALL_NODES, _ALL_NODES_MAC
    else:
        flags |= _SOLICITED
    said = _NEIGHBOUR.pack(_ADVERTISEMENT, 0, 0, flags, target) + bytes([_TARGET_ADDRESS, 1]) + GATEWAY_MAC
    total = checksum(target + asker + struct.pack("!HH", ipv6.ICMPV6, len(said)) + said)
    said = said[:2] + total.to_bytes(2) + said[4:]
    header = ipv6.build_header(target + asker, _HOP_LIMIT, ipv6.ICMPV6, 0, 0, len(said))
    return HEADER.pack(mac, GATEWAY_MAC, TYPE_IPV6) + header + said
