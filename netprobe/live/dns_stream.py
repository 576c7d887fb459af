"""DNS lookups over a connection: one question over TCP, TLS (RFC 7858) or HTTPS (RFC 8484), and how it ended."""

from collections.abc import Callable

import msgspec

from netprobe.live import chance, dns_message
from netprobe.live.connection import Conversation
from netprobe.live.reactor import Reactor
from netprobe.live.text import clean
from netprobe.live.trust import Trust
from netprobe.model.services import Answer, Handshaken, Lookup, Response, Transport
from netprobe.probing.name_stream import carriage, handshake_of, protocols

_UNREADABLE = "malformed"


class StreamedQuestion(Conversation):
    """One lookup under way. Calls `done(answer)` once, at its `timeout_s` at the latest."""

    def __init__(
        self,
        lookup: Lookup,
        reactor: Reactor,
        trust: Trust,
        done: Callable[[Answer], None],
        count: Callable[[int, int], None],
        link: str = "",
    ) -> None:
        super().__init__(handshake_of(lookup), reactor, trust, self._told, count, link=link)
        self._lookup = lookup
        self._answered = done
        self._ident = 0 if lookup.transport is Transport.HTTPS else chance.below(1 << 16)  # RFC 8484, 4.1
        self._alpn = protocols(lookup)
        self._asked_s = 0.0
        self._end_word = ""
        self._found: Answer | None = None

    def start(self, now: float) -> None:
        """Connect, if there is a question."""
        try:
            self._carriage = carriage(self._lookup, dns_message.write(self._lookup, self._ident))
        except ValueError:
            self._answered(Answer(self._lookup, error=_UNREADABLE))
            return
        super().start(now)

    def _established(self) -> None:
        """Ask."""
        self._phase = "done"
        if self._sock is None:
            return
        self._handshaken = self._as_handshaken("", "")
        agreed = self._tls.selected_alpn_protocol() if self._tls else None
        if self._alpn and agreed not in self._alpn:
            self._end(_UNREADABLE)
            return
        self._asked_s = self._reactor.now()
        self._say(self._carriage.first)
        self._read_tls()  # what the server says first may already be here

    def _take_http(self, data: bytes) -> None:
        """What came, in clear."""
        try:
            reply = self._carriage.receive(data)
        except ValueError:
            self._end(_UNREADABLE)
            return
        if reply:
            self._say(reply)
        if self._carriage.done:
            self._consider(self._carriage.message)

    def _say(self, data: bytes) -> None:
        if self._tls is None:
            self._outgoing.write(data)
        else:
            self._tls.write(data)
        self._flush()

    def _consider(self, message: bytes | None) -> None:
        if message is None:
            self._end("status")
            return
        response = dns_message.parse(message)
        if response is None or response.id != self._ident or not dns_message.answers(response, self._lookup):
            self._end(_UNREADABLE)
            return
        self._found = dns_message.read(response, self._lookup, self._reactor.now() - self._asked_s)
        self._end("")

    def _end(self, error: str, detail: str = "") -> None:
        self._end_word = self._end_word or error
        super()._end(error, clean(detail))

    def _told(self, outcome: Handshaken | Response) -> None:
        """The connection is over."""
        connection = outcome if isinstance(outcome, Handshaken) else None
        answer = self._found or Answer(self._lookup, error=self._end_word)
        self._answered(msgspec.structs.replace(answer, connection=connection, status=self._carriage.status))
