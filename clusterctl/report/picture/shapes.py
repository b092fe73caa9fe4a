"""What a picture is made of, in pixels from its upper left corner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle. about: what shows when one points at it."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str = "none"
    line: float = 1.0
    dash: str = ""
    radius: float = 6.0
    about: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line through some points."""

    points: tuple[tuple[float, float], ...]
    stroke: str
    width: float = 1.8
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """A dot where a line ends."""

    x: float
    y: float
    fill: str
    radius: float = 3.6


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; y is its baseline. anchor: start, middle or end."""

    x: float
    y: float
    text: str
    size: float
    fill: str
    bold: bool = False
    anchor: str = "start"


Shape = Rect | Line | Dot | Text


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture; later shapes lie on earlier ones. about: the same in words, for those who do not see it."""

    width: float
    height: float
    title: str
    about: str
    shapes: tuple[Shape, ...]
