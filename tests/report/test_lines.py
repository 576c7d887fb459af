"""Styled lines: wrapping, colours, and terminals that know neither colours nor UTF-8."""

import re

from hypothesis import given
from hypothesis import strategies as st

from netprobe.report.lines import STYLES, Span, line, paragraph, render


@given(st.text(alphabet="abc def-", max_size=300), st.integers(20, 100), st.integers(0, 8))
def test_no_line_of_a_paragraph_is_wider_than_asked_for(text: str, width: int, indent: int) -> None:
    """Words wrap within the width, whatever stands before the first line."""
    lines = paragraph(text, width=width, first=(Span(" " * indent),), indent=indent)
    assert all(len(row) <= width for row in render(lines).split("\n"))


def test_a_paragraph_keeps_its_words_and_its_lead() -> None:
    """What stands first stays first, and the rest is indented below it."""
    shown = render(paragraph("one two three four five", width=20, first=(Span("  + ", "good"),), indent=4))
    assert shown == "  + one two three\n    four five\n"


def test_plain_output_has_no_escape_and_colour_ends_where_it_began() -> None:
    """A pipe gets text; on a terminal every colour is switched off again."""
    lines = [line("fault", "bad"), (Span("a"), Span("b", "good"))]
    assert render(lines) == "fault\nab\n"
    assert render(lines, colour=True) == "\x1b[1;31mfault\x1b[0m\na\x1b[32mb\x1b[0m\n"
    assert all(re.fullmatch(r"[0-9;]*", sgr) for sgr in STYLES.values())


def test_a_terminal_without_utf8_gets_ascii() -> None:
    """Marks have a stand-in, anything else a question mark."""
    assert render([line("✓ home ━━ ✗ 漢")], ascii_only=True) == "+ home == X ?\n"
