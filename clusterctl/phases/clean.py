"""The environment cleared: every container, image and network of the user's on the hosts, whoever made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clusterctl.commands import docker
from clusterctl.model.errors import Reason, Refused
from clusterctl.model.facts import GATEWAY_BRIDGE
from clusterctl.model.lab import IMAGE_LABEL, LABEL
from clusterctl.model.thing import Kind, Thing
from clusterctl.plan.phase import Section, steps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from clusterctl.model.facts import DockerFacts, Facts
    from clusterctl.model.lab import Lab
    from clusterctl.plan.action import Action
    from clusterctl.plan.phase import Noop

DOCKERS_OWN = (GATEWAY_BRIDGE, "ingress")
"""Networks that Docker makes by itself for overlays, and makes anew."""

NO_TAG = "<none>"


def everything(facts: Facts, kinds: Collection[Kind]) -> tuple[Thing, ...]:
    """Return all there is of these kinds, host by host. A network that spans hosts is told once."""
    found: list[Thing] = []
    spanning = set[str]()
    for host in facts.hosts:
        daemon = facts.docker(host)
        if daemon is None:
            continue
        for kind, list_of in ((Kind.CONTAINERS, _containers), (Kind.IMAGES, _images)):
            if kind in kinds:
                found += list_of(host, daemon)
        for network in daemon.networks.values() if Kind.NETWORKS in kinds else ():
            if network.name in DOCKERS_OWN or network.id in spanning:
                continue
            spanning |= {network.id} if network.spans else set()
            where = f"{network.driver} {network.subnet}".strip()
            found.append(Thing(host, Kind.NETWORKS, network.name, where, network.labels.get(LABEL, "")))
    order = list(Kind)
    hosts = list(facts.hosts)
    return tuple(sorted(found, key=lambda t: (hosts.index(t.host), order.index(t.kind), t.name)))


def _containers(host: str, daemon: DockerFacts) -> Iterator[Thing]:
    for found in daemon.containers.values():
        what = f"{found.state}, image {found.image}"
        yield Thing(host, Kind.CONTAINERS, found.name, what, found.labels.get(LABEL, ""))


def _images(host: str, daemon: DockerFacts) -> Iterator[Thing]:
    for image in daemon.images:
        short = image.id.removeprefix("sha256:")[:12]
        tags = [t for t in image.tags if NO_TAG not in t]
        for name in tags or [short]:
            what = short if tags else "without a name"
            yield Thing(host, Kind.IMAGES, name, what, image.labels.get(IMAGE_LABEL, ""))


class CleanHosts:
    """Remove what was named, and nothing that came since.

    named: what the user has consented to.
    """

    title = "Clear the environment"
    reads = frozenset({Section.HOST, Section.DOCKER})

    def __init__(self, named: Collection[Thing]) -> None:
        self._named = frozenset((t.host, t.kind, t.name) for t in named)

    def plan(self, lab: Lab, facts: Facts) -> Iterator[Action | Noop]:
        """Remove containers, then networks, then images. Raises Refused where something else holds on to one."""
        going = [t for t in everything(facts, list(Kind)) if (t.host, t.kind, t.name) in self._named]
        if reasons := list(held(facts, going)):
            raise Refused(reasons)
        for host in facts.hosts:
            yield from steps([_removal(facts, t) for t in going if t.host == host], host, "nothing of it is there")


def _removal(facts: Facts, thing: Thing) -> Action:
    turn = list(Kind).index(thing.kind)
    match thing.kind:
        case Kind.CONTAINERS:
            title = f"remove container {thing.name}"
            return docker.RemoveContainer(host=thing.host, title=title, name=thing.name, turn=turn)
        case Kind.NETWORKS:
            daemon = facts.docker(thing.host)
            network = daemon.networks.get(thing.name) if daemon else None
            title = f"remove network {thing.name}"
            everywhere = network is not None and network.spans
            return docker.RemoveNetwork(host=thing.host, title=title, name=thing.name, everywhere=everywhere, turn=turn)
        case Kind.IMAGES:
            return docker.RemoveImage(host=thing.host, title=f"remove image {thing.name}", tag=thing.name, turn=turn)


def held(facts: Facts, going: Iterable[Thing]) -> Iterator[Reason]:
    """Return what cannot go since a container that stays holds on to it."""
    going = list(going)
    containers = {(t.host, t.name) for t in going if t.kind is Kind.CONTAINERS}
    gone = {name for _, name in containers}
    way_out = "without --only and --hosts all of it goes; or docker rm -f that container"
    for thing in going:
        daemon = facts.docker(thing.host)
        if daemon is None:
            continue
        if thing.kind is Kind.IMAGES:
            ids = {i.id.removeprefix("sha256:")[:12] for i in daemon.images if thing.name in i.tags} | {thing.name}
            users = [
                c.name
                for c in daemon.containers.values()
                if (thing.host, c.name) not in containers
                and (c.image == thing.name or c.image.removeprefix("sha256:")[:12] in ids)
            ]
        elif thing.kind is Kind.NETWORKS:
            endpoints = daemon.networks[thing.name].endpoints
            users = [e.name for e in endpoints if e.name not in gone and not e.container_id.startswith("lb-")]
        else:
            continue
        if users:
            kind = str(thing.kind).removesuffix("s")
            message = f"{kind} {thing.name} is used by container {', '.join(sorted(users))}"
            yield Reason(thing.host, message, way_out)
