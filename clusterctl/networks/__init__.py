"""Kinds of Docker networks: where each is made, and how far it reaches. One file a driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from clusterctl.networks.bridge import Bridge
from clusterctl.networks.overlay import Overlay

if TYPE_CHECKING:
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network


class Driver(Protocol):
    """One kind of network.

    scope: "global" when the store shows it to every daemon, else "local".
    """

    scope: str

    def creators(self, lab: Lab, network: Network) -> tuple[str, ...]:
        """Return the hosts on which it is created."""

    def seen_on(self, lab: Lab, network: Network) -> tuple[str, ...]:
        """Return the hosts on which it must then be there."""


DRIVERS: dict[str, Driver] = {"overlay": Overlay(), "bridge": Bridge()}
