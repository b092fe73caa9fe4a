"""What has a name of the playbook's and is not this lab's. Only what clusterctl marked as its own is ever changed."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from clusterctl.checks.hosts.judged import failed, ok
from clusterctl.model.lab import LABEL
from clusterctl.model.lan import on_the_wire
from clusterctl.networks import DRIVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import DockerFacts, HostFacts
    from clusterctl.model.finding import Finding
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Network


def judge(lab: Lab, host: Host, facts: HostFacts) -> Iterator[Finding]:
    """Judge what the Docker of one host has, where it runs."""
    if facts.docker is None:
        return
    expected = "the playbook's names are free, or this lab's"
    found = list(_strangers(lab, host, facts.docker))
    yield from (failed("names", host.name, expected, seen, hint) for seen, hint in found)
    if not found:
        yield ok("names", host.name, expected, "no container or network of others has one")


def _strangers(lab: Lab, host: Host, docker: DockerFacts) -> Iterator[tuple[str, str]]:
    for container in lab.playbook.containers.values():
        found = docker.containers.get(container.name)
        if container.host == host.name and found and found.labels.get(LABEL) != lab.name:
            owner = found.labels.get(LABEL)
            whose = f"of lab {owner}" if owner else "not made by clusterctl"
            yield (
                f"a container named {container.name} exists there, {whose}",
                f"docker rename {container.name} NEW, or name the playbook's container otherwise",
            )
    for network in lab.playbook.networks.values():
        if DRIVERS[network.driver].scope == "global" or host.name in DRIVERS[network.driver].seen_on(lab, network):
            yield from _same_addresses(lab, network, docker)
        seen = docker.networks.get(network.name)
        if seen and seen.labels.get(LABEL) != lab.name:
            yield (
                f"a network named {network.name} exists there, not made by this lab",
                f"docker network rm {network.name}, or name the playbook's network otherwise",
            )


def _same_addresses(lab: Lab, network: Network, docker: DockerFacts) -> Iterator[tuple[str, str]]:
    """Docker has no two networks that share addresses, except those on the hosts' own wire."""
    if on_the_wire(network):
        return
    for found in docker.networks.values():
        if found.name == network.name or found.labels.get(LABEL) == lab.name or "." not in found.subnet:
            continue
        if IPv4Network(network.subnet).overlaps(IPv4Network(found.subnet, strict=False)):
            yield (
                f"subnet {network.subnet} of network {network.name} overlaps {found.subnet} of the network "
                f"{found.name} there, which is not of this lab",
                f"choose another subnet for {network.name} in the playbook, or docker network rm {found.name}",
            )
