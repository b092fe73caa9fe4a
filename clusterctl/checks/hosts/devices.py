"""What the playbook's networks need of a host besides Docker: kinds of devices in its kernel, interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.hosts.judged import failed, ok
from clusterctl.commands.kernel import Feature
from clusterctl.networks import DRIVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import HostFacts
    from clusterctl.model.finding import Finding
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network

NAMES = {"8021q": "802.1Q VLAN devices", "macvlan": "macvlan devices", "ipvlan": "ipvlan devices"}


def judge(lab: Lab, host: Host, facts: HostFacts) -> Iterator[Finding]:
    """Judge each network of the playbook that is to be made on the host and needs more than Docker does."""
    for network in lab.playbook.networks.values():
        driver = DRIVERS[network.driver]
        if driver.devices(network) and host.name in driver.creators(lab, network):
            yield _judge(lab, network, facts)


def _judge(lab: Lab, network: Network, facts: HostFacts) -> Finding:
    driver = DRIVERS[network.driver]
    needed = driver.devices(network)
    expected = f"{network.driver} {network.name}: {', '.join(NAMES[n] for n in needed)}, and its interface"
    if lacking := [NAMES[n] for n in needed if facts.devices.get(n) == Feature.ABSENT]:
        seen = f"its kernel {facts.kernel} has no {' and no '.join(lacking)}, which network {network.name} needs"
        hint = "hosts with a distribution's own kernel have them, VMs too: -i inventory/vagrant.yml"
        return failed("devices", facts.name, expected, seen, hint)
    made = facts.docker.networks.get(network.name) if facts.docker else None
    why, way_out = ("", "") if made else driver.trouble(lab, network, facts)
    if why:
        return failed("devices", facts.name, expected, why, way_out)
    parent = driver.making(lab, network, facts).options.get("parent", "")
    how = ", ".join(f"{n} {facts.devices.get(n, Feature.UNTOLD)}" for n in needed)
    return ok("devices", facts.name, expected, f"{how}; {network.name} on {parent}")
