"""The ladder: the ways in which probes can leave this machine, from the most telling to what everybody may do."""

from math import inf
from typing import NamedTuple

from netprobe.model.probes import Protocol


class Rung(NamedTuple):
    """One way in which probes leave, the same for all of its `protocols`.

    `name` is what people call it, `needs` what this machine must allow, `remedy` the command that makes it do so.
    `constant_flow`: all probes of a flow look alike to a load balancer. `stamps` says which ends of a round trip the
    kernel stamps, `most_rate` how many probes a second its descriptors suffice for. `lost` is what cannot be seen from
    here and could be from the top, in plain words; the top itself has lost nothing.
    """

    id: str
    protocols: tuple[Protocol, ...]
    name: str
    needs: str
    remedy: str
    constant_flow: bool
    stamps: str
    most_rate: float = inf
    lost: tuple[str, ...] = ()

    @property
    def limits(self) -> str:
        """What is not seen from here, as half a sentence; empty at the top."""
        return f"not seen: {', '.join(self.lost)}" if self.lost else ""


_AS_ROOT = (
    "run it as root: sudo netprobe ...; a service gets it by AmbientCapabilities=CAP_NET_RAW in its systemd unit "
    "(never give it to the interpreter)"
)
_QUOTES = "what routers changed in our packets"
_OWN_WIRE = "answers that this machine itself drops"
_MIXED = "which branch of a balanced path is which"

RAW, PING, RECVERR, CONNECT = "raw", "ping", "recverr", "connect"

#: In the order in which they are tried; for each protocol the first that opens is taken.
RUNGS: tuple[Rung, ...] = (
    Rung(RAW, tuple(Protocol), "raw sockets", "CAP_NET_RAW", _AS_ROOT, constant_flow=True, stamps="both ends"),
    Rung(
        PING,
        (Protocol.ICMP,),
        "ping sockets",
        "a group of yours in net.ipv4.ping_group_range",
        'as root: sysctl -w net.ipv4.ping_group_range="0 2147483647"',
        constant_flow=True,
        stamps="both ends",
        lost=(_QUOTES, _OWN_WIRE),
    ),
    Rung(
        RECVERR,
        (Protocol.UDP, Protocol.QUIC),
        "UDP sockets",
        "nothing: everybody may",
        "look for a seccomp profile that forbids UDP sockets or IP_RECVERR",
        constant_flow=False,
        stamps="both ends",
        most_rate=1000.0,
        lost=(_MIXED, _QUOTES, _OWN_WIRE),
    ),
    Rung(
        CONNECT,
        (Protocol.TCP,),
        "connections",
        "nothing: everybody may",
        "look for a seccomp profile that forbids TCP sockets",
        constant_flow=False,
        stamps="arrival",
        most_rate=1000.0,
        lost=(_MIXED, "the TTL and the options of a server's answer", "answers after 0.9 s", _QUOTES, _OWN_WIRE),
    ),
)

NOT_AT_ALL = ""  # no rung for this protocol opens

#: protocol -> the id of the rung that its probes leave by, or NOT_AT_ALL; empty where nobody looked: nothing is lost.
Footing = dict[Protocol, str]


def rung(ident: str) -> Rung:
    """The row of the table with this id. Raises KeyError for another."""
    return _BY_ID[ident]


def most_rate(footing: Footing, *protocols: Protocol) -> float:
    """How many probes a second may leave, of any of `protocols`."""
    return min((row.most_rate for row in RUNGS if row.id in {footing.get(p, RAW) for p in protocols}), default=inf)


def keeps_flows(footing: Footing, protocol: Protocol) -> bool:
    """Whether probes of one flow look alike to a load balancer."""
    ident = footing.get(protocol, RAW)
    return ident != NOT_AT_ALL and _BY_ID[ident].constant_flow


def cannot(footing: Footing) -> tuple[Protocol, ...]:
    """The protocols that cannot be sent at all."""
    return tuple(protocol for protocol, ident in footing.items() if ident == NOT_AT_ALL)


_BY_ID = {row.id: row for row in RUNGS}
