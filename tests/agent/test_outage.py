"""The agent over real packets, in a network in which an outage begins and ends."""

import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from netprobe.agent.store import FILE, Round, Store
from netprobe.cli.app import run
from netprobe.model.record import from_json
from netprobe.model.report import Incident
from netprobe.model.verdict import Component
from netprobe.sim.namespaces import own_environment
from netprobe.sim.scenario import load
from netprobe.sim.world import World

pytestmark = [pytest.mark.packets, pytest.mark.slow, pytest.mark.patient]
SCENARIO = Path(__file__).parents[2] / "scenarios/timelines/isp-outage-begins-and-ends.toml"
#: A round in an outage takes ten seconds, on a busy machine twenty: one at least lies in it whole.
BEGIN_S, END_S = 6.0, 48.0
PATIENCE_S = 105.0


def around(rounds: list[Round], taken_s: float) -> tuple[float, float]:
    """When the rounds before and after the one that was taken at a time were taken."""
    before = max((one.taken_s for one in rounds if one.taken_s < taken_s), default=0.0)
    after = min((one.taken_s for one in rounds if one.taken_s > taken_s), default=float("inf"))
    return before, after


def recorded(folder: Path) -> tuple[list[Round], list[Incident]]:
    """What the agent has written so far."""
    if not (folder / FILE).is_file():
        return [], []
    with Store.read(folder) as store:
        return list(store.rounds()), store.incidents()


def test_an_outage_that_begins_and_ends_is_one_incident(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its start and end lie within one round, the right component is named, and the report has it."""
    state, html = tmp_path / "state", tmp_path / "report.html"
    scenario = load(SCENARIO)
    fault = msgspec.structs.replace(scenario.faults[0], begin_s=BEGIN_S, end_s=END_S)
    scenario = msgspec.structs.replace(scenario, faults=(fault,))
    command = [sys.executable, "-m", "netprobe", "agent", "--every", "2s", "--state", str(state)]
    with World(scenario) as world:
        zero_s = time.time() - world.now()
        agent = world.popen(command, env=own_environment(), stderr=subprocess.PIPE, text=True)
        while world.now() < PATIENCE_S:
            rounds, incidents = recorded(state)
            if incidents and all(i.ended_s for i in incidents) and sum(r.taken_s > zero_s + END_S for r in rounds) > 1:
                break
            time.sleep(0.2)
        agent.send_signal(signal.SIGTERM)
        _, log = agent.communicate(timeout=20)
    assert agent.returncode == 0, log
    assert "asked to end" in log
    rounds, (incident,) = recorded(state)
    assert incident.component is Component.ISP
    assert incident.ended_s is not None
    for changed_s, noticed_s in ((zero_s + BEGIN_S, incident.began_s), (zero_s + END_S, incident.ended_s)):
        before, after = around(rounds, noticed_s)
        assert before <= changed_s <= after
    assert {one.component for one in rounds} <= {Component.NONE, Component.ISP, Component.UNDETERMINED}
    assert all(a.taken_s < b.taken_s for a, b in pairwise(rounds))

    assert run(["incidents", "--json", "--state", str(state)]) == 0
    assert from_json(capsys.readouterr().out, tuple[Incident, ...]) == (incident,)
    assert run(["report", "--state", str(state), "--html", str(html)]) == 0
    page = html.read_text(encoding="utf-8")
    assert "<h1>Your internet provider is at fault.</h1>" in page
    assert 'class="fill-isp"' in page
