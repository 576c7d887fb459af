"""Commands that need no network: what they print."""

import json
from pathlib import Path

import msgspec
import pytest

from netprobe.agent.store import Store
from netprobe.cli.app import run
from netprobe.cli.settings import Settings, load, to_toml
from netprobe.cli.watch import STEPS, Tally, watching
from netprobe.diagnosis.incidents import Track
from netprobe.model.record import from_json, to_json
from netprobe.model.report import Incident, Report
from netprobe.model.verdict import EXIT_CODES, Component
from netprobe.sim import library
from tests.report.samples import sample


def output(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command that goes well prints."""
    assert run(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("scenario", ["healthy", "gateway-dead", "isp-core-black-hole", "transit-outage", "sni-reset"])
def test_replay_gives_the_same_verdict_byte_for_byte(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict follows from the observations alone; the exit code is the component's."""
    report = sample(scenario)
    path = tmp_path / "report.json"
    path.write_bytes(to_json(report))
    assert run(["replay", "--json", str(path)]) == EXIT_CODES[report.verdict.component]
    assert capsys.readouterr().out.encode() == to_json(report) + b"\n"


def test_replay_shows_words_measurements_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same answer as when it was measured; with --verbose the hops, with --html the page."""
    path, html = tmp_path / "report.json", tmp_path / "report.html"
    path.write_bytes(to_json(sample("isp-core-black-hole")))
    assert run(["replay", "--verbose", "--html", str(html), str(path)]) == 11
    text = capsys.readouterr().out
    assert "Your internet provider is at fault." in text
    assert "217.239.45.49" in text
    assert "AS3320 Deutsche Telekom AG" in text
    assert "not reached, last answer at hop 4" in text
    assert html.read_text().startswith("<!doctype html>")
    assert run(["replay", "--html", str(tmp_path / "no" / "where.html"), str(path)]) == 2
    assert "where.html: cannot be written; name a file in a folder that is there" in capsys.readouterr().err


@pytest.mark.slow
def test_every_scenario_can_be_listed_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each; drawn with every router, what is wrong and what is expected."""
    rows = output(["lab", "list"], capsys).splitlines()
    assert [row.split()[0] for row in rows] == list(library.names())
    assert [row["name"] for row in json.loads(output(["lab", "list", "--json"], capsys))] == list(library.names())
    drawn = output(["lab", "show", "isp-core-black-hole"], capsys)
    assert "isp-core-2" in drawn
    assert "✗ drop" in drawn
    assert "Wrong     drop at isp-core-2, from the start" in drawn
    assert "Expected  isp, because of isp.core.blackhole" in drawn
    for name in library.names():
        output(["lab", "show", name], capsys)


def test_scoring_in_virtual_time_has_the_contract_s_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """Runs, accuracies, calibration, confusion, and what it cost; 0 when nobody was blamed wrongly."""
    result = json.loads(output(["lab", "score", "--json", "--repeat", "2", "healthy", "gateway-dead"], capsys))
    assert set(result) == {
        "runs", "component_accuracy", "cause_accuracy", "wrong_blame_rate", "coverage", "brier", "ece", "confusion",
        "per_scenario", "wall_s", "virtual_s", "packets", "settled", "open",
        "brier_argmax", "brier_all", "brier_argmax_all", "reliability",
    }  # fmt: skip
    assert result["runs"] == 4
    assert result["wrong_blame_rate"] == 0.0
    assert "wrongly blamed 0.0%" in output(["lab", "score", "healthy"], capsys)


def test_generated_worlds_are_scored_like_files(capsys: pytest.CaptureFixture[str]) -> None:
    """`--worlds` makes that many networks, the same for the same seed."""
    command = ["lab", "score", "--json", "--worlds", "3", "--seed", "7"]
    first, second = (json.loads(output(command, capsys)) for _ in range(2))
    assert list(first["per_scenario"]) == ["world-7", "world-8", "world-9"]
    assert {**first, "wall_s": 0} == {**second, "wall_s": 0}


def test_generated_worlds_of_one_cause(capsys: pytest.CaptureFixture[str]) -> None:
    """`--only` draws until so many have that cause; a cause that no world has is named with the nearest one."""
    command = ["lab", "score", "--json", "--worlds", "3", "--seed", "7", "--only", "home.line.saturated"]
    score = json.loads(output(command, capsys))
    assert score["runs"] == 3
    assert set(score["confusion"]) == {"home"}
    assert run(["lab", "score", "--worlds", "3", "--only", "home.line.saturate"]) != 0
    told = " ".join(capsys.readouterr().err.split())
    assert "no generated world has the cause 'home.line.saturate'; did you mean 'home.line.saturated'?" in told


def test_a_bad_file_is_not_blamed_on_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is wrong with a scenario is said with its file and its key."""
    path = tmp_path / "bad.toml"
    path.write_text('sentence = 3\nnetwork = "typical"\n')
    assert run(["lab", "score", str(path)]) != 0
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith("netprobe: ")
    assert "bad.toml" in told
    assert "--only" not in told


@pytest.mark.parametrize(("kind", "has"), [("verdict", "verdict"), ("scenario", "fault"), ("config", "platform")])
def test_schemas_are_json_schemas(kind: str, has: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of the report, of a scenario file, and of the configuration."""
    document = json.loads(output(["schema", kind], capsys))
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    name = document["$ref"].rpartition("/")[2]
    assert has in document["$defs"][name]["properties"]


def test_the_configuration_in_force_can_be_written_and_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`config show` prints a file that means the same."""
    path = tmp_path / "netprobe.toml"
    path.write_text('rate = 50\n[agent]\nevery = "30s"\n')
    settings = load(path)
    assert (settings.rate, settings.agent.every) == (50.0, "30s")
    shown = output(["config", "show", "--config", str(path)], capsys)
    path.write_text(shown)
    assert load(path) == settings
    assert output(["config", "check", str(path)], capsys) == f"{path}: good\n"
    assert to_toml(Settings()).startswith('platform = "tiktok"\n')


def test_an_address_is_looked_up_offline(capsys: pytest.CaptureFixture[str]) -> None:
    """Its network by number and name; a private one has none."""
    assert output(["asn", "lookup", "217.239.45.49"], capsys) == "217.239.45.49  AS3320 Deutsche Telekom AG\n"
    assert "private" in output(["asn", "lookup", "192.168.1.1"], capsys)
    assert json.loads(output(["asn", "lookup", "--json", "192.168.1.1"], capsys))["asn"] is None


def test_a_table_can_be_imported_and_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From CSV rows to a file that the configuration names."""
    source, out, config = tmp_path / "asn.csv", tmp_path / "asn.bin", tmp_path / "netprobe.toml"
    source.write_text("1.2.3.0,1.2.3.255,64,Example Net\n")
    assert "1 networks" in output(["asn", "import", str(source), "--out", str(out)], capsys)
    config.write_text(f'asn_table = "{out}"\n')
    assert "AS64 Example Net" in output(["asn", "lookup", "--config", str(config), "1.2.3.4"], capsys)


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A store with an outage in it."""
    incident = Incident(
        1, Component.ISP, "isp.core.blackhole", "Your provider swallows it.", 1.79e9 + 300, 1.79e9 + 900, 2
    )
    with Store.write(tmp_path) as store:
        for n, name in enumerate(["healthy", "isp-core-black-hole", "isp-core-black-hole", "healthy"]):
            report = msgspec.structs.replace(sample(name), taken_s=1.79e9 + 300 * n)
            store.add(report, Track(), [incident])
    return tmp_path


def test_incidents_are_listed(records: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When, how long, who; as JSON, the records themselves."""
    text = output(["incidents", "--state", str(records)], capsys)
    assert "2026-09-21 14:18:20 UTC to 14:28:20 (10 min)" in text
    assert "your internet provider: Your provider swallows it." in text
    (incident,) = from_json(output(["incidents", "--json", "--state", str(records)], capsys), tuple[Incident, ...])
    assert (incident.component, incident.rounds) == (Component.ISP, 2)
    assert (
        output(["incidents", "--state", str(records), "--since", "2027-01-01"], capsys) == "No incident is on record.\n"
    )
    assert run(["incidents", "--state", str(records), "--since", "soon"]) == 2
    assert "--since: 'soon' is neither a stretch of time (30m, 24h, 7d) nor a date" in capsys.readouterr().err


def test_the_report_is_about_the_incident(records: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As text: how it is now and what went wrong. As a page: the incident's verdict, its way and its times."""
    text = output(["report", "--state", str(records)], capsys)
    assert "The network is fine all the way to TikTok." in text
    assert "4 rounds from 2026-09-21 14:13:20 UTC" in text
    assert "(10 min)" in text
    html = tmp_path / "report.html"
    assert output(["report", "--state", str(records), "--html", str(html)], capsys) == ""
    page = html.read_text()
    assert "<h1>Your internet provider is at fault.</h1>" in page
    assert "(10 min)" in page
    assert run(["report", "--state", str(records), "--since", "1m"]) == 2
    assert "no round was recorded since 1m; is the agent running?" in capsys.readouterr().err


def test_every_purpose_of_a_survey_belongs_to_a_step() -> None:
    """Whatever is measured is counted in the live view."""
    for name in ("healthy", "isp-core-black-hole", "isp-resolver-failing", "sni-reset"):
        tally = Tally()
        observations = sample(name).observations
        for n, observation in enumerate(observations, 1):
            tally(n, len(observations), observation)
        assert sum(tally.tried) == len(observations)
        assert all(worked <= tried for worked, tried in zip(tally.worked, tally.tried, strict=True))


def test_progress_on_a_pipe_is_a_line_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    """Each step is named once, when it begins; with --json a pipe gets nothing."""
    for quiet, lines in ((False, 6), (True, 0)):
        with watching("TikTok", quiet=quiet) as progress:
            for n, observation in enumerate(sample("healthy").observations, 1):
                progress(n, 200, observation)
        err = capsys.readouterr().err
        assert err.count("looking at: ") == lines <= len(STEPS)


def test_a_report_that_is_read_back_is_the_same() -> None:
    """The JSON of a diagnosis loses nothing."""
    report = sample("sni-reset")
    assert from_json(to_json(report), Report) == report
