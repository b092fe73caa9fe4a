"""The playbook's containers, each on its host and its networks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.commands import docker
from clusterctl.model.facts import GATEWAY_BRIDGE, ContainerFacts, NetworkFacts
from clusterctl.model.lab import LABEL
from clusterctl.model.playbook import CONTAINER, HOST, NONE
from clusterctl.phases.networks import other
from clusterctl.plan.phase import Noop, Section, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import DockerFacts, Facts, HostFacts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Container
    from clusterctl.plan.action import Action, Effect

FORESEEN = ("an address", "")
"""Where a container that is only planned stands on its networks."""

SPEC = "clusterctl.spec"
"""A label with a digest of what the playbook said, so that a change there is seen on the container."""


def digest(container: Container) -> str:
    """Return a short digest of everything that makes a container what it is."""
    said: list[object] = [container.image, list(container.command), list(container.networks)]
    keys = {"network_mode", "networks", "links", "publish", "capabilities", "sysctls"}
    more = container.model_dump(include=keys, exclude_defaults=True)
    if more.keys() - {"networks"} or any(more.get("networks", {}).values()):
        said.append(more)
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]


def _with_container(container: Container, labels: dict[str, str]) -> Effect:
    def effect(facts: HostFacts) -> HostFacts:
        if facts.docker is None:
            return facts
        known = facts.docker.containers
        shared = known.get(container.shares)
        mode = f"{CONTAINER}{shared.id}" if shared else container.network_mode
        networks = container.attached or ((mode,) if mode in (HOST, NONE) else ())
        made = ContainerFacts(
            "", container.name, container.image, "running", labels, dict.fromkeys(networks, FORESEEN), mode
        )
        there = facts.docker.networks
        if any(there[n].scope == "global" for n in container.networks if n in there):
            there = {GATEWAY_BRIDGE: NetworkFacts("", GATEWAY_BRIDGE, "bridge", "local"), **there}
        return replace(facts, docker=replace(facts.docker, containers={**known, container.name: made}, networks=there))

    return effect


def mine_on(lab: Lab, found: HostFacts) -> list[ContainerFacts]:
    """Return the lab's containers on a host."""
    containers = found.docker.containers.values() if found.docker else ()
    return [c for c in containers if c.labels.get(LABEL) == lab.name]


def misfits(lab: Lab, host: HostFacts, daemon: DockerFacts) -> dict[str, str]:
    """Return the lab's containers on `host` that must go before the playbook's run, each with the reason."""
    mine = {c.name: c for c in mine_on(lab, host)}
    going = {name: why for name, found in mine.items() if (why := _misfit(lab, host, daemon, found))}
    # What leans on a container that is made anew is made anew after it.
    for container in lab.playbook.in_order(host.name):
        gone = next((n for n in container.leans_on if n in going or n not in mine), "")
        if gone and container.name in mine:
            going.setdefault(container.name, f"which leans on {gone}")
    return going


def _misfit(lab: Lab, host: HostFacts, daemon: DockerFacts, found: ContainerFacts) -> str:
    wanted = lab.playbook.containers.get(found.name)
    if wanted is None or wanted.host != host.name:
        return "which is not in the playbook"
    # Not `docker start`: after a crash its sandbox refers to a namespace that is gone.
    if found.state != "running":
        return f"which is {found.state}"
    if found.labels.get(SPEC) != digest(wanted) or not set(wanted.attached) <= set(found.networks):
        return "which is other than the playbook says"
    return _astray(lab, host, daemon, wanted, found)


def _astray(lab: Lab, host: HostFacts, daemon: DockerFacts, wanted: Container, found: ContainerFacts) -> str:
    """Return how one that runs as it was told to is on other wires than it should be by now."""
    shared = daemon.containers.get(wanted.shares)
    if shared and found.mode != f"{CONTAINER}{shared.id}":
        return f"which shares the network of a {wanted.shares} that is gone"
    # A start that failed half-way can leave a container that runs and is on no wire.
    bare = [n for n in wanted.attached if not found.networks[n][0]]
    return f"which has no address on {', '.join(bare)}" if bare else _on_another(lab, host, daemon, wanted)


def _on_another(lab: Lab, host: HostFacts, daemon: DockerFacts, wanted: Container) -> str:
    for name in wanted.networks:
        network = daemon.networks.get(name)
        mine = network and network.labels.get(LABEL) == lab.name
        if network and mine and other(lab, lab.playbook.networks[name], host, network):
            return f"whose network {name} is made anew"
    return ""


class ClearContainers:
    """Remove the lab's containers that do not fit, on every host before one is run anywhere.

    A container that moves from one host to another must have left the store before its name is taken again.
    """

    title = "Remove the containers that do not fit"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove what stopped, what changed, and what the playbook no longer names."""
        for host, found in facts.hosts.items():
            going = misfits(lab, found, found.docker) if found.docker else {}
            yield from steps(
                [
                    docker.RemoveContainer(host=host, title=f"remove container {name}, {why}", name=name)
                    for name, why in going.items()
                ],
                host,
                "every container there fits" if mine_on(lab, found) else "no container of this lab",
            )


class RunContainers:
    """Run the containers."""

    title = "Run the containers"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Run what is missing."""
        for host in lab.inventory.hosts:
            daemon = facts.docker(host)
            if daemon is None:
                continue
            wanted = lab.playbook.in_order(host)
            for container in wanted:
                if container.name in daemon.containers:
                    yield Noop(host, f"container {container.name} is running")
                else:
                    yield from self._run(lab, daemon, container)
            if not wanted:
                yield Noop(host, "no container runs there")

    def _run(self, lab: Lab, daemon: DockerFacts, container: Container) -> Iterator[Action]:
        labels = {LABEL: lab.name, SPEC: digest(container)}
        for name in container.networks:
            network = daemon.networks.get(name)
            # An endpoint of that name was left in the store by a host that died: it has no expiry there.
            if network and any(e.name == container.name for e in network.endpoints):
                yield docker.Disconnect(
                    host=container.host,
                    title=f"drop the stale endpoint {container.name}",
                    network=name,
                    endpoint=container.name,
                )
        yield docker.RunContainer(
            host=container.host,
            title=f"run container {container.name}",
            name=container.name,
            image=container.image,
            argv=container.command,
            networks=container.networks,
            mode=container.network_mode,
            links=container.linked,
            publish=container.publish,
            capabilities=container.capabilities,
            sysctls=container.sysctls,
            labels=labels,
            effect=_with_container(container, labels),
        )


class RemoveContainers:
    """Remove the lab's containers."""

    title = "Remove the containers"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove what carries the lab's label, whatever the playbook says now."""
        for host, found in facts.hosts.items():
            mine = mine_on(lab, found)
            for container in mine:
                yield docker.RemoveContainer(host=host, title=f"remove container {container.name}", name=container.name)
            if not mine:
                yield Noop(host, "no container of this lab")
