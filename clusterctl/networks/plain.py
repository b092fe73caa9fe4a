"""What bridge and overlay have in common: they are made alike on every host, which has all that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.networks.making import Making

if TYPE_CHECKING:
    from clusterctl.model.facts import HostFacts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network


class Plain:
    """A network that is as it is written."""

    def devices(self, network: Network) -> tuple[str, ...]:
        """Return none: what it needs, Docker itself needs."""
        return ()

    def making(self, lab: Lab, network: Network, found: HostFacts) -> Making:
        """Return what is written."""
        return Making(network.gateway, network.options)

    def trouble(self, lab: Lab, network: Network, found: HostFacts) -> tuple[str, str]:
        """Return none."""
        return "", ""
