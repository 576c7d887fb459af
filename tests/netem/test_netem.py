"""What netem is asked for, and how its scenarios are judged; with real packets where the kernel has it."""

import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from netprobe.sim import library
from netprobe.sim.kernel import queues
from netprobe.sim.kernel.layout import SERVERS, Layout, Wire
from netprobe.sim.kernel.rules import router_rules
from netprobe.sim.records import Back, Link
from netprobe.sim.routing import CLIENT
from netprobe.sim.scenario import load
from tests.netem.__main__ import DEFAULT, main, without_netem
from tests.netem.checks import SEED, WRONG, Truth, examine, judge_hops, judge_pings, truth

ROOT = Path(__file__).parents[2]
WAY = Truth("192.0.2.9", ("10.0.0.1", "192.0.2.9"), (2.0, 10.0), (0.0, 1.0), (1.0, 0.64))


def said(came: int, least: float, mean: float) -> str:
    """Ping's summary."""
    return f"400 packets transmitted, {came} received\nrtt min/avg/max/mdev = {least}/{mean}/99.0/1.0 ms\n"


def wire(*ends: str, **link: Any) -> Wire:
    """One that the seed leaves as it is."""
    card = CLIENT if CLIENT in ends else ""
    return Wire((ends[0], ends[1]), ("one", "other"), 1500, Link((ends[0], ends[1]), 5.0, **link), card=card)


def test_a_wire_between_routers_takes_its_time_at_both_ends() -> None:
    """The least is the delay, the mean is longer by the jitter; and no packet overtakes another."""
    line = wire("a", "b", jitter_ms=2.0, loss=0.1, back=Back(delay_ms=9.0, loss=0.0))
    assert queues.held(line, "a") == {"delay": 7000, "jitter": 2000, "loss": 10.0, "rate": "30gbit"}
    assert queues.held(line, "b") == {"delay": 11000, "jitter": 2000, "rate": "30gbit"}
    assert queues.held(line._replace(moved=1.1), "a")["delay"] == 7500


def test_the_client_s_card_is_left_alone() -> None:
    """What leaves there has left: the way back takes the time of both, and rules lose what gets lost."""
    line = wire(CLIENT, "home", loss=0.1, back=Back(delay_ms=9.0))
    assert queues.held(line, CLIENT) == {}
    assert queues.held(line, "home") == {"delay": 14_000}


def test_bursts_are_left_to_the_rules() -> None:
    """Loss by chance is netem's."""
    assert queues.held(wire("a", "b", loss=0.1, loss_burst=3.0), "a") == {"delay": 5000}


def test_nothing_is_lost_twice() -> None:
    """Where netem loses packets, no rule does."""
    line = load("isp-line-lossy")
    assert "numgen" in router_rules(line, Layout(line), "isp-access", ())
    assert "numgen" not in router_rules(line, Layout(line), "isp-access", (), netem=True)
    wifi = load("home-wifi-lossy")
    ruled = router_rules(wifi, Layout(wifi), "home-router", (), netem=True)
    assert len(re.findall("numgen", ruled)) == 2, "both directions of the client's own link"


def test_a_seed_moves_the_delays_of_wires_as_in_virtual_time() -> None:
    """The way to a server takes what the simulation says, but for the seed's draw on the short wire at its end."""
    scenario = load("healthy")
    way = truth(scenario)
    assert way is not None
    layout, at = Layout(scenario, SEED), {router.address: router.name for router in scenario.routers}
    nodes = [CLIENT, *(at[hop] for hop in way.hops[:-1]), SERVERS]
    delays = [layout.wire(one, other).delay_ms(one) for one, other in pairwise(nodes)]
    assert 2 * sum(delays) == pytest.approx(way.shortest_ms[-1], abs=0.05)


def test_the_truth_of_losses_is_the_file_s() -> None:
    """Both directions of a lossy link; what a router drops, its own answers survive."""
    line, hole = truth(load("isp-line-lossy")), truth(load("isp-core-black-hole"))
    assert line is not None
    assert hole is not None
    assert [round(back, 2) for back in line.back] == [1.0, *[0.81] * 7]
    assert hole.back[0] == 1.0
    assert hole.back[-1] == 0.0


@pytest.mark.parametrize(
    ("line", "right"),
    [
        (said(256, 10.4, 11.2), True),
        (said(225, 10.4, 11.2), True),
        (said(210, 10.4, 11.2), False),
        (said(400, 10.4, 11.2), False),
        (said(256, 9.5, 11.2), False),
        (said(256, 10.4, 19.0), False),
        ("", False),
    ],
    ids=["right", "by chance", "lossier", "lossless", "early", "late", "no word"],
)
def test_pings_are_judged_by_the_file(line: str, right: bool) -> None:  # noqa: FBT001  # a case of the table
    """More and less loss than the file's is wrong, and so are times that are too short or too long."""
    assert judge_pings(WAY, line).startswith(WRONG) is not right


@pytest.mark.parametrize(
    ("lines", "right"),
    [
        (" 1  10.0.0.1  2.1 ms  2.2 ms\n 2  * 192.0.2.9  10.3 ms\n", True),
        (" 1  10.0.0.1  2.1 ms  2.2 ms\n 2  * *\n", True),
        (" 1  * *\n 2  192.0.2.9  10.3 ms *\n", False),
        (" 1  10.0.0.1  1.1 ms  2.2 ms\n", False),
        (" 1  10.0.0.1  4.1 ms  4.2 ms\n", False),
        (" 1  10.0.0.2  2.1 ms  2.2 ms\n", False),
        ("", False),
    ],
    ids=["right", "lossy", "silent", "early", "late", "stranger", "no word"],
)
def test_hops_are_judged_by_the_file(lines: str, right: bool) -> None:  # noqa: FBT001  # a case of the table
    """Each hop is the router of the file after its time; only who loses packets may be silent."""
    assert judge_hops(WAY, lines).startswith(WRONG) is not right


def test_the_scenarios_that_are_run_exist() -> None:
    """Each of them can be looked at by ping as well."""
    assert set(DEFAULT) <= set(library.names())
    assert [name for name in DEFAULT if truth(load(name)) is None] == []


@pytest.mark.parametrize("script", sorted(ROOT.glob("scripts/*.sh")), ids=lambda path: path.name)
def test_scripts_are_well_formed(script: Path) -> None:
    """Bash reads each script to its end, and each can be started."""
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False).stderr == ""
    assert script.stat().st_mode & 0o111


def test_one_script_provides_every_machine() -> None:
    """Vagrant and the emulated machine both call scripts/provision.sh, and make calls the emulation."""
    assert "scripts/provision.sh" in (ROOT / "Vagrantfile").read_text()
    assert "scripts/provision.sh run" in (ROOT / "scripts/lab-vm.sh").read_text()
    assert "scripts/lab-vm.sh" in (ROOT / "Makefile").read_text()


@pytest.mark.packets
@pytest.mark.slow
def test_delays_and_losses_of_links_are_real(capsys: pytest.CaptureFixture[str]) -> None:
    """On a kernel with netem other people's tools see the times and the loss of the file; another says what it lacks."""
    if complaint := without_netem():
        assert main(["isp-line-lossy"]) == 2
        assert complaint in capsys.readouterr().err
    else:
        assert [line for line in examine(load("isp-line-lossy")) if line.startswith(WRONG)] == []
