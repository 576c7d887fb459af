"""Starts the broker. Imported first thing by commands that measure, so that it starts while they import the rest."""

import _socket
import atexit
import os
import select
import sys

#: Commands that send probes.
MEASURING = frozenset({"diagnose", "trace", "agent"})
_ASKING = frozenset({"-h", "--help", "--version"})

_CAP_NET_RAW = 13
_SIGKILL = 9
_ENDS_WITHIN_S = 1.0
_CHANNEL = 3  # the descriptor at which the broker finds its end
_SIGNALS = (1, 2, 3, 15)  # SIGHUP, SIGINT, SIGQUIT, SIGTERM: it ends when its worker does, which decides about them
_PASSED_ON = ("LD_LIBRARY_PATH",)  # an interpreter that was built somewhere else needs it to start at all

# -I, -S, -E: no site packages, no environment, no folder of the user's. Our own package comes last on the path.
_PROGRAM = """\
import sys
sys.path.append(sys.argv[1])
from netprobe.live.broker.serve import main
sys.path.pop()
main(int(sys.argv[2]))
"""


class Launched:
    """A broker that was started and waits for its configuration: its process id and our end of the channel."""

    __slots__ = ("channel", "pid")

    def __init__(self, pid: int, channel: _socket.socket) -> None:
        self.pid = pid
        self.channel = channel

    def close(self) -> None:
        """Let it end, and wait until it has: it does so at once. One that was stopped is killed."""
        if self.channel.fileno() < 0:
            return
        self.channel.close()
        try:
            ended = os.pidfd_open(self.pid)
        except OSError:  # a kernel before 5.3
            os.waitpid(self.pid, 0)
            return
        if not select.select((ended,), (), (), _ENDS_WITHIN_S)[0]:
            os.kill(self.pid, _SIGKILL)
        os.close(ended)
        os.waitpid(self.pid, 0)


class _Ahead:
    """What was started for the command that this process runs; `asked`: this process is a command of its own."""

    asked = False
    launched: Launched | None = None


def ahead(arguments: "list[str]") -> None:
    """Start a broker when `arguments` are a command that will want one and this process may have raw sockets."""
    if arguments and arguments[0] in MEASURING and not _ASKING.intersection(arguments):
        _Ahead.asked = True
        _Ahead.launched = launch()


def asked() -> bool:
    """Whether this process is a command that measures, which ends with it: not a test, nor somebody's program."""
    return _Ahead.asked


def take() -> Launched | None:
    """The broker that was started ahead; None when there is none, or somebody has it."""
    launched, _Ahead.launched = _Ahead.launched, None
    return launched


def launch() -> Launched | None:
    """Start a broker; None where this process may have no raw sockets, or no second process."""
    if not _may_pass_on():
        return None
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC, 0)
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120  # pathlib takes 5 ms
    command = [sys.executable, "-I", "-S", "-E", "-c", _PROGRAM, root, str(_CHANNEL)]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, theirs.fileno(), _CHANNEL),
    ]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        pid = os.posix_spawn(sys.executable, command, environment, file_actions=actions, setsigmask=_SIGNALS)
    except OSError:
        ours.close()
        return None
    finally:
        theirs.close()
    launched = Launched(pid, ours)
    atexit.register(launched.close)
    return launched


def _may_pass_on() -> bool:
    """Whether a program that is started here will have CAP_NET_RAW."""
    sets = capabilities()
    if not sets.get("CapEff", 0) >> _CAP_NET_RAW & 1:
        return False
    if os.geteuid() != 0 and not sets.get("CapAmb", 0) >> _CAP_NET_RAW & 1:
        from netprobe.live.broker import kernel  # noqa: PLC0415  # ctypes takes 10 ms, and this is rare

        try:
            kernel.pass_on(_CAP_NET_RAW)
        except OSError:
            return False
    return True


def capabilities() -> dict[str, int]:
    """The capability sets of this process, as /proc calls them."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123  # as above
        rows = (line.split(":", 1) for line in file if line.startswith("Cap"))
        return {name: int(mask, 16) for name, mask in rows}
