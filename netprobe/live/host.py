"""The own machine's state: links, the default route and its neighbour, resolvers, overridden names, the clock.

A missing default route or resolver is an observation like any other.
"""

import ipaddress
import os
import socket
import struct
import time
from pathlib import Path
from typing import NamedTuple

from msgspec import structs

from netprobe.live import counters, netlink, wireless
from netprobe.live.netlink import Row
from netprobe.live.text import clean
from netprobe.model.host import GivenFacts, HostState, Link, Uplink
from netprobe.model.record import from_json

# linux/if_link.h, if_addr.h, rtnetlink.h, neighbour.h: attribute numbers and flags.
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_OPERSTATE, _IFLA_STATS64, _IFLA_CARRIER = 1, 3, 4, 16, 23, 33
# struct rtnl_link_stats64: packets, bytes, errors and drops, each received and sent; multicasts, collisions
_STATS = struct.Struct("@10Q")
_TUNNELS = frozenset({65534, 768, 769, 776, 778, 823})  # linux/if_arp.h: ARPHRD_NONE (TUN, WireGuard), IP in IP, GRE
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_PREFSRC, _RTA_TABLE, _RTA_VIA = 4, 5, 6, 7, 15, 18
_MAIN_TABLE, _UNICAST = 254, 1
_NDA_DST = 1
_IFF_LOOPBACK = 0x8
_OPERSTATES = ("unknown", "not present", "down", "lower layer down", "testing", "dormant", "up")  # RFC 2863
_NEIGHBOUR_STATES = {
    0x01: "incomplete",
    0x02: "reachable",
    0x04: "stale",
    0x08: "delay",
    0x10: "probe",
    0x20: "failed",
    0x40: "noarp",
    0x80: "permanent",
}
_SILENT_STATES = ("incomplete", "failed")
# Any address that only the default route leads to: nothing is sent, the kernel is asked for its way there.
_SOMEWHERE, _SOMEWHERE_V6 = "1.1.1.1", "2606:4700:4700::1111"
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")  # RFC 4291, 2.4, as IANA has given it out
_MOST_RESOLVERS = 3  # what the C library uses (resolv.conf(5), MAXNS)
_MOST_OVERRIDES = 50
_FILE_LIMIT = 1 << 20
_LINKS = Path("/sys/class/net")
#: A variable that names a file: what a simulated network gives of its client, in JSON.
GIVEN_FACTS = "NETPROBE_GIVEN_FACTS"
_LOCAL_SUFFIXES = (".localdomain", ".localhost", ".local", ".internal")


def inspect(resolv_conf: Path = Path("/etc/resolv.conf"), hosts: Path = Path("/etc/hosts")) -> HostState:
    """What the machine knows now. Never raises: what cannot be read is left empty."""
    try:
        names, links = _links()
        route = netlink.route_to(_SOMEWHERE)
        gateway = (route.address(_RTA_GATEWAY) or _via(route)) if route else ""
        index = route.number(_RTA_OIF) if route else 0
        neighbour = _neighbour(gateway, index) if gateway else ""
        over_v6 = _way_of_v6()
        uplinks = _uplinks(names, index)
    except OSError:
        names, links, gateway, index, neighbour, over_v6, uplinks = {}, (), "", 0, "", _NO_WAY, ()
    state = HostState(
        links=links,
        default_link=names.get(index, ""),
        gateway=gateway,
        neighbour=neighbour,
        resolvers=resolvers(resolv_conf),
        wall_clock_s=time.time(),
        hosts_overrides=_overrides(hosts),
        global_link_v6=names.get(over_v6.link, ""),
        load=_load(),
        address_v6=over_v6.source,
        gateway_v6=over_v6.gateway,
        neighbour_v6=over_v6.neighbour,
        uplinks=uplinks,
    )
    state = _beside(state)
    given = _given()
    return given.put_into(state, time.monotonic()) if given else state


def _beside(state: HostState) -> HostState:
    """`state` with what the kernel counts whatever the network is like."""
    tracked, most = counters.tracked()
    return structs.replace(
        state,
        tracked=tracked,
        tracked_most=most,
        dropped_unread=counters.dropped_unread(),
        proxy=counters.proxy(),
    )


def _given() -> GivenFacts | None:
    """What the simulated network that this is in gives of its client; None elsewhere."""
    try:
        return from_json(Path(os.environ[GIVEN_FACTS]).read_bytes(), GivenFacts)
    except (KeyError, OSError, ValueError):
        return None


def _load() -> float | None:
    try:
        return os.getloadavg()[0] / (os.cpu_count() or 1)
    except OSError:
        return None


def resolvers(resolv_conf: Path = Path("/etc/resolv.conf")) -> tuple[str, ...]:
    """The name servers of resolv.conf(5), in order."""
    found = []
    for words in _lines(resolv_conf):
        if len(words) > 1 and words[0] == "nameserver":
            try:
                found.append(str(ipaddress.ip_address(words[1])))
            except ValueError:
                continue
    return tuple(dict.fromkeys(found))[:_MOST_RESOLVERS]


def _links() -> tuple[dict[int, str], tuple[Link, ...]]:
    """Names by interface index, and the links that are not the loopback."""
    addresses: dict[int, list[str]] = {}
    for row in netlink.dump(netlink.NEW_ADDRESS):
        _, prefix, _, _, index = row.fields
        # On a point-to-point link IFA_ADDRESS is the other end's.
        addresses.setdefault(index, []).append(f"{row.address(_IFA_LOCAL) or row.address(_IFA_ADDRESS)}/{prefix}")
    names: dict[int, str] = {}
    links = []
    radios = wireless.radios()
    queues = counters.queues()
    for row in netlink.dump(netlink.NEW_LINK):
        _, kind, index, flags, _ = row.fields
        names[index] = name = row.text(_IFLA_IFNAME)
        if not flags & _IFF_LOOPBACK:
            state = row.number(_IFLA_OPERSTATE)
            received, sent, bad_received, bad_sent, collisions = _counted(row)
            radio, queue = radios.get(name), queues.get(index)
            links.append(
                Link(
                    name=name,
                    state=_OPERSTATES[state] if state < len(_OPERSTATES) else "unknown",
                    carrier=bool(row.number(_IFLA_CARRIER)),
                    addresses=tuple(addresses.get(index, ())),
                    mtu=row.number(_IFLA_MTU, 1500),
                    # A heuristic: where the driver does not say, systemd names all of them so.
                    wireless=radio is not None or name.startswith("wl"),
                    tunnel=kind in _TUNNELS,
                    speed_mbit=_speed_mbit(name, index, row.attributes.get(_IFLA_ADDRESS, b"")),
                    rx_errors=bad_received,
                    tx_errors=bad_sent,
                    rx_bytes=received,
                    tx_bytes=sent,
                    signal_dbm=radio.signal_dbm if radio else None,
                    retries=radio.retries if radio else None,
                    rate_mbit=radio.rate_mbit if radio else None,
                    given_up=radio.given_up if radio else None,
                    beacons_missed=radio.beacons_missed if radio else None,
                    collisions=collisions,
                    queued_bytes=queue.waiting_bytes if queue else None,
                    queue_drops=queue.dropped if queue else None,
                )
            )
    return names, tuple(links)


class _Way(NamedTuple):
    """A way to the Internet: the interface's number (0: none), the own address, the next hop and its state."""

    link: int
    source: str
    gateway: str
    neighbour: str


_NO_WAY = _Way(0, "", "", "")


def _way_of_v6() -> _Way:
    """The way to the IPv6 Internet from a global address."""
    route = netlink.route_to(_SOMEWHERE_V6)
    source = route.address(_RTA_PREFSRC) if route else ""
    if route is None or not source or ipaddress.ip_address(source) not in _GLOBAL_V6:
        return _NO_WAY
    index, gateway = route.number(_RTA_OIF), route.address(_RTA_GATEWAY)
    return _Way(index, source, gateway, _neighbour(gateway, index) if gateway else "")


def _uplinks(names: dict[int, str], counting: int) -> tuple[Uplink, ...]:
    """The default routes of the main table, that of the interface `counting` first.

    One over several next hops at once (RTA_MULTIPATH) has no interface of its own, and is left out.
    """
    found = []
    for row in netlink.dump(netlink.NEW_ROUTE, socket.AF_INET):
        _, length, _, _, table, _, _, kind, _ = row.fields
        index = row.number(_RTA_OIF)
        if length == 0 and kind == _UNICAST and row.number(_RTA_TABLE, table) == _MAIN_TABLE and index in names:
            gateway = row.address(_RTA_GATEWAY) or _via(row)
            neighbour = _neighbour(gateway, index) if gateway else ""
            metric = row.number(_RTA_PRIORITY)
            found.append((index != counting, metric, Uplink(names[index], gateway, metric, neighbour)))
    return tuple(uplink for _, _, uplink in sorted(found, key=lambda row: row[:2]))


def _via(route: Row) -> str:
    """The next hop of another address family (RFC 5549), as IPv4 routes over IPv6-only links have."""
    family_and_address = route.attributes.get(_RTA_VIA, b"")[2:]
    return socket.inet_ntop(socket.AF_INET6, family_and_address) if len(family_and_address) == 16 else ""


def _neighbour(address: str, index: int) -> str:
    """The kernel's state of the link-layer address of `address`; empty when it has not asked for it."""
    for row in netlink.dump(netlink.NEW_NEIGHBOUR):
        _, at, state, _, _ = row.fields
        if at == index and row.address(_NDA_DST) == address:
            return _NEIGHBOUR_STATES.get(state, "")
    return ""


def next_hop_is_silent(destination: str) -> bool:
    """Whether whoever is next on the way to `destination` has been asked for its link-layer address in vain."""
    try:
        route = netlink.route_to(destination)
        if route is None:
            return False
        next_hop = route.address(_RTA_GATEWAY) or _via(route) or destination
        return _neighbour(next_hop, route.number(_RTA_OIF)) in _SILENT_STATES
    except OSError:
        return False


def _counted(row: Row) -> tuple[int | None, ...]:
    """Bytes received and sent, errors in receiving and in sending, collisions."""
    stats = row.attributes.get(_IFLA_STATS64, b"")
    if len(stats) < _STATS.size:
        return (None,) * 5
    _, _, *counted = _STATS.unpack_from(stats)
    return *counted[:4], counted[7]


def _speed_mbit(name: str, index: int, address: bytes) -> int | None:
    """What the cable was negotiated to; None where the driver does not say, and where /sys is another namespace's."""
    folder = _LINKS / name
    try:
        if (folder / "ifindex").read_text().strip() != str(index):
            return None
        if (folder / "address").read_text().strip() != address.hex(":"):
            return None
        speed = int((folder / "speed").read_text())
    except (OSError, ValueError):
        return None
    return speed if speed > 0 else None


def _overrides(hosts: Path) -> tuple[str, ...]:
    """Names that /etc/hosts gives an address, except the machine's own and those that name the local host."""
    own = socket.gethostname().lower()
    names = (
        clean(name.lower())
        for words in _lines(hosts)
        for name in words[1:]
        if "." in name and not name.lower().endswith(_LOCAL_SUFFIXES)
    )
    return tuple(dict.fromkeys(name for name in names if name != own))[:_MOST_OVERRIDES]


def _lines(path: Path) -> list[list[str]]:
    """The words of each line that has any, without comments; nothing of a file that cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(_FILE_LIMIT)
    except OSError:
        return []
    return [words for line in text.splitlines() if (words := line.split("#", 1)[0].split(";", 1)[0].split())]
