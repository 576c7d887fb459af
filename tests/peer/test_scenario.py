"""The peer's networks as scenarios of ours: the same hops in virtual time, behind a device, and out of Linux's routers."""

import json
import sys
from pathlib import Path

import pytest

from netprobe.model.probes import Flow, Protocol
from netprobe.probing.run import one, run
from netprobe.probing.traceroute import Traceroute
from netprobe.sim.namespaces import own_environment
from netprobe.sim.records import Scenario
from netprobe.sim.scenario import load
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, World
from tests.peer.__main__ import main
from tests.peer.scenario import to_toml
from tests.peer.simulation import BadSimulation, Hop, Simulation, read

CASES = Path(__file__).parent / "cases"
OVER_V4 = sorted(path for path in CASES.iterdir() if not read(path).over_v6)


def scenario_of(path: Path, folder: Path) -> Scenario:
    made = folder / f"{path.stem}.toml"
    made.write_text(to_toml(read(path)))
    return load(made)


def says(simulation: Simulation, ttls: list[int]) -> list[tuple[int, str]]:
    """The address at each TTL; empty: silence."""
    return [(ttl, simulation.hop(ttl).address) for ttl in ttls]


@pytest.mark.parametrize("path", OVER_V4, ids=lambda path: path.name)
def test_virtual_time_has_the_same_hops_and_times(path: Path, tmp_path: Path) -> None:
    """Addresses, silences, and each round trip to half a millisecond, out of order where the file says so."""
    simulation = read(path)
    flow = Flow(
        simulation.protocol, simulation.target, simulation.ports.destination or 33434 * bool(simulation.ports.source)
    )
    ttls = {"first_ttl": simulation.first_ttl, "max_ttl": simulation.max_ttl}
    seen = run(one(Traceroute(flow, **ttls)), VirtualVantage(scenario_of(path, tmp_path), 1))
    found = [(hop.ttl, "".join(hop.addresses)) for hop in seen.hops]
    assert found == says(simulation, [hop.ttl for hop in seen.hops])
    if simulation.reached_at:
        assert seen.hops[-1].ttl == simulation.reached_at
    for hop in seen.hops:
        for exchange in hop.exchanges:
            if exchange.reply:
                assert exchange.reply.rtt_s * 1000 == pytest.approx(simulation.hop(hop.ttl).rtt_ms, abs=0.5)


@pytest.mark.packets
@pytest.mark.parametrize(
    ("name", "fidelity"),
    [("gaps.yaml", Fidelity.TUN), ("gaps.yaml", Fidelity.KERNEL), ("out_of_order.toml", Fidelity.TUN)],
)
def test_real_packets_find_the_same_hops(name: str, fidelity: Fidelity, tmp_path: Path) -> None:
    """`netprobe trace` in the lab with the file's settings sees the file's hops; times count where delays are ours."""
    simulation = read(CASES / name)
    command = [sys.executable, "-m", "netprobe", "trace", "--json", "--method", simulation.protocol.value]
    command += ["--port", str(simulation.ports.destination)] if simulation.protocol is not Protocol.ICMP else []
    command += ["--first-ttl", str(simulation.first_ttl), "--max-ttl", str(simulation.max_ttl), simulation.target]
    with World(scenario_of(CASES / name, tmp_path), fidelity=fidelity) as world:
        done = world.run(command, env=own_environment())
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    hops = [(hop["ttl"], hop["replies"][0]["address"] if hop["replies"] else "") for hop in row["hops"]]
    last = simulation.reached_at or simulation.max_ttl
    assert hops == says(simulation, list(range(simulation.first_ttl, last + 1)))
    if fidelity is Fidelity.TUN:
        for hop in row["hops"]:
            for reply in hop["replies"]:
                assert -1 <= reply["rtt_ms"] - simulation.hop(hop["ttl"]).rtt_ms <= 30


def test_what_scenarios_cannot_say_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """IPv6, a router that answers for all TTLs beyond, and a target on the own link; the command prints the others."""
    plain = read(CASES / "gaps.yaml")
    for simulation, words in (
        (read(CASES / "tos_v6.toml"), "scenarios have no IPv6"),
        (plain._replace(hops=plain.hops[:2]), "the last hop answers for all beyond it"),
        (plain._replace(hops=(Hop(1, plain.target, 3),)), "a target without a router before it"),
    ):
        with pytest.raises(BadSimulation, match=words):
            to_toml(simulation)
    assert main(["--scenario", str(CASES / "gaps.yaml")]) == 0
    assert capsys.readouterr().out == to_toml(plain)
