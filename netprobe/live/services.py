"""Lookups and connections: all that a vantage does beside probes.

The vantage imports this with the first of them, because TLS and HTTP take as long to load as a trace takes to run.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from netprobe.live import CannotMeasure, host
from netprobe.live.connection import Conversation
from netprobe.live.dns import Question
from netprobe.live.hearing import Hearing
from netprobe.live.quic import Speaker
from netprobe.live.reactor import Reactor
from netprobe.live.trust import Trust
from netprobe.model.host import HostState
from netprobe.model.services import Fetch, Handshake, Lookup, QuicHandshake, Transport
from netprobe.probing.port import Outcome


class Services:
    """Carries out requests to servers; `count` is told of (packets, bytes) that went out for them."""

    def __init__(self, trust: Trust, reactor: Reactor, count: Callable[[int, int], None]) -> None:
        self._trust = trust
        self._reactor = reactor
        self._count = count
        self._at_work: dict[int, Question | Conversation] = {}
        self._speaker = Speaker(reactor, trust.authorities, count)

    def start(
        self,
        request: Lookup | Handshake | Fetch | QuicHandshake,
        token: int,
        done: Callable[[Outcome], None],
        hearing: Hearing | None = None,
        link: str = "",
    ) -> None:
        """Start `request`, by the interface `link` if it is given, and call `done` once with what came of it.

        `hearing` listens to a connection.
        """
        if isinstance(request, QuicHandshake):
            self._speaker.start(request, done, link)
            return

        def ended(outcome: Any) -> None:
            del self._at_work[token]
            done(outcome)

        work: Question | Conversation
        if isinstance(request, Lookup) and request.transport is not Transport.UDP:
            from netprobe.live.dns_stream import StreamedQuestion  # noqa: PLC0415  # only where an answer is in doubt

            work = StreamedQuestion(request, self._reactor, self._trust, ended, self._count, link)
        elif isinstance(request, Lookup):
            work = Question(request, self._reactor, ended, self._count, link)
        else:
            work = Conversation(request, self._reactor, self._trust, ended, self._count, hearing, link)
        self._at_work[token] = work
        work.start(self._reactor.now())

    @staticmethod
    def inspect() -> HostState:
        """The own machine's state."""
        return host.inspect()

    def close(self) -> None:
        """End what is under way, without a word to anybody."""
        for work in list(self._at_work.values()):
            work.close()
        self._at_work.clear()
        self._speaker.close()


def load_trust(ca_file: str | None) -> Trust:
    """Whom to trust: `ca_file`, else the system's store. Raises `CannotMeasure` when `ca_file` cannot be read."""
    if ca_file and not Path(ca_file).is_file():
        msg = f"no such file: {ca_file}; --ca-file names a file of PEM certificates"
        raise CannotMeasure(msg)
    trust = Trust(ca_file)
    if ca_file:
        try:
            trust.context(verify=True)
        except OSError as error:
            msg = f"{ca_file} has no PEM certificate that can be read ({error}); --ca-file names a file of them"
            raise CannotMeasure(msg) from error
    return trust
