"""What may leave: the check of every packet before the broker sends it. Pure: it opens nothing and reads no clock.

A packet is a probe of one of four kinds, its header is what a probe's header is, it comes from an address and a number
of our own, it is small, it goes to somebody on the list, and there are not too many of them. Nothing of it is
interpreted beyond that.
"""

TYPE_CHECKING = False  # the typing module is a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Why a packet is refused; 0 is a packet that may leave. Above every errno, beside which they are reported.
MAY_LEAVE = 0
KIND, SIZE, SOURCE, DESTINATION, RATE = 1001, 1002, 1003, 1004, 1005

#: The names under which refusals are reported, beside those of errno.
NAMES = {
    KIND: "BROKER_KIND",
    SIZE: "BROKER_SIZE",
    SOURCE: "BROKER_SOURCE",
    DESTINATION: "BROKER_DESTINATION",
    RATE: "BROKER_RATE",
}

LARGEST_PROBE = 9216  # a jumbo frame: no path that is measured carries more
_MOST_KNOWN = 4096  # learned destinations that are remembered
_SOURCE_AGES_S = 5.0  # how long an own address is trusted to be one
_MOST_SOURCES = 64
_MINUTE_S = 60.0

_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_ECHO, _ECHO_V6 = 8, 128
_SYN_OR_ACK = (0x02, 0x10)
_IPV4_WITHOUT_OPTIONS = 0x45
_IP_BYTES, _IPV6_BYTES, _TCP_BYTES = 20, 40, 20
_SHORTEST = 8  # ICMP's and UDP's header
_FRAGMENT = 0xBF  # all of the flags' byte but DF

# RFC 6890: never a host's address. "This network", multicast, reserved and broadcast; the same of IPv6.
_NEVER = (
    (b"\x00", 8),
    (b"\xe0", 4),
    (b"\xf0", 4),
)
_NEVER_V6 = ((bytes(16), 128), (b"\xff", 8), (bytes(10) + b"\xff\xff", 96))


def within(address: bytes, prefix: bytes, length: int) -> bool:
    """Whether a packed address lies in a prefix, whose own bytes may end where its length does."""
    whole, rest = divmod(length, 8)
    if address[:whole] != prefix[:whole]:
        return False
    return not rest or (address[whole] ^ prefix[whole]) >> 8 - rest == 0


def _is_never_one(address: bytes) -> bool:
    """Whether a packed address can be no host's."""
    return any(within(address, prefix, length) for prefix, length in (_NEVER if len(address) == 4 else _NEVER_V6))


class Bucket:
    """A token bucket: `rate` a second, at most `depth` at once. Full at the start."""

    __slots__ = ("_at", "_credit", "depth", "rate")

    def __init__(self, rate: float, depth: float) -> None:
        self.rate = rate
        self.depth = depth
        self._credit = depth
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether there is one left, which is gone then."""
        self._credit = min(self.depth, self._credit + max(0.0, now - self._at) * self.rate)
        self._at = now
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True


class Destinations:
    """Whom probes may go to: who was named at the start, and a bounded number of others that are learned later.

    `listed` are packed prefixes with their lengths. Up to `learn` addresses may be added at once, and
    `learn_per_minute` after that: enough for the names that are looked up, too few for somebody who would scan.
    Multicast, broadcast and what is no host's address are never allowed, whoever named it.
    """

    def __init__(self, listed: "Sequence[tuple[bytes, int]]", learn: int, learn_per_minute: float) -> None:
        hosts = (prefix for prefix, length in listed if length == 8 * len(prefix))
        self._hosts = {host for host in hosts if not _is_never_one(host)}
        self._prefixes = [(prefix, length) for prefix, length in listed if length < 8 * len(prefix)]
        self._learned: dict[bytes, None] = {}  # in the order in which they were
        self._additions = Bucket(learn_per_minute / _MINUTE_S, learn)

    def allow(self, address: bytes, now: float) -> bool:
        """Whether a probe may go to the packed `address`, which is learned if that is still possible."""
        if address in self._hosts or address in self._learned:
            return True
        if _is_never_one(address):
            return False
        if any(len(prefix) == len(address) and within(address, prefix, length) for prefix, length in self._prefixes):
            return True
        if not self._additions.take(now):
            return False
        if len(self._learned) >= _MOST_KNOWN:
            del self._learned[next(iter(self._learned))]
        self._learned[address] = None
        return True


class Gate:
    """Says of each packet whether it may leave.

    `ports` are the first of our source ports and their number, `ident` the high byte of our ICMP identifiers. `is_own`
    asks whether a packed address is one of this machine's.
    """

    def __init__(
        self,
        ports: tuple[int, int],
        ident: int,
        destinations: Destinations,
        rate: Bucket,
        is_own: "Callable[[bytes], bool]",
    ) -> None:
        self._first_port, self._ports = ports
        self._ident = ident
        self._destinations = destinations
        self._rate = rate
        self._is_own = is_own
        self._sources: dict[bytes, float] = {}

    def check(self, packet: bytes, now: float) -> int:
        """MAY_LEAVE, or why not. What is refused costs no credit."""
        size = len(packet)
        if size > LARGEST_PROBE:
            return SIZE
        if size >= _IP_BYTES + _SHORTEST and packet[0] == _IPV4_WITHOUT_OPTIONS:
            body, protocol, source, destination = _IP_BYTES, packet[9], packet[12:16], packet[16:20]
            sound = packet[2] << 8 | packet[3] == size and not packet[6] & _FRAGMENT and not packet[7]
        elif size >= _IPV6_BYTES + _SHORTEST and packet[0] >> 4 == 6:
            body, protocol, source, destination = _IPV6_BYTES, packet[6], packet[8:24], packet[24:40]
            sound = packet[4] << 8 | packet[5] == size - _IPV6_BYTES
        else:
            return KIND
        reason = self._check_transport(protocol, packet, body) if sound else KIND
        if reason:
            return reason
        if not self._is_our_address(source, now):
            return SOURCE
        if not self._destinations.allow(destination, now):
            return DESTINATION
        return MAY_LEAVE if self._rate.take(now) else RATE

    def _check_transport(self, protocol: int, packet: bytes, at: int) -> int:
        """The same for what follows the IP header, `at` bytes into the packet, by the number that is ours in it."""
        size = len(packet) - at
        if protocol == (_ICMP if at == _IP_BYTES else _ICMPV6):
            echo = packet[at] == (_ECHO if at == _IP_BYTES else _ECHO_V6) and not packet[at + 1]
            return KIND if not echo else MAY_LEAVE if packet[at + 4] << 8 == self._ident else SOURCE
        if protocol == _TCP:  # its header is all of it
            probe = size >= _TCP_BYTES and packet[at + 12] >> 2 & 0x3C == size and packet[at + 13] in _SYN_OR_ACK
        else:
            probe = protocol == _UDP and packet[at + 4] << 8 | packet[at + 5] == size
        if not probe:
            return KIND
        return MAY_LEAVE if 0 <= (packet[at] << 8 | packet[at + 1]) - self._first_port < self._ports else SOURCE

    def _is_our_address(self, address: bytes, now: float) -> bool:
        """As it was a few seconds ago: addresses change, and asking costs more than the rest of the check."""
        if now - self._sources.get(address, -_SOURCE_AGES_S) < _SOURCE_AGES_S:
            return True
        if not self._is_own(address):
            self._sources.pop(address, None)
            return False
        if len(self._sources) >= _MOST_SOURCES:
            self._sources.clear()
        self._sources[address] = now
        return True
