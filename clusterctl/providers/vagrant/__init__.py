"""VMs that Vagrant makes, with whatever runs them: VirtualBox, libvirt, VMware, Parallels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.providers.machine import MachineDoor
from clusterctl.providers.vagrant import read, up
from clusterctl.providers.vagrant.down import DOWN
from clusterctl.providers.vagrant.facts import RUNNING
from clusterctl.providers.vagrant.up import UP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clusterctl.model.facts import HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.phase import Phase
    from clusterctl.providers.vagrant.facts import VagrantFacts


class VagrantProvider:
    """Make hosts with `vagrant up` in the folder that the inventory names."""

    up: Sequence[Phase[Lab]] = UP
    down: Sequence[Phase[Lab]] = DOWN
    destroys = True
    trusted: tuple[Path, ...] = ()
    sees_at_once = False

    def __init__(self) -> None:
        self._present: frozenset[str] | None = None

    def facts(self, lab: Lab) -> VagrantFacts:
        """Read what Vagrant has of the lab, and how its hosts are reached."""
        found = read.read(lab)
        self._present = frozenset(h for h in lab.inventory.hosts if found.vm(h).state == RUNNING)
        return found

    def present(self, lab: Lab) -> frozenset[str]:
        """Return the hosts that run, as Vagrant said when it was last asked: it takes seconds to say so."""
        if self._present is None:
            self._present = read.running(lab)
        return self._present

    def door(self) -> MachineDoor:
        """Return the door to this machine."""
        return MachineDoor()

    def fresh(self, lab: Lab, host: Host) -> HostFacts:
        """Return what a plan takes a new host for."""
        return up.fresh(host)
