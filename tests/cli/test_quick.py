"""A plain `netprobe trace` or `netprobe agent` is read without typer, and as typer would read it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netprobe.cli import app, quick, resident, tracing

ROOT = Path(__file__).parents[2]

WORDS = st.sampled_from(
    [
        *("a", "b.example", "192.0.2.1", "2001:db8::1", "", "x=y"),
        *("--share", "--json", "--share=1", "--paths", "-h", "--help", "--", "--nothing"),
        *("--method", "icmp", "syn", "udp", "quic", "tcp", "--method=syn", "--method=", "--method=SYN"),
        *("--port", "0", "1", "443", "65536", "-1", " 80", "4_4", "80.0", "--port=80"),
        *("--rate", "1e3", "nan", "inf", "0.5", "--rate=250", "--max-ttl", "63", "64", "--max-ttl=9"),
        *("--config", "/no/such/file", "--pcap", "--pcap=a.pcap"),
    ]
)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was to be carried out."""
    found: list[Any] = []

    def carry_out(*work: Any, **how: Any) -> int:
        found.append((work, how))
        return 7

    monkeypatch.setattr(tracing, "carry_out", carry_out)
    return found


@given(words=st.lists(WORDS, max_size=7))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_is_read_quickly_is_read_as_typer_reads_it(words: list[str], read: list[Any]) -> None:
    """Or it is left to typer."""
    read.clear()
    code = quick.run(["trace", *words])
    if code is not None:
        assert app.run(["trace", *words]) == code
        assert read in ([], read[:1] * 2)  # neither got as far, or both the same


@pytest.mark.parametrize(
    "line", ["trace a", "trace --json --share --rate 5000 a b", "trace a --method=udp --port 53 --max-ttl 9 --json"]
)
def test_plain_lines_are_read_quickly(line: str, read: list[Any]) -> None:
    """All that a script says to trace."""
    assert quick.run(line.split()) == 7
    assert len(read) == 1


@pytest.mark.parametrize("line", ["", "diagnose", "trace", "trace --help", "trace a --method x", "trace --port 1 a"])
def test_everything_else_is_left_to_typer(line: str, read: list[Any]) -> None:
    """Mistakes and help above all."""
    assert quick.run(line.split()) is None
    assert read == []


AGENT_WORDS = st.sampled_from(
    [
        *("a", "", "--once", "--once=1", "--json", "-h", "--help", "--", "--nothing", "--every", "5m", "--every=1h"),
        *(
            "--every=",
            "--state",
            "/var/x",
            "--state=/var/y",
            "-x",
            "--config",
            "/etc/z",
            "--ca-file",
            "--ca-file=c.pem",
        ),
    ]
)


@given(words=st.lists(AGENT_WORDS, max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_an_agent_is_started_as_typer_starts_it(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it is left to typer."""
    begun: list[dict[str, Any]] = []
    monkeypatch.setattr(resident, "start", lambda **how: begun.append(how))
    code = quick.run(["agent", *words])
    if code is not None:
        assert app.run(["agent", *words]) == code == 0
        assert begun[:1] == begun[1:]


@pytest.mark.parametrize("line", ["agent", "agent --once", "agent --state /var/lib/x --every 5m", "agent --config=/x"])
def test_plain_agents_are_started_without_typer(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a unit says."""
    begun: list[dict[str, Any]] = []
    monkeypatch.setattr(resident, "start", lambda **how: begun.append(how))
    assert quick.run(line.split()) == 0
    assert len(begun) == 1


def test_a_failure_has_the_same_words(capfd: pytest.CaptureFixture[str]) -> None:
    """One line on stderr, valid JSON on stdout."""
    line = ["trace", "--json", "no such name"]
    said = []
    for run in (quick.run, app.run):
        code = run(line)
        said.append((code, *capfd.readouterr()))
    assert said[0] == said[1]
    assert said[0][0] == 2
    assert json.loads(said[0][1])["error"].startswith("'no such name' is neither")


def test_typer_is_not_loaded_for_a_plain_line() -> None:
    """Nor what only other commands need."""
    never = {"typer", "rich", "ssl", "h11", "dns", "scapy", "tomllib", "statistics", "cryptography", "pyroute2"}
    never |= {"typing_extensions", "inspect", "dataclasses", "asyncio", "subprocess"}
    program = (
        "import sys; sys.argv = ['netprobe', 'trace', '--json', 'no such name']\n"
        "from netprobe.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code\n"
        "import netprobe.cli.tracing, netprobe.report.trace_line, netprobe.probing.share\n"
        f"print('loaded:', *sorted({never!r} & set(sys.modules)))\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout.rpartition("loaded:")[2].split() == []


def test_a_reader_that_has_gone_is_no_error() -> None:
    """`netprobe trace --json TARGET | head -0` ends without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    program = (
        "import sys; from netprobe.cli import tracing\n"
        "tracing.carry_out = lambda *_, **__: sys.stdout.write('x' * 100_000) and sys.stdout.flush()\n"
        "sys.argv = ['netprobe', 'trace', 'a']; from netprobe.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
