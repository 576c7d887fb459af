"""Anonymous Linux namespaces: made by a process for itself, joined by commands, gone with the last that holds them.

There are no names in /run/netns, so nothing can be left behind. Without root a user namespace comes first, in which the
caller is root (user_namespaces(7)). Nothing here knows a simulated network.
"""

import ctypes
import errno
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000
_PR_SET_PDEATHSIG = 1
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_OWN_NETWORK = "/proc/thread-self/ns/net"

#: setns(2) order: the user namespace first, because it grants the right to join the others.
_JOINED = ("user", "mnt", "net")

#: Settings that forbid user namespaces: where, the value that does, and what to do.
_FORBIDDING = (
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl -w user.max_user_namespaces=15000"),
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
)

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(RuntimeError):
    """The simulated network cannot run here: says what, where, and what to do."""


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags))


def enter_new_network() -> None:
    """Move this process into a new network namespace, through a new user namespace where it has no right to.

    The process must be single-threaded. Raises `LabError`.
    """
    try:
        _unshare(CLONE_NEWNET)
    except OSError as error:
        if error.errno != errno.EPERM:
            _refused(error)
    else:
        return
    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(CLONE_NEWUSER)
        # user_namespaces(7): without privilege a gid may only be mapped after setgroups(2) was given up.
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
        _unshare(CLONE_NEWNET)
    except OSError as error:
        _refused(error)


def new_network() -> int:
    """Make another network namespace; the descriptor holds it. This process stays where it is. Raises `LabError`."""
    home = os.open(_OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_new_network()
        made = os.open(_OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
        _check(_libc.setns(home, CLONE_NEWNET))
    finally:
        os.close(home)
    return made


@contextmanager
def visiting(network: int) -> Iterator[None]:
    """Within it this thread is in the network namespace that the descriptor `network` holds."""
    home = os.open(_OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
    _check(_libc.setns(network, CLONE_NEWNET))
    try:
        yield
    finally:
        _check(_libc.setns(home, CLONE_NEWNET))
        os.close(home)


def _refused(error: OSError) -> NoReturn:
    """Say why the kernel gave no namespace."""
    if error.errno == errno.ENOSPC:
        what = "the limit of namespaces is reached"
        hint = "see the limits under /proc/sys/user/, or run as root"
    else:
        what = f"the kernel refuses user namespaces ({error.strerror})"
        hint = "run as root, or, in a container, allow it CAP_SYS_ADMIN"
    for place, value, remedy in _FORBIDDING:
        try:
            found = Path(place).read_text().strip()
        except OSError:
            continue
        if found == value:
            what, hint = f"user namespaces are forbidden by {place} = {value}", f"run as root, or as root: {remedy}"
            break
    msg = f"network namespace: {what}; {hint}"
    raise LabError(msg) from error


def enter_new_mounts(files: Mapping[str, Path]) -> None:
    """Move this process into a mount namespace in which each path of `files` shows the file beside it.

    Paths that do not exist are left out, because nothing reads them here. /sys shows the current network namespace
    where the kernel allows it. Raises `LabError`.
    """
    try:
        _unshare(CLONE_NEWNS)
        _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
        for path, source in files.items():
            target = Path(path).resolve()
            if target.exists():
                _mount(str(source), str(target), None, _MS_BIND)
    except OSError as error:
        msg = f"mount namespace: {error.strerror}; run as root, or, in a container, allow it CAP_SYS_ADMIN"
        raise LabError(msg) from error
    try:
        _mount("sysfs", "/sys", "sysfs", 0)
    except OSError:
        return  # a container that hides parts of /sys: tools that read /sys/class/net see the outer devices


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    encode = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _check(_libc.mount(*encode, ctypes.c_ulong(flags), None))


def bring_up(device: str) -> None:
    """Set a device of this network namespace up. Raises `OSError`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", device.encode(), 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", device.encode(), flags | _IFF_UP))


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the thread of `parent`, its parent, that made it is gone (prctl(2))."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it went before the call
        os._exit(1)


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Namespaces that are held by `descriptors`, in the order in which they are joined."""

    descriptors: tuple[int, ...]

    @classmethod
    def of(cls, pid: int) -> "Namespaces":
        """Those of the running process `pid` that are not the caller's own."""
        held = []
        for kind in _JOINED:
            theirs = f"/proc/{pid}/ns/{kind}"
            if not Path(theirs).samefile(f"/proc/self/ns/{kind}"):
                descriptor = os.open(theirs, os.O_RDONLY | os.O_CLOEXEC)
                # Above the standard ones, which a command may be given anew even if they are closed here.
                held.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3))
                os.close(descriptor)
        return cls(tuple(held))

    def popen(self, command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start `command` inside; it dies with the caller. `options` are those of `subprocess.Popen`.

        Raises `LabError` when there is no such command.
        """
        parent = os.getpid()
        where = options.pop("cwd", None) or Path.cwd()

        def join() -> None:
            for descriptor in self.descriptors:
                _check(_libc.setns(descriptor, 0))
            os.chdir(where)  # joining a mount namespace leads to its root
            die_with(parent)

        try:
            # A fork is needed to join. What runs in it calls libc only, so other threads' locks do not matter.
            return subprocess.Popen(command, preexec_fn=join, **options)  # noqa: S603, PLW1509
        except FileNotFoundError as error:
            if shutil.which(command[0]) is not None:
                raise
            msg = f"{command[0]}: no such command; install it, or give its whole path"
            raise LabError(msg) from error
        except PermissionError as error:
            msg = f"{command[0]}: {error.strerror}; is it an executable file?"
            raise LabError(msg) from error

    def run(self, command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run `command` inside to its end and return what it printed as text, unless `options` say otherwise."""
        settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
        with self.popen(command, **settings) as process:
            out, err = process.communicate()
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def close(self) -> None:
        """Let go: the kernel removes what nobody else holds."""
        for descriptor in self.descriptors:
            os.close(descriptor)


@contextmanager
def isolated() -> Iterator[Namespaces]:
    """A network namespace without a way out: a loopback that is up and nothing else. Raises `LabError`."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "netprobe.sim.namespaces"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=own_environment(),
    ) as maker:
        said, _ = maker.stdout.readline(), maker.stdout  # type: ignore[union-attr]  # a pipe, as asked for
        if said.strip() != "ready":
            raise LabError(said.strip() or "network namespace: its maker ended without a word")
        namespaces = Namespaces.of(maker.pid)
        maker.communicate()
    try:
        yield namespaces
    finally:
        namespaces.close()


def own_environment() -> dict[str, str]:
    """The environment in which our own interpreter finds this package again, from any folder.

    It is to be started with -P, so that a file there cannot pass for a module.
    """
    root = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))}


def _make_isolated() -> None:
    """Child of `isolated`: make the namespace and keep it until the parent holds it."""
    try:
        enter_new_network()
        bring_up("lo")
    except LabError as error:
        print(error, flush=True)  # noqa: T201  # the parent reads it
        return
    print("ready", flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    _make_isolated()
