"""The raw sockets and the source ports behind every probe: opening, filtering, holding, sending.

`Wire` is the seam: the prober hands it packets and is told what became of them, and never sees a raw socket. All that
needs CAP_NET_RAW happens behind it.

A held port is bound and never listens, so the kernel answers a SYN-ACK on it with a RST: the server forgets the
half-open connection at once, which is a courtesy, and no program of this machine gets the port meanwhile.
"""

import _socket
import errno
import functools
import socket
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple, Protocol

from netprobe.live import CannotMeasure, bpf, chance, stamps
from netprobe.live.binding import bind
from netprobe.live.broker import sockets
from netprobe.live.broker.sockets import leaving_by, overflowed
from netprobe.live.reactor import READ, Reactor
from netprobe.live.stamps import Arrival
from netprobe.live.tap import Tap, open_tap

_BLOCK_PORTS = 1024
_FIRST_BLOCK, _BLOCK_RANGE = 16384, 15360  # below the range that the kernel takes ports from by itself (32768)
_IDLE_S = 120.0
_STAMPS_AT_ONCE = 64  # sent packets after which their stamps are read: the kernel keeps some 200 of them
RECEIVE_AT_ONCE = 256  # then the sessions get their turn

#: The kind of packet that begins with its IP header, which says the rest.
HEADER_FIRST = -1

NO_RAW_SOCKETS = 'raw sockets need CAP_NET_RAW; run "netprobe doctor"'


class Sockets(NamedTuple):
    """The raw sockets of one version of IP: one that sends, two that receive."""

    sender: _socket.socket
    icmp: _socket.socket
    tcp: _socket.socket


class Listener(Protocol):
    """Who is told what happens on a wire. Times are monotonic seconds."""

    def arrived(self, kind: int, arrival: Arrival) -> None:
        """A packet of `kind` came in: `HEADER_FIRST`, or the number of the protocol that it begins with."""
        ...

    def departed(self, token: int, at_s: float) -> None:
        """The packet of `token` was given to the device at `at_s`, by the kernel's stamp."""
        ...

    def failed(self, token: int, error: str) -> None:
        """The packet of `token` never left; `error` is the errno's name."""
        ...


class Wire(Protocol):
    """Raw packets out and in. `blocks` are the numbers that its filters let through."""

    blocks: bpf.Blocks

    def attach(self, reactor: Reactor, listener: Listener) -> None:
        """Tell `listener` from now on, whenever `reactor` turns."""
        ...

    def send(self, token: int, packet: bytes, destination: str, interface: int = 0) -> None:
        """Send `packet`, which begins with its IP header, by the interface of that index (0: as the routes say).

        Never raises: the listener is told, perhaps at once.
        """
        ...

    def flush(self) -> None:
        """Packets may have been collected: let them go."""
        ...

    def settle(self, token: int) -> None:
        """Tell of all departures that are known by now; that of `token` is what somebody needs."""
        ...

    def open_tap(self) -> Tap | None:
        """A tap on this machine's devices for what belongs to `blocks`; None where none can be had."""
        ...

    def overflowed(self) -> int:
        """How many packets the receiving sockets had no room for, ever."""
        ...

    def close(self) -> None:
        """Tell nobody any more, and let go of the sockets if they are its own."""
        ...


class LocalWire:
    """A wire whose raw sockets are this process's own. `v6` is None on a machine whose kernel has no IPv6.

    With `lasting` they outlive it: it may be attached again after it was closed, by a process that gets no others.
    """

    lasting = False

    def __init__(self, v4: Sockets, v6: Sockets | None, blocks: bpf.Blocks) -> None:
        self.v4 = v4
        self.v6 = v6
        self.blocks = blocks
        self._reactor: Reactor | None = None
        self._listener: Listener | None = None
        self._departures = [stamps.Departures(sockets.sender) for sockets in (v4, v6) if sockets]  # as `v4`, `v6`
        self._sent = 0

    def attach(self, reactor: Reactor, listener: Listener) -> None:
        """Tell `listener` from now on, whenever `reactor` turns."""
        self._reactor, self._listener = reactor, listener
        for sock, kind in self._receiving():
            reactor.watch(sock.fileno(), READ, functools.partial(self._read, listener, sock, kind))

    def send(self, token: int, packet: bytes, destination: str, interface: int = 0) -> None:
        """Send at once."""
        over_v6 = ":" in destination
        sockets = self.v6 if over_v6 else self.v4
        if sockets is None:
            self._tell().failed(token, "EAFNOSUPPORT")
            return
        departures = self._departures[over_v6]
        try:
            if interface:
                sockets.sender.sendmsg((packet,), leaving_by(interface, sockets.sender.family), 0, (destination, 0))
            else:
                sockets.sender.sendto(packet, (destination, 0))
        except OSError as error:
            departures.failed()
            self._tell().failed(token, errno.errorcode.get(error.errno or 0, "EINVAL"))
            return
        departures.sent(token)
        self._sent += 1
        if self._sent % _STAMPS_AT_ONCE == 0:
            self.settle(token)

    def flush(self) -> None:
        """Nothing is collected here."""

    def settle(self, token: int) -> None:
        """Read the stamps that wait: they wake nobody."""
        del token  # all of them
        for departures in self._departures:
            for sent, at_s in departures.read():
                self._tell().departed(sent, at_s)

    def open_tap(self) -> Tap | None:
        """Open it here: it takes the same right as the raw sockets."""
        try:
            return open_tap(self.blocks)
        except OSError:  # no packet sockets in this kernel, or not for us
            return None

    def overflowed(self) -> int:
        """How many packets the receiving sockets had no room for, ever."""
        return sum(overflowed(sock) for sock, _ in self._receiving())

    def close(self) -> None:
        """Tell nobody any more, and close the sockets unless they are lasting."""
        if self._reactor:
            for sock, _ in self._receiving():
                self._reactor.forget(sock.fileno())
        self._reactor = self._listener = None
        if not self.lasting:
            for sock in (*self.v4, *(self.v6 or ())):
                sock.close()

    def _tell(self) -> Listener:
        if self._listener is None:
            raise RuntimeError("attach a listener first")
        return self._listener

    def _receiving(self) -> list[tuple[_socket.socket, int]]:
        """The receiving sockets, and the kind of what they give: those of IPv6 show no header."""
        v6 = [(self.v6.icmp, socket.IPPROTO_ICMPV6), (self.v6.tcp, socket.IPPROTO_TCP)] if self.v6 else []
        return [(self.v4.icmp, HEADER_FIRST), (self.v4.tcp, HEADER_FIRST), *v6]

    @staticmethod
    def _read(listener: Listener, sock: _socket.socket, kind: int) -> None:
        for _ in range(RECEIVE_AT_ONCE):
            try:
                arrival = stamps.receive(sock)
            except OSError:  # nothing more, or a pending error of the socket: reading it clears it
                return
            listener.arrived(kind, arrival)


def draw_blocks() -> bpf.Blocks:
    """Blocks of source ports and identifiers that nobody can know beforehand."""
    return bpf.Blocks(_FIRST_BLOCK + chance.below(_BLOCK_RANGE), _BLOCK_PORTS, (1 + chance.below(254)) << 8)


def filters(blocks: bpf.Blocks) -> tuple[bytes, ...]:
    """The programs of the receiving sockets, in the order of `sockets.receiving`."""
    return (
        bpf.icmp_filter(blocks),
        bpf.tcp_filter(blocks),
        bpf.icmpv6_filter(blocks),
        bpf.tcp_v6_filter(blocks),
    )


def open_wire() -> LocalWire:
    """Open the raw sockets in this process, filters attached and locked before anything can be read.

    Raises `CannotMeasure` without CAP_NET_RAW.
    """
    blocks = draw_blocks()
    try:
        v4, v6 = sockets.open_all()
    except OSError as error:
        raise cannot_open(error) from error
    sockets.let_through(sockets.receiving(v4, v6), filters(blocks))
    over_v6 = Sockets(v6.sender, v6.icmp, v6.tcp) if v6 else None
    return LocalWire(Sockets(v4.sender, v4.icmp, v4.tcp), over_v6, blocks)


def cannot_open(error: OSError) -> CannotMeasure:
    """What to tell the user about raw sockets that cannot be opened."""
    if isinstance(error, PermissionError):
        return CannotMeasure(NO_RAW_SOCKETS)
    return CannotMeasure(f'no raw socket can be opened ({error.strerror}); run "netprobe doctor"')


def source_address(destination: str, link: str = "") -> str:
    """The own address from which the kernel would send to `destination`, by the interface `link` if it is given.

    No packet leaves.

    Raises OSError (ENETUNREACH, ...) where the kernel knows no way.
    """
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        bind(sock, link)
        sock.connect((destination, 9))  # RFC 863: the port of a service that would only discard
        return str(sock.getsockname()[0])


class HeldPorts:
    """Source ports of one transport, a port a label, out of the wire's block; those that idle longest are given back.

    A label's port is the same for all destinations: the four-tuples differ, and hundreds of flows need few descriptors.
    """

    def __init__(
        self,
        kind: socket.SocketKind,
        blocks: bpf.Blocks,
        *,
        family: socket.AddressFamily = socket.AF_INET,
        on_hold: Callable[[socket.socket], None] | None = None,
        on_release: Callable[[socket.socket], None] | None = None,
    ) -> None:
        self._kind = kind
        self._family = family
        self._free = chance.shuffled(blocks.probe_ports)
        self._held: OrderedDict[int, tuple[socket.socket, float]] = OrderedDict()  # by label, least recently used first
        self._on_hold = on_hold
        self._on_release = on_release

    def port(self, label: int, now: float) -> int:
        """The source port of `label`. Raises OSError (EADDRINUSE) when no port of the block can be had."""
        if label in self._held:
            sock, _ = self._held.pop(label)
        else:
            self._release(lambda used, left: now - used > _IDLE_S or left == 0)
            sock = self._bind()
            if self._on_hold:
                self._on_hold(sock)
        self._held[label] = (sock, now)
        return int(sock.getsockname()[1])

    def holds(self, port: int) -> bool:
        """Whether `port` is held now."""
        return any(sock.getsockname()[1] == port for sock, _ in self._held.values())

    def overflowed(self) -> int:
        """How many datagrams the sockets that are held now had no room for."""
        return sum(overflowed(sock) for sock, _ in self._held.values())

    def close(self) -> None:
        """Give all ports back."""
        self._release(lambda _used, _left: True)

    def _release(self, over: Callable[[float, int], bool]) -> None:
        """Give back, from the longest idle on, while `over(last use, free ports left)`."""
        while self._held:
            label, (sock, used) = next(iter(self._held.items()))
            if not over(used, len(self._free)):
                break
            del self._held[label]
            self._free.insert(0, int(sock.getsockname()[1]))
            if self._on_release:
                self._on_release(sock)
            sock.close()

    def _bind(self) -> socket.socket:
        """A socket on a port of the block that nobody else has; one that somebody has now is tried last again."""
        for _ in range(len(self._free)):
            port = self._free.pop()
            sock = socket.socket(self._family, self._kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            try:
                if self._family == socket.AF_INET6:  # the same port of IPv4 is held apart
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(("", port))
            except OSError as error:
                sock.close()
                self._free.insert(0, port)
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return sock
        raise OSError(errno.EADDRINUSE, "no source port left")
