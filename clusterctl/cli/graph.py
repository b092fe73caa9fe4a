"""clusterctl graph: the lab as a picture."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from clusterctl.cli.access import Access
    from clusterctl.report.picture.scene import Scene


class Format(StrEnum):
    """What the picture is written as."""

    SVG = "svg"
    PNG = "png"
    MERMAID = "mermaid"
    DOT = "dot"


ENDINGS = {".svg": Format.SVG, ".png": Format.PNG, ".mmd": Format.MERMAID, ".dot": Format.DOT, ".gv": Format.DOT}

As = Annotated[
    Format | None,
    typer.Option(
        "--format",
        envvar="CLUSTERCTL_FORMAT",
        help="By default what the file's name says, else SVG.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("graph", epilog="Example: clusterctl graph -i inventory/local.yml --write lab.svg")(graph)


@options.reaching
def graph(
    inventory: options.Inventory = options.INVENTORY,
    form: As = None,
    write: options.Write = None,
    access: Access = options.ACCESS,
    quiet: options.Quiet = False,
) -> None:
    """Draw the lab as it is right now: hosts, containers with addresses, bridges, VXLAN tunnels, network cards.

    Changes nothing; exits 1 when a host could not be asked. That host is in the picture, with the reason.
    """
    from clusterctl.cli import wiring
    from clusterctl.cli.net import read
    from clusterctl.cli.progress import shown
    from clusterctl.model.errors import InputError
    from clusterctl.report.picture.scene import scene

    form = form or (ENDINGS.get(write.suffix.lower(), Format.SVG) if write else Format.SVG)
    if form is Format.PNG and write is None and sys.stdout.isatty():
        raise InputError("a PNG does not go to a terminal", hint="--write lab.png")
    lab = wiring.load_hosts(inventory)
    with wiring.session(lab, "graph", changes=False, access=access, api=False) as session, shown(quiet=quiet) as said:
        found = read(session, said)
    drawn = rendered(scene(lab.name, found), form)
    _put(drawn, write)
    if found.missing or any(h.trouble for h in found.hosts.values()):
        raise typer.Exit(1)


def rendered(scene: Scene, form: Format) -> bytes:
    """Return the picture in a format."""
    from clusterctl.report.picture.draw import draw
    from clusterctl.report.picture.svg import svg

    if form is Format.MERMAID:
        from clusterctl.report.picture.mermaid import mermaid

        return mermaid(scene).encode()
    if form is Format.DOT:
        from clusterctl.report.picture.dot import dot

        return dot(scene).encode()
    text = svg(draw(scene))
    if form is Format.SVG:
        return text.encode()
    from clusterctl.report.picture.png import png

    return png(text)


def _put(drawn: bytes, write: Path | None) -> None:
    if write is None:
        sys.stdout.buffer.write(drawn)
        return
    write.write_bytes(drawn)
    print(f"{write}: {len(drawn) / 1024:.0f} KiB")
