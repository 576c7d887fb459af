"""The client's side of a lookup over TCP, TLS or HTTPS in virtual time. It ends as that of the live vantage does."""

from collections.abc import Callable

from msgspec.structs import replace

from netprobe.model.services import Answer, Handshaken, Lookup, Response, Transport
from netprobe.probing.name_stream import carriage, handshake_of, protocols
from netprobe.sim import wirebytes
from netprobe.sim.clockwork import Clockwork
from netprobe.sim.conversations import Conversation
from netprobe.sim.lookup import told


class StreamedQuestion(Conversation):
    """One lookup; `random` is 32 bytes, and what else a `Conversation` wants to know."""

    def __init__(  # what a conversation is made of
        self,
        clock: Clockwork,
        own: tuple[str, int],
        lookup: Lookup,
        done: Callable[[Answer], None],
        *,
        mtu: int,
        wall_clock_s: float,
        clock_ahead_s: float,
        random: bytes,
    ) -> None:
        super().__init__(
            clock,
            own,
            handshake_of(lookup),
            self._told,
            mtu=mtu,
            wall_clock_s=wall_clock_s,
            clock_ahead_s=clock_ahead_s,
            random=random,
        )
        self._alpn = protocols(lookup) or self._alpn
        self._lookup = lookup
        self._answered = done
        self._ident = 0 if lookup.transport is Transport.HTTPS else own[1]
        self._carriage = carriage(lookup, wirebytes.query_of(lookup, self._ident))
        self._asked_s = 0.0
        self._end_word = ""
        self._found: Answer | None = None

    def _established(self) -> None:
        self._phase = "done"
        self._handshaken = self._as_handshaken("", "")
        self._asked_s = self._clock.now
        self._say(self._carriage.first)

    def _http(self, data: bytes) -> None:
        """What came, in clear."""
        if self._phase != "done":
            return
        try:
            reply = self._carriage.receive(data)
            if reply:
                self._say(reply)
            if self._carriage.done:
                self._consider(self._carriage.message)
        except ValueError:
            self._end("malformed")

    def _say(self, data: bytes) -> None:
        secure = bool(self._handshake.server_name)
        self.tcp.send(wirebytes.tls_record(wirebytes.APPLICATION, data) if secure else data)

    def _consider(self, message: bytes | None) -> None:
        if message is None:
            self._end("status")
            return
        self._found = told(self._lookup, wirebytes.parse_dns_answer(message), self._clock.now - self._asked_s)
        self._end("")

    def _end(self, error: str, detail: str = "") -> None:
        self._end_word = self._end_word or error
        super()._end(error, detail)

    def _told(self, outcome: Handshaken | Response) -> None:
        """The connection is over."""
        connection = replace(outcome, heard=(), returned=()) if isinstance(outcome, Handshaken) else None
        answer = self._found or Answer(self._lookup, error=self._end_word)
        self._answered(replace(answer, connection=connection, status=self._carriage.status))
