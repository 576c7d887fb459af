"""One end of a TCP connection in virtual time: as much of RFC 9293 as a handshake and a request need.

What is under way is bounded as in life (`congestion`), and loss is made good: by fast retransmission, and by time-outs
with exponential back-off (RFC 6298), so a broken way ends in the same silence. Segments are as large as both sides
allow (RFC 9293, 3.7.1) and smaller once a router says that they do not fit (RFC 1191). The receiver has room for all.
"""

from collections import deque
from typing import Protocol

from netprobe.model.probes import Reply, ReplyKind
from netprobe.model.replies import TcpHeader
from netprobe.sim import packet as ip
from netprobe.sim.clockwork import Clockwork, Timer
from netprobe.sim.congestion import Window
from netprobe.sim.packet import Packet
from netprobe.sim.tcp_options import (
    COOKIE_MSS,
    COOKIE_MSS_V6,
    cookie_options,
    offered_mss,
    read_options,
    syn_options,
)

SYN_TIMEOUT_S = 1.0  # RFC 6298, 2.1
_MIN_RTO_S = 0.2  # Linux's TCP_RTO_MIN, added to the round trip
_ATTEMPTS = 7
_HEADERS, _HEADERS_V6 = 40, 60  # RFC 9293, 3.7.1: an MTU less the IP and TCP headers is the MSS
_ETHERNET = 1500
_LEAST, _LEAST_V6 = 48, 1220  # bytes of a segment over the narrowest link that IP allows (RFC 8200, 5)
_MODULUS = 1 << 32
_NUMBERED = ip.SYN | ip.FIN  # flags that take a sequence number
_EARLY = 512  # segments that are kept until what is before them has come


def header_of(packet: Packet) -> TcpHeader:
    """What a raw socket would show of a segment."""
    return TcpHeader(
        flags=packet.flags,
        window=packet.window,
        sequence=packet.seq,
        acknowledges=packet.ack,
        length=len(packet.payload),
        options=read_options(packet.options),
        tos=0 if ":" in packet.source else packet.tos,  # of IPv6 a raw socket shows no header
        dont_fragment=packet.dont_fragment and ":" not in packet.source,
    )


def mss_over(mtu: int, address: str) -> int:
    """The largest segment that packets to `address` carry over a link of this MTU."""
    return mtu - (_HEADERS_V6 if ":" in address else _HEADERS)


def as_reply(packet: Packet, rtt_s: float) -> Reply:
    """A segment as the live vantage tells it."""
    kind = ReplyKind.SYN_ACK if packet.flags & ip.SYN else ReplyKind.ACK
    kind = ReplyKind.RST if packet.flags & ip.RST else kind
    return Reply(kind, packet.source, rtt_s, packet.ttl, ip_id=ip_id_of(packet), tcp=header_of(packet))


def ip_id_of(packet: Packet) -> int:
    """The IP identification; -1 in IPv6, which has none."""
    return -1 if ":" in packet.source else packet.ident


class Upper(Protocol):
    """What a connection tells whoever uses it."""

    def connected(self) -> None:
        """The three-way handshake is over."""

    def received(self, data: bytes) -> None:
        """Bytes from the other side, in order."""

    def ended(self, how: str, by: Packet | None) -> None:
        """It is over: `refused`, `reset`, `unreachable`, `closed` (a FIN) or `timeout`; `by` is the packet at fault."""


class Tcp:
    """A connection from `local` to `remote`, each an (address, port). `node` is where its packets enter the network.

    `mss` is the largest segment that this side takes and sends, 0: as over Ethernet.
    """

    def __init__(
        self,
        clock: Clockwork,
        node: str,
        local: tuple[str, int],
        remote: tuple[str, int],
        iss: int,
        upper: Upper,
        *,
        ttl: int = 64,
        mss: int = 0,
    ) -> None:
        self._clock = clock
        self._node = node
        self._local = local
        self._remote = remote
        self.ttl = ttl
        self._over_v6 = ":" in remote[0]
        self._mss = mss or mss_over(_ETHERNET, remote[0])
        self._segment = self._mss  # what may be sent
        self._least = _LEAST_V6 if self._over_v6 else _LEAST
        self.upper = upper
        self.state = "closed"
        self.peer_isn = 0
        self.packets_sent = 0
        self.bytes_sent = 0
        self.bytes_acknowledged = 0
        self._next = iss
        self._ident = iss >> 16  # Linux: none in a SYN or SYN-ACK, then a counter of the connection's own
        self._label = iss >> 12  # IPv6: of the whole connection (RFC 6437, 3)
        self._expected = 0
        self._unacked: deque[tuple[int, int, bytes]] = deque()  # sequence number, flags, data
        self._flight = 0  # of them under way; the rest waits for room in the window
        self._window = Window()
        self._recover = 0  # the number behind all that had left when a loss was noticed
        self._early: dict[int, Packet] = {}
        self._timer: Timer | None = None
        self._rto_s = SYN_TIMEOUT_S
        self._attempts = 0
        self._timed: tuple[int, float] | None = None  # the number behind a segment, and when that left
        self._finishing = False
        self._cookie = False
        self._offer = syn_options(self._mss)

    def connect(self) -> None:
        """Send the SYN."""
        self.state = "syn-sent"
        self._queue(ip.SYN, b"")

    def accept(self, syn: Packet, *, cookie: bool = False) -> None:
        """Answer a SYN; with a `cookie` nothing is kept of it but what that holds, and nothing is sent again."""
        self.state = "syn-received"
        self.peer_isn = syn.seq
        self._agree(syn)
        self._expected = (syn.seq + 1) % _MODULUS
        if not cookie:
            self._queue(ip.SYN | ip.ACK, b"")
            return
        self._cookie = True
        self._offer = cookie_options(syn.options, self._mss, self._clock.now)
        kept = COOKIE_MSS_V6 if self._over_v6 else COOKIE_MSS
        self._segment = max((mss for mss in kept if mss <= self._segment), default=kept[0])
        self._transmit(self._next, ip.SYN | ip.ACK, b"")
        self._next = (self._next + 1) % _MODULUS

    @property
    def _sending(self) -> int:
        """The number of what leaves next."""
        return self._unacked[self._flight][0] if self._flight < len(self._unacked) else self._next

    @property
    def stateless(self) -> bool:
        """Whether all that there is of it is a cookie at the other side."""
        return self._cookie and self.state == "syn-received"

    def send(self, data: bytes) -> None:
        """Send `data` in order, as often as it takes."""
        for start in range(0, len(data), self._segment):
            self._queue(ip.PSH | ip.ACK, data[start : start + self._segment])

    def close(self) -> None:
        """Send a FIN and forget the rest: nobody here waits for the other side to finish."""
        if self.state == "established":
            self._transmit(self._sending, ip.FIN | ip.ACK, b"")
        self._stop()

    def finish(self) -> None:
        """Send a FIN behind what is still to be acknowledged, and wait until all of it is."""
        if self.state == "established":
            self._finishing = True
            self._queue(ip.FIN | ip.ACK, b"")

    def reset(self) -> None:
        """End it with a RST (RFC 9293, 3.10.5); what was not delivered is lost."""
        if self.state == "established":
            self._transmit(self._sending, ip.RST | ip.ACK, b"")
        self._stop()

    def abort(self) -> None:
        """End it without a word."""
        self._stop()

    def challenge(self) -> None:
        """Answer a segment that is out of place with where we are (RFC 9293, 3.10.7.4)."""
        self._transmit(self._sending, ip.ACK, b"")

    def receive(self, packet: Packet) -> None:
        """A segment of this connection."""
        if self.state == "closed":
            return
        if packet.flags & ip.RST:
            self._reset(packet)
            return
        if self.state == "syn-sent":
            if packet.flags & (ip.SYN | ip.ACK) != ip.SYN | ip.ACK or packet.ack != self._next:
                return
            self._expected = (packet.seq + 1) % _MODULUS
            self._agree(packet)
            self._acknowledged(packet.ack)
            self.state = "established"
            self._transmit(self._sending, ip.ACK, b"")
            self.upper.connected()
            return
        if packet.flags & ip.SYN:
            self._again()
            return
        if packet.flags & ip.ACK:
            first = self._unacked[0][0] if self._flight else None
            self._acknowledged(packet.ack)
            if self.state == "syn-received":
                self.state = "established"
                self.upper.connected()
            elif packet.ack == first and not (packet.payload or packet.flags & ip.FIN):
                self._repeated()
        self._take(packet)

    def icmp_error(self, error: Packet) -> None:
        """An ICMP error about a segment of ours: as in Linux (tcp_v4_err) it ends the attempt to connect.

        "Fragmentation needed" does not: it makes segments smaller, and those under way go again.
        """
        if (error.icmp_type, error.icmp_code) == (ip.UNREACHABLE, ip.FRAGMENTATION_NEEDED):
            self._shrink(mss_over(error.icmp_seq, self._remote[0]))
        elif self.state == "syn-sent":
            self._end("unreachable", error)

    def _agree(self, syn: Packet) -> None:
        """What the other side takes bounds what is sent."""
        self._segment = max(_LEAST, min(self._mss, offered_mss(syn.options)))  # small ones are the peer's wish

    def _shrink(self, size: int) -> None:
        """Send nothing larger than `size` any more; what is under way goes again in such pieces."""
        size = max(size, _LEAST_V6) if self._over_v6 else size  # RFC 8201, 4: never below the least MTU
        if not self._least <= size < self._segment:
            return
        self._segment = size
        pieces: deque[tuple[int, int, bytes]] = deque()
        for seq, flags, data in self._unacked:
            for start in range(0, len(data) or 1, size):
                pieces.append(((seq + start) % _MODULUS, flags, data[start : start + size]))
        self._unacked = pieces
        self._flight = 0
        self._fill()

    def _reset(self, packet: Packet) -> None:
        if self.state == "syn-sent":
            if packet.flags & ip.ACK and packet.ack == self._next:
                self._end("refused", packet)
        elif packet.seq == self._expected or self.state == "syn-received":  # RFC 5961, 3.2
            self._end("reset", packet)

    def _take(self, packet: Packet) -> None:
        if not packet.payload and not packet.flags & ip.FIN:
            return
        if packet.seq != self._expected:
            if (packet.seq - self._expected) % _MODULUS < _MODULUS // 2 and len(self._early) < _EARLY:
                self._early[packet.seq] = packet
            self._transmit(self._sending, ip.ACK, b"")
            return
        said = self.packets_sent
        due: Packet | None = packet
        while due is not None and self.state != "closed":
            self._expected = (due.seq + len(due.payload) + bool(due.flags & ip.FIN)) % _MODULUS
            if due.payload:
                self.upper.received(due.payload)
            if due.flags & ip.FIN and self.state != "closed":
                self._transmit(self._sending, ip.ACK, b"")
                self._end("closed", due)
            due = self._early.pop(self._expected, None) if self._early else None
        if self.state != "closed" and self.packets_sent == said:  # else the answer carries the ACK
            self._transmit(self._sending, ip.ACK, b"")

    def _queue(self, flags: int, data: bytes) -> None:
        self._unacked.append((self._next, flags, data))
        self._next = (self._next + len(data) + bool(flags & _NUMBERED)) % _MODULUS
        self._fill()

    def _fill(self) -> None:
        """Send what there is room for."""
        while self._flight < len(self._unacked) and self._window.has_room(self._flight):
            seq, flags, data = self._unacked[self._flight]
            self._flight += 1
            if self._timed is None and not self._attempts:
                self._timed = ((seq + len(data) + bool(flags & _NUMBERED)) % _MODULUS, self._clock.now)
            self._transmit(seq, flags, data)
        if self._timer is None and self._flight:
            self._attempts = 0
            self._arm()

    def _arm(self) -> None:
        self._timer = self._clock.at(self._clock.now + self._rto_s * 2**self._attempts, self._again)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        """Retransmit the first segment that is not acknowledged, and behind it whatever else has not arrived."""
        self._disarm()
        if not self._unacked:
            return
        self._attempts += 1
        if self._attempts >= _ATTEMPTS:
            self._end("timeout", None)
            return
        self._window.timed_out(self._flight)
        self._flight = 1
        self._retransmit()
        self._arm()

    def _retransmit(self) -> None:
        self._timed = None  # nobody knows which of the two will be acknowledged (Karn)
        self._transmit(*self._unacked[0])

    def _repeated(self) -> None:
        """The other side has got something, and not what comes first."""
        if self._window.repeated(self._flight):
            self._recover = self._sending
            self._retransmit()
        self._fill()

    def _acknowledged(self, upto: int) -> None:
        arrived = 0
        while self._unacked:
            seq, flags, data = self._unacked[0]
            end = (seq + len(data) + bool(flags & _NUMBERED)) % _MODULUS
            if (upto - end) % _MODULUS >= _MODULUS // 2:
                break
            self._unacked.popleft()
            self.bytes_acknowledged += len(data)
            arrived += 1
        if not arrived:
            return
        self._flight = max(0, self._flight - arrived)
        if self._timed is not None and (upto - self._timed[0]) % _MODULUS < _MODULUS // 2:
            self._rto_s = _MIN_RTO_S + (self._clock.now - self._timed[1])
            self._timed = None
        self._attempts = 0
        self._disarm()
        whole = (upto - self._recover) % _MODULUS < _MODULUS // 2
        if self._window.acknowledged(arrived, whole=whole) and self._flight:
            self._retransmit()
        self._fill()
        if not self._unacked and self._finishing:
            self._end("closed", None)

    def _transmit(self, seq: int, flags: int, data: bytes) -> None:
        self._ident = self._ident % 0xFFFF + 1
        packet = Packet(
            self._local[0],
            self._remote[0],
            ttl=self.ttl,
            protocol=ip.TCP,
            ident=self._label if self._over_v6 else 0 if flags & ip.SYN else self._ident,
            source_port=self._local[1],
            destination_port=self._remote[1],
            seq=seq,
            ack=self._expected if flags & ip.ACK else 0,
            flags=flags,
            options=self._offer if flags & ip.SYN else b"",
            payload=data,
        )
        self.packets_sent += 1
        self.bytes_sent += packet.size
        self._clock.send(packet, self._node)

    def _end(self, how: str, by: Packet | None) -> None:
        self._stop()
        self.upper.ended(how, by)

    def _stop(self) -> None:
        self.state = "closed"
        self._unacked.clear()
        self._early.clear()
        self._flight = 0
        self._disarm()
