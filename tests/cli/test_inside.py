"""The whole command line inside simulated networks, with real packets and real servers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from netprobe.model.record import from_json
from netprobe.model.report import Report
from netprobe.model.verdict import EXIT_CANNOT_MEASURE, Component
from netprobe.sim.namespaces import isolated, own_environment

pytestmark = [pytest.mark.packets, pytest.mark.patient]
NETPROBE = [sys.executable, "-m", "netprobe"]
ROOT = Path(__file__).parents[2]


def inside(scenario: str, *command: str) -> subprocess.CompletedProcess[str]:
    """What `netprobe lab run SCENARIO -- COMMAND` says."""
    arguments = [*NETPROBE, "lab", "run", scenario, *(["--", *command] if command else [])]
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_platform_under_maintenance_is_diagnosed_in_one_command() -> None:
    """Without a command, `lab run` diagnoses: the answer on stdout, progress on stderr, and its exit code."""
    done = inside("maintenance")
    assert done.returncode == 14, done.stderr
    assert "TikTok itself is in trouble." in done.stdout
    first, *rest = done.stderr.splitlines()
    assert first.startswith("simulating  maintenance  ")
    assert "looking at: TikTok" in rest


def test_the_json_of_a_diagnosis_is_the_report() -> None:
    """One line on stdout that decodes strictly; packets and bytes were counted."""
    done = inside("healthy", "netprobe", "diagnose", "--json")
    report = from_json(done.stdout, Report)
    assert (done.returncode, report.verdict.component) == (0, Component.NONE)
    assert done.stdout.count("\n") == 1
    assert report.timing.packets_sent > 50
    assert done.stderr.count("\n") == 1


def hops(text: str) -> list[str]:
    """The addresses that `traceroute -n` shows, in order."""
    rows = [row.split() for row in text.splitlines()[1:]]
    return [row[1] for row in rows if len(row) > 1]


def test_trace_shows_the_hops_that_traceroute_shows() -> None:
    """Many targets, one line of JSON each, in their order; names by the network's own resolver."""
    done = inside("healthy", "netprobe", "trace", "--json", "www.tiktok.com", "9.9.9.9", "www.tiktok.com")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["target"] for row in rows] == ["www.tiktok.com", "9.9.9.9", "www.tiktok.com"]
    assert all(row["reached"] for row in rows)
    for row in rows[:2]:
        theirs = hops(inside("healthy", "traceroute", "-n", "-I", "-q", "1", row["address"]).stdout)
        assert [hop["replies"][0]["address"] for hop in row["hops"]] == theirs


@pytest.mark.parametrize("method", ["icmp", "syn", "udp"])
def test_every_method_reaches_a_server(method: str) -> None:
    """Echo requests, SYNs to 443 and datagrams: the table for people says how many hops, and the loss of how many."""
    done = inside("healthy", "netprobe", "trace", "--method", method, "www.tiktok.com")
    assert done.returncode == 0, done.stderr
    assert "reached, 8 hops" in done.stdout
    assert "0/1" in done.stdout
    assert "AS3320 Deutsche Telekom AG" in done.stdout


def test_a_trace_may_begin_later_and_end_earlier() -> None:
    """With --first-ttl hops before it are not shown, and how far the destination is stays the same."""
    command = ("netprobe", "trace", "--method", "udp", "www.tiktok.com")
    whole, later = inside("healthy", *command).stdout, inside("healthy", *command, "--first-ttl", "4").stdout
    assert "reached, 8 hops" in whole
    assert "reached, 8 hops" in later
    shown = [row.split()[:2] for row in whole.splitlines() if row.lstrip()[:1].isdigit()]
    assert [row.split()[:2] for row in later.splitlines() if row.lstrip()[:1].isdigit()] == shown[3:]
    done = inside("healthy", *command, "--first-ttl", "3", "--max-ttl", "5", "--json")
    assert [hop["ttl"] for hop in json.loads(done.stdout)["hops"]] == [3, 4, 5]


def test_a_name_that_is_not_there_is_an_error_of_its_own_row() -> None:
    """The other targets are traced; the exit code says that one was not."""
    done = inside("healthy", "netprobe", "trace", "--json", "no.such.example", "1.1.1.1")
    missing, found = (json.loads(line) for line in done.stdout.splitlines())
    assert missing["error"].startswith("no address for no.such.example: there is no such name, says the resolver ")
    assert missing["hops"] == []
    assert found["reached"]
    assert done.returncode == EXIT_CANNOT_MEASURE


def test_without_a_route_there_is_an_answer_all_the_same() -> None:
    """`diagnose` blames the own connection (exit code 10); `trace` says in one line that there is no route (20)."""
    with isolated() as nowhere:
        diagnosed = nowhere.run([*NETPROBE, "diagnose", "--json"], env=own_environment())
        report = from_json(diagnosed.stdout, Report)
        assert (diagnosed.returncode, report.verdict.component) == (10, Component.HOME)
        traced = nowhere.run([*NETPROBE, "trace", "192.0.2.1"], env=own_environment())
        assert traced.returncode == EXIT_CANNOT_MEASURE
        assert traced.stdout == ""
        assert traced.stderr.startswith(
            "netprobe: nothing could be sent to 192.0.2.1: this machine has no route there (ENETUNREACH)"
        )
        assert traced.stderr.count("\n") == 1


def test_the_command_s_exit_code_is_passed_on() -> None:
    """And so is the signal that ended it, as a shell does."""
    assert inside("healthy", "sh", "-c", "exit 7").returncode == 7
    assert inside("healthy", "sh", "-c", "kill -TERM $$").returncode == 143
    missing = inside("healthy", "no-such-command")
    assert missing.returncode == EXIT_CANNOT_MEASURE
    assert missing.stderr.endswith("netprobe: no-such-command: no such command; install it, or give its whole path\n")


def test_a_shell_inside_finds_netprobe() -> None:
    """A pipe of commands may name it, whether it is installed or not."""
    done = inside("healthy", "sh", "-c", "netprobe --version | cat")
    assert (done.returncode, done.stdout.split()[0]) == (0, "netprobe")


def test_doctor_looks_without_sending() -> None:
    """Every check has a row, what is missing a remedy; 0 when everything that is needed is there."""
    done = inside("healthy", "netprobe", "doctor", "--json")
    checks = json.loads(done.stdout)
    assert done.returncode == 0
    assert all(check["ok"] or check["remedy"] for check in checks)
    assert "default route" in inside("healthy", "netprobe", "doctor").stdout
