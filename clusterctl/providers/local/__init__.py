"""Real systemd hosts on this machine, in namespaces: no VM, no Docker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.providers.local import read
from clusterctl.providers.machine import MachineDoor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from clusterctl.model.facts import HostFacts
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.plan.phase import Phase
    from clusterctl.providers.local.facts import MachineFacts


class LocalProvider:
    """Make hosts from a cached root, an overlay each, a network namespace each, and systemd-nspawn."""

    destroys = True
    trusted: tuple[Path, ...] = ()
    sees_at_once = True

    @property
    def up(self) -> Sequence[Phase[Lab]]:
        """The phases that make the nodes."""
        from clusterctl.providers.local.up import UP

        return UP

    @property
    def down(self) -> Sequence[Phase[Lab]]:
        """The phases that remove the nodes."""
        from clusterctl.providers.local.down import DOWN

        return DOWN

    def facts(self, lab: Lab) -> MachineFacts:
        """Read what of the lab is on this machine, and whether the machine can carry it."""
        return read.read(lab)

    def present(self, lab: Lab) -> frozenset[str]:
        """Return the nodes that run: the lab's subnet leads elsewhere while its link is not there."""
        return read.running(lab) & lab.inventory.hosts.keys()

    def door(self) -> MachineDoor:
        """Return the door to this machine."""
        return MachineDoor()

    def fresh(self, lab: Lab, host: Host) -> HostFacts:
        """Return what a node is like just after its first start."""
        from clusterctl.providers.local import up

        return up.fresh(lab, host)
