"""The man pages say what the command line says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_man_pages_are_current() -> None:
    """Every command has its page, no page is left over, and each is what the script writes."""
    script = [sys.executable, str(ROOT / "scripts/man_pages.py"), "--check"]
    done = subprocess.run(script, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_runs_a_command_that_exists_with_one_capability() -> None:
    """The service starts the agent, and holds CAP_NET_RAW alone."""
    unit = (ROOT / "packaging/systemd/netprobe-agent.service").read_text(encoding="utf-8")
    settings = dict(row.split("=", 1) for row in unit.splitlines() if "=" in row and not row.startswith("#"))
    assert settings["ExecStart"].startswith("/usr/bin/netprobe agent --state ")
    assert settings["AmbientCapabilities"] == settings["CapabilityBoundingSet"] == "CAP_NET_RAW"
    assert (settings["Type"], settings["NoNewPrivileges"], settings["ProtectSystem"]) == ("notify", "yes", "strict")
    assert (ROOT / "docs/man/netprobe-agent.1").is_file()
