"""What this machine has of a lab's VMs, as values."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

from clusterctl.commands.vagrant import Project, Way

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_CREATED, RUNNING = "not_created", "running"

BROKEN = frozenset({"gurumeditation", "inaccessible", "stuck"})
"""States that no `vagrant up` leads out of."""

DEFAULT_RANGES = ("192.168.56.0/21",)
"""Where VirtualBox allows host-only networks, unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What is written down of a machine that clusterctl makes, before it is made.

    id: Vagrant's id of the machine, written once it is made. Another id is another machine.
    """

    lab: str
    address: str
    id: str = ""

    def dump(self) -> str:
        """Return the mark's text."""
        return json.dumps({"lab": self.lab, "address": self.address, "id": self.id})

    @staticmethod
    def parse(text: str) -> Mark | None:
        """Return the mark of this text; None where it is none."""
        try:
            value: dict[str, Any] = json.loads(text)
            return Mark(str(value["lab"]), str(value["address"]), str(value["id"]))
        except (ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class Vm:
    """One machine as Vagrant has it.

    state: in Vagrant's words; "" where the Vagrantfile does not define it. key: the host key that is pinned
    for this very machine. answers: what its SSH server said first.
    """

    name: str
    state: str = ""
    id: str = ""
    mark: Mark | None = None
    way: Way | None = None
    answers: str = ""
    key: str = ""

    @property
    def exists(self) -> bool:
        """Whether there is a machine, running or not."""
        return self.state not in {"", NOT_CREATED}

    def made_by(self, lab: str) -> bool:
        """Whether this lab made it, or has begun to."""
        return self.mark is not None and self.mark.lab == lab and self.mark.id in {"", self.id}

    def half_made(self, lab: str) -> bool:
        """Whether the lab began to make it and never got to the end."""
        return self.exists and self.made_by(lab) and self.mark is not None and not self.mark.id


@dataclass(frozen=True, slots=True)
class VagrantFacts:
    """What was found.

    problem: why Vagrant could not say how the machines are. ranges: where VirtualBox allows addresses.
    files: the lab's own files here, by name. owner: who runs clusterctl, as "user:group".
    """

    lab: str
    project: Project = field(default_factory=lambda: Project("."))
    installed: bool = True
    vagrantfile: bool = True
    problem: str = ""
    provider: str = ""
    defined: tuple[str, ...] = ()
    vms: Mapping[str, Vm] = field(default_factory=dict)
    ranges: tuple[str, ...] = DEFAULT_RANGES
    system: str = "Linux"
    arch: str = "x86_64"
    files: Mapping[str, str] = field(default_factory=dict)
    owner: str = "0:0"
    state: bool = False

    def vm(self, name: str) -> Vm:
        """Return the machine of that name; one that does not exist where nothing of it is here."""
        return self.vms.get(name, Vm(name))

    def with_vm(self, vm: Vm) -> VagrantFacts:
        """Return the facts with this machine replaced."""
        return replace(self, vms={**self.vms, vm.name: vm})

    def allows(self, address: str) -> bool:
        """Whether VirtualBox allows a host this address."""
        return any(IPv4Address(address) in IPv4Network(r, strict=False) for r in self.ranges)


def parse_networks_conf(text: str) -> tuple[str, ...]:
    """Return the IPv4 ranges of VirtualBox's networks.conf; the default where it names none."""
    words: list[str] = []
    for line in text.splitlines():
        start, _, rest = line.partition("#")[0].strip().partition(" ")
        if start == "*":
            words += rest.split()
    found = []
    for word in words:
        try:
            found.append(str(IPv4Network(word, strict=False)))
        except ValueError:
            continue
    return tuple(found) if words else DEFAULT_RANGES
