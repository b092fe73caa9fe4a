"""The lab: everything a phase may want, in one value that is passed along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from clusterctl.model.inventory import Host, Inventory, Role
    from clusterctl.model.playbook import Playbook

LABEL = "clusterctl.lab"
"""The label on networks and containers that clusterctl made; its value is the lab's name."""

IMAGE_LABEL = "clusterctl.image-of"
"""The same on images. It is another one, as a container has the labels of its image, whoever runs it."""


@dataclass(frozen=True, slots=True)
class Lab:
    """An inventory and what to build on it.

    playbook_text: the playbook as the user wrote it.
    state: the lab's folder on the controller: SSH keys, known_hosts, CA, transcripts.
    """

    inventory: Inventory
    playbook: Playbook
    playbook_text: str
    state: Path

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.inventory.name

    def with_role(self, role: Role) -> tuple[Host, ...]:
        """Return the hosts that have this role, in the inventory's order."""
        return tuple(h for h in self.inventory.hosts.values() if role in h.roles)
