"""The port: everything that a measurement needs from a place in the network.

The live network, a simulated one in virtual time, and a recording all stand behind this one protocol.
"""

from typing import Protocol

from netprobe.model.host import HostState, Inspect
from netprobe.model.probes import Probe, Reply
from netprobe.model.record import Record
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

Asked = Probe | Lookup | Handshake | Fetch | QuicHandshake  # of somebody else


class Over(Record, frozen=True):
    """`request` by the interface `link`, whatever the routes say: as from a socket that is bound to it."""

    link: str
    request: Asked


Request = Asked | Inspect | Over
Outcome = Reply | Answer | Handshaken | Response | QuicHandshaken | HostState


class Event(Record, frozen=True):
    """Something came of a request. `token` is what `send` returned for it; `at_s` is the vantage's clock."""

    token: int
    at_s: float
    outcome: Outcome


class Usage(Record, frozen=True):
    """What a vantage has put on the wire so far. `bytes_sent` counts whole IP packets."""

    packets_sent: int
    bytes_sent: int


class Vantage(Protocol):
    """A place to measure from. It owns time too, so network and clock cannot disagree.

    A `Probe` may draw any number of replies, none among them: time-outs are the session's. Every other request draws
    exactly one event, at its own `timeout_s` at the latest. A packet that could not be sent is an event (a `Reply`
    of kind SEND_FAILED), never an exception.
    """

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def send(self, request: Request) -> int:
        """Start `request` and return the token that its events will carry, different for each call."""
        ...

    def receive(self, until: float) -> Event | None:
        """The next event, waiting for it until the clock shows `until`; None then."""
        ...

    def usage(self) -> Usage:
        """What was sent since the vantage was made."""
        ...
