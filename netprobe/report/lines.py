"""Styled lines for a terminal: spans of text with a style out of a closed list, wrapped here, coloured at the very end.

Plain output is the same lines without colour; a terminal that knows no UTF-8 gets the same lines in ASCII.
"""

import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

#: Style -> SGR parameters (ECMA-48, 8.3.117).
STYLES: dict[str, str] = {
    "": "",
    "strong": "1",
    "faint": "2",
    "good": "32",
    "bad": "1;31",
    "warn": "33",
    "mark": "36",
}
_ASCII = str.maketrans(
    {
        "✓": "+", "✗": "X", "━": "=", "╌": "-", "–": "-", "—": "-", "·": ".", "…": "...", "→": "->", "−": "-",
        "×": "x", "●": "o", "│": "|", "├": "+", "└": "`", "─": "-", "•": "*", "\ufffd": "?", "≈": "~", "▸": ">",
    }
)  # fmt: skip


class Span(NamedTuple):
    """A piece of a line. `style` is a key of STYLES."""

    text: str
    style: str = ""


Line = tuple[Span, ...]
BLANK: Line = ()


def line(text: str, style: str = "") -> Line:
    """A line of one span."""
    return (Span(text, style),)


def paragraph(text: str, *, width: int, first: Sequence[Span] = (), indent: int = 0, style: str = "") -> list[Line]:
    """`text` wrapped to `width` columns, after the spans `first` on the first line, `indent` blanks on the others.

    A no-break space holds its neighbours together, and is shown as a plain one.
    """
    lead = sum(len(span.text) for span in first)
    room = max(20, width)
    pieces = textwrap.wrap(
        text, room, initial_indent=" " * lead, subsequent_indent=" " * indent, break_on_hyphens=False
    ) or [" " * lead]
    pieces = [piece.replace("\u00a0", " ") for piece in pieces]
    return [
        (*first, Span(pieces[0][lead:], style)),
        *((Span(" " * indent), Span(piece[indent:], style)) for piece in pieces[1:]),
    ]


def render(lines: Iterable[Line], *, colour: bool = False, ascii_only: bool = False) -> str:
    """The lines as text with a line feed after each; SGR colours and a fall-back to ASCII on demand."""
    return "".join(_line(spans, colour=colour, ascii_only=ascii_only) + "\n" for spans in lines)


def _line(spans: Line, *, colour: bool, ascii_only: bool) -> str:
    shown = "".join(_span(span, colour=colour) for span in spans).rstrip(" ")
    return shown.translate(_ASCII).encode("ascii", "replace").decode() if ascii_only else shown


def _span(span: Span, *, colour: bool) -> str:
    sgr = STYLES[span.style]
    return f"\x1b[{sgr}m{span.text}\x1b[0m" if colour and sgr and span.text.strip() else span.text
