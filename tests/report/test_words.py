"""What people read: confidence, components, times, and text made safe."""

import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netprobe.model.verdict import Component, Verdict
from netprobe.report.words import capitalised, clean, confidence, duration, headline, milliseconds, moment, percent, who


@given(st.text(max_size=400), st.integers(1, 300))
def test_clean_text_is_one_safe_line(text: str, limit: int) -> None:
    """No control character, no line break, no bidirectional override, and not longer than asked for."""
    shown = clean(text, limit)
    assert len(shown) <= limit
    assert all(unicodedata.category(c)[0] != "C" and (c == " " or not c.isspace()) for c in shown)


def test_a_terminal_escape_is_not_passed_on() -> None:
    """A server's title cannot move the cursor or change the colour."""
    assert clean("\x1b[31mhacked\x07") == "\ufffd[31mhacked\ufffd"


def test_an_uncalibrated_score_is_never_called_a_probability() -> None:
    """Without calibration the word is a word, and the number is called a score."""
    verdict = Verdict(Component.ISP, "isp.core.blackhole", "d", 0.97, "s")
    assert confidence(verdict) == "high (score 0.97, not calibrated)"
    assert "%" not in confidence(verdict)
    assert confidence(msgspec.structs.replace(verdict, calibrated=True)) == "97 % probable (as in simulated networks)"
    inner = msgspec.structs.replace(verdict, cause="isp.access", abstained=True)
    assert confidence(inner) == "high (score 0.97, not calibrated)"
    nobody = msgspec.structs.replace(verdict, component=Component.UNDETERMINED, probability=0.4, abstained=True)
    assert confidence(nobody) == "too low to name anybody (score 0.40)"


@given(st.floats(0.0, 1.0))
def test_nothing_is_certain(value: float) -> None:
    """A probability is never shown as 0 % or as 100 %."""
    assert percent(value) not in {"0 %", "100 %"}


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (90061, "1 d 1 h"),
        (-5, "0 s"),
    ],
)
def test_durations_are_said_in_their_two_largest_units(seconds: float, shown: str) -> None:
    """An hour and a second is an hour."""
    assert duration(seconds) == shown


@given(st.floats(allow_nan=False))
def test_every_time_can_be_shown(unix_s: float) -> None:
    """A wrong clock in a recorded report is shown, not raised."""
    assert moment(unix_s).endswith(" UTC")


def test_every_component_has_words() -> None:
    """Each component of the contract can be a headline and a name in a sentence."""
    for component in Component:
        assert "TikTok" in headline(component, "tiktok") or "{" not in headline(component, "tiktok")
        assert who(component, "tiktok")


def test_round_trips_keep_three_digits() -> None:
    """Milliseconds with a digit behind the point below 100, none above, and a dash for none."""
    assert [milliseconds(s) for s in (0.0004, 0.0123, 0.0999, 0.2501, None)] == [
        "0.4 ms",
        "12.3 ms",
        "100 ms",
        "250 ms",
        "-",
    ]


def test_a_capital_changes_the_first_letter_only() -> None:
    """TikTok stays TikTok."""
    assert capitalised("the way to TikTok") == "The way to TikTok"
    assert capitalised("") == ""
