"""Run inside a simulated network with real packets: the survey over the live vantage, its observations as JSON."""

from netprobe.cli.console import show_json
from netprobe.live.vantage import LiveVantage
from netprobe.model.record import to_json
from netprobe.probing.run import run
from netprobe.probing.survey import survey
from netprobe.topology.platform import load_platform


def main() -> None:
    """Measure the platform's essential names and print what was seen."""
    platform = load_platform()
    with LiveVantage() as vantage:
        seen = run(survey(platform, [target for target in platform.targets if target.essential]), vantage)
    show_json(to_json(seen))


if __name__ == "__main__":
    main()
