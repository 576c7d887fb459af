"""Who is asked over QUIC, and what is looked into where nobody answers: by facts only, and few."""

from collections.abc import Callable

import pytest

from netprobe.model.probes import Path, Protocol, Reply, ReplyKind, Train
from netprobe.model.report import Observation
from netprobe.model.services import Fetch, Handshake, Handshaken, QuicHandshake, QuicHandshaken, Response
from netprobe.model.targets import Control, Edge
from netprobe.probing.port import Event, Outcome, Request, Usage
from netprobe.probing.quic import announces, look_into_silence, try_quic
from netprobe.probing.run import gather, run

OFFER = 'h3=":443"; ma=86400'
EDGES = tuple(Edge(f"192.0.2.{n}", f"{vendor}.tiktok.com", "web", vendor) for n, vendor in enumerate(("a", "b", "c")))
CONTROLS = tuple(
    (Control(f"{family}.example", family), f"198.51.100.{n}") for n, family in enumerate(("x", "x", "y", "z"))
)


def page(name: str, address: str, offer: str = OFFER, status: int = 200, error: str = "") -> Response:
    asked = Fetch(Handshake(address, 443, name))
    shaken = Handshaken(asked.handshake, "tls" if error else "done", error)
    return Response(asked, shaken, 0 if error else status, error, headers={"alt-svc": offer} if offer else {})


def served(*, offer: str = OFFER, error: str = "") -> list[Observation]:
    """What the edges and controls said over TCP."""
    edges = [Observation(1.0, "edge.fetch", e.name, page(e.name, e.address, offer, error=error)) for e in EDGES]
    return edges + [Observation(1.0, "control.fetch", c.name, page(c.name, a, offer)) for c, a in CONTROLS]


class Answering:
    """A vantage that answers everything by `said`, at once; probes that it does not answer are lost."""

    def __init__(self, said: Callable[[Request], Outcome | None]) -> None:
        self._said = said
        self._now = 0.0
        self._tokens = 0
        self._events: list[Event] = []
        self.asked: list[Request] = []

    def now(self) -> float:
        return self._now

    def send(self, request: Request) -> int:
        self._tokens += 1
        self.asked.append(request)
        if (outcome := self._said(request)) is not None:
            self._events.append(Event(self._tokens, self._now, outcome))
        return self._tokens

    def receive(self, until: float) -> Event | None:
        if self._events:
            return self._events.pop(0)
        self._now = until
        return None

    def usage(self) -> Usage:
        return Usage(0, 0)


def silence(request: Request) -> Outcome | None:
    return QuicHandshaken(request, "initial", "timeout") if isinstance(request, QuicHandshake) else None


def done(request: Request) -> Outcome | None:
    return QuicHandshaken(request, "done") if isinstance(request, QuicHandshake) else None


def looked(found: list[Observation], said: Callable[[Request], Outcome | None]) -> list[tuple[str, str]]:
    """The purposes and subjects of a first look over QUIC and what follows it."""
    vantage = Answering(said)
    first: list[Observation] = run(gather(list(try_quic(found, EDGES, CONTROLS))), vantage)
    then: list[Observation] = run(look_into_silence([*found, *first], CONTROLS), vantage)
    return [(o.purpose, o.subject) for o in (*first, *then)]


@pytest.mark.parametrize(
    ("offer", "status", "expected"),
    [
        (OFFER, 200, True),
        ('h3-29=":443", h3=":443"; ma=93600', 404, True),
        ('h2=":443",h3=":443"', 200, True),
        ('h3="alt.example:443"', 200, True),
        ('h3=":8443"', 200, False),
        ("clear", 200, False),
        ("", 200, False),
        (OFFER, 0, False),
        ('xh3=":443"', 200, False),
    ],
)
def test_offers_are_read(offer: str, status: int, expected: bool) -> None:  # noqa: FBT001  # a column of the table
    """Alt-Svc as RFC 7838 has it: HTTP/3, at the port of QUIC, from somebody who answered."""
    assert announces(page("a.example", "192.0.2.1", offer, status)) is expected


def test_few_are_asked_who_offer_it() -> None:
    """Two edges of different networks, two controls of different families; and nobody is looked into who answers."""
    found = looked(served(), done)
    assert [purpose for purpose, _ in found] == ["edge.quic", "edge.quic", "control.quic", "control.quic"]
    assert len({subject for _, subject in found[:2]}) == 2
    assert [subject for _, subject in found[2:]] == ["x.example", "y.example"]


def test_nobody_is_asked_who_offers_none() -> None:
    """Silence of who never said that he speaks QUIC would say nothing."""
    assert looked(served(offer=""), silence) == []


def test_a_name_that_is_cut_off_is_tried_once() -> None:
    """Over TCP it was cut off, so that nobody could offer anything; no control is asked beside it."""
    assert [purpose for purpose, _ in looked(served(error="reset"), silence)] == ["edge.quic"]


def test_silence_is_looked_into() -> None:
    """Once more, by probes without a name, by another name; then one way of each kind where no probe was answered.

    And the way that TCP takes to the same edge, for comparison: nobody has looked at it yet.
    """
    found = looked(served(), silence)
    assert [purpose for purpose, _ in found].count("edge.quic.again") == 2
    assert {purpose for purpose, _ in found} == {
        "edge.quic", "control.quic", "edge.quic.again", "control.quic.again", "edge.quic.probe", "control.quic.probe",
        "quic.other", "edge.quic.path", "control.quic.path", "edge.path",
    }  # fmt: skip
    assert [purpose for purpose, _ in found][-3:] == ["edge.quic.path", "control.quic.path", "edge.path"]


def test_a_minded_name_is_tried_elsewhere() -> None:
    """Where the platform's names are lost and others pass, the name goes to a control too; no way is traced."""

    def minding(request: Request) -> Outcome | None:
        if isinstance(request, QuicHandshake):
            return (silence if request.server_name.endswith("tiktok.com") else done)(request)
        assert not isinstance(request, Fetch | Handshake)
        return Reply(ReplyKind.UDP_DATA, "192.0.2.1", 0.01)

    purposes = [purpose for purpose, _ in looked(served(), minding)]
    assert purposes.count("quic.elsewhere") == 2
    assert not any(purpose.endswith("path") for purpose in purposes)


def test_a_refusal_is_not_looked_into() -> None:
    """Whoever refuses QUIC himself has answered."""

    def refusing(request: Request) -> Outcome | None:
        return QuicHandshaken(request, "initial", "refused") if isinstance(request, QuicHandshake) else None

    assert len(looked(served(), refusing)) == 4


def test_observations_keep_what_they_are_about() -> None:
    """A path of QUIC is a path of its own protocol, a train too: no other signal takes them for its own."""
    vantage = Answering(silence)
    found = served()
    first: list[Observation] = run(gather(list(try_quic(found, EDGES, CONTROLS))), vantage)
    then: list[Observation] = run(look_into_silence([*found, *first], CONTROLS), vantage)
    paths = {(o.purpose, o.fact.flow.protocol) for o in then if isinstance(o.fact, Path)}
    protocols = {protocol for purpose, protocol in paths if purpose != "edge.path"}
    assert ("edge.path", Protocol.TCP) in paths
    protocols |= {o.fact.protocol for o in then if isinstance(o.fact, Train)}
    assert protocols == {Protocol.QUIC}
