"""Run inside a simulated network with real packets: the survey over the live vantage, its observations as JSON.

The first argument is the symptom that the diagnosis is asked with; without one it is asked with none. The others are
feeds of announcements.
"""

import sys

from netprobe.cli.console import show_json
from netprobe.engine import select_targets
from netprobe.live.vantage import LiveVantage
from netprobe.model.record import to_json
from netprobe.probing.run import run
from netprobe.probing.survey import survey
from netprobe.topology.platform import load_platform


def main(symptom: str = "", *announcements: str) -> None:
    """Measure what a diagnosis measures, and print what was seen."""
    platform = load_platform()
    with LiveVantage() as vantage:
        targets = select_targets(platform, symptom)
        seen = run(survey(platform, targets, symptom=symptom, announcements=announcements), vantage)
    show_json(to_json(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
