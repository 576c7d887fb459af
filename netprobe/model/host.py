"""The own machine as it sees itself: links, routes, neighbours, resolvers."""

from netprobe.model.record import Fact, Record
from netprobe.model.rungs import Footing


class Inspect(Record, frozen=True):
    """A request to look at the own machine."""


class Link(Record, frozen=True):
    """A network interface that is not the loopback. `state` is the kernel's operstate (RFC 2863): up, down, unknown."""

    name: str
    state: str
    carrier: bool
    addresses: tuple[str, ...] = ()
    mtu: int = 1500
    wireless: bool = False


class OwnWire(Record, frozen=True):
    """What became of the probes that were sent while a tap listened on the own network devices.

    `lost` left, and no answer came in; `dropped_here` were answered on the wire, and this machine dropped the answer;
    `never_left` were taken by the kernel and sent by no device. Of `unknown` it cannot be told.
    """

    answered: int = 0
    lost: int = 0
    dropped_here: int = 0
    never_left: int = 0
    unknown: int = 0


class HostState(Fact, frozen=True, tag="host"):
    """What the own machine knew at one moment.

    `gateway` is the default route's next hop (empty: none, or a point-to-point link); `default_link` its interface
    (empty: no default route). `neighbour` is the kernel's state of the gateway's link-layer address (`reachable`,
    `stale`, `failed`, `incomplete`, ...; empty where the link has no neighbours). `resolvers` come from resolv.conf.
    `wall_clock_s` is Unix time when it was taken. `hosts_overrides` are names that /etc/hosts gives an address.
    `global_link_v6` is the interface that leads to the IPv6 Internet from an address that is valid there (empty: none).
    `footing` says by which rung of the ladder probes leave (`netprobe/model/rungs.py`).
    `own_wire` counts the probes until then; None where there was no tap. `late_s` is how late this process was at worst
    since the look before: at waking up, and at reading what had come.
    """

    links: tuple[Link, ...] = ()
    default_link: str = ""
    gateway: str = ""
    neighbour: str = ""
    resolvers: tuple[str, ...] = ()
    wall_clock_s: float = 0.0
    hosts_overrides: tuple[str, ...] = ()
    global_link_v6: str = ""
    footing: Footing = {}
    own_wire: OwnWire | None = None
    late_s: float = 0.0
