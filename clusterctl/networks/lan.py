"""What macvlan and ipvlan have in common: a network on an interface of each host, made by each for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.model import lan
from clusterctl.model.lab import LABEL
from clusterctl.networks.apart import Apart
from clusterctl.networks.making import Making

if TYPE_CHECKING:
    from clusterctl.model.facts import HostFacts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network

VLAN_DEVICE = "8021q"
"""The kernel's module for 802.1Q sub-interfaces."""


class Lan(Apart):
    """A network on the hosts' own wire. Every host makes its own; the wire makes one of them."""

    def devices(self, network: Network) -> tuple[str, ...]:
        """Return the kinds of devices that the kernel must have: its own, and 802.1Q's where it is in a VLAN."""
        return (str(network.driver), *([VLAN_DEVICE] if network.vlan else []))

    def making(self, lab: Lab, network: Network, found: HostFacts) -> Making:
        """Return its parent on this host, and this host's share of the addresses."""
        mode = network.mode or lan.MODES[network.driver][0]
        options = {"parent": parent_of(lab, network, found), f"{network.driver}_mode": mode, **network.options}
        part = lan.share(network, found.name, lab.inventory)
        elsewhere = {
            f"{c.host}.{c.name}": c.networks[network.name].address
            for c in lab.playbook.containers.values()
            if c.host != found.name and network.name in c.networks and c.networks[network.name].address
        }
        taken = {**lan.reserved(network, lab.inventory), **elsewhere}
        return Making(network.gateway, options, str(part or ""), taken)

    def trouble(self, lab: Lab, network: Network, found: HostFacts) -> tuple[str, str]:
        """Return why it cannot be made on this host and the way out; "" twice where it can."""
        wire = wire_of(lab, network, found)
        if not found.addresses:  # a host that is not there yet tells nothing of itself
            return "", ""
        if not wire:
            address = lab.inventory.hosts[found.name].cluster_address
            return f"network {network.name}: no interface has {address}", f"name its parent: networks.{network.name}"
        if found.links and wire not in found.links:
            has = ", ".join(sorted(found.links - {"lo"}))
            return (
                f"network {network.name}: there is no interface {wire} (there is {has})",
                f"set networks.{network.name}.parent in the playbook",
            )
        theirs = parent_of(lab, network, found)
        for other in found.docker.networks.values() if found.docker else ():
            mine = other.labels.get(LABEL) == lab.name  # another playbook's, which goes first
            if not mine and other.options.get("parent") == theirs and other.driver in lan.MODES:
                return (
                    f"network {network.name}: {theirs} is the parent of Docker's network {other.name} already",
                    "another parent or vlan; or docker network rm that one",
                )
        return "", ""


def wire_of(lab: Lab, network: Network, found: HostFacts) -> str:
    """Return the interface of a host whose wire the network is on, "" where none has the cluster address."""
    if network.parent != lan.CLUSTER:
        return network.parent
    return found.interface(lab.inventory.hosts[found.name].cluster_address)


def parent_of(lab: Lab, network: Network, found: HostFacts) -> str:
    """Return the interface that the network's devices are on: the wire's, or its sub-interface for the VLAN."""
    wire = wire_of(lab, network, found)
    return f"{wire}.{network.vlan}" if network.vlan else wire
