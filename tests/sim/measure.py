"""Run inside a simulated network with real packets: the survey over the live vantage, its observations as JSON.

The argument is the symptom that the diagnosis is asked with; without one it is asked with none.
"""

import sys

from netprobe.cli.console import show_json
from netprobe.engine import select_targets
from netprobe.live.vantage import LiveVantage
from netprobe.model.record import to_json
from netprobe.probing.run import run
from netprobe.probing.survey import survey
from netprobe.topology.platform import load_platform


def main(symptom: str = "") -> None:
    """Measure what a diagnosis measures, and print what was seen."""
    platform = load_platform()
    with LiveVantage() as vantage:
        seen = run(survey(platform, select_targets(platform, symptom), symptom=symptom), vantage)
    show_json(to_json(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
