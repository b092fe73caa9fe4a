"""Some of the inventory's hosts, by name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.model.errors import InputError

if TYPE_CHECKING:
    from clusterctl.model.lab import Lab


def hosts_of(lab: Lab, names: str) -> list[str]:
    """Return the hosts that are named, with commas between them; every one where none is. Raises InputError."""
    known = lab.inventory.hosts
    chosen = list(dict.fromkeys(n.strip() for n in names.split(",") if n.strip())) or list(known)
    if unknown := [n for n in chosen if n not in known]:
        raise InputError(f"not in the inventory: {', '.join(unknown)}", hint=f"its hosts: {', '.join(known)}")
    return chosen


def with_hosts(lab: Lab, names: str) -> Lab:
    """Return the lab with these hosts alone. Raises InputError."""
    chosen = hosts_of(lab, names)
    left = {name: host for name, host in lab.inventory.hosts.items() if name in chosen}
    return replace(lab, inventory=lab.inventory.model_copy(update={"hosts": left}))
