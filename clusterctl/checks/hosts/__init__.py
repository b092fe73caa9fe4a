"""What a host must be to carry the cluster, one file a subject: facts in, findings out. `up` refuses by the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.checks.hosts import address, clock, devices, firewall, identity, kernel, ports, store, strangers, system

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.commands.ground import Ground
    from clusterctl.model.facts import Facts
    from clusterctl.model.finding import Finding
    from clusterctl.model.inventory import Host
    from clusterctl.model.lab import Lab


def needs(lab: Lab, host: Host, facts: Facts) -> Iterator[Finding]:
    """Judge a host that answered by what `up` needs, its clock aside."""
    found = facts.hosts[host.name]
    yield from system.judge(host, found)
    yield address.judge(host, found)
    yield from address.judge_subnets(lab, host, found)
    yield from devices.judge(lab, host, found)
    yield from ports.judge(host, found)
    yield from store.judge(host, found)
    yield from strangers.judge(lab, host, found)


def judge(lab: Lab, facts: Facts, grounds: Mapping[str, Ground | str]) -> Iterator[Finding]:
    """Judge the hosts that answered. grounds: what each stands on, or why that is not known."""
    together = [*clock.judge(facts.hosts), *identity.judge(facts.hosts)]
    for host in lab.inventory.hosts.values():
        if host.name in facts.hosts:
            ground = grounds.get(host.name, "it was not asked")
            yield from needs(lab, host, facts)
            yield kernel.judge(host.name, ground)
            yield from firewall.judge(lab, host, facts.hosts[host.name], ground)
            yield from (f for f in together if f.subject == host.name)
