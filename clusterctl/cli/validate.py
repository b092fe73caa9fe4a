"""clusterctl validate: read and check both files, touch nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.cli import options

if TYPE_CHECKING:
    import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("validate", epilog="Example: clusterctl validate playbooks/overlay.yml -i inventory/local.yml")(
        validate
    )


def validate(
    playbook: options.Playbook = None,
    inventory: options.Inventory = options.INVENTORY,
    output: options.OutputAs = options.Output.TABLE,
) -> None:
    """Check the inventory and the playbook, alone and together; every problem with its file, line and key."""
    from clusterctl.cli import render, wiring

    lab = wiring.load(inventory, playbook)
    hosts, book = lab.inventory.hosts, lab.playbook
    if output is options.Output.JSON:
        render.document(
            lab=lab.name,
            valid=True,
            hosts=sorted(hosts),
            networks=sorted(book.networks),
            containers=sorted(book.containers),
            expectations=len(book.expect),
        )
        return
    print(
        f"{lab.name}: {len(hosts)} hosts, {len(book.networks)} networks, {len(book.containers)} containers, "
        f"{len(book.expect)} expectations: all well"
    )
