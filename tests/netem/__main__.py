"""Kernel scenarios with the delays and losses of netem: `make lab-vm`, or as root on a machine whose kernel has it.

    python -m tests.netem [SCENARIO...]

Prints a line a scenario: whether ping and traceroute see the delays and the loss of the file, and whether a diagnosis
in there says what the file expects. Without names those are run in which delays and losses matter; `all` is every
scenario. The exit code is 1 when one of them failed, 2 when there is no netem here.
"""

import argparse
import platform
import shutil
import sys
import time

from netprobe.sim import library
from netprobe.sim.namespaces import LabError, isolated
from netprobe.sim.scenario import load
from tests.netem.checks import WRONG, examine

#: Where netem makes the difference: long ways and short ones, loss at home, on the line, in transit, at an edge.
DEFAULT = (
    "healthy",
    "mobile-healthy",
    "home-wifi-lossy",
    "isp-line-lossy",
    "transit-lossy",
    "isp-core-black-hole",
    "sni-reset",
)


def main(arguments: list[str]) -> int:
    """Run what was asked for and say how each fared as soon as it is known."""
    parser = argparse.ArgumentParser(prog="python -m tests.netem", description=__doc__.split("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", choices=[*library.names(), "all", []])
    asked = parser.parse_args(arguments).scenarios or DEFAULT
    names = library.names() if "all" in asked else asked
    if complaint := without_netem():
        print(f"netem: {complaint}", file=sys.stderr)
        return 2
    print(f"Linux {platform.release()}, with netem: {len(names)} scenarios", flush=True)
    failed = 0
    for name in names:
        began = time.monotonic()
        try:
            found = examine(load(name))
        except LabError as error:
            found = [f"{WRONG}{error}"]
        bad = any(line.startswith(WRONG) for line in found)
        failed += bad
        print(f"{'FAIL' if bad else 'pass'}  {name}  ({time.monotonic() - began:.0f} s)", flush=True)
        for line in found:
            print(f"      {line}", flush=True)
    print(f"{len(names) - failed} of {len(names)} pass", flush=True)
    return int(failed > 0)


def without_netem() -> str:
    """Why tc(8) cannot use netem here; empty when it can."""
    if shutil.which("tc") is None:
        return "there is no tc(8) here"
    with isolated() as inside:
        done = inside.run(["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"])
    return "" if done.returncode == 0 else f"this kernel has none: {done.stderr.strip()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
