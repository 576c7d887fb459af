"""Why a probe did not leave this machine: for each error what it means, whose doing it is, and what to do about it."""

from netprobe.model.record import Record

#: Errors that no errno has: found by looking at the own network devices.
NO_NEIGHBOUR, NEVER_LEFT = "NO_NEIGHBOUR", "NEVER_LEFT"

#: No rung of this machine's ladder carries such probes (model/rungs.py): nothing was measured.
NOT_CARRIED = "EOPNOTSUPP"

#: Errors of the broker, which checks every packet before it sends it (live/broker/limits.py).
BROKER_KIND, BROKER_SIZE, BROKER_SOURCE = "BROKER_KIND", "BROKER_SIZE", "BROKER_SOURCE"
BROKER_DESTINATION, BROKER_RATE = "BROKER_DESTINATION", "BROKER_RATE"

#: What may be otherwise a moment later, and is worth another try.
PASSING = frozenset({"EAGAIN", "ENOBUFS", "ENOMEM", BROKER_RATE, NO_NEIGHBOUR, NEVER_LEFT})

#: What a firewall on this machine does: packet filters, and routes that forbid.
FORBIDDEN = frozenset({"EACCES", "EPERM"})


class Unsent(Record, frozen=True):
    """One reason: `meaning` completes "not sent: ...", `fault` says whose doing it is, `remedy` what to do."""

    meaning: str
    fault: str
    remedy: str


_HERE, _HOME, _OURS = "this machine", "the home network", "netprobe"

#: By the errno's name (errno(3)), or one of the names above.
REASONS: dict[str, Unsent] = {
    "EPERM": Unsent(
        "this machine's own firewall forbids it",
        _HERE,
        "look for the rule that drops it: nft list ruleset, iptables -S OUTPUT",
    ),
    "EACCES": Unsent(
        "a route on this machine prohibits it",
        _HERE,
        'look at the route: ip route get ADDRESS; delete it when it says "prohibit"',
    ),
    "EHOSTUNREACH": Unsent(
        "the next hop does not give its hardware address, or a route on this machine says unreachable",
        _HOME,
        "is the home router on? ip neighbour, ip route get ADDRESS",
    ),
    NO_NEIGHBOUR: Unsent(
        "the next hop does not give its hardware address",
        _HOME,
        "is the home router on, and are its address and this machine's in one network? ip neighbour, ip address",
    ),
    "ENETUNREACH": Unsent(
        "this machine has no route there",
        _HERE,
        "connect it to a network: cable, Wi-Fi, DHCP; ip route",
    ),
    "ENETDOWN": Unsent("the network device is down", _HERE, "switch it on: ip link set DEVICE up"),
    "ENODEV": Unsent("the network device is gone", _HERE, "plug it in, or connect to another network"),
    "ENXIO": Unsent("the network device is gone", _HERE, "plug it in, or connect to another network"),
    "EINVAL": Unsent(
        "a route on this machine throws it away",
        _HERE,
        'look at the route: ip route get ADDRESS; delete it when it says "blackhole"',
    ),
    "EMSGSIZE": Unsent("it is larger than the network device takes", _HERE, "look at the device's MTU: ip link"),
    "ENOBUFS": Unsent(
        "a queue or filter of the network device has thrown it away",
        _HERE,
        "look at what the device drops: tc -s qdisc; probe more slowly (--rate)",
    ),
    NEVER_LEFT: Unsent(
        "the kernel took it, and no network device has sent it",
        _HERE,
        "look at what the device drops: tc -s qdisc, nft list ruleset, ip -s link",
    ),
    "EAGAIN": Unsent("this machine's buffer for sending is full", _HERE, "probe more slowly (--rate)"),
    "ENOMEM": Unsent("this machine has no memory left for it", _HERE, "end some programs, or restart the device"),
    "EADDRNOTAVAIL": Unsent(
        "this machine has no address to send from",
        _HERE,
        "wait for DHCP, or set an address: ip address",
    ),
    "EMFILE": Unsent("too many probes wait for their answers at once", _OURS, "probe more slowly (--rate)"),
    NOT_CARRIED: Unsent(
        "without raw sockets this machine lets nobody send such probes",
        _HERE,
        'take another --method, or see how to get them back: "netprobe doctor"',
    ),
    "EADDRINUSE": Unsent("no source port is left", _OURS, "trace fewer targets at once"),
    BROKER_DESTINATION: Unsent(
        "the broker sends only to hosts that were named at the start or found by name",
        _OURS,
        "name the address on the command line; multicast and broadcast are never probed",
    ),
    BROKER_SOURCE: Unsent(
        "it would come from an address or a number that is not ours",
        _OURS,
        "if this machine has just changed its network, measure again",
    ),
    BROKER_SIZE: Unsent("it is larger than a probe may be", _OURS, "ask for smaller packets"),
    BROKER_RATE: Unsent("more probes were to leave than were asked for", _OURS, "give a higher --rate"),
    BROKER_KIND: Unsent("it is no probe of a kind that may leave", _OURS, "please report this"),
    "EAFNOSUPPORT": Unsent("this machine does not speak that version of IP", _HERE, "trace an address of the other"),
}

_OTHER = Unsent("the kernel refuses it", _HERE, 'run "netprobe doctor"')


def reason(error: str) -> Unsent:
    """Why a probe did not leave, by the name in its reply's `error`."""
    return REASONS.get(error, _OTHER)
