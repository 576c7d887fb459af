"""Bad input: one clear line on stderr that says what, where and what to do; exit code 2 or 20; never a traceback."""

import json
from pathlib import Path

import pytest

from netprobe.cli.app import run
from netprobe.live import CannotMeasure
from netprobe.model.verdict import EXIT_CANNOT_MEASURE, EXIT_USAGE
from netprobe.sim.namespaces import LabError
from netprobe.sim.world import World

#: (arguments, what is said): `{tmp}` is a folder of the test's.
USAGE = (
    (["diagnos"], "No such command 'diagnos'"),
    (
        ["diagnose", "--symptom", "uplod"],
        "--symptom: 'uplod' is not known; did you mean 'upload'? one of: open, slow, upload,",
    ),
    (["diagnose", "--nonsense"], "No such option: --nonsense"),
    (["diagnose", "--config", "{tmp}/none.toml"], "{tmp}/none.toml: no such file; give --config a file that exists"),
    (["diagnose", "--ca-file", "{tmp}/none.pem"], "--ca-file: {tmp}/none.pem: no such file; it names a file of PEM"),
    (
        ["diagnose", "--announcements", "{tmp}/none.xml"],
        "--announcements: {tmp}/none.xml: no such file; give a feed that is a file, or its https address",
    ),
    (
        ["diagnose", "--announcements", "{tmp}"],
        "--announcements: {tmp}: is no file; give a feed that is a file, or its",
    ),
    (
        ["diagnose", "--announcements", "http://a.example/feed"],
        "--announcements: 'http://a.example/feed': what comes over plain http may be anybody's words",
    ),
    (["diagnose", "--announcements", "ftp://a.example"], "this is neither an https address nor a file"),
    (["diagnose", "--announcements", ""], "--announcements: '': give an https address, or the path of a file that can"),
    (
        ["diagnose", *(word for n in range(9) for word in ("--announcements", f"https://a.example/{n}"))],
        "--announcements: 9 sources; at most 8 are read",
    ),
    (["trace"], "Missing argument 'TARGET...'"),
    (["trace", "a..b"], "'a..b' is neither a host name nor an IP address"),
    (["trace", "fe80::1%eth0"], "'fe80::1%eth0' is an address of one link, and no router leads there"),
    (
        ["trace", "--port", "80", "1.1.1.1"],
        "--port: ICMP has no ports; leave it out, or use --method syn, ack, udp or quic",
    ),
    (["trace", "--rate", "0", "1.1.1.1"], "--rate: must be more than 0"),
    (["trace", "--first-ttl", "9", "--max-ttl", "8", "1.1.1.1"], "--first-ttl: 9 is beyond --max-ttl 8"),
    (["trace", "--first-ttl", "2", "--share", "1.1.1.1"], "--share, --paths and --rounds need the whole path"),
    (
        ["trace", "--dscp", "loud", "1.1.1.1"],
        "--dscp: 'loud' is no DSCP; give 0 to 63, or a name such as EF, AF41, CS1",
    ),
    (["trace", "--dscp", "64", "1.1.1.1"], "--dscp: '64' is no DSCP; give 0 to 63"),
    (["trace", "--method", "smoke", "1.1.1.1"], "'smoke' is not one of"),
    (["lab", "show", "helthy"], "helthy: no such scenario (did you mean 'healthy'"),
    (["lab", "run", "{tmp}/none.toml"], "{tmp}/none.toml: no such scenario ("),
    (
        ["lab", "run", "healthy", "--verbose", "--", "true"],
        "--verbose is for the diagnosis that runs without a COMMAND",
    ),
    (["lab", "run", "--fidelity", "virtual", "healthy"], "'virtual' is not"),
    (
        ["lab", "score", "--worlds", "3", "healthy"],
        "--worlds generates networks instead of reading them; leave the PATHs",
    ),
    (["lab", "score", "{tmp}"], "{tmp}: no scenario (.toml) in this folder"),
    (["agent", "--every", "5"], "'5' is not an interval; write a number and a unit: 30s, 5m, 1h or 1d"),
    (["agent", "--every", "0.1s"], "'0.1s' is out of range; an interval lies between 1s and 7d"),
    (["incidents", "--state", "{tmp}"], '{tmp}/netprobe.db: no records yet; "netprobe agent --state {tmp}" makes them'),
    (["incidents", "--state", "{tmp}", "--since", "when"], "no records yet"),
    (["replay", "{tmp}/none.json"], '{tmp}/none.json: no such file; make one with "netprobe diagnose --json > FILE"'),
    (["schema", "nonsense"], "'nonsense' is not one of"),
    (["asn", "lookup", "nonsense"], "'nonsense' is not an IP address"),
    (["asn", "import", "{tmp}/none.csv", "--out", "{tmp}/asn.bin"], "{tmp}/none.csv: cannot read it: No such file"),
)


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, the one line on stderr, and stdout."""
    code = run(arguments)
    captured = capsys.readouterr()
    assert captured.err.startswith("netprobe: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return code, captured.err, captured.out


@pytest.mark.parametrize(
    ("arguments", "words"), USAGE, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_wrong_usage_is_one_clear_line(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong, where, and what to do; the exit code is 2."""
    code, err, out = said([one.format(tmp=tmp_path) for one in arguments], capsys)
    assert words.format(tmp=tmp_path) in err
    assert (code, out) == (EXIT_USAGE, "")


#: (file, what is said about it)
CONFIGS = (
    (
        'evry = "5m"',
        "netprobe.toml: unknown key 'evry' (known: platform, rate, asn_table, ca_file, all_uplinks, announcements, agent)",
    ),
    ("plattform = 1", "netprobe.toml: unknown key 'plattform' (did you mean 'platform'?)"),
    ('[agent]\nevry = "5m"', "netprobe.toml: unknown key 'evry' in [agent] (did you mean 'every'?)"),
    ('rate = "fast"', "netprobe.toml: 'rate': expected 'float', got 'str'"),
    ("agent = 3", "netprobe.toml: 'agent': expected 'object', got 'int'"),
    ("[agent]\nkeep_days = 1.5", "netprobe.toml: 'agent.keep_days': expected 'int', got 'float'"),
    ("rate = 0.0", "netprobe.toml: 'rate': must be more than 0, not 0.0"),
    ('[agent]\nevery = "often"', "netprobe.toml: 'agent.every': 'often' is not an interval; write a number and a unit"),
    ("announcements = 1", "netprobe.toml: 'announcements': expected 'array', got 'int'"),
    (
        'announcements = ["http://a.example/feed"]',
        "netprobe.toml: 'announcements': 'http://a.example/feed': what comes over plain http may be anybody's words",
    ),
    (
        'announcements = ["/nonexistent.xml"]',
        "'announcements': /nonexistent.xml: no such file; give a feed that is a file, or its https address",
    ),
    ("rate = fast", "netprobe.toml: is not TOML: Invalid value (at line 1, column 8)"),
    ('platform = "tictoc"', "tictoc.toml: no such file; give the path of a platform's .toml, or one of: tiktok"),
    ('asn_table = "/nonexistent"', "/nonexistent: cannot read the AS table: No such file or directory"),
)


@pytest.mark.parametrize(("text", "words"), CONFIGS)
def test_a_wrong_configuration_is_one_clear_line(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`config check` names the file, the place and a hint."""
    path = tmp_path / "netprobe.toml"
    path.write_text(text)
    code, err, _ = said(["config", "check", str(path)], capsys)
    assert words in err
    assert code == EXIT_USAGE


SCENARIO = """
sentence = "A test."
network = "typical"
[expect]
component = "isp"
cause = "isp.core.blackhole"
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sentense = 1" + SCENARIO, "mine.toml: unknown key 'sentense' at the top (did you mean 'sentence'?)"),
        (
            SCENARIO + "[[fault]]\nkind = 'drop'\nat = 'isp-core-2'\nbegin_s = 'now'",
            "mine.toml: 'begin_s' in [[fault]] 'drop'",
        ),
    ],
)
def test_a_wrong_scenario_is_one_clear_line(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`lab show`, `lab run` and `lab score` say the same about it."""
    path = tmp_path / "mine.toml"
    path.write_text(text)
    for command in ("show", "run", "score"):
        code, err, _ = said(["lab", command, str(path)], capsys)
        assert words in err
        assert code == EXIT_USAGE


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 'is not a report of "netprobe diagnose --json": Input data was truncated'),
        ("{}", "Object missing required field"),
        ("[1, 2", 'is not a report of "netprobe diagnose --json"'),
        ("\xff\x00", 'is not a report of "netprobe diagnose --json"'),
    ],
)
def test_a_recorded_report_that_is_none_is_one_clear_line(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the file holds, the message names it and the command that makes a good one."""
    path = tmp_path / "report.json"
    path.write_bytes(text.encode("latin-1"))
    code, err, _ = said(["replay", str(path)], capsys)
    assert words in err
    assert code == EXIT_USAGE


def test_stdout_is_valid_json_on_errors_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json a program can read what went wrong."""
    for arguments in (
        ["diagnose", "--json", "--symptom", "x"],
        ["trace", "--json"],
        ["replay", "--json", str(tmp_path)],
    ):
        code, err, out = said(arguments, capsys)
        document = json.loads(out)
        assert document["exit_code"] == code == EXIT_USAGE
        assert document["error"] == err.removeprefix("netprobe: ").rstrip("\n")


def test_without_the_right_to_measure_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No rung of the ladder opens: exit code 20, and the command that tells more."""

    def refuse(*_: object, **__: object) -> None:
        message = 'raw sockets need CAP_NET_RAW; run "netprobe doctor"'
        raise CannotMeasure(message)

    monkeypatch.setattr("netprobe.live.vantage.climb", refuse)
    for arguments in (["diagnose", "--json"], ["trace", "--json", "192.0.2.1"]):
        code, err, out = said(arguments, capsys)
        assert "raw sockets need CAP_NET_RAW" in err
        assert json.loads(out)["exit_code"] == code == EXIT_CANNOT_MEASURE


def test_without_namespaces_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No root and no user namespaces: exit code 20, with what to do."""

    def refuse(_: World) -> None:
        message = "network namespace: user namespaces are forbidden; run as root"
        raise LabError(message)

    monkeypatch.setattr(World, "_start", refuse)
    assert run(["lab", "run", "healthy"]) == EXIT_CANNOT_MEASURE
    assert capsys.readouterr().err.endswith("netprobe: network namespace: user namespaces are forbidden; run as root\n")
