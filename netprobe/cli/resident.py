"""What `netprobe agent` does once its arguments are known."""

from pathlib import Path
from random import SystemRandom

from netprobe.agent.schedule import parse_interval
from netprobe.agent.service import Agent, Keep, to_stderr
from netprobe.agent.store import Store
from netprobe.cli.announcements import gather
from netprobe.cli.measuring import check_ca_file, instruments, measure
from netprobe.cli.settings import load
from netprobe.live import CannotMeasure
from netprobe.model.report import Report
from netprobe.probing.run import Progress
from netprobe.topology.platform import load_platform


def start(*, once: bool, every: str, state: Path | None, config: Path | None, ca_file: str) -> None:
    """Run the agent until it is told to end."""
    settings = load(config)
    every_s = parse_interval(every or settings.agent.every)
    check_ca_file(ca_file)
    platform = load_platform(settings.platform)

    folder = state or Path(settings.agent.state)
    heard = gather(settings.announcements, "'announcements'")

    with (
        instruments(settings, platform, ca_file=ca_file, every_s=every_s, folder=folder, feeds=bool(heard)) as opened,
        Store.write(folder) as store,
    ):

        def one_round(progress: Progress) -> Report:
            try:
                return measure(
                    settings,
                    platform,
                    opened,
                    progress=progress,
                    all_uplinks=settings.agent.all_uplinks,
                    sources=heard.again().sources(platform),
                )
            finally:
                opened.table.let_go()  # there are minutes until the next round

        if opened.wires.still_root:
            to_stderr(f"only root may enter {folder}: the agent keeps root's user id, without any capability")
        if store.put_aside:
            to_stderr(f"the records were damaged: kept as {store.put_aside}, new ones begun")
        keep = Keep(settings.agent.keep_days, settings.agent.keep_rounds)
        Agent(one_round, store, every_s, keep=keep, rng=SystemRandom(), log=to_stderr, cannot=(CannotMeasure,)).run(
            once=once
        )
