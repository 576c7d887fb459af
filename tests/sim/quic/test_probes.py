"""Probes of QUIC in virtual time: who speaks it says which versions, who does not says that nobody is there."""

import msgspec
import pytest

from netprobe.model.probes import Flow, Probe, Protocol, Reply, ReplyKind
from netprobe.sim.checks import WrongError, check
from netprobe.sim.records import Fault, Scenario
from netprobe.sim.virtual import VirtualVantage
from tests.sim.small import SERVER, fault, line


def speaking(*faults: Fault) -> Scenario:
    """The small network with a server that speaks QUIC."""
    scenario = line(*faults)
    return msgspec.structs.replace(
        scenario, servers=tuple(msgspec.structs.replace(server, quic=True) for server in scenario.servers)
    )


def replied(scenario: Scenario, ttl: int = 64, port: int = 443, size: int = 0) -> Reply | None:
    """What a probe of QUIC draws, if anything."""
    vantage = VirtualVantage(scenario)
    token = vantage.send(Probe(Flow(Protocol.QUIC, SERVER, port), ttl=ttl, size=size))
    event = vantage.receive(10.0)
    if event is None:
        return None
    assert event.token == token
    assert isinstance(event.outcome, Reply)
    return event.outcome


def test_a_server_that_speaks_quic_negotiates() -> None:
    """Its answer is a datagram of its own, with its TTL counted down on the way."""
    reply = replied(speaking())
    assert reply is not None
    assert (reply.kind, reply.source, reply.ttl, reply.from_destination) == (ReplyKind.UDP_DATA, SERVER, 60, True)


def test_who_does_not_speak_it_says_so() -> None:
    """A host whose port is closed says port unreachable; so does one that speaks QUIC, at another port."""
    for reply in (replied(line()), replied(speaking(), port=4433)):
        assert reply is not None
        assert (reply.kind, reply.icmp_type, reply.icmp_code) == (ReplyKind.UNREACHABLE, 3, 3)


def test_a_probe_of_quic_is_as_large_as_a_beginning() -> None:
    """1200 bytes of payload, so that a server heeds it; on the way it runs out of TTL as any."""
    vantage = VirtualVantage(speaking())
    vantage.send(Probe(Flow(Protocol.QUIC, SERVER, 443)))
    assert vantage.usage().bytes_sent == 20 + 8 + 1200
    reply = replied(speaking(), ttl=2)
    assert reply is not None
    assert reply.kind is ReplyKind.TIME_EXCEEDED


@pytest.mark.parametrize(
    "found", [fault("down", "edge"), fault("drop", "r2", match={"protocol": "udp", "port": 443})], ids=["down", "drop"]
)
def test_silence_is_silence(found: Fault) -> None:
    """A dead server, and one whose QUIC is dropped on the way, say nothing."""
    assert replied(speaking(found)) is None


def test_a_server_that_refuses_speaks_no_quic() -> None:
    """Its port is closed for as long as the fault lasts."""
    reply = replied(speaking(fault("refuse", "edge")))
    assert reply is not None
    assert (reply.kind, reply.icmp_code) == (ReplyKind.UNREACHABLE, 3)


def test_quic_without_a_certificate_is_refused() -> None:
    """QUIC is TLS: a server that serves no name cannot speak it."""
    scenario = speaking()
    mute = tuple(msgspec.structs.replace(server, serves=()) for server in scenario.servers)
    with pytest.raises(WrongError, match=r"'quic' in .*: it has no certificate for any name"):
        check(msgspec.structs.replace(scenario, servers=mute))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (fault("drop", "r2", match={"protocol": "quic", "port": 8443}), "QUIC is on UDP port 443 here"),
        (
            fault("delay", "r2", match={"protocol": "quic", "query_name": ["a.b"]}, delay_ms=1.0),
            "no DNS questions in it",
        ),
        (fault("reset", "r2", match={"protocol": "quic"}), "this kind is about TCP only"),
        (fault("block_page", "r2", match={"protocol": "quic"}, title="No"), "this kind is about TCP only"),
        (fault("firewall", "client", match={"protocol": "quic"}), "use protocol 'udp' with port 443"),
        (fault("loop", "r1", "r2", match={"protocol": "quic"}), "use protocol 'udp' with port 443"),
        (fault("drop", "r2", match={"protocol": "quick"}), "unknown protocol 'quick' (did you mean 'quic'?)"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_what_quic_cannot_have_done_to_it_is_refused(wrong: Fault, said: str) -> None:
    """Resets, pages, other ports, and rules that see no more than ports: with a hint at what is meant."""
    with pytest.raises(WrongError) as error:
        check(speaking(wrong))
    assert said in str(error.value)


def test_all_that_can_is_accepted() -> None:
    """A port that says the same, a name, an address, a size."""
    for match in (
        {"protocol": "quic", "port": 443},
        {"protocol": "quic", "server_name": ["*.tiktok.com"]},
        {"protocol": "quic", "destination": [f"{SERVER}/32"], "larger_than": 1200},
    ):
        check(speaking(fault("drop", "r2", match=match)))
        check(speaking(fault("throttle", "r2", match=match, rate_kbit=64.0)))
