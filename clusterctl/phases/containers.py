"""The playbook's containers, each on its host and its networks."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.commands import docker
from clusterctl.model.facts import ContainerFacts
from clusterctl.model.lab import LABEL
from clusterctl.plan.phase import Noop, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Container
    from clusterctl.plan.action import Action, Effect

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
            "", container.name, container.image, "running", labels, dict.fromkeys(container.networks, ("", ""))
        )
        return replace(
            facts, docker=replace(facts.docker, containers={**facts.docker.containers, container.name: made})
        )

    return effect


class RunContainers:
    """Run the containers."""

    title = "Run the containers"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Make anew what is missing, stopped or other than the playbook says; drop what it no longer names."""
        for host in lab.inventory.hosts:
            daemon = facts.docker(host)
            if daemon is None:
                continue
            wanted = {c.name: c for c in lab.playbook.containers.values() if c.host == host}
            chosen: list[Action | Noop] = [
                docker.RemoveContainer(
                    host=host, title=f"remove container {name}, which is not in the playbook", name=name
                )
                for name, found in daemon.containers.items()
                if found.labels.get(LABEL) == lab.name and name not in wanted
            ]
            for container in wanted.values():
                chosen += self._container(lab, facts, container, daemon.containers.get(container.name))
            yield from chosen or [Noop(host, "no container runs there")]

    def _container(
        self, lab: Lab, facts: Facts, container: Container, found: ContainerFacts | None
    ) -> Iterator[Action | Noop]:
        labels = {LABEL: lab.name, SPEC: digest(container)}
        if found:
            same = found.labels.get(SPEC) == labels[SPEC] and set(container.networks) <= set(found.networks)
            if found.state == "running" and same:
                yield Noop(container.host, f"container {container.name} is running")
                return
            # Not `docker start`: after a crash its sandbox refers to a namespace that is gone.
            why = "is other than the playbook says" if found.state == "running" else f"is {found.state}"
            yield docker.RemoveContainer(
                host=container.host, title=f"remove container {container.name}, which {why}", name=container.name
            )
        yield from self._stale(facts, container, found)
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

    def _stale(self, facts: Facts, container: Container, found: ContainerFacts | None) -> Iterator[Action]:
        """Drop an endpoint of that name that a host which died left in the store: it has no expiry there."""
        daemon = facts.docker(container.host)
        for name in container.networks:
            network = daemon.networks.get(name) if daemon else None
            for endpoint in network.endpoints if network else ():
                mine = found is not None and endpoint.container_id == found.id
                if endpoint.name == container.name and not mine:
                    yield docker.Disconnect(
                        host=container.host,
                        title=f"drop the stale endpoint {container.name}",
                        network=name,
                        endpoint=container.name,
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
