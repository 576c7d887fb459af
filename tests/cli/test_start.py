"""Starting: what is imported when, and what the command line looks like."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netprobe import __version__
from netprobe.cli.app import run

ROOT = Path(__file__).parents[2]
HEAVY = {"scapy", "typer", "rich", "msgspec", "ssl", "sqlite3", "dns", "pyroute2", "cryptography", "asyncio", "h11"}


def modules_after(arguments: list[str]) -> set[str]:
    """Which of the heavy packages are loaded when `netprobe ARGUMENTS` has run."""
    program = (
        f"import sys, atexit; sys.argv = ['netprobe', *{arguments!r}]\n"
        f"atexit.register(lambda: print('loaded:', *sorted({HEAVY!r} & set(sys.modules))))\n"
        "from netprobe.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_the_version_imports_nothing_heavy() -> None:
    """`--version` answers before anything else is loaded."""
    assert modules_after(["--version"]) == set()


@pytest.mark.parametrize(
    ("arguments", "never"),
    [
        (["--help"], {"scapy", "rich", "dns", "pyroute2", "cryptography", "sqlite3", "asyncio"}),
        (["lab", "list"], {"scapy", "dns", "pyroute2", "cryptography", "sqlite3", "asyncio"}),
        (["diagnose", "--symptom", "none"], {"scapy", "rich", "cryptography", "asyncio", "sqlite3"}),
    ],
)
def test_a_command_loads_what_it_needs(arguments: list[str], never: set[str]) -> None:
    """Scapy is never on the way to a diagnosis; nothing else is loaded by a command that does not use it."""
    assert modules_after(arguments) & never == set()


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    """Whichever way it is asked for."""
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"netprobe {__version__}\n"


@pytest.mark.parametrize(
    "command",
    ["diagnose", "trace", "lab", "doctor", "agent", "report", "incidents", "schema", "config", "replay", "asn"],
)
def test_every_command_of_the_contract_is_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And says what it is for."""
    assert run([command, "--help"]) == 0
    assert f"netprobe {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["lab"], ["config"], ["asn"]])
def test_without_a_command_the_help_is_shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As help, with its lines, and the exit code of wrong usage."""
    assert run(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith("Usage: netprobe")
    assert err.count("\n") > 5


def test_a_reader_that_has_gone_is_no_error() -> None:
    """`netprobe lab list | head -1` ends without a word."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "netprobe", "lab", "list"], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert done.stderr == b""
