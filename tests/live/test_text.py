"""Text from strangers."""

from hypothesis import given
from hypothesis import strategies as st

from netprobe.live.text import LIMIT, clean


def test_control_characters_do_not_survive() -> None:
    """A name cannot move the cursor, colour the terminal or turn the line around."""
    assert clean("a\x1b[31mb\r\nc\u202ed") == "a\ufffd[31mb\ufffd\ufffdc\ufffdd"


@given(st.text(max_size=3 * LIMIT))
def test_what_is_kept_is_printable_and_short(text: str) -> None:
    """Whatever is written, one short printable line is kept; what was harmless is not changed."""
    assert clean(text).isprintable()
    assert len(clean(text)) <= LIMIT
    assert clean(clean(text)) == clean(text)
