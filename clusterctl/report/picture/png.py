"""A picture as PNG, drawn from its SVG."""

from __future__ import annotations

from pathlib import Path

from clusterctl.model.errors import ClusterctlError

FONTS = (
    "/usr/share/fonts", "/usr/local/share/fonts", "~/.fonts", "~/.local/share/fonts", "/System/Library/Fonts",
    "/Library/Fonts",
)  # fmt: skip
"""Where systems keep fonts."""
ZOOM = 2.0
"""Pixels of the image for one of the drawing: sharp on paper and on fine screens."""


def png(svg: str) -> bytes:
    """Return the image. Raises ClusterctlError where this machine has no font to write with."""
    import resvg_py

    if not any(_fonts(Path(folder).expanduser()) for folder in FONTS):
        raise ClusterctlError("this machine has no fonts to draw with", hint="apt-get install fonts-dejavu-core")
    return resvg_py.svg_to_bytes(svg_string=svg, zoom=ZOOM, background="#ffffff", sans_serif_family="DejaVu Sans")


def _fonts(folder: Path) -> bool:
    return folder.is_dir() and any(p.suffix.lower() in (".ttf", ".otf", ".ttc") for p in folder.rglob("*"))
