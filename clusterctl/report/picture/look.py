"""The looks of the picture: sizes in pixels, and colours that are told apart by most eyes and on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.model.facts import GATEWAY_BRIDGE
from clusterctl.report.picture.scene import DEFAULT

if TYPE_CHECKING:
    from clusterctl.report.picture.scene import Scene

INK, SOFT, PAPER, PANEL, EDGE = "#1f2328", "#57606a", "#ffffff", "#f6f8fa", "#8c959f"
WRONG = "#a40e26"

NAME, PLAIN, SMALL, HEAD = 13.5, 12.0, 10.5, 16.0
"""Sizes of text."""

MARGIN, PADDING = 24.0, 16.0
BOX_LEAST, BOX_MOST = 150.0, 300.0
HEADER, PORT = 44.0, 34.0
"""The heights of a box's head and of one interface in it."""
BAR, BETWEEN_BARS = 46.0, 22.0
LANE = 9.0
"""Between two lines side by side."""
WIRE = 30.0

_COLOURS = (
    ("#0969da", "#ddf4ff"),
    ("#1a7f37", "#dafbe1"),
    ("#8250df", "#fbefff"),
    ("#bc4c00", "#fff1e5"),
    ("#0f766e", "#d5f5f0"),
    ("#bf3989", "#ffeff7"),
    ("#7d4e00", "#fff8c5"),
)
_OWN = ("#57606a", "#eef1f4")


def colours(scene: Scene, network: str) -> tuple[str, str]:
    """Return a network's colour for lines, and for surfaces; Docker's own and what is none are grey."""
    named = [n for n in scene.networks if n not in (DEFAULT, GATEWAY_BRIDGE)]
    if network not in named:
        return _OWN
    return _COLOURS[named.index(network) % len(_COLOURS)]
