"""The prober for who has no CAP_NET_RAW: the same probes by sockets that everybody may open, as far as they carry."""

import errno
import socket

import msgspec

from netprobe.live import codec
from netprobe.live.echoes import Echoes
from netprobe.live.errqueue import Failed
from netprobe.live.identity import Identity
from netprobe.live.lone import LoneSockets
from netprobe.live.prober import Emit
from netprobe.live.reactor import Reactor
from netprobe.live.replies import local_failure, send_failed
from netprobe.live.wire import source_address
from netprobe.model import rungs
from netprobe.model.probes import ICMP_UNREACHABLE, Probe, Reply, ReplyKind
from netprobe.model.unsent import NOT_CARRIED

_LARGEST_PACKET = 65535
_UNREACHABLE = {True: codec.ICMPV6_UNREACHABLE, False: ICMP_UNREACHABLE}  # by whether it is IPv6
_TIME_EXCEEDED = {True: codec.ICMPV6_TIME_EXCEEDED, False: codec.ICMP_TIME_EXCEEDED}


class UnprivilegedProber:
    """Sends probes by the rungs of `footing` and calls `emit(token, at_s, reply)` for all that comes of them.

    What no rung carries is a reply of kind SEND_FAILED with `NOT_CARRIED`.
    """

    def __init__(self, reactor: Reactor, emit: Emit, footing: rungs.Footing, identity: Identity | None = None) -> None:
        identity = identity or Identity()
        self._reactor = reactor
        self._emit = emit
        self._footing = footing
        self._echoes = Echoes(reactor, identity, self._answer)
        self._lone = LoneSockets(reactor, identity, self._answer, self._count)
        self.packets_sent = 0
        self.bytes_sent = 0

    def close(self) -> None:
        """Close all sockets."""
        self._echoes.close()
        self._lone.close()

    def flush(self) -> None:
        """Nothing is collected here."""

    def send(self, probe: Probe, token: int, now: float, link: str = "") -> None:
        """Send `probe`, by the interface `link` if it is given; one that could not leave is a reply that says so."""
        try:
            size = self._hand_over(probe, token, now, link)
        except OSError as error:
            # The kernel has one number for ENOTSUP and EOPNOTSUPP, and Python only the other's name.
            name = errno.errorcode.get(error.errno or 0, "EINVAL")
            self._emit(token, now, send_failed(NOT_CARRIED if error.errno == errno.EOPNOTSUPP else name))
        else:
            self._count(1, size)

    def _hand_over(self, probe: Probe, token: int, now: float, link: str) -> int:
        """Send by the rung that carries such probes; the packet's size. Raises OSError."""
        family, destination = _numeric(probe.flow.destination)
        if not (0 < probe.ttl <= 255 and 0 <= probe.flow.port <= 0xFFFF and probe.size <= _LARGEST_PACKET):
            raise OSError(errno.EINVAL, "a field of the probe does not fit the packet")
        flow = msgspec.structs.replace(probe.flow, destination=destination)
        probe = msgspec.structs.replace(probe, flow=flow)
        match self._footing.get(flow.protocol, rungs.NOT_AT_ALL):
            case rungs.PING:
                return self._echoes.send(probe, family, token, now, link)
            case rungs.RECVERR | rungs.CONNECT:
                return self._lone.send(probe, family, token, link)
        raise OSError(errno.EOPNOTSUPP, "no rung carries such probes")

    def _count(self, packets: int, size: int) -> None:
        self.packets_sent += packets
        self.bytes_sent += size

    def _answer(self, token: int, at_s: float, what: Failed | Reply, rtt_s: float) -> None:
        """Tell of a reply, or of an ICMP error `rtt_s` after the probe."""
        self._emit(token, at_s, what if isinstance(what, Reply) else _reply(what, rtt_s))


def _numeric(destination: str) -> tuple[socket.AddressFamily, str]:
    """The version of IP of an address, and the address in its usual form. Raises OSError (EAFNOSUPPORT)."""
    family = socket.AF_INET6 if codec.is_v6(destination) else socket.AF_INET
    try:
        usual = socket.inet_ntop(family, socket.inet_pton(family, destination))
    except (OSError, ValueError) as error:
        raise OSError(errno.EAFNOSUPPORT, f"not an address: {destination!r}") from error
    if usual.startswith("::ffff:"):  # RFC 4291, 2.5.5.2: IPv4 in disguise, never on a wire
        raise OSError(errno.EAFNOSUPPORT, f"not an address of IPv6: {destination!r}")
    return family, usual


def _reply(failed: Failed, rtt_s: float) -> Reply:
    """What an ICMP error says. One of this very machine's says that the probe never left."""
    over_v6 = codec.is_v6(failed.destination)
    if failed.type == _UNREACHABLE[over_v6] and failed.source != failed.destination and _is_own(failed):
        return send_failed(local_failure(failed.code, over_v6=over_v6), failed.source, rtt_s)
    return Reply(
        kind=ReplyKind.TIME_EXCEEDED if failed.type == _TIME_EXCEEDED[over_v6] else ReplyKind.UNREACHABLE,
        source=failed.source,
        rtt_s=rtt_s,
        ttl=failed.ttl,
        icmp_type=failed.type,
        icmp_code=failed.code,
        mpls=failed.extensions.mpls,
        mtu=failed.mtu,
        interfaces=failed.extensions.interfaces,
        unknown_objects=failed.extensions.unknown,
    )


def _is_own(failed: Failed) -> bool:
    """Whether an error comes from the address from which its probe was sent."""
    try:
        return source_address(failed.destination) == failed.source
    except OSError:  # the route is gone meanwhile
        return False
