"""The images that the playbook's containers need, on the hosts that need them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from clusterctl.commands import docker
from clusterctl.model.facts import ImageFacts
from clusterctl.model.lab import LABEL
from clusterctl.plan.action import Run
from clusterctl.plan.phase import Noop, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Image
    from clusterctl.plan.action import Action, Effect


def _with_image(tag: str) -> Effect:
    def effect(facts: HostFacts) -> HostFacts:
        if facts.docker is None:
            return facts
        images = (*facts.docker.images, ImageFacts("", (tag,)))
        return replace(facts, docker=replace(facts.docker, images=images))

    return effect


class ProvideImages:
    """Bring the images to the hosts."""

    title = "Bring the images"
    reads = frozenset({Section.DOCKER, Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Build, pull or load each image on each host that has a container of it and lacks it."""
        for host in lab.inventory.hosts:
            tags = sorted({c.image for c in lab.playbook.containers.values() if c.host == host})
            daemon = facts.docker(host)
            missing = [t for t in tags if daemon is None or not daemon.has_image(t)]
            if not missing:
                yield Noop(host, f"{', '.join(tags)} there already" if tags else "no container runs there")
            for tag in missing:
                yield self._bring(lab, host, lab.playbook.images[tag])

    def _bring(self, lab: Lab, host: str, image: Image) -> Action:
        effect = _with_image(image.tag)
        if image.build:
            return Run(
                host=host,
                title=f"build {image.tag} from the host's busybox",
                command=docker.build_busybox(image.tag, f"{LABEL}={lab.name}"),
                effect=effect,
            )
        if image.load:
            return docker.LoadImage(host=host, title=f"load {image.tag}", archive=image.load, effect=effect)
        return docker.PullImage(
            host=host, title=f"pull {image.pull}", reference=image.pull, tag=image.tag, effect=effect
        )


class RemoveImages:
    """Remove the images that clusterctl built."""

    title = "Remove the images"
    reads = frozenset({Section.DOCKER, Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove what carries the lab's label."""
        for host, found in facts.hosts.items():
            images = found.docker.images if found.docker else ()
            tags = [t for i in images if i.labels.get(LABEL) == lab.name for t in i.tags]
            for tag in tags:
                yield docker.RemoveImage(host=host, title=f"remove image {tag}", tag=tag)
            if not tags:
                yield Noop(host, "no image of this lab")
