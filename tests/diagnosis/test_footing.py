"""What the machine did not let us measure is no evidence: nobody is blamed for a rung that is missing."""

import msgspec
import pytest

from netprobe.diagnosis import diagnose
from netprobe.diagnosis.facts import Facts
from netprobe.diagnosis.paths import MIXED_TURNS
from netprobe.model.host import HostState
from netprobe.model.probes import Exchange, Path, PathMtu, Protocol, Reply, ReplyKind, Train
from netprobe.model.report import AnyFact, Observation
from netprobe.model.rungs import RUNGS, Footing, keeps_flows
from netprobe.model.unsent import NOT_CARRIED
from netprobe.model.verdict import Evidence, Level, Verdict
from netprobe.topology.paths import loop
from tests.diagnosis.picture import ISP, PLATFORM, Picture, loops, origin
from tests.diagnosis.test_causes import CAUSES, healthy, nothing

NO_ECHO: Footing = {Protocol.ICMP: "", Protocol.TCP: "connect", Protocol.UDP: "recverr", Protocol.QUIC: "recverr"}


def never_sent(exchanges: tuple[Exchange, ...]) -> tuple[Exchange, ...]:
    reply = Reply(ReplyKind.SEND_FAILED, "", 0.0, error=NOT_CARRIED)
    return tuple(msgspec.structs.replace(exchange, reply=reply) for exchange in exchanges)


def without_echo(purpose: str, fact: AnyFact) -> AnyFact:
    """`fact` as it is where no echo can be sent: sizes are asked by datagrams there, and losses of SYNs counted."""
    match fact:
        case Train(protocol=Protocol.ICMP) if purpose in {"edge.loss", "control.loss"}:
            return msgspec.structs.replace(fact, protocol=Protocol.TCP, port=443)
        case HostState():
            return msgspec.structs.replace(fact, footing=NO_ECHO)
        case Train(protocol=Protocol.ICMP):
            return msgspec.structs.replace(fact, exchanges=never_sent(fact.exchanges))
        case PathMtu():
            return msgspec.structs.replace(fact, flow=msgspec.structs.replace(fact.flow, protocol=Protocol.UDP))
    return fact


def seen(picture: Picture) -> tuple[Observation, ...]:
    return tuple(msgspec.structs.replace(o, fact=without_echo(o.purpose, o.fact)) for o in picture.observations())


def verdict(picture: Picture) -> Verdict:
    return diagnose(seen(picture), picture.platform, origin)


def item(found: Verdict, ident: str) -> tuple[Level, str, str]:
    (evidence,) = [e for e in found.evidence if e.id == ident]
    return evidence.level, evidence.state, evidence.sentence


@pytest.mark.parametrize("cause", CAUSES)
def test_without_echo_nobody_else_is_blamed(cause: str) -> None:
    """Every cause is found by what connections show, or it is said that it cannot be told."""
    found = verdict(CAUSES[cause])
    assert found.component in {cause.split(".", maxsplit=1)[0], "undetermined"}, found.sentence


def test_a_gateway_that_was_not_pinged_is_not_silent() -> None:
    """Where anything lies behind it, it forwards; nobody says that it ignores pings, and none are counted."""
    found = verdict(healthy)
    sentence = "Your home router 192.168.1.1 was not pinged, but it forwards packets."
    assert item(found, "gateway.answers") == (Level.SCORED, "forwards", sentence)
    assert found.component == "none"
    (home,) = [e for e in found.exonerated if e.component == "home"]
    assert (home.passed, home.checks) == (1, 1)


def test_what_cannot_be_measured_says_why() -> None:
    """With nothing to go by, there is no finding about the gateway, and the reason stands beside it."""
    found = verdict(nothing.but(ways=dict.fromkeys(nothing.silent, ("",))))
    level, state, sentence = item(found, "gateway.answers")
    assert (level, state) == (Level.NONE, "")
    assert sentence == "Not measurable here: no icmp probe can leave this machine."
    assert found.component in {"home", "isp", "undetermined"}


def test_a_dead_gateway_is_known_by_its_hardware_address() -> None:
    """The kernel asks for it whatever is sent."""
    dead = CAUSES["home.gateway.dead"].but(neighbour="failed")
    level, state, sentence = item(verdict(dead), "gateway.answers")
    assert (level, state) == (Level.SCORED, "dead")
    assert sentence == "Your home router 192.168.1.1 is dead: it does not even say its hardware address."


def test_only_what_never_left_for_want_of_a_rung_is_left_out() -> None:
    """A probe that the own firewall stopped, or that had no route, was measured all the same."""
    facts = Facts(seen(healthy), PLATFORM, origin)
    assert facts.gateway == []
    assert all(t.protocol is Protocol.TCP for place in facts.edges.values() for _, t in place.trains)
    stopped = Reply(ReplyKind.SEND_FAILED, "", 0.0, error="EPERM")
    train = Train(Protocol.ICMP, "192.168.1.1", 0, (Exchange(64, 0, 0.0, stopped),))
    facts = Facts([Observation(0.0, "gateway", "192.168.1.1", train)], PLATFORM, origin)
    assert [t for _, t in facts.gateway] == [train]


def test_mixed_branches_are_no_loop() -> None:
    """Where probes keep no flow, a router that comes a second time may stand on a longer branch: not so a third."""
    path = next(o.fact for o in CAUSES["isp.routing.loop"].observations() if isinstance(o.fact, Path))
    members = loops((path.flow.destination,), ISP[1], ISP[2])[path.flow.destination]
    assert len(members) > 2 * MIXED_TURNS
    short = msgspec.structs.replace(path, hops=tuple(h for h in path.hops if h.addresses)[: 2 + 4])
    assert loop(short) is not None
    assert loop(short, turns=MIXED_TURNS) is None
    assert not keeps_flows(NO_ECHO, Protocol.TCP)
    assert verdict(CAUSES["isp.routing.loop"]).component == "isp"


def test_the_ladder_is_in_order() -> None:
    """Ids are unique; the top carries everything and loses nothing, the others say what they lose and what to do."""
    assert len({row.id for row in RUNGS}) == len({row.name for row in RUNGS}) == len(RUNGS)
    top, *lower = RUNGS
    assert set(top.protocols) == set(Protocol)
    assert not top.lost
    for row in lower:
        assert row.lost
        assert row.remedy
        assert row.needs
        assert set(row.protocols) < set(Protocol)


def test_evidence_that_was_not_measured_has_no_weight() -> None:
    """It stands in the answer, with its reason, and counts for nobody."""
    found = verdict(nothing.but(ways=dict.fromkeys(nothing.silent, ("",))))
    (row,) = [e for e in found.evidence if e.id == "gateway.answers"]
    assert row.weight == 0.0
    assert row.reason == "no icmp probe can leave this machine"
    assert Evidence(row.id, row.state, row.level, row.sentence).facts == ()
