"""Who is asked on port 80: few controls in every survey, the platform's names where they fail, and nobody for long."""

from netprobe.model.probes import Exchange, Protocol, Reply, ReplyKind, Train
from netprobe.model.report import Observation
from netprobe.model.services import Answer, Fetch, Handshake, Handshaken, Lookup, Response
from netprobe.model.targets import Control, Edge, PlainPage
from netprobe.probing import flows
from netprobe.probing.constancy import recheck
from netprobe.probing.observe import Observe
from netprobe.probing.plain import CONTROL, ELSEWHERE, MOST_EDGES, OTHER, TARGET, ask_controls, ask_for_names
from netprobe.probing.questions import LONGEST_WAIT_S, RETRANSMISSION_S, apart
from netprobe.probing.run import gather, run
from tests.probing.line import LineVantage

ONE = (Control("one.example", "one", plain=PlainPage("/generate_204", 204)), "198.51.100.1")
TWO = (Control("two.example", "two", plain=PlainPage("/ok", title="ok")), "198.51.100.2")
CONTROLS = (ONE, (Control("three.example", "three"), "198.51.100.3"), TWO)
EDGES = tuple(Edge(f"192.0.2.{n}", f"{n}.tiktok.com", "web", vendor) for n, vendor in enumerate("abc"))


def fetched(edge: Edge, *, phase: str = "done", error: str = "") -> Observation:
    """What became of the page over TLS."""
    asked = Fetch(Handshake(edge.address, 443, edge.name))
    shaken = Handshaken(asked.handshake, phase, error, connect_s=None if phase == "connect" else 0.01)
    return Observation(1.0, "edge.fetch", edge.name, Response(asked, shaken, 0 if error else 200, error))


def heard(control: tuple[Control, str], status: int = 204) -> Observation:
    """What a control said on port 80."""
    asked = Fetch(Handshake(control[1], 80), host=control[0].name)
    shaken = Handshaken(asked.handshake, "done" if status else "connect", "" if status else "timeout")
    return Observation(1.0, CONTROL, control[0].name, Response(asked, shaken, status, shaken.error))


def asked(questions: list[Observe]) -> list[tuple[str, str, Fetch]]:
    """What such questions put to the network: purposes, subjects and requests."""
    shaken = Handshaken(Handshake("192.0.2.1", 80), "done")
    vantage = LineVantage(3, outcomes={Fetch: Response(Fetch(shaken.handshake), shaken, 200)})
    found = run(gather(questions), vantage)
    requests = [request for _, request in vantage.sent if isinstance(request, Fetch)]
    return [(o.purpose, o.subject, request) for o, request in zip(found, requests, strict=True)]


def names(found: list[Observation], edges: tuple[Edge, ...] = EDGES) -> list[tuple[str, str, str]]:
    """What is asked of the platform's names: purpose, address, and host."""
    questions = asked(list(ask_for_names(found, edges, CONTROLS)))  # type: ignore[arg-type]  # each is an Observe
    return [(purpose, request.handshake.address, request.host) for purpose, _, request in questions]


def test_controls_that_are_known_are_asked_in_clear() -> None:
    """One request each, without TLS, to port 80, for the page that the catalogue knows."""
    questions = asked(list(ask_controls(CONTROLS, [])))  # type: ignore[arg-type]  # each is an Observe
    assert [(purpose, subject) for purpose, subject, _ in questions] == [
        (CONTROL, "one.example"),
        (CONTROL, "two.example"),
    ]
    for (_, subject, request), (control, address) in zip(questions, (ONE, TWO), strict=True):
        assert request.handshake.port == 80
        assert (request.handshake.address, request.handshake.server_name) == (address, "")
        assert (request.host, request.path) == (subject, control.plain.path if control.plain else "")
        assert request.handshake.timeout_s <= RETRANSMISSION_S + LONGEST_WAIT_S


def test_names_that_work_are_not_asked_in_clear() -> None:
    """Nor those that fail behind TLS, or are silent where everybody leads to the same place."""
    found = [heard(ONE), fetched(EDGES[0]), fetched(EDGES[1], error="timeout")]
    assert names([*found, fetched(EDGES[2], phase="connect", error="timeout")]) == []
    assert names([*found, fetched(EDGES[2], phase="connect", error="local")]) == []


def test_names_that_fail_in_tls_are_compared() -> None:
    """The name, another one at the same address, and the name elsewhere, at a few places of different vendors."""
    found = [heard(ONE, status=0), heard(TWO, status=200), *(fetched(e, phase="tls", error="reset") for e in EDGES)]
    first, second = apart(EDGES)[:2]
    assert MOST_EDGES == 2
    assert names(found) == [
        (TARGET, first.address, first.name),
        (OTHER, first.address, "two.example"),
        (ELSEWHERE, TWO[1], first.name),
        (TARGET, second.address, second.name),
        (OTHER, second.address, "two.example"),
        (ELSEWHERE, TWO[1], second.name),
    ]


def test_without_a_control_there_is_nothing_to_compare_with() -> None:
    """Port 80 is silent: the name is asked for alone."""
    found = [heard(ONE, status=0), fetched(EDGES[0], phase="connect", error="refused")]
    assert names(found) == [(TARGET, EDGES[0].address, EDGES[0].name)]


def test_names_that_lead_to_different_places_are_asked_where_one_is_silent() -> None:
    """Who shows a page need not speak TLS."""
    lie = Edge("198.51.100.80", EDGES[0].name, "web", "a")
    found = [heard(ONE), fetched(lie, phase="connect", error="timeout"), fetched(EDGES[0])]
    assert names(found, (lie, *EDGES[1:])) == []
    assert [place for purpose, place, _ in names(found, (lie, *EDGES)) if purpose == TARGET] == [lie.address]


def test_a_filtered_port_is_neither_loss_nor_change() -> None:
    """Nothing else is asked because port 80 is silent: not again, and not how other flows fare."""
    reply = Reply(ReplyKind.SYN_ACK, "", 0.01)
    there = [
        Observation(0.5, "control.train", c.name, Train(Protocol.TCP, a, 443, (Exchange(64, 1, 0.5, reply),) * 3))
        for c, a in CONTROLS
    ]
    known = Observation(0.1, "lookup.control", "one.example", Answer(Lookup("one.example", "192.0.2.53"), "NOERROR"))
    silent = [heard(ONE, status=0), heard(TWO, status=0)]
    assert not flows.uneven([*there, known, *silent])
    assert run(recheck([*there, known, *silent], ("192.0.2.53",), "1", later=True), LineVantage(3)) == []
