"""The sessions that are one request and one outcome: lookup, handshake, fetch, inspect.

The vantage holds their time-outs, so a session of this kind has nothing to schedule.
"""

from netprobe.model.host import HostState, Inspect
from netprobe.model.services import (
    Answer,
    Fetch,
    Handshake,
    Handshaken,
    Lookup,
    QuicHandshake,
    QuicHandshaken,
    Response,
)
from netprobe.probing.port import Outcome, Request
from netprobe.probing.run import Session

LOOKUP_TIMEOUT_S = 2.0
_GRACE_S = 60.0  # the vantage answers within the request's own time-out; this only bounds a broken vantage


class Ask:
    """Send one request, wait for its one outcome."""

    def __init__(self, request: Request) -> None:
        self._request: Request | None = request
        self._deadline: float | None = 0.0
        self._outcome: Outcome | None = None

    def next_request(self, now: float) -> Request | None:
        """The request, once."""
        if self._request is None and self._deadline is not None and now >= self._deadline:
            msg = "the vantage owes an outcome for every request that is not a probe"
            raise TimeoutError(msg)
        request, self._request = self._request, None
        return request

    def sent(self, request: Request, token: int, now: float) -> None:
        """Wait for the outcome."""
        del request, token
        self._deadline = now + _GRACE_S

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Done with the first outcome."""
        del token, now
        if self._outcome is None:
            self._outcome = outcome
            self._deadline = None

    def deadline(self) -> float | None:
        """When the vantage is overdue; None once there is an outcome."""
        return self._deadline

    def result(self) -> Outcome:
        """What became of the request."""
        if self._outcome is None:
            msg = "asked for a result before there was one"
            raise RuntimeError(msg)
        return self._outcome


class Pause:
    """Let `seconds` pass, and ask nobody anything."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: float | None = None
        self._over = False

    def next_request(self, now: float) -> Request | None:
        """Nothing, ever."""
        if self._until is None:
            self._until = now + self._seconds
        self._over = now >= self._until
        return None

    def sent(self, request: Request, token: int, now: float) -> None:
        """Nothing is."""

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """Nothing comes."""

    def deadline(self) -> float | None:
        """Its end."""
        return None if self._over else self._until

    def result(self) -> None:
        """Nothing."""


def lookup(name: str, resolver: str, record_type: str = "A", *, timeout_s: float = LOOKUP_TIMEOUT_S) -> Session[Answer]:
    """Ask `resolver` for the records of `record_type` that `name` has: its IPv4 addresses."""
    return Ask(Lookup(name=name, resolver=resolver, record_type=record_type, timeout_s=timeout_s))  # type: ignore[return-value]


def about_itself(resolver: str) -> Session[Answer]:
    """Ask the server at `resolver` for its version (class CH), which it answers or refuses without an upstream."""
    asked = Lookup(name="version.bind", resolver=resolver, record_type="TXT", record_class="CH", timeout_s=2.0)
    return Ask(asked)  # type: ignore[return-value]


def handshake(request: Handshake) -> Session[Handshaken]:
    """Connect and shake hands."""
    return Ask(request)  # type: ignore[return-value]


def quic_handshake(request: QuicHandshake) -> Session[QuicHandshaken]:
    """Connect over QUIC."""
    return Ask(request)  # type: ignore[return-value]


def fetch(request: Fetch) -> Session[Response]:
    """Ask for a page and keep what matters of the answer."""
    return Ask(request)  # type: ignore[return-value]


def inspect() -> Session[HostState]:
    """Look at the own machine."""
    return Ask(Inspect())  # type: ignore[return-value]
