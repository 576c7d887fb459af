"""Looks at what this machine allows, and says what is lost without it and how to get it."""

import os
import shutil
from pathlib import Path

from netprobe.live import CannotMeasure, host
from netprobe.live.wire import open_wire
from netprobe.model.record import Record

_CAP_NET_RAW = 13
_TOOLS = ("ip", "nft", "unshare", "traceroute", "mtr", "dig", "curl")
_EARLIEST_S = 1_735_689_600.0  # 2025-01-01: netprobe did not exist before


class Check(Record, frozen=True):
    """One thing that was looked at. `remedy` says what to do about it; empty when it is fine.

    `needed`: nothing can be measured without it. Otherwise only a part is lost, which `detail` names.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = False

    @property
    def sentence(self) -> str:
        """The finding on one line."""
        return f"{self.name}: {self.detail}"


def checks() -> tuple[Check, ...]:
    """All checks, the needed ones first. No packet leaves."""
    return (
        _capability(),
        _raw_sockets(),
        _ping_sockets(),
        _default_route(),
        _resolvers(),
        _clock(),
        _tun(),
        _user_namespaces(),
        _tools(),
    )


def _capability() -> Check:
    effective = 0
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.split()[1], 16)
    ok = bool(effective >> _CAP_NET_RAW & 1)
    remedy = (
        "run it as root, or from a systemd unit with AmbientCapabilities=CAP_NET_RAW; never give it to the interpreter"
    )
    return Check(
        "CAP_NET_RAW", ok, "held" if ok else "not held: no probe can be sent", "" if ok else remedy, needed=True
    )


def _raw_sockets() -> Check:
    try:
        open_wire().close()
    except (CannotMeasure, OSError) as error:
        return Check("raw sockets", ok=False, detail=str(error), remedy=_RAW_REMEDY, needed=True)
    return Check("raw sockets", ok=True, detail="open, with filters attached", needed=True)


_RAW_REMEDY = "give CAP_NET_RAW; with it, look for a container or seccomp profile that forbids AF_INET raw sockets"


def _ping_sockets() -> Check:
    low, high, *_ = [int(word) for word in _read("/proc/sys/net/ipv4/ping_group_range").split()] or [1, 0]
    groups = {os.getegid(), *os.getgroups()}
    ok = any(low <= group <= high for group in groups)
    detail = f"groups {low} to {high}" if low <= high else "for no group: without CAP_NET_RAW there is no echo probe"
    return Check("ping sockets", ok, detail, "" if ok else 'sysctl -w net.ipv4.ping_group_range="0 2147483647"')


def _default_route() -> Check:
    state = host.inspect()
    if state.default_link:
        return Check("default route", ok=True, detail=f"via {state.gateway or 'the link'} on {state.default_link}")
    links = ", ".join(f"{link.name} {link.state}" for link in state.links) or "no link at all"
    return Check("default route", ok=False, detail=f"none ({links})", remedy="connect to a network: cable, Wi-Fi, DHCP")


def _resolvers() -> Check:
    found = host.resolvers()
    if found:
        return Check("resolvers", ok=True, detail=", ".join(found))
    return Check(
        "resolvers", ok=False, detail="none in /etc/resolv.conf", remedy='add a line "nameserver ADDRESS" to it'
    )


def _clock() -> Check:
    now = host.inspect().wall_clock_s
    if now >= _EARLIEST_S:
        return Check("clock", ok=True, detail="plausible")
    return Check(
        "clock",
        ok=False,
        detail="years behind: every certificate will look not yet valid",
        remedy="start an NTP client",
    )


def _tun() -> Check:
    path = "/dev/net/tun"
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        detail = f"{path}: {error.strerror}: no `netprobe lab run` with real packets"
        return Check(
            "TUN device", ok=False, detail=detail, remedy="modprobe tun; in a container, pass --device /dev/net/tun"
        )
    return Check("TUN device", ok=True, detail=path)


def _user_namespaces() -> Check:
    limits = {
        "/proc/sys/user/max_user_namespaces": "0",
        "/proc/sys/kernel/unprivileged_userns_clone": "0",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1",
    }
    closed = [path for path, shut in limits.items() if _read(path).strip() == shut]
    if not closed:
        return Check("user namespaces", ok=True, detail="allowed")
    open_to = {"0": "1", "1": "0"}
    remedy = "; ".join(
        f"sysctl -w {path.removeprefix('/proc/sys/').replace('/', '.')}="
        + ("10000" if path.endswith("max_user_namespaces") else open_to[limits[path]])
        for path in closed
    )
    return Check("user namespaces", ok=False, detail="forbidden: the lab needs root", remedy=remedy)


def _tools() -> Check:
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if not missing:
        return Check("tools of the lab", ok=True, detail=", ".join(_TOOLS))
    return Check(
        "tools of the lab",
        ok=False,
        detail=f"missing: {', '.join(missing)} (only `netprobe lab` and comparisons use them)",
        remedy="apt-get install iproute2 nftables util-linux traceroute mtr-tiny dnsutils curl",
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
