"""A drawing as SVG: one self-contained element, without styles or scripts, that a page can hold as well."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from clusterctl.report.picture.shapes import Dot, Line, Rect, Text

if TYPE_CHECKING:
    from clusterctl.report.picture.shapes import Drawing, Shape

FONTS = "DejaVu Sans, Noto Sans, Liberation Sans, Helvetica, Arial, Noto Sans CJK SC, WenQuanYi Zen Hei, sans-serif"


def svg(drawing: Drawing) -> str:
    """Return the drawing. What users have named stands in it escaped."""
    size = f'width="{_n(drawing.width)}" height="{_n(drawing.height)}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {_n(drawing.width)} {_n(drawing.height)}" '
        f'role="img" font-family="{FONTS}">'
    )
    words = f"<title>{_text(drawing.title)}</title>\n<desc>{_text(drawing.about)}</desc>"
    return "\n".join([head, words, *map(_shape, drawing.shapes), "</svg>", ""])


def _shape(shape: Shape) -> str:
    match shape:
        case Rect():
            return _rect(shape)
        case Line():
            points = " ".join(f"{_n(x)},{_n(y)}" for x, y in shape.points)
            return (
                f'<polyline points="{points}" fill="none" stroke="{shape.stroke}" stroke-width="{_n(shape.width)}" '
                f'stroke-linejoin="round"{_dash(shape.dash)}/>'
            )
        case Dot():
            return f'<circle cx="{_n(shape.x)}" cy="{_n(shape.y)}" r="{_n(shape.radius)}" fill="{shape.fill}"/>'
        case Text():
            bold = ' font-weight="bold"' if shape.bold else ""
            anchor = f' text-anchor="{shape.anchor}"' if shape.anchor != "start" else ""
            place = f'x="{_n(shape.x)}" y="{_n(shape.y)}" font-size="{_n(shape.size)}"'
            return f'<text {place} fill="{shape.fill}"{bold}{anchor} xml:space="preserve">{_text(shape.text)}</text>'


def _rect(shape: Rect) -> str:
    radius = f' rx="{_n(shape.radius)}"' if shape.radius else ""
    attributes = (
        f'x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.width)}" height="{_n(shape.height)}"{radius} '
        f'fill="{shape.fill}" stroke="{shape.stroke}" stroke-width="{_n(shape.line)}"{_dash(shape.dash)}'
    )
    if shape.about:
        return f"<rect {attributes}><title>{_text(shape.about)}</title></rect>"
    return f"<rect {attributes}/>"


def _dash(dash: str) -> str:
    return f" stroke-dasharray={quoteattr(dash)}" if dash else ""


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _text(text: str) -> str:
    """Return text for XML; characters that XML cannot hold show as the sign for that."""
    return escape("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))
