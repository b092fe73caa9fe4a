"""clusterctl hosts: the machines by themselves, nothing on them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import typer

from clusterctl.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from clusterctl.cli.access import Access


hosts = typer.Typer(
    help="The hosts alone: list them, make them, take them away.",
    no_args_is_help=True,
    epilog="Example: clusterctl hosts list -i inventory/local.yml",
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(hosts, name="hosts")


@hosts.command("list", epilog="Example: clusterctl hosts list -o json")
def list_hosts(
    inventory: options.Inventory = options.INVENTORY, output: options.OutputAs = options.Output.TABLE
) -> None:
    """List the inventory's hosts and whether they are there; no host is asked anything."""
    from clusterctl.cli import render, wiring

    lab = wiring.load_hosts(inventory)
    with wiring.session(lab, "hosts list", changes=False, connect=False) as session:
        present = session.provider.present(lab)
    rows = [
        {
            "name": host.name,
            "address": host.address,
            "cluster_address": host.cluster_address,
            "roles": [str(r) for r in host.roles],
            "present": host.name in present,
        }
        for host in lab.inventory.hosts.values()
    ]
    if output is options.Output.JSON:
        render.document(lab=lab.name, provider=str(lab.inventory.provider), hosts=rows)
        return
    made = render.table("host", "address", "cluster address", "roles", "there")
    for host in lab.inventory.hosts.values():
        there = "yes" if host.name in present else "no"
        made.add_row(host.name, host.address, host.cluster_address, ", ".join(map(str, host.roles)), there)
    render.console().print(made)


@hosts.command("up", epilog="Example: clusterctl hosts up -i inventory/local.yml")
@options.reaching
def hosts_up(
    inventory: options.Inventory = options.INVENTORY,
    access: Access = options.ACCESS,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Make the hosts and wait until they answer; nothing is installed on them."""

    _change(inventory, "hosts up", access=access, consent=True, verbose=verbose, quiet=quiet)


@hosts.command("down", epilog="Example: clusterctl hosts down -i inventory/local.yml --yes")
def hosts_down(
    inventory: options.Inventory = options.INVENTORY,
    yes: options.Yes = False,
    verbose: options.Verbose = False,
    quiet: options.Quiet = False,
) -> None:
    """Destroy the hosts that were made for the lab, with all that is on them."""
    _change(inventory, "hosts down", access=None, consent=yes, verbose=verbose, quiet=quiet)


def _change(inventory: Path, doing: str, *, access: Access | None, consent: bool, verbose: bool, quiet: bool) -> None:
    """Make the hosts, or take them away where nobody has to get to them (access is None)."""
    from clusterctl.cli import wiring
    from clusterctl.cli.consent import ask
    from clusterctl.cli.work import shown_work

    lab = wiring.load_hosts(inventory)
    started = time.monotonic()
    down = access is None
    with wiring.session(lab, doing, changes=True, access=access, strict=True, connect=not down) as session:
        if down and session.provider.destroys:
            ask(f"lab {lab.name}: DESTROY the hosts {', '.join(lab.inventory.hosts)}", yes=consent)
        with shown_work(session, verbose=verbose, quiet=quiet) as listener:
            runner = session.runner(listener)
            runner.run(session.provider.down if down else session.provider.up)
    what = f"{runner.done} actions" if runner.done else "nothing to do"
    print(f"{lab.name}: {what}, {time.monotonic() - started:.1f} s")
