"""The answer in plain words."""

import re
import unicodedata

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netprobe.diagnosis.causes import tables
from netprobe.model.verdict import Component
from netprobe.report.details import details
from netprobe.report.lines import render
from netprobe.report.text import SHOWN_FOR, answer
from tests.report.samples import sample, soiled, whose

#: What a person at home would have to look up.
JARGON = re.compile(
    r"\b(TTL|RTT|SYN|ICMP|TCP|UDP|DNS|SNI|TLS|BGP|MTU|traceroute|resolver|NXDOMAIN|SERVFAIL|packet loss)\b"
)


def shown(scenario: str, width: int = 80) -> str:
    """The answer for a scenario as it is on a pipe."""
    return render(answer(sample(scenario), tables().causes, width=width))


def test_the_answer_says_who_why_how_sure_what_to_do_and_how_long() -> None:
    """Every question of the person at the keyboard has its place."""
    text = shown("isp-core-black-hole")
    assert text.startswith("\n  Your internet provider is at fault.\n")
    for part in (
        "Confidence  ",
        "% probable (as in simulated networks)",
        "How long    ",
        "Why\n",
        "What to do\n",
        "  1. ",
        "Not to blame\n",
    ):
        assert part in text


def test_what_is_announced_is_shown_with_its_source_and_time_whether_it_counts_or_not() -> None:
    """Once, apart from what was measured; where it does not count, why."""
    said = " ".join(shown("maintenance-only-announced").split())
    assert "Announced · newsroom.tiktok.com announces maintenance (2026-11-22 10:00 UTC): “Wartungsarbeiten" in said
    assert said.count("Wartungsarbeiten") == 1
    assert "does not count" not in said
    said = " ".join(shown("isp-resolver-failing-reported").split())
    assert "outages.example tells of trouble (2026-11-22 11:50 UTC): “TikTok is down for thousands of users”." in said
    assert "does not count: what was measured points elsewhere, and words alone accuse nobody" in said
    assert "Announced" not in shown("maintenance")


def test_the_way_breaks_at_the_guilty_one() -> None:
    """One line shows who is innocent, where it breaks, and what is behind."""
    assert "you ━━ home network ✓ ━━ provider ✗ ╌╌ internet ╌╌ TikTok" in shown("isp-core-black-hole")
    assert "you ━━ home network ✗ ╌╌ provider ╌╌ internet ╌╌ TikTok" in shown("gateway-dead")
    assert "✗ blocked ╌╌ TikTok" in shown("sni-reset")
    assert "provider ✓ ━━ internet ✓ ━━ TikTok ✓" in shown("healthy")


@pytest.mark.parametrize(
    "scenario",
    ["healthy", "gateway-dead", "isp-core-black-hole", "transit-outage", "maintenance", "maintenance-announced"],
)
def test_no_networking_vocabulary_is_needed(scenario: str) -> None:
    """The short answer has no word that a person at home would have to look up."""
    assert JARGON.findall(shown(scenario)) == []


def test_what_netprobe_has_checked_is_marked_as_checked() -> None:
    """Step one is not asked of somebody whose connection was found to be fine."""
    text = shown("healthy")
    assert "✓ checked" in text
    assert "Restart the app" in text


def test_nobody_is_told_to_reinstall_an_app_when_the_provider_is_down() -> None:
    """Only the steps that fit are printed."""
    assert "app" not in shown("isp-core-black-hole").partition("What to do")[2].partition("Not to blame")[0]


@pytest.mark.parametrize("width", [40, 72, 80, 100, 200])
def test_it_fits_the_terminal(width: int) -> None:
    """No line is wider than the terminal, but for the way, which is a drawing."""
    rows = [row for row in shown("cdn-vendor-down", width).split("\n") if not row.startswith("  you ")]
    assert max(map(len, rows)) <= width


def test_an_abstention_shows_what_it_could_be_and_what_would_settle_it() -> None:
    """Nobody is blamed, the candidates are named, and the next probe is said."""
    report = sample("isp-core-black-hole")
    verdict = msgspec.structs.replace(
        report.verdict, component=Component.UNDETERMINED, abstained=True, probability=0.4, next_probe="Try a phone."
    )
    text = render(answer(msgspec.structs.replace(report, verdict=verdict), tables().causes))
    assert "It cannot be told yet who is at fault." in text
    assert "What it could be" in text
    assert "To be surer: Try a phone." in text
    assert "✗" not in text


def test_the_short_answer_is_short() -> None:
    """However much was found, only the heaviest findings are listed, and the rest is counted."""
    report = sample("isp-core-black-hole")
    heavy = next(e for e in report.verdict.evidence if e.weight > 0)
    verdict = msgspec.structs.replace(report.verdict, evidence=(heavy,) * (SHOWN_FOR + 3))
    text = render(answer(msgspec.structs.replace(report, verdict=verdict), {}))
    assert text.count("\n    + ") == SHOWN_FOR
    assert "and 3 lesser findings" in text


def test_a_hostile_sentence_cannot_touch_the_terminal() -> None:
    """Text that came from the network carries no escape sequence into the answer."""
    report = sample("isp-core-black-hole")
    verdict = msgspec.structs.replace(report.verdict, sentence="\x1b]0;owned\x07\nnext", next_probe="\x1b[2J")
    text = render(answer(msgspec.structs.replace(report, verdict=verdict), {}))
    assert "\x1b" not in text
    assert "\x07" not in text


@given(st.text(max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_text_at_all_can_be_shown(dirt: str) -> None:
    """Whatever stands in any field of a report: neither the answer nor the measurements carry what acts."""
    report = soiled(sample("sni-reset"), dirt)
    text = render(answer(report, {})) + render(details(report, whose, width=110))
    assert not [c for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]
