"""DNS lookups over own sockets: one question, one resolver, one answer.

Over UDP, and over TCP what is too long for that. Queries go out as a plain stub resolver's do, without EDNS: the
middleboxes that break EDNS are not what is being asked about.
"""

import errno
import socket
import struct
from collections.abc import Callable

import msgspec

from netprobe.live import chance, dns_message, errors, stamps
from netprobe.live.reactor import READ, WRITE, Reactor, Timer
from netprobe.model.services import Answer, Lookup

_PORT = 53
_UDP_HEADERS = 28
_TCP_SYN_BYTES, _TCP_HEADERS = 60, 54
_LENGTH = struct.Struct("!H")
_LARGEST_MESSAGE = 65535
_RECEIVE_AT_ONCE = 16
_LINGER_S = 0.05  # after an answer, for another


class Question:
    """One lookup under way. Calls `done(answer)` once, at `timeout_s` after its start at the latest."""

    def __init__(
        self,
        lookup: Lookup,
        reactor: Reactor,
        done: Callable[[Answer], None],
        count: Callable[[int, int], None],
        link: str = "",
    ) -> None:
        self._lookup = lookup
        self._link = link
        self._reactor = reactor
        self._done = done
        self._count = count  # told the packets and bytes that leave
        self._sock: socket.socket | None = None
        self._asked: dict[int, float] = {}  # by message id
        self._timers: list[Timer] = []
        self._received = b""
        self._malformed = False
        self._answer: Answer | None = None  # the first, which is what a stub resolver believes
        self._answered = -1  # its message id

    def start(self, now: float) -> None:
        """Send the first query."""
        attempts = max(1, self._lookup.attempts)
        try:
            self._sock = errors.connect(self._lookup.resolver, _PORT, socket.SOCK_DGRAM, link=self._link)
            stamps.want_stamps(self._sock)
            self._reactor.watch(self._sock.fileno(), READ, self._read_udp)
            self._ask()
        except (OSError, ValueError, TypeError) as error:
            self._failed(error)
            return
        for attempt in range(1, attempts):
            self._timers.append(self._reactor.at(now + attempt * self._lookup.timeout_s / attempts, self._again))
        self._timers.append(self._reactor.at(now + self._lookup.timeout_s, self._give_up))

    def close(self) -> None:
        """Let go of the socket and the timers."""
        for timer in self._timers:
            timer.cancel()
        if self._sock is not None:
            self._reactor.forget(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _query(self) -> bytes:
        """A query with an id of its own, so that an answer says which attempt it is to."""
        ident = chance.below(1 << 16)
        wire = dns_message.write(self._lookup, ident)
        self._asked[ident] = self._reactor.now()
        return wire

    def _ask(self) -> None:
        if self._sock is not None:
            wire = self._query()
            self._sock.send(wire)
            self._count(1, _UDP_HEADERS + len(wire))

    def _again(self) -> None:
        try:
            self._ask()
        except OSError as error:
            self._failed(error)

    def _read_udp(self) -> None:
        for _ in range(_RECEIVE_AT_ONCE):
            if self._sock is None:
                return
            try:
                arrival = stamps.receive(self._sock)
            except BlockingIOError:
                errors.troubles(self._sock)  # an unread one would wake us for ever
                return
            except OSError as error:
                # RFC 792: a TTL that ran out on the way (a loop) is no answer; the next attempt may get through.
                reported = errors.troubles(self._sock)
                if reported and all(trouble.time_exceeded for trouble in reported):
                    continue
                self._failed(error)
                return
            self._consider(arrival.data, arrival.at_s)

    def _consider(self, data: bytes, at_s: float) -> None:
        """Take `data` as the answer if it is one to our question."""
        ident = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else -1
        if ident not in self._asked:
            return
        response = dns_message.parse(data)
        if response is None:
            self._malformed = True
            return
        if not dns_message.answers(response, self._lookup):
            return
        import dns.flags  # noqa: PLC0415

        answer = dns_message.read(response, self._lookup, max(0.0, at_s - self._asked[ident]))
        if self._sock is None or self._sock.type == socket.SOCK_STREAM:
            self._finish(answer)
        elif self._answer is not None:
            if ident == self._answered:
                self._answer = msgspec.structs.replace(self._answer, responses=self._answer.responses + 1)
        elif response.flags & dns.flags.TC:
            self._over_tcp()
        else:
            self._linger(answer, ident)

    def _linger(self, answer: Answer, ident: int) -> None:
        """Wait a moment for more answers to the same query: whoever injects one is faster than the resolver asked."""
        self._answer, self._answered = answer, ident
        *attempts, end = self._timers
        for timer in attempts:
            timer.cancel()
        self._timers = [self._reactor.at(min(self._reactor.now() + _LINGER_S, end.when), self._give_up), end]

    def _over_tcp(self) -> None:
        """Ask again over TCP (RFC 7766), within what is left of the time."""
        for timer in self._timers[:-1]:
            timer.cancel()
        if self._sock is not None:
            self._reactor.forget(self._sock.fileno())
            self._sock.close()
        try:
            self._sock = errors.connect(self._lookup.resolver, _PORT, socket.SOCK_STREAM, link=self._link)
        except OSError as error:
            self._failed(error)
            return
        self._count(1, _TCP_SYN_BYTES)
        self._reactor.watch(self._sock.fileno(), WRITE, self._write_tcp)

    def _write_tcp(self) -> None:
        if self._sock is None:
            return
        try:
            wire = self._query()
            self._sock.send(_LENGTH.pack(len(wire)) + wire)  # far below a fresh socket's buffer: leaves whole
        except OSError as error:
            self._failed(error)
            return
        self._count(1, _TCP_HEADERS + len(wire))
        self._reactor.watch(self._sock.fileno(), READ, self._read_tcp)

    def _read_tcp(self) -> None:
        if self._sock is None:
            return
        try:
            chunk = self._sock.recv(_LARGEST_MESSAGE)
        except BlockingIOError:
            return
        except OSError as error:
            self._failed(error)
            return
        self._received += chunk
        if len(self._received) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received)
            message = self._received[_LENGTH.size :]
            if len(message) >= length:
                self._consider(message[:length], self._reactor.now())
                chunk = b""  # whatever it was: there is no second message
        if not chunk and self._sock is not None:
            self._finish(Answer(self._lookup, error="malformed"))

    def _failed(self, error: Exception) -> None:
        if isinstance(error, OSError):
            # The model has no word for a query that a local firewall stopped: nothing reached the resolver either way.
            outcome = errors.OUTCOMES.get(error.errno or 0, "unreachable")
            outcome = "refused" if error.errno in {errno.ECONNREFUSED, errno.ECONNRESET} else outcome
        else:
            outcome = "malformed"
        self._finish(Answer(self._lookup, error=outcome))

    def _give_up(self) -> None:
        """The time is over: for an answer, or for more of them."""
        self._finish(Answer(self._lookup, error="malformed" if self._malformed else "timeout"))

    def _finish(self, answer: Answer) -> None:
        self.close()
        self._done(self._answer or answer)
