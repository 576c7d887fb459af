"""Looks at what this machine allows, and says what is lost without it and how to get it."""

import errno
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from netprobe.live import CannotMeasure, host, ladder, seccomp
from netprobe.live.broker import launch
from netprobe.live.brokered import Broker
from netprobe.live.privilege import Reach, configuration, worker_user
from netprobe.live.wire import open_wire
from netprobe.model.record import Record
from netprobe.model.rungs import CONNECT, PING, RAW, RUNGS, Rung

_CAP_NET_RAW = 13
_TOOLS = ("ip", "nft", "unshare", "traceroute", "mtr", "dig", "curl")
_ECHO_TIMEOUT_S = 0.5
_EARLIEST_S = 1_735_689_600.0  # 2025-01-01: netprobe did not exist before


class Check(Record, frozen=True):
    """One thing that was looked at. `remedy` says what to do about it; empty when it is fine.

    `needed`: nothing can be measured without it. Otherwise only a part is lost, which `detail` names. `rung` is the id
    of the rung of the ladder that it is about, if it is about one.
    """

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    needed: bool = False
    rung: str = ""

    @property
    def sentence(self) -> str:
        """The finding on one line."""
        return f"{self.name}: {self.detail}"


def checks() -> tuple[Check, ...]:
    """All checks, the rungs of the ladder first. No packet leaves."""
    return (
        *_rungs(),
        _split(),
        _default_route(),
        _resolvers(),
        _clock(),
        _tun(),
        _user_namespaces(),
        _tools(),
    )


def _rungs() -> tuple[Check, ...]:
    """A row for each rung of the ladder, the highest first. Only the last is needed: without it nothing is measured."""
    troubles = {row.id: _trouble(row) for row in RUNGS}
    opened = [row for row in RUNGS if not troubles[row.id]]
    return tuple(_rung(row, troubles[row.id], opened) for row in RUNGS)


def _rung(row: Rung, trouble: str, opened: Sequence[Rung]) -> Check:
    if trouble:
        detail, remedy = f"{trouble}; without it {_cost(row, opened)}", row.remedy
    else:
        carries = _listed(row.protocols)
        limits = f"; {row.limits}" if row.limits else ""
        detail, remedy = f"open: {carries} probes{limits}", ""
        detail += _echo_check() if row.id == PING else ""
    return Check(row.name, not trouble, detail, remedy, needed=row.id == CONNECT, rung=row.id)


def _trouble(row: Rung) -> str:
    """Why a rung does not open; empty when it does."""
    if row.id == RAW:
        try:
            open_wire().close()
        except (CannotMeasure, OSError) as error:
            held = _effective_capabilities() >> _CAP_NET_RAW & 1
            return f"closed although CAP_NET_RAW is held ({error})" if held else "closed: CAP_NET_RAW is not held"
        return ""
    refusal = ladder.trouble(row.id)
    if refusal and row.id == PING:
        low, high, *_ = [int(word) for word in _read("/proc/sys/net/ipv4/ping_group_range").split()] or [1, 0]
        return f"closed to your groups (open to {f'{low} to {high}' if low <= high else 'none'})"
    return f"closed ({refusal.strerror})" if refusal else ""


def _cost(row: Rung, opened: Sequence[Rung]) -> str:
    """What is lost without `row`, where `opened` is what else there is."""
    above = [r for r in opened if RUNGS.index(r) < RUNGS.index(row)]
    if all(any(p in r.protocols for r in above) for p in row.protocols):
        return f"nothing is lost while there are {above[0].name}"
    below = [r for r in opened if RUNGS.index(r) > RUNGS.index(row)]
    lost = {p: next((r for r in below if p in r.protocols), None) for p in row.protocols}
    gone = [p for p, r in lost.items() if r is None]
    said = [f"there are no {_listed(gone)} probes"] if gone else []
    rests = dict.fromkeys(r for r in lost.values() if r)
    said += [f"{_listed([p for p, r in lost.items() if r is rest])} probes leave by {rest.name}" for rest in rests]
    return "; ".join(said)


def _echo_check() -> str:
    """Whether the own loopback answers a ping socket, by code that is not ours; no packet leaves the machine."""
    import icmplib  # noqa: PLC0415  # it brings asyncio, and must not share a process with scapy (docs/decisions/0001)

    try:
        host = icmplib.ping("127.0.0.1", count=1, timeout=_ECHO_TIMEOUT_S, privileged=False)
    except (icmplib.ICMPLibError, OSError):
        return ""
    return f"; the own loopback answers in {host.min_rtt:.1f} ms" if host.is_alive else "; the own loopback is silent"


def _split() -> Check:
    """Whether the raw sockets go to a process of their own. It is started, told that it may probe nobody, and ended."""
    name = "privilege split"
    if not _effective_capabilities() >> _CAP_NET_RAW & 1:
        return Check(name, ok=True, detail="nothing to separate: CAP_NET_RAW is not held")
    launched = launch.launch()
    if launched is None:
        return Check(name, ok=False, detail=f"no second process can be started; {_UNSPLIT}", remedy=_SPLIT_REMEDY)
    broker = Broker(launched)
    user = worker_user()
    try:
        state = broker.configure(configuration(Reach((), 0, 0.0, 1.0), user))
        said = dict(line.split(":\t", 1) for line in _read(f"/proc/{state.pid}/status").splitlines() if ":\t" in line)
    except CannotMeasure as error:
        return Check(name, ok=False, detail=f"the broker cannot work ({error}); {_UNSPLIT}", remedy=_SPLIT_REMEDY)
    finally:
        broker.close()
    size_mb = int(said.get("VmRSS", "0 kB").split()[0]) / 1024
    held = int(said.get("CapPrm", "0"), 16)
    alone = "alone" if held == 1 << _CAP_NET_RAW else f"and more ({held:x})"
    rest = f"the rest becomes user {user[0]}" if user else f"the rest stays user {os.getuid()}"
    detail = f"a broker of {size_mb:.0f} MB holds CAP_NET_RAW {alone}, its filters are locked; "
    detail += f"{rest}, with no capability"
    if not state.filtered:
        return Check(name, ok=False, detail=f"{detail}; system calls are not filtered", remedy=_FILTER_REMEDY)
    return Check(name, ok=True, detail=f"{detail}; the system calls of both are filtered")


_UNSPLIT = "what reads replies keeps the raw sockets"
_SPLIT_REMEDY = "allow one more process: ulimit -u, TasksMax= of the unit, the limits of the container"
_FILTER_REMEDY = f"a kernel with CONFIG_SECCOMP_FILTER, on one of: {', '.join(seccomp.MACHINES)}"


def _effective_capabilities() -> int:
    lines = (line.split() for line in _read("/proc/self/status").splitlines())
    return next((int(words[1], 16) for words in lines if words[:1] == ["CapEff:"]), 0)


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


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
        missing = error.errno not in {errno.EACCES, errno.EPERM}
        remedy = (
            "modprobe tun; in a container, pass --device /dev/net/tun" if missing else f"as root: chmod 0666 {path}"
        )
        return Check("TUN device", ok=False, detail=detail, remedy=remedy)
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
