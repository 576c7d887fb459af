"""Virtual time, real packets and the kernel's own routers say the same of QUIC handshakes."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from netprobe.model.record import from_json, to_json
from netprobe.model.services import QuicHandshake, QuicHandshaken
from netprobe.probing.ask import quic_handshake
from netprobe.probing.run import gather, run
from netprobe.sim.records import Scenario
from netprobe.sim.scenario import load
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, World
from tests.sim.fidelities import kind_of
from tests.sim.real_scenario import CONTROL, CONTROL_V6, EDGE, EDGE_V6, NETWORK, dual

pytestmark = [pytest.mark.packets, pytest.mark.patient]
OTHER_EDGE = "23.50.131.11"

FAULTS = """
[[fault]]
kind = "hangup"
at = "edge"
when = "hello"
how = "reset"
server_name = ["shut.tiktok.com"]

[[fault]]
kind = "hangup"
at = "edge"
when = "hello"
how = "silence"
server_name = ["mute.tiktok.com"]

[[fault]]
kind = "certificate"
at = "edge"
expired = true
server_name = ["old.tiktok.com"]

[[fault]]
kind = "certificate"
at = "edge"
unknown_issuer = true
server_name = ["forged.tiktok.com"]

[[fault]]
kind = "drop"
at = "access"
match = { protocol = "quic", server_name = ["dropped.tiktok.com"] }

[[fault]]
kind = "drop"
at = "core"
match = { protocol = "quic", destination = ["23.50.131.11"] }

[[fault]]
kind = "throttle"
at = "access"
rate_kbit = 16.0
burst_kb = 2.0
queue_ms = 4000.0
match = { protocol = "quic", server_name = ["slow.tiktok.com"] }

[[route]]
prefix = "203.0.113.0/24"
to = "access"
"""

ASKED = (
    QuicHandshake(EDGE, server_name="www.tiktok.com"),
    QuicHandshake(EDGE, server_name="shut.tiktok.com"),
    QuicHandshake(EDGE, server_name="mute.tiktok.com", timeout_s=2.0),
    QuicHandshake(EDGE, server_name="old.tiktok.com"),
    QuicHandshake(EDGE, server_name="old.tiktok.com", verify=False),
    QuicHandshake(EDGE, server_name="forged.tiktok.com"),
    QuicHandshake(EDGE, server_name="www.example.com"),
    QuicHandshake(EDGE, server_name="www.example.com", verify=False),
    QuicHandshake(EDGE, server_name="dropped.tiktok.com", timeout_s=2.0),
    QuicHandshake(EDGE, server_name="slow.tiktok.com"),
    QuicHandshake(OTHER_EDGE, server_name="www.tiktok.com", timeout_s=2.0),
    QuicHandshake(CONTROL, server_name="www.example.com"),
    QuicHandshake("203.0.113.7", server_name="www.tiktok.com"),
)


OVER_V6 = (
    QuicHandshake(EDGE_V6, server_name="www.tiktok.com"),
    QuicHandshake(EDGE_V6, server_name="dropped.tiktok.com", timeout_s=2.0),
    QuicHandshake(EDGE_V6, server_name="www.example.com"),
    QuicHandshake(CONTROL_V6, server_name="www.example.com"),
)


@pytest.mark.parametrize("fidelity", list(Fidelity), ids=str)
def test_real_packets_say_the_same_over_ipv6(tmp_path: Path, fidelity: Fidelity) -> None:
    """Done, dropped by name, a certificate of somebody else, a closed port."""
    faults = """
[[fault]]
kind = "drop"
at = "access"
match = { protocol = "quic", server_name = ["dropped.tiktok.com"] }
"""
    scenario = dual(tmp_path, faults)
    edge, *others = scenario.servers
    scenario = replace(scenario, servers=(replace(edge, quic=True), *others))
    virtual, real = both(scenario, fidelity, OVER_V6)
    assert [kind_of(one) for one in real] == [kind_of(one) for one in virtual]
    assert [one.error for one in virtual] == ["", "timeout", "certificate", "refused"]


def both(
    scenario: Scenario, fidelity: Fidelity, asked: tuple[QuicHandshake, ...]
) -> tuple[Sequence[QuicHandshaken], Sequence[QuicHandshaken]]:
    """What virtual time says, and what a world of real packets does."""
    virtual = run(gather([quic_handshake(one) for one in asked]), VirtualVantage(scenario))
    with World(scenario, fidelity=fidelity) as world:
        script = str(Path(__file__).with_name("shake.py"))
        done = world.run([sys.executable, script, to_json(asked).decode()])
    assert done.returncode == 0, done.stderr
    return virtual, from_json(done.stdout.encode(), tuple[QuicHandshaken, ...])


@pytest.mark.parametrize("fidelity", list(Fidelity), ids=str)
def test_all_fidelities_see_the_same(tmp_path: Path, fidelity: Fidelity) -> None:
    """The same phase, error, detail, code and version for each of a dozen handshakes, made side by side."""
    file = tmp_path / "line.toml"
    file.write_text(NETWORK.replace('name = "edge"\n', 'name = "edge"\nquic = true\n', 1) + FAULTS)
    virtual, real = both(load(file), fidelity, ASKED)
    assert [kind_of(one) for one in real] == [kind_of(one) for one in virtual]
    assert {one.error for one in virtual} == {"", "closed", "timeout", "certificate", "refused", "unreachable"}
    for there, here in zip(real, virtual, strict=True):
        assert (there.certificate and there.certificate.names) == (here.certificate and here.certificate.names)
    assert all(one.handshake_s is not None and one.handshake_s > 0.08 for one in (real[9], virtual[9])), "throttled"
