"""Giving up privilege: the raw sockets go to a broker, and this process becomes the worker, which has no rights.

`separate` is called once, when everything is open that takes rights to open and before a byte is read that somebody
else has sent. After it this process has no capability and can get none, makes only the system calls that measuring
takes, and is an unprivileged user where it was root.
"""

import ipaddress
import os
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from netprobe.live import CannotMeasure, bpf, seccomp
from netprobe.live.broker import launch, messages
from netprobe.live.brokered import Broker
from netprobe.live.wire import LocalWire, Wire, draw_blocks, filters, open_wire

_TO_CHANGE_USER = (6, 7)  # CAP_SETGID, CAP_SETUID: containers may take them from root
_USER = "netprobe"  # made by packages; nobody where there is none
_NOBODY = (65534, 65534)
_BURST_S, _LEAST_BURST = 0.5, 100.0  # a stall of the broker must not cost a probe that was paced
_HEADROOM = 1.1  # over the rate that is asked for: a cap, not a pace

#: The agent's records and their lock, by which a folder of records is known (agent/store.py).
RECORDS = "netprobe.db"
_LOCK = "lock"

#: This machine's own addresses, to which any process may connect anyhow.
_OWN = ("127.0.0.0/8", "::1")


class Reach(NamedTuple):
    """Whom probes may go to, and how fast.

    `named` are addresses and prefixes that are known beforehand. `additions` more may be found on the way, and
    `additions_per_minute` after those. `rate` is what was asked for, in probes a second.
    """

    named: Sequence[str]
    additions: int
    additions_per_minute: float
    rate: float


class Wires:
    """Where the wires of this process come from, one at a time, for as long as it lives."""

    def __init__(self, broker: Broker | None, local: LocalWire | None = None) -> None:
        self.broker = broker
        self._local = local

    @property
    def still_root(self) -> bool:
        """Whether this process has given up its privilege, but has root's user id still."""
        return launch.asked() and os.geteuid() == 0

    def open(self) -> Wire | None:
        """A wire; None where this process never had a right to one, or kept it."""
        return self.broker.wire() if self.broker else self._local


def separate(reach: Reach, *, load: Callable[[], None], folder: Path | None = None) -> Wires:
    """Have the broker open the raw sockets, then give up all privilege for good. `folder` is where records are kept.

    `load` is called when the program could not be read any more, to load what is loaded later elsewhere.

    Where no second process can be started the sockets are opened here, before. Only a process that is a command of its
    own does any of this: privilege that was given up does not come back. Raises `CannotMeasure` when it cannot be given
    up: measuring with privilege is not done.
    """
    if not launch.asked():
        return Wires(None)
    user = worker_user(folder)
    wires = _open(reach, user)
    if folder and user:
        _hand_over(folder, user)
    if user and not _readable(user):
        load()
        if wires.open() is None:
            from netprobe.live import echoes, unprivileged  # noqa: F401, PLC0415  # the ladder's lower rungs
    try:
        _become_worker(user)
    except OSError as error:
        raise CannotMeasure(f"privilege cannot be given up ({error.strerror}); run it as an ordinary user") from error
    return wires


def _open(reach: Reach, user: tuple[int, int] | None) -> Wires:
    """By a broker; without one by this process; without a right to that by nobody: the ladder has lower rungs."""
    launched = launch.take() or launch.launch()
    if launched:
        broker = Broker(launched)
        try:
            broker.configure(configuration(reach, user))
        except CannotMeasure:
            broker.close()
        else:
            return Wires(broker)
    try:
        local = open_wire()
    except CannotMeasure:
        return Wires(None)
    local.lasting = True
    return Wires(None, local)


def configuration(reach: Reach, user: tuple[int, int] | None) -> messages.Configuration:
    """What the broker is told."""
    made = messages.Configuration()
    blocks = draw_blocks()
    made.first_port, made.ports, made.ident_base = blocks
    made.filters = filters(blocks)
    made.tap_filter = bpf.tap_filter(blocks)
    made.listed = list(_packed((*reach.named, *_OWN)))
    made.additions, made.additions_per_minute = reach.additions, reach.additions_per_minute
    made.rate = reach.rate * _HEADROOM
    made.burst = max(_LEAST_BURST, reach.rate * _BURST_S)
    made.user = user
    made.system_calls = seccomp.broker_filter(seccomp.machine())
    return made


def _packed(named: Iterable[str]) -> Iterable[tuple[bytes, int]]:
    """Prefixes as bytes and lengths; what is no address is a name, and comes later."""
    for text in named:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        yield network.network_address.packed, network.prefixlen


def worker_user(folder: Path | None = None) -> tuple[int, int] | None:
    """The user and group to become; None for a process that may not, or where nobody else could do the work.

    Who owns the records goes before who called sudo, before the user `netprobe`, before nobody. Root's own user id
    stays, without any capability, in a namespace that has no other, and for records where only root may enter.
    """
    held = launch.capabilities().get("CapEff", 0)
    if os.geteuid() != 0 or not all(held >> right & 1 for right in _TO_CHANGE_USER):
        return None
    candidates = (_owner(folder), _sudo_user(), _named_user(), _NOBODY)
    return next(
        (user for user in candidates if user and user[0] > 0 and _mapped(*user) and _may_enter(folder, user)), None
    )


def _owner(folder: Path | None) -> tuple[int, int] | None:
    if folder is None:
        return None
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_uid, status.st_gid


def _sudo_user() -> tuple[int, int] | None:
    try:
        return int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    except (KeyError, ValueError):
        return None


def _named_user() -> tuple[int, int] | None:
    import pwd  # noqa: PLC0415  # only root needs it

    for name in (_USER, "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    return None


def _mapped(uid: int, gid: int) -> bool:
    """Whether this user namespace has the user and the group (user_namespaces(7)), and lets groups be set."""
    return (
        _in_map("/proc/self/uid_map", uid)
        and _in_map("/proc/self/gid_map", gid)
        and _read("/proc/self/setgroups").strip() != "deny"
    )


def _in_map(path: str, number: int) -> bool:
    rows = [tuple(map(int, line.split())) for line in _read(path).splitlines()]
    return any(first <= number < first + count for first, _, count in rows)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""


def _hand_over(folder: Path, user: tuple[int, int]) -> None:
    """Give the records that root once kept, or the folder for new ones, to the user who will keep them.

    Only a folder that has records, or nothing, and nothing in it but them: somebody may have named the wrong one. It
    may belong to that user already: nothing is followed, and what has another name elsewhere stays root's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # the store will say what is wrong
        return
    try:
        names = os.listdir(opened)  # noqa: PTH208  # of this very folder, whatever its name leads to by now
        if names and RECORDS not in names:
            return
        if os.fstat(opened).st_uid == 0:
            os.fchown(opened, *user)
        for name in names:
            if name == _LOCK or name.startswith(RECORDS):
                with suppress(OSError):  # a link, or what may not be read
                    _hand_over_file(opened, name, user)
    except OSError:
        return
    finally:
        os.close(opened)


def _hand_over_file(folder: int, name: str, user: tuple[int, int]) -> None:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        status = os.fstat(file)
        if status.st_uid == 0 and status.st_nlink == 1 and stat.S_ISREG(status.st_mode):
            os.fchown(file, *user)
    finally:
        os.close(file)


def _readable(user: tuple[int, int]) -> bool:
    """Whether `user` can read the program and its interpreter: not where they lie in root's home."""
    places = {os.__file__, sys.executable, __file__, *(place for place in sys.path if os.path.isdir(place))}  # noqa: PTH112
    return all(_may_enter(Path(place), user) for place in places)


def _may_enter(place: Path | None, user: tuple[int, int]) -> bool:
    """Whether `user` can reach what lies at `place`, by the permissions of the folders above it."""
    uid, gid = user
    for folder in place.resolve().parents if place else ():
        try:
            status = folder.stat()
        except FileNotFoundError:  # it will be made
            continue
        except OSError:
            return False
        shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
        if not status.st_mode >> shift & 1:
            return False
    return True


def give_up() -> None:
    """Become what `separate` makes of a process, without a broker: for a copy of one that reads what strangers send.

    Raises OSError.
    """
    _become_worker(worker_user())


def _become_worker(user: tuple[int, int] | None) -> None:
    """No capability, no way to one, and no system call that measuring does not take. Raises OSError."""
    from netprobe.live.broker import kernel  # noqa: PLC0415  # ctypes takes 10 ms, which the broker's start covers

    kernel.give_up(user)
    program = seccomp.worker_filter(seccomp.machine())
    if program:
        try:
            kernel.install_filter(program)
        except OSError:  # a kernel without it: doctor says so
            return
