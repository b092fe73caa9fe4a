"""The playbook's containers, each on its host and its networks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.commands import docker
from clusterctl.model.facts import ContainerFacts
from clusterctl.model.lab import LABEL
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
    said = [container.image, list(container.command), list(container.networks)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:12]


def _with_container(container: Container, labels: dict[str, str]) -> Effect:
    def effect(facts: HostFacts) -> HostFacts:
        if facts.docker is None:
            return facts
        made = ContainerFacts(
            "", container.name, container.image, "running", labels, dict.fromkeys(container.networks, FORESEEN)
        )
        return replace(
            facts, docker=replace(facts.docker, containers={**facts.docker.containers, container.name: made})
        )

    return effect


def misfit(lab: Lab, host: str, found: ContainerFacts) -> str:
    """Return why a container of the lab on `host` must go before the playbook's run, "" when it fits."""
    wanted = lab.playbook.containers.get(found.name)
    if wanted is None or wanted.host != host:
        return "which is not in the playbook"
    # Not `docker start`: after a crash its sandbox refers to a namespace that is gone.
    if found.state != "running":
        return f"which is {found.state}"
    if found.labels.get(SPEC) != digest(wanted) or not set(wanted.networks) <= set(found.networks):
        return "which is other than the playbook says"
    # A start that failed half-way can leave a container that runs and is on no wire.
    bare = [n for n in wanted.networks if not found.networks[n][0]]
    return f"which has no address on {', '.join(bare)}" if bare else ""


class ClearContainers:
    """Remove the lab's containers that do not fit, on every host before one is run anywhere.

    A container that moves from one host to another must have left the store before its name is taken again.
    """

    title = "Remove the containers that do not fit"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove what stopped, what changed, and what the playbook no longer names."""
        for host, found in facts.hosts.items():
            mine = [
                c for c in (found.docker.containers.values() if found.docker else ()) if c.labels.get(LABEL) == lab.name
            ]
            yield from steps(
                [
                    docker.RemoveContainer(host=host, title=f"remove container {c.name}, {why}", name=c.name)
                    for c in mine
                    if (why := misfit(lab, host, c))
                ],
                host,
                "every container there fits" if mine else "no container of this lab",
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
            wanted = [c for c in lab.playbook.containers.values() if c.host == host]
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
            mine = [
                c for c in (found.docker.containers.values() if found.docker else ()) if c.labels.get(LABEL) == lab.name
            ]
            for container in mine:
                yield docker.RemoveContainer(host=host, title=f"remove container {container.name}", name=container.name)
            if not mine:
                yield Noop(host, "no container of this lab")
