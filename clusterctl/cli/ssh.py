"""clusterctl ssh: log in to a host with the lab's own keys."""

from __future__ import annotations

import os
import shutil
from typing import Annotated

import typer

from clusterctl.cli import options


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ssh", epilog="Example: clusterctl ssh docker1 · clusterctl ssh docker1 -- docker network ls")(ssh)


def ssh(
    host: Annotated[str, typer.Argument(help="A host of the inventory.")],
    command: Annotated[list[str] | None, typer.Argument(help="A command to run there instead of a shell.")] = None,
    inventory: options.Inventory = options.INVENTORY,
) -> None:
    """Log in to a host with OpenSSH; the lab's keys and host keys are used, and no others."""
    import shlex

    from clusterctl.cli import wiring
    from clusterctl.model.errors import InputError
    from clusterctl.providers.access import CONFIG

    lab = wiring.load_hosts(inventory)
    if host not in lab.inventory.hosts:
        raise InputError(f"host {host!r} is not in the inventory", hint=f"one of: {', '.join(lab.inventory.hosts)}")
    config = lab.state / CONFIG
    if not config.exists():
        raise InputError(f"lab {lab.name} has not been brought up from here", hint="clusterctl up")
    if not shutil.which("ssh"):
        raise InputError("ssh is not installed on this machine", hint="apt-get install openssh-client")
    # One word a word: OpenSSH joins them with spaces and the shell over there splits them again.
    words = [shlex.join(command)] if command else []
    os.execvp("ssh", ["ssh", "-F", str(config), host, *words])  # noqa: S606
