"""The catalogue of situations: the diagnosis says of each what its file expects, or the file says why it cannot yet."""

from collections.abc import Iterator

import pytest

from netprobe.lab.score import Run, run_virtual, runs
from netprobe.model.targets import Platform
from netprobe.sim import library
from netprobe.sim.scenario import load
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform

SEEDS = (1, 2, 3, 4, 5)


@pytest.fixture(scope="module")
def world() -> Iterator[tuple[Platform, AsnTable]]:
    """The platform and the table of networks that every diagnosis uses."""
    with AsnTable.open() as table:
        yield load_platform(), table


def diagnosed(name: str, seeds: tuple[int, ...], world: tuple[Platform, AsnTable]) -> list[Run]:
    platform, table = world
    return list(runs([load(name)], seeds, lambda scenario, seed: run_virtual(scenario, seed, platform, table.lookup)))


def check(name: str, seeds: tuple[int, ...], world: tuple[Platform, AsnTable]) -> None:
    """A settled scenario is answered rightly with every seed; an open one blames no innocent, and is open with reason."""
    done = diagnosed(name, seeds, world)
    said = [(run.seed, run.cause, *run.also) for run in done]
    assert not any(run.blames_innocent for run in done), f"{name}: an innocent was blamed: {said}"
    if not load(name).expect.open:
        assert all(run.right and run.right_cause for run in done), f"{name}: {said}"
    elif all(run.right and run.right_cause for run in done):
        rest = () if seeds == SEEDS else tuple(seed for seed in SEEDS if seed not in seeds)
        if all(run.right and run.right_cause for run in diagnosed(name, rest, world)):
            pytest.fail(f"{name}: is right now; take 'open' out of its [expect]")


@pytest.mark.parametrize("name", library.names())
def test_the_truth_is_found_or_known_to_be_missing(name: str, world: tuple[Platform, AsnTable]) -> None:
    """With one seed: what the file expects; of an open one only that no innocent is blamed."""
    check(name, SEEDS[:1], world)


@pytest.mark.slow
@pytest.mark.parametrize("name", library.names())
def test_the_truth_does_not_depend_on_chance(name: str, world: tuple[Platform, AsnTable]) -> None:
    """The same with several seeds."""
    check(name, SEEDS, world)
