from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from netprobe.diagnosis import diagnose
from netprobe.diagnosis.calibration import CALIBRATION, Calibration, calibration, covered, load, recalibrated
from netprobe.diagnosis.causes import TableError, tables
from netprobe.diagnosis.weigh import Decision, decide, mass
from netprobe.lab.written import calibration_text
from netprobe.model.host import HostState
from netprobe.model.probes import Protocol
from netprobe.model.rungs import PING
from netprobe.model.verdict import Component
from tests.diagnosis.picture import PLATFORM, origin
from tests.diagnosis.test_causes import AMBIGUOUS, CAUSES

shares = st.floats(0.0, 1.0)
maps = st.builds(
    Calibration,
    made_by=st.just("a test"),
    made_on=st.just("2026-12-01"),
    worlds=st.just(100),
    slope=st.floats(0.02, 20.0),
    offset=st.floats(-20.0, 20.0),
    nobody=st.floats(-20.0, 20.0),
    lowest=st.floats(0.001, 0.4),
    highest=st.floats(0.6, 0.999),
    answers=st.just(dict.fromkeys(("home.dns", "isp.core"), 20)),
)


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    """What the weighing makes of any evidence that names somebody."""
    causes = list(tables().prior)
    weights = st.fixed_dictionaries({cause: st.floats(-8.0, 8.0) for cause in causes})
    found = decide(dict(enumerate_groups(draw(st.lists(weights, min_size=1, max_size=3)))), tables())
    assume(found.determined)
    return found


def enumerate_groups(weights: list[dict[str, float]]) -> list[tuple[str, dict[str, float]]]:
    return [(f"group-{n}", row) for n, row in enumerate(weights)]


@given(maps, shares, shares, st.sampled_from(Component))
def test_the_likelier_stays_the_likelier_and_nothing_is_certain(
    means: Calibration, one: float, other: float, component: Component
) -> None:
    """Any map rises with the score, and stays between what its worlds can show."""
    low, high = sorted((one, other))
    assert 0 < means.lowest <= means.worth(low, component) <= means.worth(high, component) <= means.highest < 1


@given(maps, decisions())
def test_the_answer_has_its_probability_and_nobody_has_more(means: Calibration, found: Decision) -> None:
    """The answer's place has what the map says, no cause beside it has more, and all together have one at most."""
    after = recalibrated(found, means)
    worth = means.worth(mass(found.node, found.posterior), found.component)
    assert mass(found.node, after) == pytest.approx(worth)
    assert all(0 <= share <= worth + 1e-9 for share in after.values())
    assert sum(after.values()) <= 1 + 1e-9


@pytest.mark.parametrize("cause", CAUSES)
def test_a_verdict_is_consistent(cause: str) -> None:
    """With its runners-up it has one at most, none of them is likelier, and the ranks are those of the scores."""
    verdict = CAUSES[cause].verdict()
    others = [c.probability for c in verdict.runners_up]
    assert others == sorted(others, reverse=True)
    assert max(others) <= verdict.probability
    assert verdict.probability + sum(others) <= 1.001
    if verdict.calibrated:
        assert calibration().lowest <= verdict.probability <= calibration().highest


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_an_abstention_is_never_calibrated(name: str) -> None:
    """Where nobody is named there is a score and no probability."""
    verdict = AMBIGUOUS[name][0].verdict()
    assert not (verdict.component is Component.UNDETERMINED and verdict.calibrated)


def test_only_what_the_sweep_has_seen_is_covered() -> None:
    """Neither two troubles at once, nor a family that was hardly met, nor what other sockets than raw ones measured."""
    core = decide({"a": {c: 8.0 if c == "isp.core.blackhole" else 0.0 for c in tables().prior}}, tables())
    means = calibration()
    assert covered(core, None, means)
    assert not covered(core, core, means)
    assert not covered(core, None, msgspec.structs.replace(means, answers={"isp.core": 19}))
    whole = CAUSES["isp.core.blackhole"]
    assert whole.verdict().calibrated
    lower = [
        msgspec.structs.replace(o, fact=msgspec.structs.replace(o.fact, footing={Protocol.ICMP: PING}))
        if isinstance(o.fact, HostState)
        else o
        for o in whole.observations()
    ]
    below = diagnose(lower, PLATFORM, origin)
    assert (below.cause, below.calibrated) == ("isp.core.blackhole", False)


def test_the_shipped_map_says_where_it_comes_from_and_survives_writing(tmp_path: Path) -> None:
    """The command, the day and the number of worlds are there; what a fit writes is what is read."""
    means = load(CALIBRATION)
    assert means.made_by.startswith("python -m netprobe.lab.fit ")
    assert means.worlds >= 1000
    (tmp_path / "map.toml").write_text(calibration_text(means), encoding="utf-8")
    assert load(tmp_path / "map.toml") == means


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("slope = -1.0", "map.toml: the slope must be above 0, not -1.0: likelier stays likelier"),
        ("highest = 1.0", "map.toml: 0 < lowest < highest < 1 must hold, not "),
        ("slop = 1.0", "map.toml: is no calibration: Object contains unknown field `slop`"),
        ("slope =", "map.toml: is no calibration: "),
    ],
)
def test_a_map_that_cannot_be_is_refused(wrong: str, told: str, tmp_path: Path) -> None:
    """With the file and the reason, in one line."""
    key = wrong.split(" ", maxsplit=1)[0]
    rows = CALIBRATION.read_text(encoding="utf-8").splitlines()
    text = "\n".join([wrong, *(row for row in rows if not row.startswith(f"{key} ="))])
    (tmp_path / "map.toml").write_text(text, encoding="utf-8")
    with pytest.raises(TableError) as error:
        load(tmp_path / "map.toml")
    assert str(error.value).startswith(told)
