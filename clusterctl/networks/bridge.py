"""Bridge: a Linux bridge of its own on each host that has a container on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.networks.plain import Plain

if TYPE_CHECKING:
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network


class Bridge(Plain):
    """A network that ends at its host."""

    scope = "local"

    def creators(self, lab: Lab, network: Network) -> tuple[str, ...]:
        """Return the hosts with a container on it."""
        users = {c.host for c in lab.playbook.containers.values() if network.name in c.networks}
        return tuple(h for h in lab.inventory.hosts if h in users)

    def seen_on(self, lab: Lab, network: Network) -> tuple[str, ...]:
        """Return the same hosts."""
        return self.creators(lab, network)
