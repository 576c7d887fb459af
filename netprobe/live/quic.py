"""QUIC handshakes, spoken by a process of their own: aioquic takes 16 MB, and reads what strangers send.

The process is a copy of this one (fork(2)), because a worker may start no program. It has no right that this one has
given up, gives up those that are left, and none of its descriptors but the channel. It ends with this one.
"""

import functools
import gc
import importlib
import os
import signal
import socket
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from netprobe.live.quic_words import Asked, Told, pack, unpack
from netprobe.live.reactor import READ, Reactor, Timer
from netprobe.model.services import QuicHandshake, QuicHandshaken

_HELPER = "netprobe.live.quic_helper"  # loaded by its name: what measures does not load aioquic
_CHANNEL = 3
_ENDED = "what speaks QUIC here has ended"
_LOADING_S = 5.0  # what a slow machine takes to load aioquic, beside a request's own time-out
_CHUNK = 65536
_MANY = 1 << 20  # more descriptors than anybody has; one system call closes them (close_range(2))

Authorities = Sequence[bytes]


class Helper:
    """The process, and our end of the channel."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.channel = channel

    def close(self) -> None:
        """End it, and wait until it has."""
        if self.channel.fileno() >= 0:
            self.channel.close()
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


class _Ahead:
    helper: Helper | None = None


def ahead(authorities: Authorities) -> None:
    """Start the helper now, for a process that can load nothing later; it serves one vantage after the other."""
    _Ahead.helper = _start(authorities)


def end() -> None:
    """End the helper that was started ahead."""
    helper, _Ahead.helper = _Ahead.helper, None
    if helper is not None:
        helper.close()


class Speaker:
    """Has QUIC handshakes made. `authorities` gives the certificates to trust, in DER; none: the system's.

    `count` is told of (packets, bytes) that went out.
    """

    def __init__(
        self, reactor: Reactor, authorities: Callable[[], Authorities], count: Callable[[int, int], None]
    ) -> None:
        self._reactor = reactor
        self._authorities = authorities
        self._count = count
        self._helper: Helper | None = None
        self._unread = b""
        self._numbers = 0
        self._waiting: dict[int, tuple[QuicHandshake, Callable[[QuicHandshaken], None], Timer]] = {}

    def start(self, request: QuicHandshake, done: Callable[[QuicHandshaken], None], link: str = "") -> None:
        """Make a handshake, by the interface `link` if it is given, and call `done` once with what came of it."""
        self._numbers += 1
        number = self._numbers
        try:
            helper = self._helper = self._helper or self._open()
            helper.channel.sendall(pack(Asked(number, request, link)))
        except OSError as error:
            ended = isinstance(error, BrokenPipeError | ConnectionResetError)
            self._lost()
            done(_unable(request, _ENDED if ended else error.strerror or "no helper"))
            return
        patience_s = request.timeout_s + _LOADING_S
        timer = self._reactor.at(self._reactor.now() + patience_s, functools.partial(self._overdue, number))
        self._waiting[number] = (request, done, timer)

    def close(self) -> None:
        """Have nothing more made, without a word to anybody. A helper that was started ahead stays for the next."""
        for _, _, timer in self._waiting.values():
            timer.cancel()
        busy, self._waiting = bool(self._waiting), {}
        if self._helper is not None:
            self._reactor.forget(self._helper.channel.fileno())
            if self._helper is not _Ahead.helper:
                self._helper.close()
            elif busy:
                with suppress(OSError):  # one that has ended needs no word
                    self._helper.channel.sendall(pack(Asked(0, None)))
            self._helper = None

    def _open(self) -> Helper:
        helper = _Ahead.helper or _start(self._authorities())
        self._reactor.watch(helper.channel.fileno(), READ, self._readable)
        return helper

    def _readable(self) -> None:
        if self._helper is None:
            return
        try:
            chunk = self._helper.channel.recv(_CHUNK, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        self._unread += chunk
        try:
            while (found := unpack(self._unread)) is not None:
                message, self._unread = found
                self._tell(msgspec.json.decode(message, type=Told))
        except (msgspec.DecodeError, ValueError):  # it has lost its senses
            chunk = b""
        if not chunk:
            self._lost()

    def _tell(self, told: Told) -> None:
        found = self._waiting.pop(told.number, None)
        if found is not None:
            request, done, timer = found
            timer.cancel()
            self._count(told.packets_sent, told.bytes_sent)
            done(msgspec.structs.replace(told.outcome, handshake=request))

    def _overdue(self, number: int) -> None:
        found = self._waiting.pop(number, None)
        if found is not None:
            found[1](_unable(found[0], "what speaks QUIC here does not answer"))

    def _lost(self) -> None:
        """The helper has ended, or must: what it was asked for is not known."""
        if self._helper is not None:
            self._reactor.forget(self._helper.channel.fileno())
            self._helper.close()
            if self._helper is _Ahead.helper:
                _Ahead.helper = None
            self._helper = None
        self._unread = b""
        waiting, self._waiting = self._waiting, {}
        for request, done, timer in waiting.values():
            timer.cancel()
            done(_unable(request, _ENDED))


def _unable(request: QuicHandshake, why: str) -> QuicHandshaken:
    return QuicHandshaken(request, "initial", "local", why)


def _start(authorities: Authorities) -> Helper:
    """Make the process. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with warnings.catch_warnings():
        # Python 3.12 warns where there are threads: they are not copied, and the copy waits for none of their locks.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        theirs.close()
        return Helper(pid, ours)
    try:
        _become_helper(theirs, authorities)
    finally:
        os._exit(0)  # nothing of the process that this is a copy of may be ended here


def _become_helper(channel: socket.socket, authorities: Authorities) -> None:
    """All of a helper's life."""
    gc.freeze()  # what the other process has made stays as it is: its descriptors have other owners by now
    gc.disable()
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # its end is the channel's
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    kept = os.dup2(channel.fileno(), _CHANNEL) if channel.fileno() != _CHANNEL else _CHANNEL
    os.closerange(_CHANNEL + 1, _MANY)
    importlib.import_module(_HELPER).serve(kept, authorities)
