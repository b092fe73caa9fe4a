"""What a Vagrantfile defines, for the inventory that is to be written for it."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from clusterctl.commands.vagrant import HOSTS, Project, complaint, parse_address, parse_status
from clusterctl.model.errors import InputError
from clusterctl.model.starter import Machine
from clusterctl.providers.vagrant import read
from clusterctl.providers.vagrant.facts import RUNNING

if TYPE_CHECKING:
    from pathlib import Path


def machines(folder: Path) -> tuple[Machine, ...]:
    """Return the machines of a folder's Vagrantfile, those that run with the address that is for the cluster.

    Raises InputError where there is no Vagrantfile or Vagrant does not understand it.
    """
    file = folder / "Vagrantfile"
    if not file.is_file():
        raise InputError(f"there is no {file}", hint="name its folder: clusterctl init --vagrant FOLDER")
    if not shutil.which("vagrant"):
        raise InputError("Vagrant is not installed", hint="https://developer.hashicorp.com/vagrant/install")
    where = Project(str(folder.absolute()))
    said = read.ask(where.status())
    if not said.ok:
        raise InputError(f"{file}: {complaint(said.stdout or said.stderr)}", hint=where.line("status"))
    states = parse_status(said.stdout)
    with ThreadPoolExecutor(max(1, len(states)), thread_name_prefix="address") as pool:
        addresses = pool.map(lambda n: _address(where, n) if states[n][0] == RUNNING else "", states)
        told = HOSTS in file.read_text(encoding="utf-8", errors="replace")
        return tuple(Machine(name, address, told) for name, address in zip(states, addresses, strict=True))


def _address(where: Project, name: str) -> str:
    said = read.ask(where.addresses(name))
    return parse_address(said.stdout) if said.ok else ""
