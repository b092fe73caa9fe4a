"""clusterctl net: what joins containers and hosts, as it is there right now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from clusterctl.cli.access import Access
    from clusterctl.cli.wiring import Session
    from clusterctl.plan.runner import Listener
    from clusterctl.topology.topology import Topology

net = typer.Typer(
    help="What joins containers and hosts, as it is there right now.",
    no_args_is_help=True,
    epilog="Example: clusterctl net map -i inventory/local.yml",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(net, name="net")


@net.command("map", epilog="Example: clusterctl net map -o json")
@options.reaching
def show_map(
    inventory: options.Inventory = options.INVENTORY,
    output: options.OutputAs = options.Output.TABLE,
    access: Access = options.ACCESS,
    quiet: options.Quiet = False,
) -> None:
    """Show which link on the host belongs to which container, for all containers of all hosts.

    Changes nothing; exits 1 when a host could not be asked.
    """
    from clusterctl.cli import render, wiring
    from clusterctl.cli.progress import shown
    from clusterctl.report import netmap

    lab = wiring.load_hosts(inventory)
    with (
        wiring.session(lab, "net map", changes=False, access=access, api=False) as session,
        shown(quiet=quiet) as listener,
    ):
        found = read(session, listener)
    if output is options.Output.JSON:
        render.document(**netmap.document(lab.name, found))
    else:
        _print(found)
    if found.missing or any(h.trouble for h in found.hosts.values()):
        raise typer.Exit(1)


def read(session: Session, listener: Listener) -> Topology:
    """Read the links of every host that is there."""
    from clusterctl.topology.topology import look

    listener.phase_started("Read the links")
    hosts, present = session.lab.inventory.hosts, session.provider.present(session.lab)
    addresses = {name: host.cluster_address for name, host in hosts.items()}
    return look(addresses, session.doors, [name for name in hosts if name not in present])


def _print(found: Topology) -> None:
    from rich.text import Text

    from clusterctl.cli import render
    from clusterctl.report import netmap

    out = render.console()
    for host in found.hosts.values():
        made = render.table("container", "interface", "address", "network", "on the host", "behind it")
        made.collapse_padding = True
        before = ""
        for row in netmap.rows(host):
            state = "" if row.state == "running" else f" ({row.state})"
            name = "" if row.container == before else f"{row.container}{state}"
            before = row.container
            made.add_row(*map(Text, (name, row.interface, row.address, row.network, row.joined, row.behind)))
        cards = ", ".join(f"{netmap.numbered(c)} {' '.join(c.addresses)} mtu {c.mtu}" for c in host.cards)
        out.print(Text.assemble((host.name, "bold"), f"  {cards}"))
        out.print(made if made.row_count else Text(f"no containers{f': {host.trouble}' if host.trouble else ''}\n"))
    for name, why in found.missing.items():
        out.print(Text(f"? {name}: {why.removeprefix(f'{name}: ')}", style="magenta"), soft_wrap=True)
    hint = _by_hand(found)
    if hint:
        out.print(Text(hint), soft_wrap=True)


def _by_hand(found: Topology) -> str:
    """Return for one interface what a person would type to find its other end."""
    from clusterctl.report import netmap

    for host in found.hosts.values():
        for container in host.containers:
            for attachment in host.attachments(container):
                if attachment.port:
                    lines = "\n".join(f"  {host.name}: {line}" for line in netmap.commands(host, attachment))
                    return f"by hand, for {container.name}'s {attachment.interface.name}:\n{lines}"
    return ""
