"""The cluster address, and the subnets of the playbook's networks beside it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from clusterctl.checks.hosts.judged import failed, ok, unknown
from clusterctl.model.lan import on_the_wire

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import HostFacts
    from clusterctl.model.finding import Finding
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab


def judge(host: Host, facts: HostFacts) -> Finding:
    """Judge whether the cluster address is really on the host."""
    expected = f"{host.cluster_address} is on one of its interfaces"
    if not facts.addresses:
        return unknown("address", host.name, expected, "it does not say which addresses it has")
    if interface := facts.interface(host.cluster_address):
        return ok("address", host.name, expected, f"{host.cluster_address} on {interface}")
    has = ", ".join(a.ip for a in facts.addresses if a.interface != "lo")
    seen = f"its cluster address {host.cluster_address} is on none of its interfaces (it has {has})"
    return failed("address", host.name, expected, seen, f"set cluster_address of {host.name} in the inventory")


def judge_subnets(lab: Lab, host: Host, facts: HostFacts) -> Iterator[Finding]:
    """Judge whether a network of the playbook covers what the host reaches outside of Docker."""
    if not lab.playbook.networks:
        return
    expected = "no network of the playbook covers one of its routes"
    found = list(_overlaps(lab, host, facts))
    yield from (
        failed("subnet", host.name, expected, seen, f"choose another subnet for {network} in the playbook")
        for network, seen in found
    )
    if not found:
        subnets = ", ".join(n.subnet for n in lab.playbook.networks.values())
        yield ok("subnet", host.name, expected, f"{subnets} beside {', '.join(facts.routes)}")


def _overlaps(lab: Lab, host: Host, facts: HostFacts) -> Iterator[tuple[str, str]]:
    own = {n.subnet for n in facts.docker.networks.values()} if facts.docker else set()
    for network in lab.playbook.networks.values():
        if on_the_wire(network):
            continue
        wanted = ipaddress.ip_network(network.subnet)
        existing = facts.docker.networks.get(network.name) if facts.docker else None
        for route in facts.routes:
            if route == "default":
                continue
            try:
                other = ipaddress.ip_network(route, strict=False)
            except ValueError:
                continue
            if wanted.overlaps(other) and str(other) not in own and existing is None:
                yield network.name, f"subnet {network.subnet} of network {network.name} overlaps its route {route}"
