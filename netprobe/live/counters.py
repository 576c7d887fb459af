"""What this kernel counts itself, and any user may read: what waits to leave, tracked connections, what nobody read.

Rules of the own firewall count too, but the kernel tells that only who may change them (CAP_NET_ADMIN), which nothing
here has: `own_wire` looks at what they do instead.
"""

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from netprobe.live import netlink
from netprobe.live.text import clean

_TCA_STATS = 3  # linux/rtnetlink.h: struct tc_stats, the older form, which is always told beside the newer one
_TC_STATS = struct.Struct("@QIIIIIII")  # bytes, packets, drops, overlimits, bps, pps, qlen, backlog
_ROOT = 0xFFFFFFFF  # TC_H_ROOT: the queue that a device itself asks; others hang below it, and are summed up in it
_TRACKED = Path("/proc/sys/net/netfilter")  # of the namespace of who reads it
_UNREAD = Path("/proc/net/softnet_stat")  # a line a processor, of all namespaces
_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy")  # curl(1): never HTTP_PROXY
_FILE_LIMIT = 1 << 16


class Queue(NamedTuple):
    """What waits in front of a device, in bytes, and how many packets it has thrown away since it was made."""

    waiting_bytes: int
    dropped: int


def queues() -> dict[int, Queue]:
    """The queue of every device that has one, by the interface's number. Raises OSError where the kernel refuses."""
    found = {}
    for row in netlink.dump(netlink.NEW_QUEUE):
        _, index, _, parent, _ = row.fields
        stats = row.attributes.get(_TCA_STATS, b"")
        if parent == _ROOT and len(stats) >= _TC_STATS.size:
            _, _, dropped, _, _, _, _, backlog = _TC_STATS.unpack_from(stats)
            found[index] = Queue(backlog, dropped)
    return found


def tracked(folder: Path = _TRACKED) -> tuple[int | None, int | None]:
    """How many connections the own firewall keeps in mind, and how many it can; None where it keeps none."""
    return _number(folder / "nf_conntrack_count"), _number(folder / "nf_conntrack_max")


def dropped_unread(path: Path = _UNREAD) -> int | None:
    """Packets that came in while the processors were too busy to take them (netdev_max_backlog), since it was started.

    The second of the columns, which are hexadecimal.
    """
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return sum(int(line.split()[1], 16) for line in file.read(_FILE_LIMIT).splitlines())
    except (OSError, IndexError, ValueError):
        return None


def proxy(environment: Mapping[str, str] = os.environ) -> str:
    """Where programs are told to send their requests instead, as host:port; never with a password. Empty: nowhere."""
    for name in _PROXIES:
        text = environment.get(name, "")
        try:
            parts = urlsplit(text if "://" in text else f"//{text}")
            if parts.hostname:
                return clean(f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname)
        except ValueError:
            continue
    return ""


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
