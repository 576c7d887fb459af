"""The client's kernel towards its gateway: what becomes of packets while nobody answers ARP (RFC 826, or RFC 4861).

As in Linux: they wait, for three requests a second apart; then the first of them come back as "host unreachable" in the
machine's own name, up to the burst that the kernel allows itself (icmp_msgs_burst), and the others are gone.
"""

from collections import deque
from collections.abc import Callable

from netprobe.sim import packet as ip
from netprobe.sim.network import Network
from netprobe.sim.packet import Packet

GIVES_UP_S = 3.06
_WAITING = 250  # small packets that fit into unres_qlen_bytes; the oldest make room
_BURST = 50


class Neighbour:
    """The entry for the gateway of the card that is the node `node`.

    `at(when, callback)` is the clock's; `tell` takes the kernel's own ICMP errors.
    """

    def __init__(
        self,
        network: Network,
        node: str,
        at: Callable[[float, Callable[[], None]], object],
        tell: Callable[[Packet, float], None],
    ) -> None:
        self._network = network
        self._node = node
        self._at = at
        self._tell = tell
        self._waiting: deque[Packet] = deque(maxlen=_WAITING)
        self._state = ""

    @property
    def state(self) -> str:
        """As the kernel calls it; empty while there was nothing to send."""
        return self._state

    def admit(self, packet: Packet, now: float) -> bool:
        """Whether `packet` can leave at `now`; one that cannot waits."""
        if self._network.takes(now, self._node):
            self._state = "reachable"
            return True
        if self._state != "incomplete":
            self._state = "incomplete"
            self._at(now + GIVES_UP_S, lambda: self._give_up(now + GIVES_UP_S))
        self._waiting.append(packet)
        return False

    def _give_up(self, now: float) -> None:
        waiting = [*self._waiting]
        self._waiting.clear()
        if self._state != "incomplete":  # it has come back meanwhile
            return
        self._state = "failed"
        for packet in waiting[:_BURST]:
            error = packet.error(packet.source, ip.UNREACHABLE, ip.HOST_UNREACHABLE, ttl=64, arrived_ttl=packet.ttl)
            self._tell(error, now)
