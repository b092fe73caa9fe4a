"""The images that the playbook's containers need, on the hosts that need them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from clusterctl.commands import docker
from clusterctl.model.facts import ImageFacts
from clusterctl.model.lab import IMAGE_LABEL, LABEL
from clusterctl.plan.action import Run, record
from clusterctl.plan.phase import Noop, Section, steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from clusterctl.model.facts import Facts, HostFacts
    from clusterctl.model.lab import Lab
    from clusterctl.model.playbook import Image
    from clusterctl.plan.action import Action, Effect


def _with_image(tag: str, labels: Mapping[str, str]) -> Effect:
    def effect(facts: HostFacts) -> HostFacts:
        if facts.docker is None:
            return facts
        images = (*facts.docker.images, ImageFacts("", (tag,), labels))
        return replace(facts, docker=replace(facts.docker, images=images))

    return effect


class ProvideImages:
    """Bring the images to the hosts."""

    title = "Bring the images"
    reads = frozenset({Section.DOCKER, Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Build, pull or load each image on each host that has a container of it and lacks it."""
        for host in lab.inventory.hosts:
            tags = sorted(lab.playbook.images_on(host))
            daemon = facts.docker(host)
            missing = [t for t in tags if daemon is None or not daemon.has_image(t)]
            if not missing:
                yield Noop(host, f"{', '.join(tags)} there already" if tags else "no container runs there")
            for tag in missing:
                image = lab.playbook.images[tag]
                yield from self._record(lab, facts, host, image)
                yield self._bring(lab, host, image)

    def _record(self, lab: Lab, facts: Facts, host: str, image: Image) -> Iterator[Action]:
        """Note what is about to come without a label of its own, so that `down` knows it."""
        daemon, records = facts.docker(host), facts.hosts[host].records
        for tag in () if image.build else dict.fromkeys((image.tag, image.pull or image.tag)):
            if _noted(tag) not in records and not (daemon and daemon.has_image(tag)):
                yield record(host, f"record that image {tag} is not there", _noted(tag), lab.name, note=True)

    def _bring(self, lab: Lab, host: str, image: Image) -> Action:
        effect = _with_image(image.tag, {IMAGE_LABEL: lab.name} if image.build else {})
        if image.build:
            return Run(
                host=host,
                title=f"build {image.tag} from the host's busybox",
                command=docker.build_busybox(image.tag, f"{IMAGE_LABEL}={lab.name}"),
                effect=effect,
                alters=docker.ALTERS,
            )
        if image.load:
            return docker.LoadImage(host=host, title=f"load {image.tag}", archive=image.load, effect=effect)
        return docker.PullImage(
            host=host, title=f"pull {image.pull}", reference=image.pull, tag=image.tag, effect=effect
        )


class RemoveImages:
    """Remove the images that the lab built or brought."""

    title = "Remove the images"
    reads = frozenset({Section.DOCKER, Section.HOST})

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove what carries the lab's label and what it noted, unless another's container is made of it."""
        for host, found in facts.hosts.items():
            if found.docker is None:
                yield Noop(host, "no image of this lab")
                continue
            noted = {n for n, of in found.records.items() if of == lab.name}
            of_others = {c.image for c in found.docker.containers.values() if c.labels.get(LABEL) != lab.name}
            ours = [
                tag
                for image in found.docker.images
                for tag in image.tags
                if tag not in of_others and (image.labels.get(IMAGE_LABEL) == lab.name or _noted(tag) in noted)
            ]
            yield from steps(
                [docker.RemoveImage(host=host, title=f"remove image {t}", tag=t) for t in ours],
                host,
                "no image of this lab",
            )


def _noted(tag: str) -> str:
    """Return the name of the record that an image came with a lab."""
    return f"images/{quote(tag, safe=':')}"
