"""Kinds of Docker networks: where each is made, and how far it reaches. One file a driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from clusterctl.networks.bridge import Bridge
from clusterctl.networks.ipvlan import Ipvlan
from clusterctl.networks.macvlan import Macvlan
from clusterctl.networks.overlay import Overlay

if TYPE_CHECKING:
    from clusterctl.model.facts import HostFacts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network, Playbook
    from clusterctl.networks.making import Making


class Driver(Protocol):
    """One kind of network.

    scope: "global" when the store shows it to every daemon, else "local".
    """

    scope: str

    def creators(self, lab: Lab, network: Network) -> tuple[str, ...]:
        """Return the hosts on which it is created."""

    def seen_on(self, lab: Lab, network: Network) -> tuple[str, ...]:
        """Return the hosts on which it must then be there."""

    def devices(self, network: Network) -> tuple[str, ...]:
        """Return the kinds of devices that it needs of a host's kernel and that not every kernel has."""

    def making(self, lab: Lab, network: Network, found: HostFacts) -> Making:
        """Return how it is made on one host."""

    def trouble(self, lab: Lab, network: Network, found: HostFacts) -> tuple[str, str]:
        """Return why it cannot be made on a host and the way out; "" twice where it can."""


DRIVERS: dict[str, Driver] = {"overlay": Overlay(), "bridge": Bridge(), "macvlan": Macvlan(), "ipvlan": Ipvlan()}


def devices_of(playbook: Playbook) -> tuple[str, ...]:
    """Return the kinds of devices that the playbook's networks need and that not every kernel has."""
    found = [d for n in playbook.networks.values() for d in DRIVERS[n.driver].devices(n)]
    return tuple(dict.fromkeys(found))
