"""Announcements over real packets: HTTPS servers of the simulated networks, files, and the agent."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from netprobe.agent.store import Store
from netprobe.lab.score import run_real
from netprobe.model.announcements import Announced
from netprobe.model.record import from_json
from netprobe.model.report import Report
from netprobe.sim.namespaces import own_environment
from netprobe.sim.records import Fault, Scenario
from netprobe.sim.world import Fidelity, run_in_world
from tests.scenarios import load

pytestmark = [pytest.mark.packets, pytest.mark.patient]
NETPROBE = [sys.executable, "-m", "netprobe"]
URL = "https://newsroom.tiktok.com/atom"


def told(report: Report) -> dict[str, Announced]:
    """What each source said."""
    return {o.subject: o.fact for o in report.observations if isinstance(o.fact, Announced)}


def inside(scenario: Scenario, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What netprobe says in its network."""
    return run_in_world(scenario, [*NETPROBE, *arguments], seed=1, env=own_environment(), capture=True)


@pytest.mark.parametrize("fidelity", list(Fidelity), ids=str)
@pytest.mark.parametrize("name", ["maintenance-only-announced", "isp-resolver-failing-reported"])
def test_the_command_listens(name: str, fidelity: Fidelity) -> None:
    """Over TLS by a name, without privilege, to what a real server publishes now."""
    scenario = load(name)
    report = run_real(scenario, 1, fidelity)
    assert (report.verdict.component, report.verdict.cause) == (scenario.expect.component, scenario.expect.cause)
    (said,) = told(report).values()
    assert (said.error, len(said.entries)) == ("", 1)
    assert said.entries[0].published_s is not None
    assert 0 < report.taken_s - said.entries[0].published_s < 10_000


def test_a_stranger_s_certificate_is_not_believed() -> None:
    """Its words reach nobody: the same outage is a failure again."""
    scenario = load("maintenance-only-announced")
    faults = (*scenario.faults, Fault("certificate", ("newsroom",), unknown_issuer=True))
    stranger = msgspec.structs.replace(scenario, faults=faults)
    report = from_json(inside(stranger, "diagnose", "--json", "--announcements", URL).stdout, Report)
    assert report.verdict.cause == "platform.origin.error"
    assert (told(report)[URL].error, told(report)[URL].entries) == ("certificate", ())


def test_a_file_that_only_root_may_read_is_read_before_privileges_go(tmp_path: Path) -> None:
    """And says the same as a feed."""
    path = tmp_path / "feed.json"
    items = [{"title": "TikTok: planned maintenance", "date_published": "2026-01-01"}]
    path.write_text(json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": "x", "items": items}))
    path.chmod(0o600)
    report = from_json(inside(load("healthy"), "diagnose", "--json", "--announcements", str(path)).stdout, Report)
    (said,) = told(report).values()
    assert (said.source, said.format, said.error) == (str(path), "json", "")
    assert [entry.title for entry in said.entries] == ["TikTok: planned maintenance"]


def test_the_agent_listens_to_what_it_is_configured_to() -> None:
    """A feed and a file, which its own user reads again in every round."""
    scenario = load("maintenance-only-announced")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)  # pytest's own folders are root's
        feed, config, state = place / "feed.xml", place / "netprobe.toml", place / "state"
        feed.write_text("<rss><channel><title>TikTok</title><item><title>Outage</title></item></channel></rss>")
        config.write_text(f"announcements = [{json.dumps(URL)}, {json.dumps(str(feed))}]\n")
        done = inside(scenario, "agent", "--once", "--config", str(config), "--state", str(state))
        assert done.returncode == 0, done.stderr
        with Store.read(state) as store:
            report = store.latest()
    assert report is not None
    assert report.verdict.cause == "platform.maintenance"
    said = told(report)
    assert (said[URL].error, said[URL].entries[0].title) == ("", "Wartungsarbeiten bei TikTok")
    assert (said[str(feed)].error, said[str(feed)].entries[0].title) == ("", "Outage")
