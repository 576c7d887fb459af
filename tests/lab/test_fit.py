"""The fit of the map: deterministic, honest about what it has not seen, and what it writes about itself."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.diagnosis.calibration import Calibration, log_odds, sigmoid
from netprobe.lab import fit, platt
from netprobe.lab.platt import Answered, families_left_out
from netprobe.lab.plot import reliability_svg
from netprobe.lab.reliability import Forecast, brier, calibration_error, diagram, equal_mass
from netprobe.lab.sweep import Sample, read, sample, sweep
from netprobe.model.record import to_json
from netprobe.model.verdict import Component
from netprobe.topology.asn import AsnTable
from netprobe.topology.platform import load_platform
from tests.report.samples import sample as measured
from tests.scenarios import load

forecasts = st.lists(st.builds(Forecast, st.floats(0.0, 1.0), st.booleans()), max_size=60)


@given(forecasts, st.integers(1, 12))
def test_bins_hold_all_and_equally_many(made: list[Forecast], bins: int) -> None:
    """Nothing is lost, counts differ by one at most, and each share lies in its interval."""
    found = equal_mass(made, bins)
    counts = [one.count for one in found]
    assert sum(counts) == len(made)
    assert len(counts) == min(bins, len(made))
    assert not counts or max(counts) - min(counts) <= 1
    assert all(one.low - 1e-4 <= one.right <= one.high + 1e-4 for one in found)
    assert len(diagram(found)) == len(found) + 1


@given(forecasts)
def test_errors_of_calibration_are_bounded(made: list[Forecast]) -> None:
    """Both measures lie between 0 and 1; with one bin the error is the distance of the means."""
    assert 0 <= calibration_error(made) <= 1
    assert 0 <= brier(made) <= 1
    if made:
        means = [sum(values) / len(made) for values in zip(*made, strict=True)]
        assert calibration_error(made, 1) == pytest.approx(abs(means[0] - means[1]))


def drawn(count: int, slope: float, offset: float) -> list[Answered]:
    """Answers of a weighing whose scores mean what such a map says."""
    draw, found = random.Random("drawn"), []
    for _ in range(count):
        score = draw.uniform(0.5, 0.99)
        right = draw.random() < sigmoid(offset + slope * log_odds(score))
        component = Component.NONE if draw.random() < 0.2 else Component.ISP
        family = draw.choice(("isp.core", "isp.dns", "home.dns"))
        found.append(Answered(score, component, right, right, family, f"{family}.x"))
    return found


def fitted(answers: list[Answered]) -> Calibration:
    return platt.fit(answers, "a test", "2026-12-01", len(answers))


def test_the_map_of_known_answers_is_found_again() -> None:
    """Slope and offset of what the answers were drawn from, and the same each time."""
    means = fitted(drawn(20_000, 0.5, 1.0))
    assert (means.slope, means.offset, means.nobody) == pytest.approx((0.5, 1.0, 0.0), abs=0.12)
    assert means == fitted(drawn(20_000, 0.5, 1.0))


def test_without_a_mistake_nothing_is_certain() -> None:
    """A sweep in which all is right ends below what so few worlds can show, and the map still rises."""
    answers = [one._replace(right=True) for one in drawn(300, 1.0, 1.0)]
    means = fitted(answers)
    assert means.highest == pytest.approx(1 - 30 / 300)
    assert means.slope > 0
    with pytest.raises(ValueError, match="too few"):
        fitted(answers[:40])


def test_a_family_that_is_left_out_is_judged_by_the_others() -> None:
    """Each answer is forecast once, by a map that its family had no part in."""
    seen: list[set[str]] = []

    def spied(answers: list[Answered]) -> Calibration:
        seen.append({one.truth for one in answers})
        return fitted(answers)

    answers = drawn(1000, 1.0, 1.0)
    assert len(families_left_out(answers, spied)) == len(answers)  # type: ignore[arg-type]
    assert seen == [{"isp.core", "isp.dns"}, {"home.dns", "isp.dns"}, {"home.dns", "isp.core"}]


def test_samples_are_kept_and_not_measured_again(tmp_path: Path) -> None:
    """A sweep goes on where it stopped; a line that was cut off is measured again."""
    keep = tmp_path / "samples.jsonl"
    with AsnTable.open() as table:
        first = list(sweep([1], load_platform(), table.lookup, keep))
        keep.write_bytes(keep.read_bytes() + b'{"name":')
    assert read(keep) == first
    with AsnTable.open() as table:
        assert list(sweep([1], load_platform(), lambda _: pytest.fail("measured again"), keep)) == first
    assert first[0].evidence()


def test_a_fit_says_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From kept samples: a report with the figures and both diagrams, and no table where none is wanted."""
    keep, told = tmp_path / "samples.jsonl", tmp_path / "report.md"
    names = ("isp-core-black-hole", "gateway-dead", "healthy")
    some = [sample(load(name), measured(name).verdict) for name in names]
    copies = [Sample(f"world-{n}", some[n % 3].truth, some[n % 3].states) for n in range(1, 141)]
    keep.write_bytes(b"".join(to_json(copy) + b"\n" for copy in copies))
    asked = f"--worlds 100 --seed 1 --held-out 40 --held-out-seed 101 --dry-run --keep {keep} --report {told}"
    assert fit.main(asked.split()) == 0
    text = told.read_text(encoding="utf-8")
    assert capsys.readouterr().out == text
    for part in ("100 generated worlds seen, 40 held out", "ECE (component)", "## Reliability diagram, held out"):
        assert part in text


def test_the_picture_shows_every_bin() -> None:
    """A point for each, with its figures."""
    bins = equal_mass([Forecast(0.9 + n / 1000, n % 10 != 0) for n in range(100)])
    assert reliability_svg(bins).count("<circle") == len(bins)
