"""The agent in virtual time, where troubles begin, change and end: which incidents it opens, renames and closes."""

from itertools import groupby
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from netprobe.agent.service import Agent, Keep
from netprobe.agent.store import Round, Store
from netprobe.engine import diagnose
from netprobe.model.report import Incident, Report
from netprobe.model.verdict import Component
from netprobe.probing.run import Progress
from netprobe.sim import library
from netprobe.sim.records import Scenario
from netprobe.sim.virtual import WALL_CLOCK_S, VirtualVantage
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform
from tests.scenarios import load

pytestmark = pytest.mark.slow
ROUND_S = 30.0  # a round that waits for time-outs takes as long at most


class Told(NamedTuple):
    """One incident: what it is called at its end, and the seconds at which the faults behind it begin and end."""

    cause: str
    begin_s: float
    end_s: float


#: How often the agent measures, what it is to tell, and what its rounds say in turn, but for those that cannot tell.
WATCHED: dict[str, tuple[float, tuple[Told, ...], tuple[str, ...]]] = {
    "isp-outage-begins-and-ends": (
        20.0,
        (Told("isp.access.outage", 30.0, 90.0),),
        ("none.app_device", "isp.access.outage", "none.app_device"),
    ),
    "platform-recovers-in-stages": (
        10.0,
        (Told("platform.origin.error", 30.0, 150.0),),
        ("none.app_device", "platform.origin.error", "platform.live.down", "none.app_device"),
    ),
    "oracle-2026-recovery": (
        900.0,
        (Told("platform.origin.error", 60.0, 14400.0),),
        ("none.app_device", "platform.origin.error", "platform.live.down", "none.app_device"),
    ),
    "shutdown-returns": (
        300.0,
        (Told("isp.core.blackhole", 60.0, 4560.0),),
        ("none.app_device", "isp.core.blackhole", "none.app_device"),
    ),
    "attack-filtered-then-over": (
        240.0,
        (Told("platform.edge.loss", 60.0, 1860.0),),
        ("none.app_device", "platform.edge.loss", "none.app_device"),
    ),
    "platform-announced-again": (
        20.0,
        (Told("platform.maintenance", 90.0, 180.0),),
        ("none.app_device", "platform.maintenance", "none.app_device"),
    ),
    "line-that-comes-and-goes": (
        60.0,
        (Told("isp.access.loss", 120.0, 600.0), Told("isp.access.loss", 1500.0, 1980.0)),
        ("none.app_device", *("isp.access.outage", "isp.access.loss", "none.app_device") * 2),
    ),
    "evening-of-two-troubles": (
        600.0,
        (Told("isp.access.congested", 3600.0, 9000.0), Told("platform.origin.error", 9000.0, 12600.0)),
        ("none.app_device", "isp.access.congested", "platform.origin.error", "none.app_device"),
    ),
}


class Life:
    """A vantage in virtual time that is measured from every `every_s` seconds, for as long as something happens."""

    def __init__(self, scenario: Scenario, every_s: float) -> None:
        self._vantage = VirtualVantage(scenario, 1)
        self._every_s = every_s
        self._due_s = 0.0
        changes = {at for fault in scenario.faults for at in (fault.begin_s, fault.end_s)}
        self.until_s = max(at for at in changes if at != float("inf")) + 2 * every_s + ROUND_S
        self._networks = AsnTable.open()

    @property
    def over(self) -> bool:
        """Whether everything has happened."""
        return self._due_s > self.until_s

    def measure(self, progress: Progress) -> Report:
        """One round, when it is due."""
        while self._vantage.receive(self._due_s) is not None:
            pass  # what is still on its way to somebody who has given up
        report = diagnose(self._vantage, load_platform(), self._networks.lookup, progress=progress)
        while self._due_s <= self._vantage.now():
            self._due_s += self._every_s
        return report

    def close(self) -> None:
        """The table is a file."""
        self._networks.close()


def watched(name: str, folder: Path) -> tuple[list[Incident], list[Round], list[str]]:
    """What the agent has recorded at the end of a timeline, and what it has said."""
    life, log = Life(load(name), WATCHED[name][0]), list[str]()
    with Store.write(folder) as store:
        agent = Agent(life.measure, store, 1.0, keep=Keep(days=90, rounds=10_000), rng=Random(1), log=log.append)
        agent.round(first=True)
        while not life.over:
            agent.round()
        life.close()
        return sorted(store.incidents(), key=lambda one: one.id), list(store.rounds()), log


def test_every_timeline_is_watched() -> None:
    """A new one gets its row here."""
    assert WATCHED.keys() == set(library.timelines())


@pytest.mark.parametrize("name", library.timelines())
def test_incidents_follow_what_happens(name: str, tmp_path: Path) -> None:
    """Each trouble is an incident from the first round in it to the first behind it, and nobody innocent is named.

    The round in which it changes may have begun before.
    """
    every_s, expected, causes = WATCHED[name]
    incidents, rounds, log = watched(name, tmp_path)
    assert [one.cause for one in incidents] == [wanted.cause for wanted in expected]
    for incident, wanted in zip(incidents, expected, strict=True):
        assert incident.ended_s is not None
        for noticed_s, happened_s in ((incident.began_s, wanted.begin_s), (incident.ended_s, wanted.end_s)):
            assert -ROUND_S <= noticed_s - WALL_CLOCK_S - happened_s <= every_s + ROUND_S
    seen = sorted(rounds, key=lambda one: one.taken_s)
    told = [one.cause for one in seen if one.component is not Component.UNDETERMINED]
    assert tuple(cause for cause, _ in groupby(told)) == causes
    assert len(told) > len(seen) / 2 or not incidents
    assert not {one.component.value for one in rounds} & set(load(name).expect.never)
    assert seen[-1].component is Component.NONE
    for incident in incidents:
        assert f"incident {incident.id} is over: {incident.component.value}, {incident.cause}" in log
        assert any(line.startswith(f"incident {incident.id} begins: ") for line in log)


def test_what_is_settled_is_named() -> None:
    """Of a timeline that is not open, one incident has the cause that the file expects, or one at the same time."""
    for name, (_, expected, causes) in WATCHED.items():
        expect = load(name).expect
        if not expect.open:
            assert expect.cause in causes
            assert {told.cause for told in expected} & {expect.cause, *expect.also}
