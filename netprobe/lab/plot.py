"""A reliability diagram as SVG, by the report's own helpers: what was said to the right, what came true upwards."""

from collections.abc import Sequence

from netprobe.lab.reliability import Bin
from netprobe.report.markup import Markup, tag

_SIZE, _EDGE = 360.0, 40.0
_STYLE = "text{font:11px sans-serif;fill:#444}path,line{fill:none;stroke:#888}.dot{fill:#1668a8}.chance{stroke:#1668a8}"


def reliability_svg(bins: Sequence[Bin]) -> Markup:
    """The bins with their intervals beside the diagonal, on axes that begin where the first bin needs them to."""
    least = min([0.9, *(one.low for one in bins), *(one.stated for one in bins)])
    begin = int(least * 20) / 20

    def right(value: float) -> float:
        return round(_EDGE + (value - begin) / (1.0 - begin) * (_SIZE - _EDGE - 10), 1)

    def down(value: float) -> float:
        return round(_SIZE - right(value), 1)

    shapes: list[Markup] = [tag("path", d=f"M{right(begin)} {down(begin)}L{right(1.0)} {down(1.0)}")]
    for step in range(5):
        value = begin + (1.0 - begin) * step / 4
        shapes += [
            tag("line", x1=right(begin), x2=right(1.0), y1=down(value), y2=down(value), stroke_opacity=0.3),
            tag("text", f"{value:.3f}", x=2, y=down(value) + 4),
            tag("text", f"{value:.2f}", x=right(value) - 10, y=_SIZE - 22),
        ]
    for one in bins:
        at = right(one.stated)
        told = f"{one.count} answers: {one.stated:.3f} said, {one.right:.3f} right ({one.low:.3f}–{one.high:.3f})"
        shapes += [
            tag("line", x1=at, x2=at, y1=down(one.low), y2=down(one.high), class_="chance"),
            tag("circle", tag("title", told), cx=at, cy=down(one.right), r=4, class_="dot"),
        ]
    shapes.append(tag("text", "said", x=_SIZE / 2, y=_SIZE - 6))
    shapes.append(tag("text", "came true", x=2, y=12))
    return tag("svg", tag("style", _STYLE), tag("title", "Reliability diagram"), *shapes,
               xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_SIZE:.0f} {_SIZE:.0f}")  # fmt: skip
