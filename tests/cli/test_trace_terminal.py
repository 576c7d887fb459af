"""`netprobe trace` on terminals of every size, stopped half-way, and into pipes that close; in simulated networks."""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from netprobe.model.record import from_json
from netprobe.report.trace_line import TraceLine
from tests.cli.terminal import ROOT, Session, on_terminal

pytestmark = pytest.mark.packets
NETPROBE = [sys.executable, "-m", "netprobe"]
CONTRACT = {"target", "address", "method", "port", "reached", "rtt_ms", "probes_sent", "hops"}


def inside(*words: str, scenario: str = "healthy") -> list[str]:
    """The command line that runs `words` in a simulated network."""
    return [*NETPROBE, "lab", "run", scenario, "--", *words]


def shown(*words: str, columns: int = 80, rows: int = 24, **options: Any) -> Session:
    return on_terminal(inside("netprobe", "trace", *words), columns, rows, **options)


def lines(text: str) -> list[dict[str, Any]]:
    """The lines of JSON, each checked against the schema and the contract."""
    found = []
    for row in text.splitlines():
        line = from_json(row, TraceLine)
        document = json.loads(row)
        assert document.keys() >= CONTRACT
        for hop, plain in zip(line.hops, document["hops"], strict=True):
            assert plain.keys() >= {"ttl", "replies", "sent", "lost"}
            assert hop.sent == hop.lost + len(hop.replies)
            assert all(
                reply.keys() >= {"address", "rtt_ms", "icmp_type", "icmp_code", "mpls"} for reply in plain["replies"]
            )
        found.append(document)
    return found


def after_the_banner(text: str) -> list[str]:
    """What follows the lab's own line."""
    rows = text.split("\n")
    begin = next(n for n, row in enumerate(rows) if " by icmp" in row or " by syn" in row)
    return rows[begin:]


@pytest.mark.parametrize(("columns", "rows"), [(40, 10), (80, 24), (250, 70)])
def test_hops_come_as_they_are_known(columns: int, rows: int) -> None:
    """The page never grows beyond the screen, is cleared, and the whole answer follows."""
    done = shown("--rounds", "3", "--interval", "0.2", "www.tiktok.com", columns=columns, rows=rows)
    assert done.code == 0
    assert not done.screen.unknown
    assert done.screen.farthest_up <= rows
    assert any("counting loss" in frame for frame in done.frames)
    answer = after_the_banner(done.screen.text)
    assert "reached, 8 hops" in " ".join(answer[:2])
    assert "counting loss" not in done.screen.text
    assert all(len(row) <= columns for row in answer)


def test_many_targets_are_a_page() -> None:
    """A line each, those that are done last; also when what they share is asked once."""
    targets = ["23.50.131.10", "23.50.131.11", "2.16.106.40", "1.1.1.1", "8.8.8.8", "9.9.9.9"]
    done = shown("--share", "--rate", "30", *targets, rows=8)
    pages = [frame for frame in done.frames if "6 targets by icmp" in frame]
    assert any("more not shown; tracing" in page for page in pages)
    assert done.code == 0
    assert done.screen.text.count("reached, ") == 6


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"TERM": "unknown"}])
def test_a_terminal_that_cannot_redraw_gets_the_answer_only(environment: dict[str, str]) -> None:
    """No escape sequence at all."""
    done = shown("--rounds", "1", "9.9.9.9", environment=environment)
    assert done.code == 0
    assert "\x1b" not in done.raw
    assert "No loss: all 2 probes" in done.screen.text


def test_no_color_is_respected() -> None:
    """The page is drawn in place, without a colour."""
    done = shown("9.9.9.9", environment={"NO_COLOR": "1"})
    assert "\x1b[32m" not in done.raw
    assert "\x1b[36m" not in done.raw
    assert "\x1b[36m" in shown("9.9.9.9").raw


def test_who_stops_sees_what_is_known() -> None:
    """Ctrl-C during the rounds: the table, the verdict so far, exit code 130."""
    done = shown("-4", "--rounds", "500", "www.tiktok.com", stop_at="counting loss: 4")
    assert done.code == 130
    answer = "\n".join(after_the_banner(done.screen.text))
    assert "   8  23.50.131.10" in answer
    assert "No loss: all " in answer
    assert "netprobe: interrupted; what was known by then is above" in answer
    assert "Traceback" not in answer


def stopped(
    words: Sequence[str], after_s: float, number: signal.Signals = signal.SIGINT
) -> "subprocess.CompletedProcess[str]":
    """`netprobe trace` in a simulated network, stopped after a while by what `timeout` sends."""
    own = ["timeout", "-s", number.name.removeprefix("SIG"), str(after_s), "netprobe", "trace", *words]
    return subprocess.run(inside(*own), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_json_is_whole_when_it_is_stopped(number: signal.Signals) -> None:
    """A line for every target, also for those of which nothing is known yet; those that are not over say so."""
    done = stopped(["--json", "--rounds", "500", "www.tiktok.com", "9.9.9.9"], 4.0, number)
    first, second = lines(done.stdout)
    assert (first["target"], second["target"]) == ("www.tiktok.com", "9.9.9.9")
    assert first["interrupted"]
    assert first["reached"]
    assert first["loss"]["destination"]["sent"] > 1


def test_json_of_all_ways() -> None:
    """The contract's line, and the graph; by SYNs when nothing else was asked for."""
    done = subprocess.run(
        inside("netprobe", "trace", "--json", "--paths", "1.1.1.1"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    (only,) = lines(done.stdout)
    assert (only["method"], only["port"], only["reached"]) == ("syn", 443, True)
    graph = only["paths"]
    assert graph.keys() == {"vertices", "branches", "per_packet", "complete", "probes_sent", "unanswered"}
    assert graph["complete"]
    assert [vertex["address"] for vertex in graph["vertices"]][-1] == "1.1.1.1"
    assert {(b["near"], b["far"]) for b in graph["branches"]} >= {
        (graph["vertices"][0]["address"], graph["vertices"][1]["address"])
    }


def test_json_comes_as_it_is_known() -> None:
    """A reader of the first line may close the pipe: no error, no traceback."""
    line = "netprobe trace --json 1.1.1.1 no.such.example 9.9.9.9 | head -1"
    done = subprocess.run(inside("sh", "-c", line), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    (only,) = lines(done.stdout)
    assert only["target"] == "1.1.1.1"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_the_wrong_family_is_said() -> None:
    """A name without an IPv6 address, asked for one; the line of JSON is there all the same."""
    done = subprocess.run(
        inside("netprobe", "trace", "-6", "--json", "p77-sign-va.tiktokcdn.com"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    (only,) = lines(done.stdout)
    assert only["error"].startswith("no address for p77-sign-va.tiktokcdn.com: ")
    assert done.returncode == 20


@pytest.mark.patient
@pytest.mark.parametrize(("scenario", "after"), [("transit-lossy", 6), ("healthy-silent-and-rate-limited", None)])
def test_loss_is_told_from_limits(scenario: str, after: int | None) -> None:
    """Behind a TAP device: loss begins behind the hop before the one that drops; limiters and silent hops are no loss."""
    done = subprocess.run(
        inside("netprobe", "trace", "--json", "--rounds", "80", "--interval", "0.2", "9.9.9.9", scenario=scenario),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )
    (only,) = lines(done.stdout)
    loss = only["loss"]
    if after is None:
        assert loss["path"] is None
        limited = [hop["ttl"] for hop in loss["hops"] if hop.get("silence") in {"limiter", "both"}]
        assert limited == [2, 6]
    else:
        assert (loss["path"]["after"], loss["path"]["only_destination"]) == (after, False)
        assert loss["path"]["low"] > 0.05
