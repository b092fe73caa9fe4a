"""clusterctl path: the hops of a packet from one container to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Session
    from clusterctl.plan.runner import Listener
    from clusterctl.topology.path import Hop, Path
    from clusterctl.topology.topology import Topology

Source = Annotated[str, typer.Argument(metavar="FROM", help="A container, HOST:CONTAINER, or a host.")]
Target = Annotated[str, typer.Argument(metavar="TO", help="A container, HOST:CONTAINER, or a host.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("path", epilog="Example: clusterctl path qyt1 qyt2 -i inventory/local.yml")(path)


@options.reaching
def path(
    source: Source,
    target: Target,
    inventory: options.Inventory = options.INVENTORY,
    output: options.OutputAs = options.Output.TABLE,
    strict: options.Strict = False,
    access: Access = options.ACCESS,
    quiet: options.Quiet = False,
) -> None:
    """Show the hops of a packet between two containers, each with the command that proves it, or where it breaks.

    It is read from the kernels' tables; no packet is sent (`clusterctl capture` does that). Exits 1 when it breaks.
    """
    from clusterctl.cli import render, wiring
    from clusterctl.cli.progress import shown
    from clusterctl.report import hops

    lab = wiring.load_hosts(inventory)
    with wiring.session(lab, "path", changes=False, access=access, api=False) as session, shown(quiet=quiet) as said:
        _, there, back = find(session, said, source, target)
    if output is options.Output.JSON:
        render.document(**hops.document(lab.name, there, back))
    else:
        _print(there, back)
    if not hops.holds(there, back) or (strict and (there.warnings or back.warnings)):
        raise typer.Exit(1)


def find(session: Session, listener: Listener, source: str, target: str) -> tuple[Topology, Path, Path]:
    """Read all hosts and return what was read, the path between two names, and the path back. Raises InputError."""
    from clusterctl.cli.net import read
    from clusterctl.topology.trace import end, trace

    found = read(session, listener)
    one, other = end(found, source), end(found, target)
    return found, trace(found, one, other), trace(found, other, one)


def _print(there: Path, back: Path) -> None:
    from rich.text import Text

    from clusterctl.cli import render
    from clusterctl.report import hops

    out = render.console()
    over = f", over {there.network}" if there.network else ""
    out.print(Text.assemble((f"{there.source.label} → {there.target.label}", "bold"), f"{over}\n"))
    _print_hops(out, there.hops)
    _print_verdict(out, there, hops.verdict(there))
    out.print(Text.assemble((f"{back.source.label} → {back.target.label}", "bold"), ", the way back"))
    crossing = [h for h in back.hops if h.link.kind == "vxlan" and "→" in h.does]
    for hop in crossing:
        out.print(Text(f"    {hop.host}: {hop.link.name}: {hop.does}"), soft_wrap=True)
    _print_verdict(out, back, hops.verdict(back))


def _print_hops(out: Console, found: tuple[Hop, ...]) -> None:
    from rich.text import Text

    from clusterctl.report.netmap import numbered

    places = [h.place or "the host" for h in found]
    links = [numbered(h.link) for h in found]
    width, wide = (max(map(len, words), default=0) for words in (places, links))
    before = ""
    for number, (hop, place) in enumerate(zip(found, places, strict=True), 1):
        if hop.host != before:
            out.print(Text(hop.host, style="bold"))
            before = hop.host
        facts = f"{number:3}  {place:{width}}  {numbered(hop.link):{wide}}  mtu {hop.link.mtu:5}  {hop.link.mac:17}"
        out.print(Text(f"{facts}  {', '.join(hop.link.addresses)}".rstrip()), soft_wrap=True)
        if hop.does and hop.does not in hop.link.addresses:
            out.print(Text(f"     {hop.does}", style="cyan"), soft_wrap=True)
        if hop.trouble:
            out.print(Text(f"     ! {hop.trouble}", style="yellow"), soft_wrap=True)
        for command in hop.commands:
            out.print(Text(f"     $ {command}", style="dim"), soft_wrap=True)


def _print_verdict(out: Console, path: Path, words: str) -> None:
    from rich.text import Text

    from clusterctl.cli import render

    severity = "ok" if not path.broken else "failed" if path.sure else "unknown"
    mark, style = render.MARKS[severity]
    out.print(Text(f"{mark.partition(' ')[0]} {words}\n", style=style), soft_wrap=True)
