"""What the doctor finds, and that it always says what to do."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from netprobe.model.rungs import RUNGS
from tests.ordinary import ordinary

ORDINARY = ordinary()
_REPORT = "from netprobe.live import doctor; from netprobe.model.record import to_json; print(to_json(doctor.checks()).decode())"


def looked(*prefix: str) -> dict[str, Any]:
    """What the doctor finds, by name. In a process of its own: icmplib must not meet scapy (docs/decisions/0001)."""
    words = [*prefix, sys.executable, "-W", "error", "-c", _REPORT]
    shown = subprocess.run(words, check=True, capture_output=True, text=True, timeout=30)
    assert shown.stderr == ""
    found = json.loads(shown.stdout)
    assert len({check["name"] for check in found}) == len(found)
    return {check["name"]: check for check in found}


def with_ping_sockets(range_: str, *command: str) -> tuple[str, ...]:
    """`command` in an empty network in which the groups of `range_` may open ping sockets; its loopback is up."""
    setting = f'ip link set lo up && sysctl -qw net.ipv4.ping_group_range="{range_}" && exec "$@"'
    return ("unshare", "-n", "sh", "-c", setting, "sh", *command)


def test_everything_that_fails_has_a_remedy() -> None:
    """A failed check says what to do, one that passed has nothing to say; a row for each rung of the ladder."""
    found = looked()
    for check in found.values():
        assert check["detail"]
        assert bool(check["remedy"]) != check["ok"]
    assert [check["rung"] for check in found.values() if check["rung"]] == [row.id for row in RUNGS]
    assert [name for name, check in found.items() if check["needed"]] == ["connections"]


@pytest.mark.packets
def test_a_machine_without_rights_and_network_is_told_so() -> None:
    """An ordinary user stands on lower rungs, and is told which are missing, what that costs and what to do."""
    found = looked(*with_ping_sockets("1 0", *ORDINARY))
    assert [found[row.name]["ok"] for row in RUNGS] == [False, False, True, True]
    raw, ping = found["raw sockets"], found["ping sockets"]
    assert raw["detail"] == (
        "closed: CAP_NET_RAW is not held; without it there are no icmp and ack probes; "
        "syn probes leave by connections; udp and quic probes leave by UDP sockets"
    )
    assert "sudo netprobe" in raw["remedy"]
    assert ping["detail"] == "closed to your groups (open to none); without it there are no icmp probes"
    assert ping["remedy"] == 'as root: sysctl -w net.ipv4.ping_group_range="0 2147483647"'
    assert found["default route"]["detail"].startswith("none (")


@pytest.mark.packets
def test_the_doctor_tries_the_split() -> None:
    """As root a broker is started and looked at; an ordinary user has nothing to separate."""
    split = looked("unshare", "-n")["privilege split"]
    assert split["ok"]
    assert re.fullmatch(
        r"a broker of (9|10|11) MB holds CAP_NET_RAW alone, its filters are locked; "
        r"the rest becomes user \d+, with no capability; the system calls of both are filtered",
        split["detail"],
    )
    ordinary = looked(*with_ping_sockets("1 0", *ORDINARY))["privilege split"]
    assert ordinary["detail"] == "nothing to separate: CAP_NET_RAW is not held"


@pytest.mark.packets
def test_ping_sockets_are_tried_on_the_own_loopback() -> None:
    """Where a group of ours may open them, an echo to the own loopback is answered: they work as a whole."""
    found = looked(*with_ping_sockets("0 2147483647", *ORDINARY))
    detail = found["ping sockets"]["detail"]
    assert detail.startswith("open: icmp probes; not seen: what routers changed in our packets, answers that")
    assert "icmp probes leave by ping sockets" in found["raw sockets"]["detail"]


@pytest.mark.packets
def test_the_doctor_s_process_has_no_scapy() -> None:
    """What is under the LGPL, version 3, and what is under the GPL, version 2 only, never meet (docs/decisions/0001)."""
    code = (
        "import sys; from netprobe.live import doctor; doctor.checks(); print(*{'icmplib', 'scapy'} & {*sys.modules})"
    )
    for words in ([sys.executable, "-c", code], [*with_ping_sockets("0 0"), sys.executable, "-c", code]):
        shown = subprocess.run(words, check=True, capture_output=True, text=True, timeout=30)
        assert shown.stdout.split() in (["icmplib"], [])


@pytest.mark.packets
def test_without_the_right_lower_rungs_are_taken() -> None:
    """The vantage opens all the same, and says by which rung each kind of probe leaves."""
    code = """
from netprobe.live.vantage import LiveVantage
from netprobe.model.host import Inspect
with LiveVantage() as vantage:
    vantage.send(Inspect())
    event = vantage.receive(vantage.now())
    assert event.outcome.footing == vantage.footing
    print({str(protocol): rung for protocol, rung in vantage.footing.items()})
"""
    for range_, icmp in (("1 0", ""), ("0 2147483647", "ping")):
        words = [*with_ping_sockets(range_, *ORDINARY), sys.executable, "-W", "error", "-c", code]
        shown = subprocess.run(words, check=True, capture_output=True, text=True, timeout=30)
        expected = {"icmp": icmp, "syn": "connect", "ack": "", "udp": "recverr", "quic": "recverr"}
        assert (shown.stdout, shown.stderr) == (f"{expected}\n", "")
