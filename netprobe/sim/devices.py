"""What every fidelity with real packets needs from the kernel: devices, settings, and the end of who lives there."""

import contextlib
import ctypes
import errno
import fcntl
import gc
import os
import signal
import socket
import struct
import time
from pathlib import Path

from netprobe.sim.namespaces import LabError

CLIENT_DEVICE = "eth0"
CLIENT_MAC = bytes.fromhex("020000000001")  # locally administered (IEEE 802, 8.4)

#: Files of the client's machine that the lab replaces by those of its folder; the name service cache stays out.
CLIENT_FILES = {
    "/etc/resolv.conf": "resolv.conf",
    "/etc/hosts": "hosts",
    "/etc/nsswitch.conf": "nsswitch.conf",
    "/run/nscd/socket": "hosts",
}

_TUN_NODE = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_TUNSETCARRIER = 0x400454E2
_PR_SET_TIMERSLACK = 29
_SIOCETHTOOL, _ETHTOOL_STXCSUM = 0x8946, 0x17
IFF_TUN = 0x0001
IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
OWN_NETWORK = "/proc/self/ns/net"


def open_device(name: str, kind: int) -> int:
    """Make a TUN or TAP device in this network namespace; it lives as long as the descriptor. Raises `LabError`."""
    try:
        descriptor = os.open(_TUN_NODE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
            hint = 'load the driver with "modprobe tun"; in a container add --device /dev/net/tun'
        else:
            hint = f'run as root, or as root: "chmod 0666 {_TUN_NODE}"'
        msg = f"{_TUN_NODE}: {error.strerror}; {hint}"
        raise LabError(msg) from error
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), kind | _IFF_NO_PI))
    except OSError as error:
        os.close(descriptor)
        msg = f"{name}: {error.strerror}; the kernel gives no TUN/TAP device in a new network namespace: run as root"
        raise LabError(msg) from error
    return descriptor


def set_carrier(device: int, *, up: bool) -> None:
    """Plug the cable of a TUN or TAP device in or out."""
    fcntl.ioctl(device, _TUNSETCARRIER, struct.pack("i", up))


def write_checksums(device: str) -> None:
    """Have the kernel finish checksums before packets leave by `device`: who quotes one quotes what was on the wire.

    A pair of virtual Ethernet devices does not need them, and would hand on half of one (linux, ethtool.h).
    """
    wanted = ctypes.create_string_buffer(struct.pack("II", _ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP16x", device.encode(), ctypes.addressof(wanted))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)


def set_kernel(path: str, value: str) -> None:
    """Write a kernel setting under /proc/sys/net; one that the kernel does not have needs no change."""
    place = Path("/proc/sys/net", path)
    try:
        place.write_text(value)
    except FileNotFoundError:
        return
    except OSError as error:
        msg = f"{place}: {error.strerror}; run as root, or, in a container, with --privileged"
        raise LabError(msg) from error


def no_ipv6() -> None:
    """Take IPv6 from this network namespace."""
    for scope in ("all", "default"):
        set_kernel(f"ipv6/conf/{scope}/disable_ipv6", "1")


def set_ipv6(*, on: bool) -> None:
    """Let devices that are made in this network namespace from now on have IPv6, or take it from all.

    They have addresses at once, because nobody else can have them (duplicate address detection, RFC 4862, 5.4, would
    take a second), and ask nobody for routers.
    """
    if not on:
        no_ipv6()
        return
    for scope in ("all", "default"):
        for setting in ("accept_dad", "dad_transmits", "accept_ra", "router_solicitations"):
            set_kernel(f"ipv6/conf/{scope}/{setting}", "0")


def be_punctual() -> None:
    """Wake up on time: no timer slack, and where allowed ahead of the load that a measurement makes."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    gc.freeze()


def highest_group() -> int:
    """The last group id that exists in this user namespace: a range may not go beyond it (ping_group_range)."""
    inside, _, count = Path("/proc/self/gid_map").read_text().split("\n")[0].split()
    return min(int(inside) + int(count) - 1, 2**31 - 1)


def end_inhabitants(outside: os.stat_result) -> None:
    """Kill what still runs in this network namespace, which is not the one `outside`.

    The commands' own children are nobody else's to end.
    """
    here = Path(OWN_NETWORK).stat()
    if os.path.samestat(here, outside):
        return
    for _ in range(10):
        found = [pid for pid in inhabitants() if pid != os.getpid()]
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return
        time.sleep(0.01)  # dead ones whose parent has not looked yet are still listed


def inhabitants() -> list[int]:
    """The processes that run in this network namespace, this one among them."""
    here = Path(OWN_NETWORK).stat()
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if _lives_in(pid, here)]


def _lives_in(pid: int, namespace: os.stat_result) -> bool:
    try:
        return os.path.samestat(Path(f"/proc/{pid}/ns/net").stat(), namespace)
    except OSError:  # gone, or another user's
        return False
