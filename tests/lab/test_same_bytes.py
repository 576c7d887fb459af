"""The same seed gives the same report, byte for byte, in any process."""

import os
import subprocess
import sys

SCENARIOS = ("healthy", "healthy-lossy", "transit-outage", "sni-reset", "dns-tampering")
WORLDS = ("1", "2", "3", "4", "5", "6")
REPORTS = """
import sys
from netprobe.lab.score import run_virtual
from netprobe.model.record import to_json
from netprobe.sim.scenario import load
from netprobe.sim.worlds import generate
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform
with AsnTable.open() as table:
    for name in sys.argv[1:]:
        scenario = generate(int(name)) if name.isdecimal() else load(name)
        report = run_virtual(scenario, 11, load_platform(), table.lookup)
        sys.stdout.buffer.write(to_json(scenario) + to_json(report) + b"\\n")
"""


def reports(hash_seed: int) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    return subprocess.run(
        [sys.executable, "-c", REPORTS, *SCENARIOS, *WORLDS], env=environment, capture_output=True, check=True
    ).stdout


def test_same_seed_same_bytes_in_any_process() -> None:
    """Neither the order of sets nor anything else that differs between processes shows in a report or a world."""
    first = reports(1)
    assert first.count(b"\n") == len(SCENARIOS) + len(WORLDS)
    assert first == reports(2)
