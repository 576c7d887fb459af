"""A session that stamps another's result with when and what for: facts become observations."""

from typing import Any

from netprobe.model.report import Observation
from netprobe.probing.port import Outcome, Request
from netprobe.probing.run import Session


class Observe:
    """Run `session` as it is; its result becomes an `Observation` of `purpose` about `subject`.

    `at_s` is the vantage's clock at the first request; the survey's start is subtracted where the report is made.
    """

    def __init__(self, purpose: str, subject: str, session: Session[Any]) -> None:
        self._purpose = purpose
        self._subject = subject
        self._session = session
        self._began: float | None = None

    def next_request(self, now: float) -> Request | None:
        """As the session wants."""
        if self._began is None:
            self._began = now
        return self._session.next_request(now)

    def sent(self, request: Request, token: int, now: float) -> None:
        """As the session wants."""
        self._session.sent(request, token, now)

    def receive(self, token: int, outcome: Outcome, now: float) -> None:
        """As the session wants."""
        self._session.receive(token, outcome, now)

    def deadline(self) -> float | None:
        """As the session wants."""
        return self._session.deadline()

    def result(self) -> Observation:
        """The fact with its time and purpose."""
        return Observation(self._began or 0.0, self._purpose, self._subject, self._session.result())
