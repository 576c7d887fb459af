"""HTML and SVG that are safe by construction: whatever is not `Markup` is escaped, there is no other way in."""

import html

from netprobe.report.words import clean

Attribute = str | float | int


class Markup(str):
    """Text that is HTML already. Only `tag` and `join` make it."""

    __slots__ = ()


Child = Markup | str
_VOID = frozenset({"meta", "link", "br", "circle", "rect", "line", "path"})
_LONGEST = 600


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """An element. Strings among `children` are cleaned and escaped; `class_` is `class`, and `_` is `-`."""
    written = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"' for key, value in attributes.items())
    if name in _VOID and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Children behind each other, strings escaped."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children))


def escape(text: str) -> Markup:
    """Any text as HTML text."""
    return Markup(html.escape(clean(text, _LONGEST), quote=True))


def verbatim(text: str) -> Markup:
    """Many lines of text that were cleaned line by line, escaped with their line breaks."""
    return Markup(html.escape(text, quote=True))


def _value(value: Attribute) -> str:
    """A number without noise; text escaped."""
    if isinstance(value, str):
        return html.escape(clean(value, 4_000_000), quote=True)
    return f"{value:.2f}".rstrip("0").rstrip(".")
