"""QUIC handshakes in virtual time: the same phases and words for what went wrong as with a real vantage."""

from typing import Any

import msgspec
import pytest

from netprobe.model.services import Handshake, Handshaken, QuicHandshake, QuicHandshaken
from netprobe.probing.port import Outcome
from netprobe.sim.records import Fault, Scenario
from netprobe.sim.virtual import VirtualVantage
from tests.sim.small import SERVER, SERVER_V6, dual, fault, line

NAMED = QuicHandshake(SERVER, server_name="www.tiktok.com", timeout_s=3.0)
BLOCKED = {"server_name": ["*.tiktok.com"]}


def speaking(*faults: Fault, **changes: Any) -> Scenario:
    """The small network with servers that speak QUIC."""
    scenario = line(*faults, **changes)
    servers = tuple(msgspec.structs.replace(server, quic=True) for server in scenario.servers)
    return msgspec.structs.replace(scenario, servers=servers)


def ask(scenario: Scenario, request: QuicHandshake | Handshake) -> tuple[Outcome, float]:
    vantage = VirtualVantage(scenario)
    token = vantage.send(request)
    event = vantage.receive(100.0)
    assert event is not None
    assert event.token == token
    assert vantage.receive(200.0) is None, "one outcome is all that a request draws"
    return event.outcome, event.at_s


def shaken(scenario: Scenario, request: QuicHandshake = NAMED) -> QuicHandshaken:
    outcome, _ = ask(scenario, request)
    assert isinstance(outcome, QuicHandshaken)
    return outcome


def over_tcp(scenario: Scenario) -> Handshaken:
    outcome, _ = ask(scenario, Handshake(SERVER, 443, "www.tiktok.com"))
    assert isinstance(outcome, Handshaken)
    return outcome


def test_a_handshake_takes_one_round_trip() -> None:
    """The first answer comes after a round trip, the proof with it; the certificate is the one over TCP."""
    found = shaken(speaking())
    assert (found.phase, found.error, found.version, found.alpn) == ("done", "", "QUICv1", "h3")
    assert found.initial_s is not None
    assert found.handshake_s is not None
    assert 0.02 < found.initial_s < 0.025
    assert found.initial_s + found.handshake_s < 0.03
    assert found.certificate == over_tcp(speaking()).certificate


def test_who_does_not_speak_quic_refuses() -> None:
    """Its host says that the port is closed."""
    found = shaken(line())
    assert (found.phase, found.error) == ("initial", "refused")
    assert found.detail == f"ECONNREFUSED (port unreachable, says {SERVER})"


@pytest.mark.parametrize(
    ("wrong", "phase", "error", "detail"),
    [
        (fault("drop", "r2", match={"protocol": "udp", "port": 443}), "initial", "timeout", ""),
        (fault("drop", "r2", match={"protocol": "quic"}), "initial", "timeout", ""),
        (fault("drop", "r2", match=BLOCKED), "initial", "timeout", ""),
        (fault("down", "edge"), "initial", "timeout", ""),
        (fault("refuse", "edge"), "initial", "refused", f"ECONNREFUSED (port unreachable, says {SERVER})"),
        (fault("certificate", "edge", expired=True), "handshake", "certificate", "certificate has expired"),
        (fault("certificate", "r2", unknown_issuer=True), "initial", "", ""),
        (fault("hangup", "edge", when="accepted", how="reset"), "handshake", "closed", ""),
        (fault("hangup", "edge", when="hello", how="close"), "handshake", "closed", ""),
        (fault("hangup", "edge", when="hello", how="silence"), "initial", "timeout", ""),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else str(value),
)
def test_what_goes_wrong_has_its_words(wrong: Fault, phase: str, error: str, detail: str) -> None:
    """Silence, refusals, certificates and servers that hang up."""
    found = shaken(speaking(wrong))
    if wrong.at == ("r2",) and wrong.kind == "certificate":
        phase = "done"  # a fault at a router is put at the servers behind it when a file is read, not here
    assert (found.phase, found.error, found.detail) == (phase, error, detail)
    assert found.code == (2 if error == "closed" else None)


def test_a_certificate_is_not_asked_for() -> None:
    """Unverified, an expired certificate is no obstacle, and is kept."""
    found = shaken(speaking(fault("certificate", "edge", expired=True)), msgspec.structs.replace(NAMED, verify=False))
    assert found.done
    assert found.certificate is not None
    assert found.certificate.not_after_s < 1_795_348_800.0


def test_a_name_is_dropped_in_quic_alone() -> None:
    """By name: another name passes at the same address, and the flow that was dropped stays so; TCP passes."""
    scenario = speaking(fault("drop", "r2", match={**BLOCKED, "protocol": "udp"}))
    assert shaken(scenario).error == "timeout"
    other = msgspec.structs.replace(NAMED, server_name="www.example.com", verify=False)
    assert shaken(scenario, other).done
    assert over_tcp(scenario).done


def test_a_name_is_reset_in_tcp_alone() -> None:
    """Nobody on the way can reset a QUIC connection: what is reset over TCP by name passes over QUIC."""
    scenario = speaking(fault("reset", "r2", match=BLOCKED))
    assert over_tcp(scenario).error == "reset"
    assert shaken(scenario).done


def test_a_name_is_dropped_everywhere() -> None:
    """Without a protocol a name is looked for over TCP and over QUIC."""
    scenario = speaking(fault("drop", "r2", match=BLOCKED))
    assert over_tcp(scenario).error == "timeout"
    assert shaken(scenario).error == "timeout"


def test_throttled_quic_is_slow() -> None:
    """A flight that waits in a throttle's queue takes its time."""
    slow = fault("throttle", "r2", match={"protocol": "quic"}, rate_kbit=16.0, burst_kb=2.0, queue_ms=2000.0)
    found = shaken(speaking(slow))
    assert found.done
    assert found.initial_s is not None
    assert found.handshake_s is not None
    assert found.initial_s + found.handshake_s > 0.25
    assert over_tcp(speaking(slow)).tls_s == over_tcp(speaking()).tls_s


def test_losses_are_made_good() -> None:
    """What is lost of either side's flight is said again: with half of all packets lost most handshakes are done."""
    scenario = speaking(fault("drop", "r2", fraction=0.3, match={"protocol": "udp"}))
    done = 0
    for seed in range(20):
        vantage = VirtualVantage(scenario, seed)
        vantage.send(NAMED)
        event = vantage.receive(100.0)
        assert event is not None
        assert isinstance(event.outcome, QuicHandshaken)
        done += event.outcome.done
    assert done >= 17


def test_a_prohibition_is_no_refusal() -> None:
    """Where somebody else says that there is no way, nobody has refused."""
    found = shaken(speaking(), msgspec.structs.replace(NAMED, address="203.0.113.9"))
    assert (found.phase, found.error) == ("initial", "unreachable")
    assert found.detail == "EHOSTUNREACH (host unreachable, says 10.0.0.3)"


def test_what_cannot_leave_is_local() -> None:
    """An address of another kind than this machine has is not tried."""
    found = shaken(speaking(), msgspec.structs.replace(NAMED, address="no address"))
    assert (found.phase, found.error) == ("initial", "local")


def test_usage_counts_datagrams() -> None:
    """One hello and one end of a handshake, each of 1200 bytes."""
    vantage = VirtualVantage(speaking())
    vantage.send(NAMED)
    vantage.receive(100.0)
    usage = vantage.usage()
    assert usage.packets_sent == 2
    assert usage.bytes_sent == 2 * 1228


@pytest.mark.parametrize(
    ("wrong", "address", "name", "error", "detail"),
    [
        (None, SERVER_V6, "www.tiktok.com", "", ""),
        (None, SERVER_V6, "a.example", "certificate", "Hostname mismatch, certificate is not valid for 'a.example'."),
        (fault("drop", "r2", match=BLOCKED), SERVER_V6, "www.tiktok.com", "timeout", ""),
        (fault("drop", "r2", match={"protocol": "quic"}), SERVER_V6, "www.tiktok.com", "timeout", ""),
        (fault("refuse", "edge"), SERVER_V6, "www.tiktok.com", "refused", "port unreachable"),
        (None, "2001:db8:aaaa::1", "www.tiktok.com", "unreachable", "host unreachable"),
        (None, "2001:db8:bbbb::1", "www.tiktok.com", "timeout", ""),
    ],
)
def test_it_is_the_same_over_ipv6(wrong: Fault | None, address: str, name: str, error: str, detail: str) -> None:
    """Servers, middleboxes and errors of both versions of IP."""
    scenario = dual(*([wrong] if wrong else []))
    servers = tuple(msgspec.structs.replace(server, quic=True) for server in scenario.servers)
    scenario = msgspec.structs.replace(scenario, servers=servers)
    found = shaken(scenario, msgspec.structs.replace(NAMED, address=address, server_name=name))
    assert found.error == error
    assert detail in found.detail
