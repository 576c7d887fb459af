"""The client's side of a lookup in virtual time. It ends as that of the live vantage does, with the same words."""

from collections.abc import Callable

from msgspec.structs import replace

from netprobe.model.services import Answer, Lookup
from netprobe.sim import packet as ip
from netprobe.sim import wirebytes
from netprobe.sim.clockwork import Clockwork, Timer
from netprobe.sim.network import DNS_PORT
from netprobe.sim.packet import Packet
from netprobe.sim.routing import CLIENT
from netprobe.sim.tcp import Tcp, mss_over

_KNUTH = 2654435761
_LINGER_S = 0.05  # after an answer, for another: as the live vantage waits


class Question:
    """One lookup: asked `attempts` times, spread over its time, until something is answered.

    What is too long for a datagram is asked for again by TCP (RFC 7766). The first answer counts; of more to the same
    question the number is kept, as whoever forges one is quicker than who was asked.
    """

    def __init__(
        self, clock: Clockwork, own: str, lookup: Lookup, port: int, done: Callable[[Answer], None], *, mtu: int = 1500
    ) -> None:
        self._clock = clock
        self._mss = mss_over(mtu, lookup.resolver)
        self.tcp: Tcp | None = None
        self._buffer = b""
        self._own = own
        self._lookup = lookup
        self._port = port
        self._done = done
        self._sent_s: dict[int, float] = {}  # by message id
        self._timers: list[Timer] = []
        self._answer: Answer | None = None  # the first
        self._answered = -1  # its message id
        self.packets_sent = 0
        self.bytes_sent = 0

    def start(self) -> None:
        """Ask, and plan to ask again and to give up."""
        now, lookup = self._clock.now, self._lookup
        attempts = max(1, lookup.attempts)
        pause = lookup.timeout_s / attempts
        self._timers = [self._clock.at(now + n * pause, self._ask) for n in range(1, attempts)]
        self._timers.append(self._clock.at(now + lookup.timeout_s, lambda: self._finish(error="timeout")))
        self._ask()

    def receive(self, packet: Packet) -> None:
        """A datagram to our port."""
        try:
            answer = wirebytes.parse_dns_answer(packet.payload)
        except ValueError:
            return
        if packet.source != self._lookup.resolver or answer.ident not in self._sent_s or self.tcp is not None:
            return
        if self._answer is not None:
            more = answer.ident == self._answered
            self._answer = replace(self._answer, responses=self._answer.responses + more)
        elif answer.truncated:
            self._over_tcp()
        else:
            self._linger(answer)

    def _linger(self, answer: wirebytes.DnsAnswer) -> None:
        """Wait a moment for more answers to the same question."""
        now = self._clock.now
        self._answer, self._answered = told(self._lookup, answer, now - self._sent_s[answer.ident]), answer.ident
        for timer in self._timers[:-1]:
            timer.cancel()
        self._timers.append(self._clock.at(now + _LINGER_S, self._finish))

    def icmp_error(self, error: Packet) -> None:
        """Linux hands unreachables to a socket that asked for them; a TTL that ran out is no answer."""
        if error.icmp_type == ip.UNREACHABLE:
            self._finish(error="refused" if error.icmp_code == ip.PORT_UNREACHABLE else "unreachable")

    # --- over TCP

    def _over_tcp(self) -> None:
        """Within what is left of the time."""
        for timer in self._timers[:-1]:
            timer.cancel()
        own, other = (self._own, self._port), (self._lookup.resolver, DNS_PORT)
        iss = self._port * _KNUTH & 0xFFFFFFFF
        self.tcp = Tcp(self._clock, CLIENT, own, other, iss, self, mss=self._mss)
        self.tcp.connect()

    def connected(self) -> None:
        """Ask."""
        if self.tcp is not None:
            self.tcp.send(wirebytes.with_length(self._query()))

    def received(self, data: bytes) -> None:
        """Wait for a whole answer; there is no second one."""
        self._buffer += data
        found = wirebytes.split_message(self._buffer)
        if found is None:
            return
        try:
            answer = wirebytes.parse_dns_answer(found[0])
        except ValueError:
            self._finish(error="malformed")
            return
        self._finish(answer)

    def ended(self, how: str, by: Packet | None) -> None:
        """The connection is over before there is an answer."""
        del by
        words = {"refused": "refused", "reset": "refused", "closed": "malformed", "timeout": "timeout"}
        self._finish(error=words.get(how, "unreachable"))

    # --- asking and telling

    def _query(self) -> bytes:
        """A query with an id of its own, so that an answer says which one it is to."""
        ident = (self._port * 31 + len(self._sent_s) * 7919) & 0xFFFF
        self._sent_s[ident] = self._clock.now
        return wirebytes.query_of(self._lookup, ident)

    def _ask(self) -> None:
        packet = Packet(
            self._own,
            self._lookup.resolver,
            protocol=ip.UDP,
            source_port=self._port,
            destination_port=DNS_PORT,
            payload=self._query(),
        )
        self.packets_sent += 1
        self.bytes_sent += packet.size
        self._clock.send(packet, CLIENT)

    def _finish(self, answer: wirebytes.DnsAnswer | None = None, error: str = "") -> None:
        for timer in self._timers:
            timer.cancel()
        if self.tcp is not None:
            self.tcp.close()
            self.packets_sent += self.tcp.packets_sent
            self.bytes_sent += self.tcp.bytes_sent
        if self._answer is not None:
            self._done(self._answer)
            return
        if answer is None:
            self._done(Answer(self._lookup, error=error))
            return
        self._done(told(self._lookup, answer, self._clock.now - self._sent_s[answer.ident]))


def told(lookup: Lookup, answer: wirebytes.DnsAnswer, rtt_s: float) -> Answer:
    """What an answer says."""
    return Answer(
        lookup,
        rcode=answer.rcode,
        addresses=answer.addresses,
        aliases=answer.aliases,
        ttl_s=answer.ttl_s,
        rtt_s=rtt_s,
        responses=1,
        authoritative=answer.authoritative,
        servers=answer.servers,
        scope=answer.scope,
    )
