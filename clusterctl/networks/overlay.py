"""Overlay: created once, on one host; the store shows it to the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.model.inventory import Role
from clusterctl.networks.plain import Plain

if TYPE_CHECKING:
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network


class Overlay(Plain):
    """VXLAN between the hosts, its state in the cluster store."""

    scope = "global"

    def creators(self, lab: Lab, network: Network) -> tuple[str, ...]:
        """Return the first host that runs Docker."""
        return tuple(h.name for h in lab.with_role(Role.DOCKER)[:1])

    def seen_on(self, lab: Lab, network: Network) -> tuple[str, ...]:
        """Return every host that runs Docker."""
        return tuple(h.name for h in lab.with_role(Role.DOCKER))
