"""What bridge, macvlan and ipvlan have in common: each host with a container on it makes its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network


class Apart:
    """A network that each host has by itself."""

    scope = "local"

    def creators(self, lab: Lab, network: Network) -> tuple[str, ...]:
        """Return the hosts with a container on it."""
        users = {c.host for c in lab.playbook.containers.values() if network.name in c.networks}
        return tuple(h for h in lab.inventory.hosts if h in users)

    def seen_on(self, lab: Lab, network: Network) -> tuple[str, ...]:
        """Return the same hosts."""
        return self.creators(lab, network)
