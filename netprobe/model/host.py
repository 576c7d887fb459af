"""The own machine as it sees itself: links, routes, neighbours, resolvers."""

import msgspec

from netprobe.model.record import Fact, Record
from netprobe.model.rungs import Footing

_BYTES_OF_MBIT = 125_000
_TUNNEL_MTU = 1420  # WireGuard's over Ethernet


class Inspect(Record, frozen=True):
    """A request to look at the own machine."""


class Link(Record, frozen=True):
    """A network interface that is not the loopback. `state` is the kernel's operstate (RFC 2863): up, down, unknown.

    `tunnel`: what leaves by it goes on inside other packets (a VPN). `speed_mbit` is what the cable was negotiated to.
    `rx_errors`, `tx_errors`, `rx_bytes` and `tx_bytes` count since it was made (struct rtnl_link_stats64).
    `signal_dbm` is the level at which a wireless link hears its access point, `rate_mbit` the rate at which it sends
    now, `retries` the fraction of frames that it had to send again, `given_up` the frames that were never acknowledged,
    `beacons_missed` those that it waited for in vain. `collisions` are a sign of a wrong duplex. `queued_bytes` wait in
    front of the link at this moment, `queue_drops` packets were thrown away there. None: this machine does not tell.
    """

    name: str
    state: str
    carrier: bool
    addresses: tuple[str, ...] = ()
    mtu: int = 1500
    wireless: bool = False
    tunnel: bool = False
    speed_mbit: int | None = None
    rx_errors: int | None = None
    tx_errors: int | None = None
    rx_bytes: int | None = None
    tx_bytes: int | None = None
    signal_dbm: float | None = None
    retries: float | None = None
    rate_mbit: float | None = None
    given_up: int | None = None
    beacons_missed: int | None = None
    collisions: int | None = None
    queued_bytes: int | None = None
    queue_drops: int | None = None


class Uplink(Record, frozen=True):
    """A default route: by the interface `link` to the next hop `gateway` (empty: a point-to-point link).

    Of several the one with the smallest `metric` counts. `neighbour` is the kernel's state of the gateway's address.
    """

    link: str
    gateway: str = ""
    metric: int = 0
    neighbour: str = ""


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
    `uplinks` are all default routes of IPv4, the first of them being the one that counts.
    `global_link_v6` is the interface that leads to the IPv6 Internet from an address that is valid there (empty: none);
    `address_v6` that address, `gateway_v6` the next hop (mostly a link-local address; empty: none, or a point-to-point
    link), and `neighbour_v6` the kernel's state of it.
    `footing` says by which rung of the ladder probes leave (`netprobe/model/rungs.py`).
    `own_wire` counts the probes until then; None where there was no tap. `late_s` is how late this process was at worst
    since the look before: at waking up, and at reading what had come; `overdue_s` is for how long in all it had
    something to do and did not do it. `load` is how many processes want a processor, for each of them (the mean of a
    minute; None: not told). `tracked` connections are kept in mind by the own firewall, which has room for
    `tracked_most`; `dropped_unread` packets came in while the processors were too busy to take them (of the whole
    machine, since it was started). `proxy` is where programs are told to send their requests instead (host:port, from
    the environment). `given` names what was not measured but comes from the
    scenario of a simulated network: fields of this fact, and those of the default link as `link.FIELD`.
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
    overdue_s: float = 0.0
    load: float | None = None
    given: tuple[str, ...] = ()
    address_v6: str = ""
    gateway_v6: str = ""
    neighbour_v6: str = ""
    uplinks: tuple[Uplink, ...] = ()
    tracked: int | None = None
    tracked_most: int | None = None
    dropped_unread: int | None = None
    proxy: str = ""

    @property
    def link(self) -> Link | None:
        """The link of the default route."""
        return next((link for link in self.links if link.name == self.default_link), None)


class GivenFacts(Record, frozen=True):
    """What a scenario says of its client that no kernel of a simulated network can be made to show. None: not given.

    `tx_mbit` and `rx_mbit` are what the computer sends and receives beside the measurement, in Mbit/s. `tunnel` is the
    name of a VPN's interface that the default route leads to. The others are fields of `Link` and `HostState`.
    """

    wireless: bool | None = None
    signal_dbm: float | None = None
    retries: float | None = None
    speed_mbit: int | None = None
    rx_errors: int | None = None
    tx_errors: int | None = None
    tx_mbit: float | None = None
    rx_mbit: float | None = None
    load: float | None = None
    tunnel: str | None = None

    def put_into(self, state: HostState, now_s: float) -> HostState:
        """`state` as it is told, with what is given in the place of what was measured; `now_s` is any steady clock."""
        fields: dict[str, object] = {
            key: getattr(self, key)
            for key in ("wireless", "signal_dbm", "retries", "speed_mbit", "rx_errors", "tx_errors")
            if getattr(self, key) is not None
        }
        link = state.link
        for way in ("tx", "rx"):
            rate = getattr(self, f"{way}_mbit")
            if rate is not None and link is not None:
                counted = getattr(link, f"{way}_bytes") or 0
                fields[f"{way}_bytes"] = counted + round(rate * _BYTES_OF_MBIT * now_s)
        given = [f"link.{key}" for key in fields] if link is not None else []
        links = tuple(msgspec.structs.replace(one, **fields) if one is link else one for one in state.links)
        if self.tunnel is not None:
            links = (*links, Link(self.tunnel, "unknown", carrier=True, mtu=_TUNNEL_MTU, tunnel=True))
            given += ["links", "default_link"]
        if self.load is not None:
            given.append("load")
        return msgspec.structs.replace(
            state,
            links=links,
            default_link=self.tunnel or state.default_link,
            load=state.load if self.load is None else self.load,
            given=tuple(given),
        )
