"""How well the diagnosis fares in generated worlds: a floor that no change may break without anybody noticing."""

import pytest

from netprobe.lab.score import run_virtual, runs, score
from netprobe.sim.worlds import generate
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform

WORLDS = 60


@pytest.mark.slow
def test_most_worlds_are_understood_and_nearly_nobody_is_blamed_wrongly() -> None:
    """Bounds that leave room for chance: a sweep of a thousand says more."""
    platform = load_platform()
    worlds = [generate(seed) for seed in range(1000, 1000 + WORLDS)]
    with AsnTable.open() as table:
        done = list(runs(worlds, [1], lambda world, seed: run_virtual(world, seed, platform, table.lookup)))
    measured = score(done, 0.0)
    # Loss in one place of many is often missed: then "nothing is wrong" is the wrong answer, but nobody suffers from it.
    assert measured.settled.component_accuracy > 0.75
    assert measured.settled.wrong_blame_rate < 0.08
    assert sum(run.blames_innocent for run in done) <= 2


@pytest.mark.parametrize("cause", ["home.portal.captive", "policy.http.block_page"])
def test_who_answers_plain_http_in_others_names_is_told(cause: str) -> None:
    """Portals of every kind and block pages, each in networks that differ; nobody else is accused beside them."""
    platform = load_platform()
    worlds = [generate(seed, cause) for seed in range(3001, 3013)]
    worlds = [world for world in worlds if world.expect.cause == cause]
    assert len(worlds) > 8
    with AsnTable.open() as table:
        done = list(runs(worlds, [1], lambda world, seed: run_virtual(world, seed, platform, table.lookup)))
    assert [(run.cause, run.also) for run in done] == [(cause, ())] * len(worlds)
