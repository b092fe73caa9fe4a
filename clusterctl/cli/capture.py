"""clusterctl capture: one ping, seen at every hop of its path."""

from __future__ import annotations

from pathlib import Path as File
from typing import TYPE_CHECKING, Annotated

import typer

from clusterctl.cli import options
from clusterctl.cli.path import Source, Target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.text import Text

    from clusterctl.cli.access import Access
    from clusterctl.topology.capture import Point, Sighting
    from clusterctl.topology.listen import Seen
    from clusterctl.topology.packets import Packet

WIDE = 44
"""Columns for what is around a packet."""

Count = Annotated[int, typer.Option("--count", min=1, max=50, help="How many pings; the first one is shown.")]
Write = Annotated[
    File | None,
    typer.Option(
        "--write",
        help="Keep all packets for Wireshark: one file where this ends in .pcapng, else a folder with one a host.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("capture", epilog="Example: clusterctl capture qyt1 qyt2 --write ping.pcapng")(capture)


@options.reaching
def capture(
    source: Source,
    target: Target,
    inventory: options.Inventory = options.INVENTORY,
    count: Count = 1,
    write: Write = None,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    quiet: options.Quiet = False,
) -> None:
    """Ping from one container to another while every link on the way listens, and show the packet at each hop.

    The headers that VXLAN puts around the packet stand beside its own. Exits 1 when it is lost on the way.
    """
    from clusterctl.cli import render, wiring
    from clusterctl.cli.path import find
    from clusterctl.cli.progress import shown
    from clusterctl.report import sightings
    from clusterctl.topology import packets
    from clusterctl.topology.capture import points
    from clusterctl.topology.listen import see

    lab = wiring.load_hosts(inventory)
    with wiring.session(lab, "capture", changes=False, access=access, api=False) as session, shown(quiet=quiet) as said:
        found, there, back = find(session, said, source, target)
        files = _files(write, points(found, there, back))
        said.phase_started("Ping and listen")
        seen = see(found, there, back, session.doors, count)
    for file, chosen in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        packets.write(file, {p.name: seen.packets[p] for p in chosen})
    if output is options.Output.JSON:
        render.document(**sightings.document(lab.name, seen, [str(f) for f in files]))
    else:
        _print(seen)
        _closing(seen, files)
    if not sightings.holds(seen.sightings):
        raise typer.Exit(1)


def _files(write: File | None, where: Sequence[Point]) -> dict[File, list[Point]]:
    """Return which points go into which file. Raises InputError where one is there already."""
    from clusterctl.model.errors import InputError

    if write is None:
        return {}
    files: dict[File, list[Point]] = {}
    for point in where:
        files.setdefault(write if write.suffix == ".pcapng" else write / f"{point.host}.pcapng", []).append(point)
    if there := [str(f) for f in files if f.exists()]:
        raise InputError(f"{', '.join(there)} is there already", hint="name another file, or remove it first")
    return files


def _print(found: Seen) -> None:
    from rich.text import Text

    from clusterctl.cli import render

    out, path, seen = render.console(), found.path, found.sightings
    over = f", over {path.network}" if path.network else ""
    out.print(Text.assemble((f"{path.source.label} → {path.target.label}", "bold"), over))
    if any(s.point.tunnelled for s in seen):
        out.print(
            Text.assemble("     ", (f"{'what VXLAN puts around it':{WIDE}}", "magenta"), "  ", ("the packet", "cyan"))
        )
    began = next((s.request.time for s in seen if s.request), 0.0)
    before = ""
    for number, sighting in enumerate(seen, 1):
        point = sighting.point
        if point.host != before:
            out.print(Text(f"\n{point.host}", style="bold"))
            before = point.host
        head = f"{number:3}  {point.place or 'the host'} {point.link}"
        if sighting.request is None:
            out.print(Text(f"{head:45} not seen", style="red"))
            continue
        after = (sighting.request.time - began) * 1000
        out.print(Text(f"{head:44} {after:+9.3f} ms  {sighting.request.length} bytes{_answered(sighting)}"))
        for line in _beside(sighting.request):
            out.print(line, soft_wrap=True)


def _answered(sighting: Sighting) -> str:
    if sighting.request is None or sighting.reply is None:
        return ", no reply seen"
    return f", reply {(sighting.reply.time - sighting.request.time) * 1000:.3f} ms later"


def _beside(packet: Packet) -> list[Text]:
    """Return the headers in two columns: around the packet, and its own."""
    from itertools import zip_longest

    from rich.text import Text

    from clusterctl.report import sightings

    outer, inner = sightings.columns(packet)
    return [
        Text.assemble("     ", (f"{left:{WIDE}}", "magenta"), ("│ " if outer else "  "), (right, "cyan"))
        for left, right in zip_longest(outer, inner, fillvalue="")
    ]


def _closing(found: Seen, files: Mapping[File, Sequence[Point]]) -> None:
    from rich.text import Text

    from clusterctl.cli import render
    from clusterctl.report import sightings

    out, seen = render.console(), found.sightings
    mark, style = render.MARKS["ok" if sightings.holds(seen) else "failed"]
    out.print(Text(f"\n{mark.partition(' ')[0]} {sightings.verdict(seen)}", style=style), soft_wrap=True)
    if found.path.broken:
        out.print(Text(f"  {found.path.broken}", style=style), soft_wrap=True)
    out.print(Text(f"ping: {found.ping.tail(1)}", style="dim"), soft_wrap=True)
    for file, chosen in files.items():
        out.print(Text(f"{file}: {len(chosen)} interfaces; open it with: wireshark {file}"), soft_wrap=True)
