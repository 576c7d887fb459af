"""Servers that hang up: at each moment, in each way, curl and the vantage in virtual time say what became of it."""

from pathlib import Path

import pytest

from netprobe.model.services import Fetch, Handshake, Response
from netprobe.sim.records import Fault
from netprobe.sim.virtual import VirtualVantage
from netprobe.sim.world import Fidelity, World
from tests.sim import real_scenario
from tests.sim.small import SERVER, fault, line

#: When, how, after how many bytes; curl's exit code (curl(1)) and the status that it saw; phase and error in our words.
HANGUPS = (
    ("accepted", "reset", 0, 35, "000", "tls", "reset"),
    ("accepted", "close", 0, 35, "000", "tls", "closed"),
    ("hello", "reset", 0, 35, "000", "tls", "reset"),
    ("hello", "close", 0, 35, "000", "tls", "closed"),
    ("hello", "silence", 0, 28, "000", "tls", "timeout"),
    ("request", "reset", 0, 56, "000", "done", "reset"),
    ("request", "close", 0, 52, "000", "done", "closed"),
    ("request", "silence", 0, 28, "000", "done", "timeout"),
    ("answer", "reset", 60, 56, "200", "done", "reset"),
    ("answer", "close", 60, 18, "200", "done", "closed"),
    ("answer", "silence", 60, 28, "200", "done", "timeout"),
)


def fetched(*faults: Fault, seed: int = 0, upload: int = 0) -> Response:
    vantage = VirtualVantage(line(*faults), seed)
    shake = Handshake(SERVER, 443, "www.tiktok.com", timeout_s=3.0)
    vantage.send(Fetch(shake, method="PUT" if upload else "GET", upload_bytes=upload))
    event = vantage.receive(100.0)
    assert event is not None
    assert isinstance(event.outcome, Response)
    return event.outcome


@pytest.mark.parametrize(("when", "how", "after", "_", "status", "phase", "error"), HANGUPS)
def test_each_hangup_is_told_in_virtual_time(
    when: str, how: str, after: int, _: int, status: str, phase: str, error: str
) -> None:
    """The phase that was under way, the way it ended, and what had come by then."""
    response = fetched(fault("hangup", "edge", when=when, how=how, after_bytes=after))
    shaken = response.handshaken
    assert (shaken.phase, shaken.error or response.error, response.status) == (phase, error, int(status))
    assert response.body_bytes == after


@pytest.mark.packets
def test_each_hangup_is_told_by_curl(tmp_path: Path, fidelity: Fidelity) -> None:
    """Each has a name of its own at one server."""
    named = {f"{number}.tiktok.com": row for number, row in enumerate(HANGUPS) if row[0] != "accepted"}
    tables = [
        f'[[fault]]\nkind = "hangup"\nat = "edge"\nwhen = "{when}"\nhow = "{how}"\nafter_bytes = {after}\n'
        f'server_name = ["{name}"]\n'
        for name, (when, how, after, *_) in named.items()
    ]
    with World(real_scenario.scenario(tmp_path, "".join(tables)), fidelity=fidelity) as world:
        for name, (when, how, _, code, status, *_) in named.items():
            assert curl(world, name) == (code, status), (when, how)
        assert curl(world, "www.tiktok.com") == (0, "200")


def curl(world: World, name: str, *more: str) -> tuple[int, str]:
    """What curl ends with, and the status that it saw, without a lookup."""
    where = f"{name}:443:{real_scenario.EDGE}"
    command = ["curl", "-sS", "-o", "/dev/null", "-m", "1", "-w", "%{http_code}", "--resolve", where, *more]
    done = world.run([*command, f"https://{name}/"])
    return done.returncode, done.stdout


@pytest.mark.packets
@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_server_that_hangs_up_at_once_is_told_by_curl(tmp_path: Path, how: str) -> None:
    """The connection is there and gone again before a word is said."""
    table = f'[[fault]]\nkind = "hangup"\nat = "edge"\nwhen = "accepted"\nhow = "{how}"\n'
    with World(real_scenario.scenario(tmp_path, table)) as world:
        assert curl(world, "www.tiktok.com") == (35, "000")


@pytest.mark.packets
def test_large_uploads_fail_where_small_ones_do_not(tmp_path: Path, fidelity: Fidelity) -> None:
    """The server takes so many bytes of a request, and then nothing more, or ends it."""
    table = '[[fault]]\nkind = "hangup"\nat = "edge"\nwhen = "upload"\nhow = "{}"\nafter_bytes = 20000\n'
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(bytes(20000))
    large.write_bytes(bytes(2_000_000))
    stalls = table.format("silence") + 'server_name = ["up.tiktok.com"]\n'
    resets = table.format("reset") + 'server_name = ["cut.tiktok.com"]\n'
    with World(real_scenario.scenario(tmp_path, stalls + resets), fidelity=fidelity) as world:
        assert curl(world, "up.tiktok.com", "-T", str(small)) == (0, "200")
        assert curl(world, "up.tiktok.com", "-T", str(large))[0] == 28
        assert curl(world, "cut.tiktok.com", "-T", str(large))[0] in {55, 56}  # while sending, or while reading


@pytest.mark.parametrize(
    ("size", "how", "seen"),
    [
        (20000, "silence", (200, "")),
        (20001, "silence", (0, "timeout")),
        (20001, "reset", (0, "reset")),
        (20001, "close", (0, "closed")),
    ],
)
def test_uploads_that_are_too_large_fail_in_virtual_time(size: int, how: str, seen: tuple[int, str]) -> None:
    """The same as with curl."""
    response = fetched(fault("hangup", "edge", when="upload", how=how, after_bytes=20000), upload=size)
    assert (response.status, response.error) == seen


def test_a_partial_fault_takes_some_connections() -> None:
    """About half of them; and it is the connection that decides, so that the same seed tells the same story."""
    half = fault("hangup", "edge", when="request", how="close", fraction=0.5)
    errors = [fetched(half, seed=seed).error for seed in range(40)]
    assert errors == [fetched(half, seed=seed).error for seed in range(40)]
    assert 10 <= errors.count("closed") <= 30


def test_a_page_of_any_size_comes_whole() -> None:
    """A body of many segments, up to the limit that is read of it; its title is what the fault says."""
    challenge = fault(
        "http", "edge", status=403, title="Just a moment...", body_bytes=30000, headers={"cf-mitigated": "challenge"}
    )
    response = fetched(challenge)
    assert (response.status, response.title, response.body_bytes) == (403, "Just a moment...", 30000)
    assert response.headers["cf-mitigated"] == "challenge"
