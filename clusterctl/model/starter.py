"""The starter inventories that `clusterctl init` writes: short, commented, and valid as they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LOCAL = """\
# Hosts made on this machine: real systemd machines in namespaces, no VM and no Docker needed.
name: {name}
provider: local
hosts:
  docker1: {{address: 10.1.1.1, roles: [etcd, docker]}}
  docker2: {{address: 10.1.1.2, roles: [etcd, docker]}}
local:
  subnet: 10.1.1.0/24        # must be free on this machine
  # internet: true           # let the hosts reach the internet through this machine
"""

SSH = """\
# Machines that exist: Debian 12 with systemd, reached by SSH as root or as a user with sudo.
name: {name}
provider: ssh
# defaults:
#   user: admin
#   key: ~/.ssh/id_ed25519
hosts:
{hosts}
# cluster_address: an IPv4 address of the host for etcd, gossip and VXLAN, where it is another than the SSH address
# roles: [etcd, docker] by default; etcd on one, three or five hosts is best
"""

VAGRANT = """\
# The machines of a Vagrantfile. `clusterctl up` makes them or starts them, `clusterctl down` takes them away.
name: {name}
provider: vagrant
hosts:
{hosts}
vagrant:
  folder: {folder}{pad}# where the Vagrantfile is, seen from this file
  # env:                     # what the Vagrantfile finds in its environment
  #   VAGRANT_DEFAULT_PROVIDER: libvirt
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of a Vagrantfile. address: "" while it does not run. told: whether it takes the inventory's."""

    name: str
    address: str = ""
    told: bool = False


def local(name: str) -> str:
    """Return an inventory of two local hosts."""
    return LOCAL.format(name=name)


def ssh(name: str, targets: Sequence[str]) -> str:
    """Return an inventory of existing hosts, each given as `[user@]address[:port]`. Raises ValueError."""
    lines = []
    for number, target in enumerate(targets, 1):
        user, at, rest = target.rpartition("@")
        address, colon, port = rest.partition(":")
        if not address or (at and not user) or (colon and not port.isdigit()):
            raise ValueError(f"{target!r} is not [user@]address[:port]")
        entry = f"    address: {address}\n"
        if not address.replace(".", "").isdigit():
            entry += "    cluster_address: 192.0.2.1     # REPLACE: its IPv4 address for the cluster's traffic\n"
            entry = entry.replace("192.0.2.1 ", f"192.0.2.{number} ")
        if user:
            entry += f"    user: {user}\n"
        if port:
            entry += f"    port: {port}\n"
        lines.append(f"  docker{number}:\n{entry}")
    return SSH.format(name=name, hosts="".join(lines).rstrip("\n"))


def vagrant(name: str, machines: Sequence[Machine], folder: str) -> str:
    """Return an inventory of a Vagrantfile's machines. folder: where it is, seen from the inventory."""
    lines = []
    for number, machine in enumerate(machines):
        # Where VirtualBox allows host-only networks unless it is told otherwise.
        address = machine.address or f"192.168.56.{11 + number}"
        unsure = "" if machine.address or machine.told else "  # REPLACE: its address in the Vagrantfile"
        lines.append(f"  {machine.name}: {address}{unsure}")
    return VAGRANT.format(name=name, hosts="\n".join(lines), folder=json.dumps(folder), pad=" " * 4)
