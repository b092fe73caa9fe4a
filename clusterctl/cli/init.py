"""clusterctl init: a starter inventory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from clusterctl.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("init", epilog="Example: clusterctl init --ssh root@192.0.2.11 root@192.0.2.12 -i my.yml")(init)


def init(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            help="With --ssh the hosts, as [user@]address[:port]; with --vagrant the Vagrantfile's folder, here unless "
            "given.",
            show_default=False,
        ),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Hosts made on this machine.")] = False,
    ssh: Annotated[bool, typer.Option("--ssh", help="Machines that exist.")] = False,
    vagrant: Annotated[bool, typer.Option("--vagrant", help="The machines of a Vagrantfile.")] = False,
    name: Annotated[str, typer.Option("--name", help="The lab's name.")] = "lab",
    inventory: options.Inventory = Path("inventory.yml"),
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a commented starter inventory; “-i -” prints it instead."""
    from clusterctl.model import starter
    from clusterctl.model.errors import InputError
    from clusterctl.model.inventory import load_inventory

    if local + ssh + vagrant != 1:
        raise InputError("say where the hosts come from", hint="one of --local, --ssh, --vagrant")
    if ssh and not targets:
        raise InputError("--ssh needs the hosts", hint="clusterctl init --ssh root@192.0.2.11 root@192.0.2.12")
    if targets and local:
        raise InputError(f"{targets[0]!r}: hosts are only named with --ssh")
    if vagrant and len(targets or ()) > 1:
        raise InputError("--vagrant takes one folder", hint="clusterctl init --vagrant FOLDER")
    try:
        if vagrant:
            text = _of_vagrant(name, Path((targets or ["."])[0]), inventory)
        else:
            text = starter.ssh(name, targets or ()) if ssh else starter.local(name)
    except ValueError as error:
        raise InputError(str(error)) from error
    # What is wrong in the arguments is said now, in the words of the file that would come of them.
    load_inventory(text, str(inventory))
    if str(inventory) == "-":
        print(text, end="")
        return
    if inventory.exists() and not force:
        raise InputError(f"{inventory} exists", hint="choose another name with -i, or write over it with --force")
    try:
        inventory.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{inventory}: {error.strerror}") from error
    print(f"{inventory} written")
    print(f"next: clusterctl validate -i {inventory}, then clusterctl up -i {inventory}")


def _of_vagrant(name: str, folder: Path, inventory: Path) -> str:
    from clusterctl.model import starter
    from clusterctl.model.errors import InputError
    from clusterctl.providers.vagrant.found import machines

    print(f"asking Vagrant in {folder}", file=sys.stderr)
    found = machines(folder)
    if not found:
        raise InputError(f"{folder / 'Vagrantfile'} defines no machine")
    beside = Path.cwd() if str(inventory) == "-" else inventory.parent
    return starter.vagrant(name, found, os.path.relpath(folder, beside))
