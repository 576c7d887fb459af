"""The ladder from raw packets down: which rungs open on this machine, and a prober that stands on the highest."""

import errno
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from netprobe.live import CannotMeasure
from netprobe.live.identity import Identity
from netprobe.live.prober import Emit, Prober
from netprobe.live.reactor import Reactor
from netprobe.live.wire import Wire, open_wire
from netprobe.model.probes import Protocol
from netprobe.model.rungs import CONNECT, NOT_AT_ALL, PING, RAW, RECVERR, RUNGS, Footing

if TYPE_CHECKING:
    from netprobe.live.unprivileged import UnprivilegedProber

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def climb(
    reactor: Reactor, emit: Emit, *, wire: Wire | None = None, identity: Identity | None = None
) -> "tuple[Prober | UnprivilegedProber, Footing]":
    """A prober on the highest rungs that open, and which these are. With `wire`, raw sockets were opened for us.

    Raises `CannotMeasure` where not even connections can be made.
    """
    try:
        wire = wire or open_wire()
    except CannotMeasure:
        footing = unprivileged_footing()
        if footing[Protocol.TCP] == NOT_AT_ALL:
            raise
        from netprobe.live.unprivileged import UnprivilegedProber  # noqa: PLC0415  # most have no need of it

        return UnprivilegedProber(reactor, emit, footing, identity), footing
    return Prober(wire, reactor, emit, identity), dict.fromkeys(Protocol, RAW)


def unprivileged_footing() -> Footing:
    """For each protocol the highest rung below raw packets that opens here. No packet leaves."""
    opened = [row for row in RUNGS if row.id != RAW and trouble(row.id) is None]
    return {
        protocol: next((row.id for row in opened if protocol in row.protocols), NOT_AT_ALL) for protocol in Protocol
    }


def trouble(ident: str) -> OSError | None:
    """Why the rung `ident` does not open here; None when it does, if only for one version of IP. No packet leaves."""
    errors: list[OSError] = []
    for family in _FAMILIES:
        try:
            _OPENS[ident](family).close()
        except OSError as error:
            errors.append(error)
        else:
            return None
    return next((e for e in errors if e.errno != errno.EAFNOSUPPORT), errors[0])


def _raw(family: socket.AddressFamily) -> socket.socket:
    return socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW)


def _ping(family: socket.AddressFamily) -> socket.socket:
    from netprobe.live.echoes import open_ping_socket  # noqa: PLC0415  # most have no need of it

    return open_ping_socket(family)


def _datagrams(family: socket.AddressFamily) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)


def _connections(family: socket.AddressFamily) -> socket.socket:
    return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)


_OPENS: dict[str, Callable[[socket.AddressFamily], socket.socket]] = {
    RAW: _raw,
    PING: _ping,
    RECVERR: _datagrams,
    CONNECT: _connections,
}
