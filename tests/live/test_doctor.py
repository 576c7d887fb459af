"""What the doctor finds, and that it always says what to do."""

import json
import subprocess
import sys

import pytest

from netprobe.live import doctor

_REPORT = """
import json
from netprobe.live.doctor import checks
print(json.dumps({check.name: [check.ok, check.detail, check.remedy, check.needed] for check in checks()}))
"""


def test_everything_that_fails_has_a_remedy() -> None:
    """Names are unique; a failed check says what to do, one that passed has nothing to say."""
    found = doctor.checks()
    assert len({check.name for check in found}) == len(found)
    for check in found:
        assert check.detail
        assert bool(check.remedy) != check.ok
        assert check.sentence == f"{check.name}: {check.detail}"
    assert [check.name for check in found if check.needed] == ["CAP_NET_RAW", "raw sockets"]


@pytest.mark.packets
def test_a_machine_without_rights_and_network_is_told_so() -> None:
    """In a user namespace of its own a process has no right over the network, in an empty one no route."""
    words = ["unshare", "-n", "unshare", "-U", sys.executable, "-c", _REPORT]
    found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    assert found["raw sockets"][:2] == [False, 'raw sockets need CAP_NET_RAW; run "netprobe doctor"']
    assert found["default route"][:2] == [False, "none (no link at all)"]


@pytest.mark.packets
def test_without_the_right_nothing_is_measured() -> None:
    """The vantage says in one line what is missing and where to look."""
    code = """
from netprobe.live import CannotMeasure
from netprobe.live.vantage import LiveVantage
try:
    LiveVantage()
except CannotMeasure as error:
    print(error)
"""
    words = ["unshare", "-n", "unshare", "-U", sys.executable, "-W", "error", "-c", code]
    shown = subprocess.run(words, check=True, capture_output=True, text=True)
    assert shown.stdout == 'raw sockets need CAP_NET_RAW; run "netprobe doctor"\n'
    assert shown.stderr == ""
